"""Terms kept with the lease, host ports of one pod each, and databases from before there were either."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.errors import AddressUnavailable, PortTaken, StateError
from podnet.model import (
    DNS,
    PLAIN,
    Attachment,
    Bandwidth,
    Delegation,
    KubernetesPod,
    Lease,
    Network,
    PortMapping,
    Rate,
    Terms,
)
from podnet.model.terms import Protocol
from podnet.store import Reader, Store
from podnet.store.codec import decode_terms, encode_terms
from podnet.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

NetworkOf = Callable[..., Network]
Add = Callable[..., Lease]

text = st.text(max_size=6)
words = st.lists(text, max_size=3).map(tuple)
rates = st.none() | st.builds(Rate, st.integers(125, 2**37), st.integers(1, 2**32))
mappings = st.builds(
    PortMapping,
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.integers(1, 65535),
    st.integers(1, 65535),
    st.none() | st.ip_addresses(),
)
all_terms = st.builds(
    Terms,
    ports=st.lists(mappings, max_size=3).map(tuple),
    bandwidth=st.builds(Bandwidth, rates, rates),
    mac=text,
    aliases=words,
    dns=st.none() | st.builds(DNS, words, text, words, words),
    pod=st.none() | st.builds(KubernetesPod, text, text, text),
    delegation=st.none() | st.builds(Delegation, text, text, text, text),
)


@settings(deadline=None)
@given(terms=all_terms)
def test_terms_come_back_equal(terms: Terms) -> None:
    """Every field, with the types it had; what asks for nothing takes no room."""
    document = encode_terms(terms)
    assert decode_terms(document) == terms
    assert (document == b"") == (terms == Terms())


@settings(deadline=None)
@given(terms=all_terms, data=st.data())
def test_any_document_is_terms_or_a_state_error(terms: Terms, data: st.DataObject) -> None:
    """Cut short, a key lost, a value of another type, or anything at all: never another exception."""
    whole = msgspec.json.encode(terms, enc_hook=str)
    fields = msgspec.json.decode(whole)
    key = data.draw(st.sampled_from(sorted(fields)))
    other: object = data.draw(st.sampled_from([None, 1, "x", [], ["x"], [[1]], [{}], {}, {"protocol": 1}, True]))
    documents = [
        msgspec.json.encode({k: v for k, v in fields.items() if k != key}),
        msgspec.json.encode(fields | {key: other}),
        whole[: data.draw(st.integers(0, 60))],
        data.draw(st.binary(max_size=20)),
    ]
    for document in documents:
        with suppress(StateError):
            assert isinstance(decode_terms(document), Terms)


PODS_TERMS = Terms(
    ports=(PortMapping("tcp", 8080, 80), PortMapping("udp", 53, 5353, IPv6Address("fd99::11"))),
    bandwidth=Bandwidth(egress=Rate(1000, 131072)),
    pod=KubernetesPod("shop", "web-0", "u"),
    delegation=Delegation("host-local", '{"name": "x"}', "IgnoreUnknown=1", "/opt/cni/bin"),
)


def test_a_lease_has_its_terms_in_every_question(store: Store, path: Path, network_of: NetworkOf) -> None:
    """Live, found, cut, closed and in the history, also to a reader and after opening again."""
    network = network_of("10.1.0.0/24")
    key = Attachment("podnet", "c1", "eth0")
    lease = store.reserve(key, network, (), None, "p", 1000.0, PODS_TERMS)
    plain = store.reserve(Attachment("podnet", "c2", "eth0"), network, (), None, "p", 1000.0)
    assert (lease.terms, plain.terms) == (PODS_TERMS, PLAIN)
    assert [found.terms for found in store.live()] == [PODS_TERMS, PLAIN]
    assert store.find(key) == lease
    with Reader.read(path) as reader:
        assert reader.live() == [lease, plain]
    store.close_database()
    with Store.open(path, "boot-1", 1001.0) as again:
        assert again.live() == [lease, plain]
        (cut,) = again.cut([key], 1002.0)
        assert [found.terms for found in again.pending()] == [cut.terms] == [PODS_TERMS]
        again.close([cut], 1003.0)
        (past,) = again.holders(lease.addresses[0].address)
        assert past.lease.terms == PODS_TERMS


def test_damaged_terms_are_a_state_error(store: Store, path: Path, network_of: NetworkOf) -> None:
    """Whoever asks for the lease is told what is damaged; other leases are read as ever."""
    network = network_of("10.1.0.0/24")
    keys = [Attachment("podnet", name, "eth0") for name in ("c1", "c2")]
    for key in keys:
        store.reserve(key, network, (), None, "p", 1000.0, Terms(aliases=("a",)))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE lease SET terms = substr(terms, 1, 20) WHERE container = 'c1'")
    with pytest.raises(StateError, match="the terms of a lease are damaged"):
        store.find(keys[0])
    found = store.find(keys[1])
    assert found is not None
    assert found.terms.aliases == ("a",)


# Host ports

HERE, THERE = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
SIX = IPv6Address("2001:db8::1")
UNIVERSE = {4: (HERE, THERE, "other4"), 6: (SIX, "other6")}
ADDRESSES = (None, IPv4Address(0), IPv6Address(0), HERE, THERE, SIX)
FAMILIES = ((4,), (6,), (4, 6))
SUBNETS = {4: "10.1.0.0/24", 6: "fd00:1::/112"}


def sockets(mapping: PortMapping, families: tuple[int, ...]) -> set[tuple[object, ...]]:
    """Return where on this node a mapping of a pod of those families listens, address by address."""
    found: set[tuple[object, ...]] = set()
    for version in families:
        for address in UNIVERSE[version]:
            any_address = mapping.host_ip is None or (mapping.host_ip.version, int(mapping.host_ip)) == (version, 0)
            if any_address or mapping.host_ip == address:
                found.add((mapping.protocol, mapping.host_port, address))
    return found


PAIRS = [
    (one, other, mine, theirs)
    for one, other in product(ADDRESSES, ADDRESSES)
    for mine, theirs in product(FAMILIES, FAMILIES)
]


@pytest.mark.parametrize(("mine_is", "theirs_is"), [("tcp", "tcp"), ("tcp", "udp"), ("sctp", "sctp")])
def test_two_pods_share_no_place_of_the_node(
    store: Store, network_of: NetworkOf, mine_is: Protocol, theirs_is: Protocol
) -> None:
    """Refused exactly where a socket of the one and of the other would be the same; with the holder's name."""
    for number, (one, other, mine, theirs) in enumerate(PAIRS):
        first = PortMapping(mine_is, 80, 8080, one)
        second = PortMapping(theirs_is, 80, 9, other)
        networks = [network_of(*(SUBNETS[v] for v in families), name="n") for families in (mine, theirs)]
        keys = [Attachment("n", f"c{number}{side}", "eth0") for side in "ab"]
        now = 1000.0 + number
        holder = Terms(ports=(first,), pod=KubernetesPod("shop", "web"))
        held = [store.reserve(keys[0], networks[0], (), None, "", now, holder)]
        try:
            held.append(store.reserve(keys[1], networks[1], (), None, "", now, Terms(ports=(second,))))
        except PortTaken as error:
            refusal = error
        if len(held) == 1:
            assert sockets(first, mine) & sockets(second, theirs), (one, other, mine, theirs)
            assert refusal.msg.startswith(f"host port {second} is held by pod shop/web, container c{number}a (eth0) of")
            assert ":8080; choose another host port, or delete that container first" in refusal.msg
            assert store.find(keys[1]) is None
        else:
            assert not sockets(first, mine) & sockets(second, theirs), (one, other, mine, theirs)
        store.close(held, now)


