"""Who held an address, when, and for how long that is remembered."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.model import Lease, Network
from podnet.store import HistoryBounds, Store

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]
DAY = 86400.0


def test_the_holder_at_a_time_is_who_had_it_then(store: Store, add: Add, network_of: NetworkOf) -> None:
    """From ADD, included, to the cut, excluded; at no time two."""
    network = network_of("10.1.0.0/30")
    address = ip_address("10.1.0.2")
    times: list[tuple[float, float | None]] = [(1000.0, 2000.0), (3000.0, 4000.0), (5000.0, None)]
    for number, (start, end) in enumerate(times):
        lease = add(store, number, network, start)
        if end is not None:
            store.cut([lease.attachment], end)
            store.close([lease], end + 1)
    starts = [holding.lease.created for holding in store.holders(address)]
    assert starts == [5000.0, 3000.0, 1000.0]
    then = {999: [], 1000: [1000.0], 1999: [1000.0], 2000: [], 3500: [3000.0], 4500: [], 9e9: [5000.0]}
    for at, starts in then.items():
        assert [holding.lease.created for holding in store.holders(address, at)] == starts
    assert [h.state for h in store.holders(address)] == ["live", "closed", "closed"]
    assert store.holders(ip_address("10.1.0.3")) == []


def test_a_cut_lease_is_told_from_a_closed_one(store: Store, add: Add, network_of: NetworkOf) -> None:
    """In the history's `state`."""
    lease = add(store, 1, network_of("10.1.0.0/30"))
    store.cut([lease.attachment], 1001.0)
    assert [h.state for h in store.holders(lease.addresses[0].address)] == ["cut"]


def test_history_is_forgotten_by_age(path: Path, add: Add, network_of: NetworkOf) -> None:
    """Closing forgets in passing what is older than the bound; an address without history is untouched again."""
    network = network_of("10.1.0.0/24")
    with Store.open(path, "boot-1", 0.0, history=HistoryBounds(days=1)) as store:
        old = [add(store, n, network, 0.0) for n in range(3)]
        store.close(old, 100.0)
        later = add(store, 5, network, 50 * DAY)
        assert later.addresses[0].address == ip_address("10.1.0.5")
        store.close([later], 50 * DAY)
        assert [store.holders(lease.addresses[0].address) for lease in old[:2]] == [[], []]
        assert store.tend(50 * DAY) == 1
        assert store.holders(old[2].addresses[0].address) == []
        assert len(store.holders(later.addresses[0].address)) == 1
        assert add(store, 6, network, 50 * DAY).addresses == old[0].addresses


def test_history_is_bounded_by_rows_once_quarantine_is_over(path: Path, add: Add, network_of: NetworkOf) -> None:
    """The oldest go first; what rests is kept beyond the bound."""
    network = network_of("10.1.0.0/24", quarantine=60)
    with Store.open(path, "boot-1", 0.0, history=HistoryBounds(rows=10)) as store:
        for number in range(40):
            store.close([add(store, number, network, 100.0 + number)], 100.0 + number)
        assert sum(len(store.holders(a)) for a in map(ip_address, (f"10.1.0.{n}" for n in range(255)))) == 40
        assert store.tend(200.0, limit=7) == 7
        assert store.tend(200.0) == 23
        kept = [h.lease.created for n in range(255) for h in store.holders(ip_address(f"10.1.0.{n}"))]
        assert sorted(kept) == [100.0 + number for number in range(30, 40)]
        assert store.tend(200.0) == 0


def test_live_leases_are_never_forgotten(path: Path, add: Add, network_of: NetworkOf) -> None:
    """Bounds are for history."""
    with Store.open(path, "boot-1", 0.0, history=HistoryBounds(days=0, rows=0)) as store:
        live, cut = (add(store, n, network_of("10.1.0.0/24"), 0.0) for n in range(2))
        store.cut([cut.attachment], 1.0)
        assert store.tend(1000 * DAY) == 0
        assert store.live() == [live]
        assert len(store.pending()) == 1


@pytest.mark.parametrize("subnet", ["10.1.0.0/27", "fd00::/123"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_forgetting_everything_leaves_the_database_as_new(
    subnet: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, network_of: NetworkOf, add: Add
) -> None:
    """Whatever was taken, in whatever order it is closed: the untouched spans join into the two they began as."""
    path = tmp_path_factory.mktemp("spans") / "podnet.db"
    network = network_of(subnet)
    with Store.open(path, "boot-1", 0.0, history=HistoryBounds(days=0)) as store:
        spans = "SELECT hex(first), hex(last) FROM untouched ORDER BY first"
        new = store._connection.execute(spans).fetchall()
        hosts = list(network.ranges[0][0].subnet)[2:-1]
        wanted = data.draw(st.lists(st.sampled_from(hosts), unique=True, max_size=12))
        leases = [add(store, n, network, 1.0, str(address)) for n, address in enumerate(wanted)]
        leases += [add(store, 100 + n, network, 1.0) for n in range(5)]
        now = 100.0
        for lease in data.draw(st.permutations(leases)):
            now += data.draw(st.sampled_from([1.0, 1000.0]))
            store.close([lease], now)
        store.tend(now + DAY)
        assert store._connection.execute(spans).fetchall() == new
        assert len(new) == 2
