"""The tables of the report: from figures to `Table`s and aims. Pure, as `report` is."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bench.report import EDGE, Aim, Figures, Table, Throughput, number, percentile, times

PODNET = "podnet ptp"
BASELINES = {"bridge": "bridge + masquerade + portmap", "chain": "ptp + portmap", "bare": "ptp"}
ASKING, ASKING_BASELINE = "podnet ptp, port and bandwidth", "ptp + portmap + bandwidth"
"""The contenders whose pods have a host port and are shaped: podnet's, and the reference plugins'."""


class Cost(NamedTuple):
    """What one function took per ADD: calls, own time and time with all that it calls, in microseconds."""

    function: str
    calls: float
    own: float
    cumulative: float


class Parts(NamedTuple):
    """An ADD taken apart, microseconds: p50 of the whole, the daemon's CPU time in user mode and in the kernel."""

    whole: float
    user: float
    system: float


def verbs_tables(all_figures: Sequence[Figures], own: str = PODNET, what: str = "") -> list[Table]:
    """Make a table of ADD and one of DEL per number of pods and width, the contenders in their order.

    `own` is the contender that the others are compared with; `what` the end of the titles.
    """
    found = []
    for group in _cases(all_figures):
        fewer = [f"{f.contender}: {f.rounds}" for f in group if f.rounds != group[0].rounds]
        note = f"Medians of {group[0].rounds} rounds{' (' + ', '.join(fewer) + ')' if fewer else ''}."
        for verb, make in (("ADD", _add_table), ("DEL", _delete_table)):
            columns, rows = make(group, next((f for f in group if f.contender == own), None))
            found.append(Table(f"{verb}, {_case(group[0])}{what}", columns, rows, note))
    return found


def _cases(all_figures: Sequence[Figures]) -> list[list[Figures]]:
    """Part figures by number of pods and width, in their order."""
    keys = dict.fromkeys((f.pods, f.width) for f in all_figures)
    return [[f for f in all_figures if (f.pods, f.width) == key] for key in keys]


def _case(figures: Figures) -> str:
    return f"{figures.pods} pods, {figures.width} at a time"


Cells = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


def _faster(own: Figures | None, other: Figures, took: Callable[[Figures], float]) -> str:
    """Write how many times faster podnet's ptp is than another; nothing for itself, or where it was not measured."""
    return "" if own is None or other is own else times(took(other) / took(own))


def _add_table(group: Sequence[Figures], own: Figures | None) -> Cells:
    """Make ADD's cells: times in ms, and how many times podnet's ptp is faster."""
    growth = f"last {EDGE} / first {EDGE}"
    columns = ("", "p50 ms", "p99 ms", f"{PODNET} faster", "pods/s", growth, "CPU ms", "daemon CPU ms", "daemon MiB")
    rows = tuple(
        (
            f.contender,
            number(f.add_p50),
            number(f.add_p99),
            _faster(own, f, lambda one: one.add_p50),
            number(f.add_rate),
            number(f.growth),
            number(f.add_cpu),
            number(f.daemon_cpu) if f.daemon_rss else "",
            number(f.daemon_rss) if f.daemon_rss else "",
        )
        for f in group
    )
    return columns, rows


def _delete_table(group: Sequence[Figures], own: Figures | None) -> Cells:
    """Make DEL's cells: times in ms until the answer, and from the last answer until all links are gone."""
    columns = ("", "p50 ms", "p99 ms", f"{PODNET} faster", "pods/s", "links gone after ms")
    rows = tuple(
        (
            f.contender,
            number(f.delete_p50),
            number(f.delete_p99),
            _faster(own, f, lambda one: one.delete_p50),
            number(f.delete_rate),
            number(f.gone),
        )
        for f in group
    )
    return columns, rows


def asking_tables(all_figures: Sequence[Figures]) -> list[Table]:
    """Make the tables of pods with a host port and bandwidth, as `verbs_tables`; the links tell who was shaped."""
    found = []
    for group in _cases(all_figures):
        links = f"Links of a pod on the node, row by row: {', '.join(number(f.links) for f in group)}."
        made = verbs_tables(group, ASKING, ", with a host port and bandwidth")
        found += [table._replace(note=f"{table.note} {links}") for table in made]
    return found


