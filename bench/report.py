"""Statistics of the benchmark and its tables: values in, text out.

No process, no clock, no file: what is measured elsewhere comes in as nanoseconds, what is printed leaves as a `Table`,
which `markdown` writes as text. Noise on a shared machine is one-sided and comes in bursts, so every figure is the
median over rounds of a round's own figure, never a mean over all.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

EDGE = 50
"""How many pods at either end are compared: is the last as fast as the first?"""


class Execution(NamedTuple):
    """One execution of one plugin: which pod, which plugin of the chain, start and end in ns of CLOCK_MONOTONIC."""

    pod: int
    plugin: int
    start: int
    end: int


class Verb(NamedTuple):
    """All pods served once by one verb: what the runner wrote down.

    `cpu` is the CPU time of all executed processes, in ns; `gone` the ns from the last answer until the last link
    vanished (0 for ADD); `links` how many links the pods had on the node after the last answer (0 for DEL).
    """

    executions: tuple[Execution, ...]
    cpu: int
    gone: int
    links: int = 0


class Round(NamedTuple):
    """One contender's ADD and DEL of all pods.

    `daemon_rss` in KiB after the ADDs, `daemon_cpu` in ns of CPU time for all ADDs; both 0 where there is no daemon.
    """

    contender: str
    pods: int
    width: int
    add: Verb
    delete: Verb
    daemon_rss: int = 0
    daemon_cpu: int = 0


class Figures(NamedTuple):
    """A contender's figures at one number of pods and one width, medians over its rounds; times in milliseconds."""

    contender: str
    pods: int
    width: int
    rounds: int
    add_p50: float
    add_p99: float
    add_rate: float
    """Pods a second, from the first start to the last answer."""
    add_cpu: float
    """CPU time per ADD of every process executed, and of the daemon."""
    growth: float
    """p50 of the last `EDGE` pods over that of the first; of the halves where there are fewer than two edges."""
    delete_p50: float
    delete_p99: float
    delete_rate: float
    gone: float
    """From the last DEL's answer until the last link vanished."""
    daemon_rss: float
    """MiB, after all ADDs; 0 without a daemon."""
    daemon_cpu: float
    """CPU time of the daemon per ADD; 0 without a daemon."""
    links: float
    """How many a pod has on the node, after all ADDs: the host's end of its veth, an ifb where it is shaped."""


class Throughput(NamedTuple):
    """A path from pod to pod: Gbit/s of TCP with one stream and with four, each as part of a bare veth's; RTT in us."""

    name: str
    one: float
    one_of_bare: float
    four: float
    four_of_bare: float
    rtt_p50: float
    rtt_p99: float


class Aim(NamedTuple):
    """A figure beside what it is to be. `at_least` tells the direction: the other is at most."""

    what: str
    target: float
    value: float
    unit: str
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the figure, as printed, is on the target's good side."""
        value = float(f"{self.value:.3g}")
        return value >= self.target if self.at_least else value <= self.target


class Table(NamedTuple):
    """A table to print: the first column is text, the others are numbers already written out."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of all lie, interpolated between the two neighbours (R's type 7).

    Raises ValueError when there is no value.
    """
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def latencies(verb: Verb) -> list[int]:
    """Nanoseconds per pod, in the order in which the pods were begun: first plugin's start to last plugin's end."""
    spans: dict[int, tuple[int, int]] = {}
    for execution in verb.executions:
        start, end = spans.get(execution.pod, (execution.start, execution.end))
        spans[execution.pod] = (min(start, execution.start), max(end, execution.end))
    return [end - start for start, end in sorted(spans.values())]


def rate(verb: Verb) -> float:
    """Pods per second, from the first start to the last answer."""
    pods = {execution.pod for execution in verb.executions}
    took = max(e.end for e in verb.executions) - min(e.start for e in verb.executions)
    return len(pods) / (took / 1e9)


def growth(took: Sequence[float]) -> float:
    """Divide p50 of the last `EDGE` by p50 of the first `EDGE` (of the halves where there are fewer than two edges)."""
    edge = max(1, min(EDGE, len(took) // 2))
    return percentile(took[-edge:], 50) / percentile(took[:edge], 50)


def figures(rounds: Sequence[Round]) -> Figures:
    """Condense the rounds of one contender at one number of pods and one width. Raises ValueError if they mix."""
    if len({(r.contender, r.pods, r.width) for r in rounds}) != 1:
        raise ValueError("figures are of one contender at one number of pods and one width")

    def median(figure: Callable[[Round], float]) -> float:
        return statistics.median(figure(r) for r in rounds)

    first = rounds[0]
    return Figures(
        contender=first.contender,
        pods=first.pods,
        width=first.width,
        rounds=len(rounds),
        add_p50=median(lambda r: percentile(latencies(r.add), 50) / 1e6),
        add_p99=median(lambda r: percentile(latencies(r.add), 99) / 1e6),
        add_rate=median(lambda r: rate(r.add)),
        add_cpu=median(lambda r: (r.add.cpu + r.daemon_cpu) / r.pods / 1e6),
        growth=median(lambda r: growth(latencies(r.add))),
        delete_p50=median(lambda r: percentile(latencies(r.delete), 50) / 1e6),
        delete_p99=median(lambda r: percentile(latencies(r.delete), 99) / 1e6),
        delete_rate=median(lambda r: rate(r.delete)),
        gone=median(lambda r: r.delete.gone / 1e6),
        daemon_rss=median(lambda r: r.daemon_rss / 1024),
        daemon_cpu=median(lambda r: r.daemon_cpu / r.pods / 1e6),
        links=median(lambda r: r.add.links / r.pods),
    )


def grouped(rounds: Iterable[Round]) -> list[Figures]:
    """Condense all rounds, by pods, then width; the contenders keep the order in which they first appear."""
    groups: dict[tuple[int, int, str], list[Round]] = {}
    for one in rounds:
        groups.setdefault((one.pods, one.width, one.contender), []).append(one)
    return [figures(group) for _, group in sorted(groups.items(), key=lambda item: item[0][:2])]


def number(value: float, digits: int = 3) -> str:
    """Write a figure with `digits` significant digits, without an exponent; thousands are set apart by commas."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{round(value, places):,.{places}f}"


def times(value: float) -> str:
    """Write a ratio: `18.3x`."""
    return f"{number(value)}x"


def aims_table(aims: Sequence[Aim]) -> Table:
    """Every aim, its figure, and whether it was met."""

    def row(aim: Aim) -> tuple[str, ...]:
        word = "≥" if aim.at_least else "≤"
        write = times if aim.unit == "x" else lambda value: f"{number(value)} {aim.unit}".rstrip()
        return aim.what, f"{word} {write(aim.target)}", write(aim.value), "met" if aim.met else "MISSED"

    return Table("Aims", ("aim", "is to be", "is", ""), tuple(row(aim) for aim in aims))


def markdown(table: Table) -> str:
    """Write the table as GitHub-flavoured markdown: its title a heading, the first column left, the others right."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"

    marks = ["---"] + ["---:"] * (len(table.columns) - 1)
    lines = [f"## {table.title}", "", line(table.columns), line(marks), *(line(row) for row in table.rows), ""]
    if table.note:
        lines += [table.note, ""]
    return "\n".join(lines)