def with_port(store: Store, network: Network, container: str, now: float = 1000.0) -> Lease:
    """Reserve with host port 8080."""
    key = Attachment(network.name, container, "eth0")
    return store.reserve(key, network, (), None, "", now, Terms(ports=(PortMapping("tcp", 8080, 80),)))


def held_ports(path: Path) -> list[tuple[str, int]]:
    """Return the rows of the table."""
    with closing(sqlite3.connect(path)) as other:
        return other.execute("SELECT protocol, port FROM port").fetchall()


@pytest.mark.parametrize("end", ["cut", "close", "undo", "reboot", "rollback"])
def test_a_host_port_is_free_when_its_lease_ends(store: Store, path: Path, network_of: NetworkOf, end: str) -> None:
    """With the cut already, though the address rests; with an ADD that failed, with the boot, with its transaction."""
    network = network_of("10.1.0.0/24")
    with suppress(ZeroDivisionError), store.transaction():
        lease = with_port(store, network, "c1")
        with pytest.raises(PortTaken):
            with_port(store, network, "c2")
        if end == "rollback":
            raise ZeroDivisionError
    if end == "cut":
        store.cut([lease.attachment], 1001.0)
    elif end == "close":
        store.close([lease], 1001.0)
    elif end == "undo":
        store.undo(lease, 1001.0)
    elif end == "reboot":
        store.close_database()
        store = Store.open(path, "boot-2", 1001.0)
    with store:
        assert held_ports(path) == []
        assert with_port(store, network, "c2", 1002.0).terms.ports
        assert held_ports(path) == [("tcp", 8080)]
        if end == "cut":
            store.close(store.pending(), 1003.0)
            assert held_ports(path) == [("tcp", 8080)], "the close of the old lease frees no port of the new one's"


