"""A lease's life: reserved, cut, closed; what is taken meanwhile, and what is answered."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from podnet.errors import AddressUnavailable, InterfaceExists, InvalidConfiguration, StateError, TryAgainLater
from podnet.model import Attachment, Lease, NamespaceId, Network, PodAddress, Range, link_name
from podnet.store import Store

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]
AttachmentOf = Callable[..., Attachment]


def test_a_lease_has_an_address_of_each_range_set(store: Store, add: Add, network_of: NetworkOf) -> None:
    """The lowest of each, with its subnet's prefix length and gateway, and all the caller said."""
    lease = add(store, 1, network_of("10.1.0.0/24", "fd00::/64"), 1234.5)
    assert lease.addresses == (
        PodAddress(ip_address("10.1.0.2"), 24, ip_address("10.1.0.1")),
        PodAddress(ip_address("fd00::2"), 64, ip_address("fd00::1")),
    )
    assert lease.netns == NamespaceId(4, 4026532001)
    assert (lease.netns_path, lease.boot_id, lease.created) == ("/run/netns/cni-1", "boot-1", 1234.5)
    assert lease.released is None
    assert store.find(lease.attachment) == lease
    assert store.live() == [lease]


def test_a_bridge_lease_has_a_link_name_with_its_suffix(store: Store, add: Add, network_of: NetworkOf) -> None:
    """The study notes' `veth-red-br`."""
    lease = add(store, 1, network_of("10.1.0.0/24", bridge=True))
    assert lease.link == link_name(lease.attachment, "-br")