def increments_table(all_figures: Sequence[Figures]) -> list[Table]:
    """Show what podnet's ADD and DEL take more when pods ask for something: figures of one case.

    There is no table where pods that ask for nothing were not measured.
    """
    base = next((f for f in all_figures if f.contender == PODNET), None)
    if base is None:
        return []
    columns = (
        "",
        "ADD p50 ms",
        "more us",
        "daemon CPU ms",
        "DEL p50 ms",
        "more us",
        "links gone after ms",
        "links/pod",
    )
    rows = tuple(
        (
            f.contender,
            number(f.add_p50),
            "" if f is base else number((f.add_p50 - base.add_p50) * 1e3),
            number(f.daemon_cpu),
            number(f.delete_p50),
            "" if f is base else number((f.delete_p50 - base.delete_p50) * 1e3),
            number(f.gone),
            number(f.links),
        )
        for f in all_figures
    )
    note = f"Medians of {base.rounds} rounds; how much more than {base.contender}, whose pods ask for neither."
    return [Table(f"What a host port and bandwidth cost: {_case(base)}", columns, rows, note)]


def throughput_table(title: str, paths: Sequence[Throughput], rounds: int) -> Table:
    """Show all paths from pod to pod, beside the bare veth."""
    columns = ("path", "Gbit/s, 1 stream", "of bare", "Gbit/s, 4 streams", "of bare", "RTT p50 us", "p99")
    rows = tuple((path.name, *(number(value) for value in path[1:])) for path in paths)
    note = f"Medians of {rounds} rounds; a ratio is the median of the rounds' own ratios."
    return Table(title, columns, rows, note)


def ready_table(ready: Sequence[int]) -> Table:
    """Tell how long `podnet node run` takes until its socket answers: ns in, ms out."""
    took = [one / 1e6 for one in ready]
    cells = (f"{len(took)} starts", *(number(value) for value in (min(took), percentile(took, 50), max(took))))
    note = "From the fork to an answered VERSION on the socket: a fresh node, an empty database."
    return Table("Ready", ("podnet node run, ms", "least", "p50", "most"), (cells,), note)


def processes_table(costs: Iterable[tuple[str, Sequence[int]]]) -> Table:
    """Tell what starting a program costs, by the bench's own runner: ns in, ms out."""
    rows = tuple((name, *(number(percentile([t / 1e6 for t in took], q)) for q in (50, 99))) for name, took in costs)
    note = "fork, exec, three pipes, wait: what a runtime pays before a plugin does anything. CNI_COMMAND=VERSION."
    return Table("Starting a process", ("program", "p50 ms", "p99"), rows, note)


def parts_table(parts: Parts, start: float, adds: int) -> Table:
    """Show an ADD's parts; `start` is p50 of executing the shim for VERSION, answered by the daemon, in us."""
    rows = (
        ("the whole, p50", number(parts.whole)),
        ("of it: the shim's process, its frame there and back (as VERSION), p50", number(start)),
        ("the daemon in user mode: Python, SQLite; mean", number(parts.user)),
        ("the daemon in the kernel: netlink, nftables, files; mean", number(parts.system)),
    )
    note = f"{PODNET}, {adds} ADDs one at a time, no profiler; the daemon's share is CPU time."
    return Table("An ADD's parts", ("", "us"), rows, note)


_ROOMS = {
    "_socket": "the kernel: sockets",
    "socket.": "the kernel: sockets",
    "posix": "the kernel: files",
    "sqlite3": "SQLite",
}


def room_of(function: str) -> str:
    """Return to which part of the daemon a function belongs: a room, the kernel, SQLite, or Python itself."""
    if function.startswith("podnet/"):
        return "podnet." + function.split("/")[1].partition(":")[0].removesuffix(".py")
    return next((room for mark, room in _ROOMS.items() if mark in function), "Python's own functions")


def rooms_table(costs: Iterable[Cost], pods: int) -> Table:
    """Sum the functions' own time per ADD by room, the dearest first."""
    sums: dict[str, float] = {}
    for cost in costs:
        room = room_of(cost.function)
        sums[room] = sums.get(room, 0.0) + cost.own
    whole = sum(sums.values()) or 1.0
    ordered = sorted(sums.items(), key=lambda item: item[1], reverse=True)
    rows = tuple((room, number(own), f"{own / whole:.0%}") for room, own in ordered)
    note = f"Own time of all functions under cProfile, {pods} ADDs; `podnet.kernel` calls setns(2) itself."
    return Table("Where the daemon's time goes, by room", ("room", "us/ADD", "part"), rows, note)


