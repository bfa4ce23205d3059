"""What an ADD costs does not grow: counted in steps of SQLite's machine and in bytes, not in time."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from podnet.model import Lease, Network
from podnet.store import HistoryBounds, Store

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]


def steps(store: Store, work: Callable[[], object]) -> int:
    """Return how many instructions SQLite's machine takes for `work`."""
    ticks = count()
    store._connection.set_progress_handler(lambda: next(ticks) < 0, 1)
    try:
        work()
    finally:
        store._connection.set_progress_handler(None, 1)
    return next(ticks)


def fill(store: Store, add: Add, network: Network, numbers: range) -> None:
    """Reserve many in one transaction."""
    with store.transaction():
        for number in numbers:
            add(store, number, network)


def steps_of_verbs(store: Store, add: Add, network: Network, number: int) -> list[int]:
    """Return the steps of each verb, in the order of a pod's life, then those of an ADD with a requested address."""
    leases: list[Lease] = []
    return [
        steps(store, lambda: leases.append(add(store, number, network))),
        steps(store, lambda: store.find(leases[0].attachment)),
        steps(store, lambda: store.network_of(leases[0])),
        steps(store, lambda: store.cut([leases[0].attachment], 1001.0)),
        steps(store, lambda: store.close(leases, 1002.0)),
        steps(store, lambda: add(store, number + 1, network, 1000.0, f"10.200.{number // 250}.9")),
    ]


def test_verbs_take_as_many_steps_at_4000_leases_as_at_40(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Reserve (fresh, requested), cut, close and find; with history and quarantine beside."""
    network = network_of("10.0.0.0/8", "fd00::/48")
    taken = []
    for low, high in ((0, 40), (1000, 4960)):
        fill(store, add, network, range(low, high))
        store.close(store.live()[: (high - low) // 4], 1000.0)
        store.tend(1000.0)
        add(store, high, network)
        taken.append(steps_of_verbs(store, add, network, high + 1))
    for small, large in zip(*taken, strict=True):
        assert large <= small * 1.1 + 20, taken


def test_a_used_up_range_gives_in_as_few_steps(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Reuse looks at the head of the queue, whichever size the range has."""
    taken = []
    for subnet, number in (("10.1.0.0/28", 0), ("10.2.0.0/20", 10_000)):
        network = network_of(subnet, name=subnet)
        hosts = network.ranges[0][0].subnet.num_addresses - 3
        fill(store, add, network, range(number, number + hosts))
        with store.transaction():
            for turn, lease in enumerate(store.live()[-hosts:]):
                store.close([lease], 2000.0 + turn)
        add(store, number + 5000, network, 9000.0)
        taken.append(steps(store, partial(add, store, number + 5001, network, 9000.0)))
    assert taken[1] <= taken[0] * 1.1 + 20, taken


@pytest.mark.parametrize("subnets", [("10.0.0.0/8",), ("fd00::/48",), ("10.0.0.0/8", "fd00::/48")])
def test_a_large_pool_costs_no_more_memory_and_rows_than_a_small_one(
    subnets: tuple[str, ...], store: Store, add: Add, network_of: NetworkOf
) -> None:
    """The first address, one from the middle and the last of 2 ^ 80 take a few spans and a few kilobytes."""
    network = network_of(*subnets)
    add(store, 0, network_of(*(s.replace("/8", "/24").replace("/48", "/120") for s in subnets), name="small"))
    ends = [of.last if of.subnet.version == 6 else of.last - 1 for (of,) in network.ranges]
    middles = [of.subnet[of.subnet.num_addresses // 2] for (of,) in network.ranges]
    tracemalloc.start()
    try:
        add(store, 1, network)
        add(store, 2, network, 1000.0, *map(str, ends))
        add(store, 3, network, 1000.0, *map(str, middles))
        add(store, 4, network)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    (spans,) = store._connection.execute("SELECT count(*) FROM untouched").fetchone()
    assert spans <= 2 + 3 * len(subnets)


def test_a_churning_node_does_not_grow(path: Path, add: Add, network_of: NetworkOf) -> None:
    """A pool without end, pods that come and go: rows stay within the bounds, however many there were."""
    network = network_of("fd00::/64", quarantine=1)
    with Store.open(path, "boot-1", 0.0, history=HistoryBounds(rows=50)) as store:
        for number in range(600):
            with store.transaction():
                lease = add(store, number, network, float(number))
                store.cut([lease.attachment], number + 0.25)
                store.close([lease], number + 0.5)
        tables = ("lease", "address", "untouched", "network", "subnet", "boot")
        rows = {t: store._connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}  # noqa: S608
    assert rows["lease"] == rows["address"] <= 52
    assert rows["untouched"] <= 55
    assert (rows["network"], rows["subnet"], rows["boot"]) == (1, 1, 1)


def test_many_networks_are_remembered_within_bounds(store: Store, add: Add, network_of: NetworkOf) -> None:
    """A runtime that sends another configuration with each ADD does not fill the memory."""
    leases = [add(store, n, network_of("10.1.0.0/16", quarantine=n)) for n in range(200)]
    assert len({lease.addresses for lease in leases}) == 200
    assert len(store._ledger._prepared) <= 64
    names = [add(store, 500 + n, network_of("10.1.0.0/16", name=f"n{n}")) for n in range(100)]
    assert len({lease.addresses for lease in (*leases, *names)}) == 300
    assert len(store._ledger._latest) <= 64
