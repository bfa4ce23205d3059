"""The report's tables: what is compared with what, and which aims a run has."""

import pytest

from bench.report import Figures, Throughput
from bench.tables import (
    Cost,
    Parts,
    asking_aims,
    asking_tables,
    increments_table,
    parts_table,
    profile_table,
    ready_aims,
    room_of,
    rooms_table,
    throughput_aims,
    verb_aims,
    verbs_tables,
)

BOTH = "podnet ptp, port and bandwidth"
CHAIN = "ptp + portmap + bandwidth"


def contender(
    name: str, add: float, delete: float, *, pods: int = 500, width: int = 1, rate: float = 100.0, links: float = 1
) -> Figures:
    """Return figures with these times in ms; podnet's have a daemon of 30 MiB."""
    return Figures(
        contender=name,
        pods=pods,
        width=width,
        rounds=3,
        add_p50=add,
        add_p99=2 * add,
        add_rate=rate,
        add_cpu=add,
        growth=1.1,
        delete_p50=delete,
        delete_p99=2 * delete,
        delete_rate=50.0,
        gone=90.0,
        daemon_rss=30.0 if name.startswith("podnet") else 0.0,
        daemon_cpu=0.5 if name.startswith("podnet") else 0.0,
        links=links,
    )


def test_a_table_says_how_many_times_podnet_is_faster() -> None:
    """The ratio stands in the other's row, and podnet's own is empty."""
    add, delete = verbs_tables([contender("podnet ptp", 1, 2), contender("ptp", 7, 20)])
    assert (add.title, delete.title) == ("ADD, 500 pods, 1 at a time", "DEL, 500 pods, 1 at a time")
    assert [row[3] for row in add.rows] == ["", "7.00x"]
    assert [row[3] for row in delete.rows] == ["", "10.0x"]
    assert add.rows[1][-1] == ""
    assert all(len(row) == len(table.columns) for table in (add, delete) for row in table.rows)


def test_without_podnet_nothing_is_compared() -> None:
    """Baselines measured alone have no ratios and no aims."""
    alone = [contender("ptp", 7, 20)]
    assert [row[3] for table in verbs_tables(alone) for row in table.rows] == ["", ""]
    assert verb_aims(alone) == []


def test_one_at_a_time_is_compared_by_latency() -> None:
    """ADD and DEL beside every baseline that was measured, and the daemon's own limits."""
    names = ["podnet ptp", "bridge + masquerade + portmap", "ptp + portmap", "ptp"]
    aims = verb_aims([contender(name, add, 10 * add) for name, add in zip(names, (1, 20, 9, 4), strict=True)])
    found = {aim.what.partition(":")[0]: (aim.target, aim.value, aim.met) for aim in aims}
    assert found == {
        "ADD faster than bridge + masquerade + portmap": (18, 20, True),
        "ADD faster than ptp + portmap": (8, 9, True),
        "ADD faster than ptp": (4.5, 4, False),
        "DEL faster than bridge + masquerade + portmap": (20, 20, True),
        "DEL faster than ptp": (8, 4, False),
        "last 50 ADDs beside the first 50": (1.2, 1.1, True),
        "links gone after the last answer": (150, 90, True),
        "daemon's RSS": (32, 30, True),
    }


def test_many_at_a_time_are_compared_by_rate() -> None:
    """Pods a second, and how many times those of ptp + portmap; few pods say nothing about growth or RSS."""
    own = contender("podnet ptp", 5, 5, pods=64, width=8, rate=1200)
    aims = verb_aims([own, contender("ptp + portmap", 60, 60, pods=64, width=8, rate=150)])
    assert [(aim.target, aim.value) for aim in aims] == [(1000, 1200), (7.5, 8)]


def test_ports_and_bandwidth_have_tables_of_their_own() -> None:
    """Titles tell them from the others, podnet's ptp doing the same is compared with, the links stand below."""
    group = [contender(BOTH, 2, 1, links=2), contender("podnet bridge, port and bandwidth", 3, 1, links=2)]
    add, delete = asking_tables([*group, contender(CHAIN, 40, 150, links=2)])
    assert add.title == "ADD, 500 pods, 1 at a time, with a host port and bandwidth"
    assert delete.title == "DEL, 500 pods, 1 at a time, with a host port and bandwidth"
    assert [row[3] for row in add.rows] == ["", "1.50x", "20.0x"]
    assert [row[3] for row in delete.rows] == ["", "1.00x", "150x"]
    assert add.note == "Medians of 3 rounds. Links of a pod on the node, row by row: 2.00, 2.00, 2.00."


def test_who_took_part_in_fewer_rounds_is_named() -> None:
    """The slow chain's figures may come from fewer rounds, and the note does not hide it."""
    add, _ = verbs_tables([contender("podnet ptp", 1, 2), contender("ptp", 7, 20)._replace(rounds=1)])
    assert add.note == "Medians of 3 rounds (ptp: 1)."