def test_an_attached_attachment_is_not_reserved_again(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Even where no address is free any more: the error says what is the matter."""
    network = network_of("10.1.0.0/30")
    lease = add(store, 1, network)
    with pytest.raises(InterfaceExists, match="DEL it first"):
        add(store, 1, network)
    assert store.live() == [lease]


def test_a_cut_lease_keeps_its_address_and_link_until_it_is_closed(
    store: Store, add: Add, network_of: NetworkOf
) -> None:
    """The same container may come again meanwhile: with another address and another link name."""
    network = network_of("10.1.0.0/29")
    first = add(store, 1, network)
    (cut,) = store.cut([first.attachment], 2000.0)
    assert cut.released == 2000.0
    assert store.find(first.attachment) is None
    assert store.pending() == [cut]
    with pytest.raises(AddressUnavailable, match=r"is held by container .* try again"):
        add(store, 2, network, 2001.0, "10.1.0.2")
    second = add(store, 1, network, 2001.0)
    assert second.addresses != first.addresses
    assert second.link == link_name(first.attachment, attempt=1)
    assert store.close([cut], 2002.0) == 1
    assert store.pending() == []
    assert store.live() == [second]
    assert add(store, 2, network, 2003.0, "10.1.0.2").addresses == first.addresses


def test_cutting_and_closing_what_is_not_there_is_nothing(
    store: Store, add: Add, network_of: NetworkOf, attachment_of: AttachmentOf
) -> None:
    """DEL is idempotent."""
    assert store.cut([attachment_of(9)], 2000.0) == []
    lease = add(store, 1, network_of("10.1.0.0/29"))
    assert store.close([lease], 2000.0) == 1
    assert store.close([lease], 2001.0) == 0
    assert store.cut([lease.attachment], 2002.0) == []


def test_an_undone_lease_goes_to_the_back_of_the_queue(store: Store, add: Add, network_of: NetworkOf) -> None:
    """A retry draws another address, and the history has the reason."""
    network = network_of("10.1.0.0/29")
    failed = add(store, 1, network)
    store.undo(failed, 1001.0, "EEXIST")
    assert store.find(failed.attachment) is None
    assert add(store, 1, network, 1002.0).addresses != failed.addresses
    (holding,) = store.holders(failed.addresses[0].address)
    assert (holding.reason, holding.state, holding.closed) == ("EEXIST", "closed", 1001.0)


def test_a_full_range_gives_the_longest_released(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Though it rests: quarantine orders and does not refuse; only held addresses are not given."""
    network = network_of("10.1.0.0/29")
    leases = [add(store, n, network) for n in range(5)]
    with pytest.raises(AddressUnavailable, match="5 usable, 5 live, 0 in quarantine until removed; delete pods"):
        add(store, 6, network)
    store.cut([leases[3].attachment], 2000.0)
    with pytest.raises(AddressUnavailable, match=r"5 usable, 4 live, 1 in quarantine until removed; .* try again"):
        add(store, 6, network)
    store.cut([leases[1].attachment], 2001.0)
    store.close(store.pending(), 2002.0)
    assert add(store, 6, network, 2002.0).addresses == leases[3].addresses
    assert add(store, 7, network, 2002.0).addresses == leases[1].addresses


def test_networks_with_the_same_subnet_share_its_addresses(store: Store, add: Add, network_of: NetworkOf) -> None:
    """A network renamed while pods run does not give their addresses again, nor does one of an overlapping subnet."""
    old = add(store, 1, network_of("10.1.0.0/29"))
    renamed = network_of("10.1.0.0/29", name="renamed")
    assert add(store, 2, renamed).addresses[0].address == ip_address("10.1.0.3")
    wider = network_of("10.1.0.0/16", name="wider")
    assert add(store, 3, wider).addresses[0].address == ip_address("10.1.0.4")
    store.close([old], 2000.0)
    for number in (4, 5):
        add(store, number, renamed, 2001.0)
    assert add(store, 6, renamed, 2002.0).addresses == old.addresses


def test_a_network_is_kept_as_the_lease_was_made_with(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Two shapes of one network stay apart, equal ones are one object; a closed lease has none to rebuild."""
    one, two = network_of("10.1.0.0/24"), network_of("10.1.0.0/24", quarantine=5)
    leases = [add(store, n, network) for n, network in enumerate((one, two, network_of("10.1.0.0/24")))]
    assert [store.network_of(lease) for lease in leases] == [one, two, one]
    assert store.network_of(leases[0]) is store.network_of(leases[2])
    store.cut([leases[1].attachment], 2000.0)
    assert store.network_of(leases[1]) == two
    store.close([leases[1]], 2001.0)
    with pytest.raises(StateError, match="no open lease"):
        store.network_of(leases[1])


def test_a_network_with_overlapping_ranges_gets_no_address(store: Store, add: Add, network_of: NetworkOf) -> None:
    """It is the configuration's fault and changes nothing."""
    with pytest.raises(InvalidConfiguration, match="overlap"):
        add(store, 1, network_of("10.1.0.0/24", "10.1.0.0/25"))
    assert store.live() == []


def test_one_refused_reservation_leaves_its_batch_standing(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Requests that are served together fail apart."""
    network = network_of("10.1.0.0/30")
    with store.transaction():
        first = add(store, 1, network)
        with pytest.raises(AddressUnavailable):
            add(store, 2, network)
        third = add(store, 3, network_of("10.2.0.0/30", name="other"))
    assert store.live() == [first, third]


def test_an_exception_that_leaves_a_transaction_undoes_it(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Its addresses are free again, in the database and in memory."""
    network = network_of("10.1.0.0/24")
    lost: list[Lease] = []

    def fail_late() -> None:
        with store.transaction():
            lost.append(add(store, 1, network))
            store.network_of(lost[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert store.live() == []
    other = network_of("10.1.0.0/24", quarantine=1)
    again = add(store, 2, other)
    assert again.addresses == lost[0].addresses
    assert store.network_of(again) == other


def test_transactions_do_not_nest(store: Store) -> None:
    """The inner one would end the outer one."""
    with pytest.raises(StateError, match="nest"), store.transaction(), store.transaction():
        pass


def test_leases_are_found_by_the_beginning_of_a_container_id(store: Store, add: Add, network_of: NetworkOf) -> None:
    """As people type them."""
    network = network_of("10.1.0.0/24")
    leases = [add(store, n, network) for n in range(20)]
    prefix = leases[7].attachment.container[:6]
    assert store.find_container(prefix) == [leases[7]]
    assert store.find_container("") == sorted(leases, key=lambda lease: lease.attachment.container)
    store.cut([leases[7].attachment], 2000.0)
    assert store.find_container(prefix) == []


def test_namespace_numbers_of_64_bits_are_kept(
    store: Store, network_of: NetworkOf, attachment_of: AttachmentOf
) -> None:
    """st_dev and st_ino are unsigned; no namespace at all is kept too."""
    for number, netns in enumerate((NamespaceId(2**64 - 1, 2**63), None)):
        lease = store.reserve(attachment_of(number), network_of("10.1.0.0/24"), (), netns, "", 1.0)
        assert store.find(lease.attachment) == lease


def test_leases_and_quarantine_outlive_the_process(path: Path, add: Add, network_of: NetworkOf) -> None:
    """Reopened in the same boot: live ones live, cut ones pending, released addresses last in the queue."""
    network = network_of("10.1.0.0/29")
    with Store.open(path, "boot-1", 1000.0) as store:
        leases = [add(store, n, network) for n in range(3)]
        store.cut([leases[0].attachment, leases[1].attachment], 1010.0)
        store.close([leases[0]], 1011.0)
    with Store.open(path, "boot-1", 1020.0) as store:
        assert store.live() == [leases[2]]
        assert [lease.attachment for lease in store.pending()] == [leases[1].attachment]
        (counted,) = store.counts(network, 1020.0)
        assert (counted.live, counted.cut, counted.resting, counted.ready) == (1, 1, 1, 2)
        given = [add(store, n, network, 1021.0).addresses for n in (5, 6, 7)]
        assert given[2] == leases[0].addresses


def test_leases_of_an_earlier_boot_are_void(path: Path, add: Add, network_of: NetworkOf) -> None:
    """They hold nothing, their history stays, their addresses rest from the opening or from their cut."""
    network = network_of("10.1.0.0/29")
    with Store.open(path, "boot-1", 1000.0) as store:
        cut, live = (add(store, n, network) for n in range(2))
        store.cut([cut.attachment], 1010.0)
    with Store.open(path, "boot-2", 1020.0) as store:
        assert (store.live(), store.pending()) == ([], [])
        for lease, released in ((cut, 1010.0), (live, 1020.0)):
            (holding,) = store.holders(lease.addresses[0].address)
            assert (holding.lease.released, holding.closed) == (released, 1020.0)
            assert (holding.lease.boot_id, holding.reason) == ("boot-1", "the machine restarted")
        given = [add(store, n, network, 1021.0).addresses for n in range(5)]
        assert given[3:] == [cut.addresses, live.addresses]


def test_a_requested_address_is_given_though_it_rests(store: Store, add: Add, network_of: NetworkOf) -> None:
    """As soon as its last holder is closed."""
    network = network_of("10.1.0.0/24")
    lease = add(store, 1, network, 1000.0, "10.1.0.200")
    assert lease.addresses[0].address == ip_address("10.1.0.200")
    with pytest.raises(AddressUnavailable, match=f"held by container {lease.attachment.container}"):
        add(store, 2, network, 1001.0, "10.1.0.200")
    store.close([lease], 1002.0)
    assert add(store, 2, network, 1002.0, "10.1.0.200").addresses == lease.addresses


def test_an_address_that_is_excluded_since_is_not_given_again(store: Store, add: Add) -> None:
    """A changed configuration is heeded, though the address heads the queue of its subnet."""
    subnet = ip_network("10.1.0.0/29")
    plain = Range(subnet, subnet[1], subnet[-1], subnet[1])
    leases = [add(store, n, Network(name="podnet", ranges=((plain,),))) for n in range(5)]
    for turn, lease in enumerate(leases):
        store.close([lease], 2000.0 + turn)
    less = Range(subnet, subnet[1], subnet[-1], subnet[1], (ip_network("10.1.0.2/31"),))
    network = Network(name="podnet", ranges=((less,),))
    assert add(store, 9, network, 3000.0).addresses == leases[2].addresses


def test_of_overlapping_subnets_the_longest_free_is_given(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Whichever of them it was released under."""
    narrow, wide = network_of("10.1.0.0/29", name="narrow"), network_of("10.1.0.0/28", name="wide")
    leases = [add(store, n, narrow) for n in range(5)]
    leases += [add(store, 10 + n, wide) for n in range(8)]
    order = [leases[i] for i in (7, 1, 12, 0, 3, 9)]
    for turn, lease in enumerate(order):
        store.close([lease], 2000.0 + turn)
    given = [add(store, 50 + n, wide, 3000.0) for n in range(6)]
    assert [x.addresses[0].address for x in given] == [x.addresses[0].address for x in order]


def test_link_names_run_out_with_a_clear_error(store: Store, add: Add, network_of: NetworkOf) -> None:
    """64 leases of one attachment, all cut and none removed, is a node that does not reap."""
    network = network_of("10.1.0.0/24")
    for turn in range(64):
        store.cut([add(store, 1, network).attachment], 1000.0 + turn)
    with pytest.raises(TryAgainLater, match="links are not removed yet"):
        add(store, 1, network)
    assert len({lease.link for lease in store.pending()}) == 64