def test_a_host_port_is_held_through_a_restart_of_the_process(store: Store, path: Path, network_of: NetworkOf) -> None:
    """Same boot, new writer."""
    network = network_of("10.1.0.0/24")
    with_port(store, network, "c1")
    store.close_database()
    with Store.open(path, "boot-1", 1001.0) as again, pytest.raises(PortTaken, match="container c1"):
        with_port(again, network, "c2")


def test_the_holder_of_an_address_is_called_by_its_pod_s_name(store: Store, network_of: NetworkOf) -> None:
    """An address that is asked for and taken tells whose it is, as a port does."""
    network = network_of("10.1.0.0/24")
    wanted = (ip_address("10.1.0.7"),)
    key = Attachment("podnet", "c1", "eth0")
    store.reserve(key, network, wanted, None, "", 1.0, Terms(pod=KubernetesPod("shop", "web-0")))
    with pytest.raises(AddressUnavailable, match=r"pod shop/web-0, container c1 \(eth0\)"):
        store.reserve(Attachment("podnet", "c2", "eth0"), network, wanted, None, "", 1.0)


# Migration


@pytest.fixture
def old(path: Path, network_of: NetworkOf, add: Add) -> tuple[Path, list[Lease], list[Lease], Network]:
    """Make a database of version 1 with leases in each state, by that version's own statements.

    Its rows are those that a store of today writes for leases without terms, less what version 1 has no room for.
    """
    network = network_of("10.1.0.0/28", "fd00:1::/124")
    source = path.with_name("source.db")
    with Store.open(source, "boot-1", 1000.0) as store:
        leases = [add(store, number, network) for number in range(5)]
        store.cut([leases[3].attachment, leases[4].attachment], 1010.0)
        store.close([leases[4]], 1020.0)
        live, pending = store.live(), store.pending()
    with closing(sqlite3.connect(path)) as database, database:
        for statement in MIGRATIONS[0]:
            database.execute(statement)
        database.execute("DELETE FROM untouched")
        database.execute("ATTACH ? AS source", (str(source),))
        for table in ("boot", "subnet", "network", "lease", "address", "untouched"):
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}")  # noqa: S608
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
    return path, live, pending, network


def test_a_database_of_version_1_keeps_every_lease_and_address(
    old: tuple[Path, list[Lease], list[Lease], Network], add: Add
) -> None:
    """Live, cut and closed; nothing that is held is given, and the daemon that finds it serves on."""
    path, live, pending, network = old
    with pytest.raises(StateError, match="has schema version 1, not 2: start podnet on this node once"):
        Reader.read(path)
    with Store.open(path, "boot-1", 1030.0) as store:
        assert (len(live), len(pending)) == (3, 1)
        assert store.live() == live
        assert store.pending() == pending
        assert {lease.terms for lease in store.live()} == {PLAIN}
        taken = {leased.address for lease in (*live, *pending) for leased in lease.addresses}
        given = [add(store, number, network, 1030.0) for number in range(10, 18)]
        assert not taken & {leased.address for lease in given for leased in lease.addresses}
        assert with_port(store, network, "ported", 1030.0).terms.ports
        store.cut([lease.attachment for lease in live], 1040.0)
        assert store.close(store.pending(), 1050.0) == 4
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_old_database_of_an_earlier_boot_is_migrated_and_void(
    old: tuple[Path, list[Lease], list[Lease], Network],
) -> None:
    """Its addresses rest and are to be had again."""
    path, live, _, _ = old
    with Store.open(path, "boot-2", 2000.0) as store:
        assert (store.live(), store.pending()) == ([], [])
        (past, *_) = store.holders(live[0].addresses[0].address)
        assert past.reason == "the machine restarted"