def test_every_case_tells_its_own_links() -> None:
    """What a note says is of its table's contenders, not of all."""
    found = asking_tables([contender(BOTH, 2, 1, pods=64, links=2), contender(BOTH, 2, 1, pods=500, links=1)])
    assert [table.note.rpartition(": ")[2] for table in found] == ["2.00.", "2.00.", "1.00.", "1.00."]


def test_with_ports_and_bandwidth_podnet_is_compared_with_the_chain_that_does_the_same() -> None:
    """ADD beside the chain's, as many links as with it, and the limits of podnet's own."""
    aims = asking_aims([contender(BOTH, 2, 1, links=2), contender(CHAIN, 18, 150, links=2)])
    assert [(aim.what.partition(":")[0], aim.target, aim.value) for aim in aims] == [
        ("ADD faster than ptp + portmap + bandwidth", 8, 9),
        ("links of a pod beside ptp + portmap + bandwidth", 1, 1),
        ("last 50 ADDs beside the first 50", 1.2, 1.1),
        ("links gone after the last answer", 150, 90),
        ("daemon's RSS", 32, 30),
    ]


def test_to_shape_nothing_misses_an_aim() -> None:
    """Without an ifb a pod has one link where the chain's has two: fast, and not the same."""
    aims = asking_aims([contender(BOTH, 1, 1, pods=64), contender(CHAIN, 40, 150, pods=64, links=2)])
    assert [(aim.value, aim.met) for aim in aims] == [(40, True), (0.5, False)]


def test_many_at_a_time_with_ports_are_not_compared_by_latency() -> None:
    """Eight at a time share two cores: their latency says how many they are."""
    wide = [contender(name, add, 9, pods=64, width=8, links=2) for name, add in ((BOTH, 9), (CHAIN, 300))]
    assert asking_aims(wide) == []


def test_a_port_and_bandwidth_cost_what_they_take_more() -> None:
    """Microseconds more than pods that ask for nothing; their own row has no difference."""
    names = ("podnet ptp", "podnet ptp, port", "podnet ptp, bandwidth")
    figures = [contender(name, add, add / 2, pods=64) for name, add in zip(names, (1, 1.25, 0.75), strict=True)]
    (table,) = increments_table(figures)
    assert table.title == "What a host port and bandwidth cost: 64 pods, 1 at a time"
    assert [(row[2], row[5]) for row in table.rows] == [("", ""), ("250", "125"), ("-250", "-125")]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_without_pods_that_ask_for_nothing_no_cost_is_told() -> None:
    """A part that was measured alone has nothing to be more than."""
    assert increments_table([contender("podnet ptp, port", 1, 1)]) == []


def test_only_podnets_paths_have_aims() -> None:
    """The bare veth and the plain bridge are what is compared with."""
    paths = [Throughput(name, 20, part, 30, 1, 12, 20) for name, part in (("bare veth", 1), ("podnet ptp", 0.98))]
    assert [(aim.target, aim.value, aim.met) for aim in throughput_aims(paths)] == [(0.97, 0.98, True)]


def test_ready_is_the_median_start() -> None:
    """One slow start does not miss the aim."""
    (aim,) = ready_aims([200_000_000, 250_000_000, 2_000_000_000])
    assert (aim.value, aim.met) == (250, True)


@pytest.mark.parametrize(
    ("function", "room"),
    [
        ("podnet/netlink/rtnl/link.py:10 encode", "podnet.netlink"),
        ("podnet/errors.py:3 f", "podnet.errors"),
        ("<method 'send' of '_socket.socket' objects>", "the kernel: sockets"),
        ("<method 'execute' of 'sqlite3.Connection' objects>", "SQLite"),
        ("<built-in method posix.open>", "the kernel: files"),
        ("python3.11/selectors.py:451 select", "Python's own functions"),
    ],
)
def test_every_function_belongs_to_a_room(function: str, room: str) -> None:
    """Podnet's by their folder, what C does by whom it asks."""
    assert room_of(function) == room


def test_the_profile_shows_the_dearest_first() -> None:
    """Functions by their own time, rooms by the sum of it."""
    costs = [
        Cost("podnet/nft/a.py:1 f", 1, 10, 50),
        Cost("podnet/nft/b.py:1 g", 1, 25, 25),
        Cost("x.py:1 h", 2, 15, 15),
    ]
    assert [row[0] for row in profile_table(costs, 5, rows=2).rows] == ["podnet/nft/b.py:1 g", "x.py:1 h"]
    assert [row[:2] for row in rooms_table(costs, 5).rows] == [
        ("podnet.nft", "35.0"),
        ("Python's own functions", "15.0"),
    ]


def test_an_adds_parts_stand_below_the_whole() -> None:
    """The whole first, then the shim's start, then the daemon's two modes."""
    assert [row[1] for row in parts_table(Parts(1200, 400, 500), 330, 5).rows] == ["1,200", "330", "400", "500"]