def profile_table(costs: Sequence[Cost], pods: int, rows: int = 30) -> Table:
    """List the functions of the daemon that take the most time of their own per ADD."""
    dearest = sorted(costs, key=lambda cost: cost.own, reverse=True)[:rows]
    cells = tuple((c.function, number(c.calls), number(c.own), number(c.cumulative)) for c in dearest)
    note = (
        f"cProfile over {pods} ADDs, one at a time, the daemon's start taken off; the profiler makes Python's own "
        "share look larger than it is. Waiting for requests is not shown."
    )
    return Table(
        "Where the daemon's time goes, by function",
        ("function", "calls/ADD", "own us/ADD", "with callees"),
        cells,
        note,
    )


def verb_aims(all_figures: Sequence[Figures]) -> list[Aim]:
    """Compare ADD, DEL and the daemon with their aims, at every number of pods and width measured."""
    found = {(f.contender, f.pods, f.width): f for f in all_figures}
    aims = []
    for own in (f for f in all_figures if f.contender == PODNET):
        others = {key: found.get((name, own.pods, own.width)) for key, name in BASELINES.items()}
        case = _case(own)
        aims += _one_at_a_time(own, others, case) if own.width == 1 else _at_a_time(own, others, case)
    return aims + _podnets_aims(all_figures)


def asking_aims(all_figures: Sequence[Figures]) -> list[Aim]:
    """Compare ADD with a host port and bandwidth with the reference chain's, and the daemon's limits.

    To be fast is no merit where less is done: an ifb per pod is to be there as it is with the reference chain.
    """
    found = {(f.contender, f.pods, f.width): f for f in all_figures}
    aims = []
    for own in (f for f in all_figures if f.contender == ASKING and f.width == 1):
        if other := found.get((ASKING_BASELINE, own.pods, own.width)):
            beside = f"{other.contender}: {_case(own)}"
            aims.append(Aim(f"ADD faster than {beside}", 8.0, other.add_p50 / own.add_p50, "x", True))
            aims.append(Aim(f"links of a pod beside {beside}", 1.0, own.links / other.links, "x", True))
    return aims + _podnets_aims(all_figures)


def _podnets_aims(all_figures: Sequence[Figures]) -> list[Aim]:
    """Compare what is podnet's own with its aims, where there are pods enough: growth, links gone, the daemon's RSS."""
    aims = []
    for other in (f for f in all_figures if f.contender.startswith("podnet")):
        if other.pods > 2 * EDGE:
            case = f"{other.contender}, {_case(other)}"
            if other.width == 1:
                aims.append(Aim(f"last {EDGE} ADDs beside the first {EDGE}: {case}", 1.2, other.growth, "x", False))
            aims.append(Aim(f"links gone after the last answer: {case}", 150, other.gone, "ms", False))
            aims.append(Aim(f"daemon's RSS: {case}", 32, other.daemon_rss, "MiB", False))
    return aims


def _one_at_a_time(own: Figures, others: dict[str, Figures | None], case: str) -> list[Aim]:
    adds = {"bridge": 18.0, "chain": 8.0, "bare": 4.5}
    deletes = {"bridge": 20.0, "bare": 8.0}
    return [
        Aim(f"ADD faster than {BASELINES[key]}: {case}", target, other.add_p50 / own.add_p50, "x", True)
        for key, target in adds.items()
        if (other := others[key])
    ] + [
        Aim(f"DEL faster than {BASELINES[key]}: {case}", target, other.delete_p50 / own.delete_p50, "x", True)
        for key, target in deletes.items()
        if (other := others[key])
    ]


def _at_a_time(own: Figures, others: dict[str, Figures | None], case: str) -> list[Aim]:
    aims = [Aim(f"pods a second: {case}", 1000, own.add_rate, "/s", True)]
    if chain := others["chain"]:
        aims.append(Aim(f"pods/s beside {chain.contender}: {case}", 7.5, own.add_rate / chain.add_rate, "x", True))
    return aims


def ready_aims(ready: Sequence[int]) -> list[Aim]:
    """Compare a start with its aim: the median of all starts."""
    return [Aim("podnet node run is ready", 300, percentile([one / 1e6 for one in ready], 50), "ms", False)]


def throughput_aims(paths: Sequence[Throughput]) -> list[Aim]:
    """Compare the paths with their aims: one stream beside the bare veth's."""
    targets = {"podnet ptp": 0.97, "podnet bridge": 0.93}
    return [
        Aim(f"{path.name}: throughput beside a bare veth", targets[path.name], path.one_of_bare, "x", True)
        for path in paths
        if path.name in targets
    ]
