"""All measurements in one run, inside the namespaces that `bench/run.py` makes; prints the tables and writes them."""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from bench import machine, plugins, profiled, report, tables, throughput
from bench.node import BenchError, Daemon, Node, Pods, Tools, command, compile_tools, prepare_mounts
from bench.report import Aim, Figures, Round, Table

SECTIONS = ("verbs", "ports", "ready", "throughput", "profile", "bridges")
NAMES = tuple(c.name for c in (*plugins.CONTENDERS, *plugins.INCREMENTS[1:-1], *plugins.ASKING))
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "BENCH.md"


class Case(NamedTuple):
    """How many pods, how many of them at a time, rounds; in how many of these the reference plugins take part."""

    pods: int
    width: int
    rounds: int
    reference: int


class Extent(NamedTuple):
    """How much is measured: cases of verbs and ports, daemon starts, rounds and seconds per path, ADDs profiled.

    In the first case with host ports and bandwidth, what each of them costs alone is measured too.
    """

    cases: tuple[Case, ...]
    ports: tuple[Case, ...]
    starts: int
    path_rounds: int
    path_seconds: int
    profiled: int


FULL = Extent(
    cases=(Case(64, 1, 7, 7), Case(64, 8, 7, 7), Case(500, 1, 3, 3), Case(500, 8, 3, 3)),
    # With 500 pods a round of ptp + portmap + bandwidth takes two minutes, and up to five when 8 are served at a time:
    # portmap has iptables list the whole table for every chain that it looks for.
    ports=(Case(64, 1, 5, 3), Case(64, 8, 5, 3), Case(500, 1, 3, 1), Case(500, 8, 3, 1)),
    starts=15,
    path_rounds=10,
    path_seconds=2,
    profiled=400,
)
QUICK = Extent(
    cases=(Case(16, 1, 2, 2), Case(16, 8, 2, 2)),
    ports=(Case(16, 1, 2, 1), Case(16, 8, 2, 1)),
    starts=3,
    path_rounds=2,
    path_seconds=1,
    profiled=50,
)


class Outcome(NamedTuple):
    """What a section found: its tables, its aims, and the figures for --json."""

    tables: list[Table]
    aims: list[Aim]
    data: object


class Bench(NamedTuple):
    """What every section needs: where, how much, with what, and whom to tell."""

    folder: Path
    extent: Extent
    tools: Tools
    progress: Progress
    names: tuple[str, ...] = NAMES
    """The contenders that are measured."""

    @contextmanager
    def steps(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        """Show a progress bar; the function given is called before each of `total` steps."""
        task = self.progress.add_task(title, total=total, step="")
        taken = -1

        def step(text: str) -> None:
            nonlocal taken
            taken += 1
            self.progress.update(task, completed=taken, step=text)

        yield step
        self.progress.update(task, completed=total, step="")


def measure_verbs(bench: Bench) -> Outcome:
    """ADD and DEL with every contender whose pods ask for nothing."""
    figures = [found for case in bench.extent.cases for found in _figures(bench, "verbs", case, plugins.CONTENDERS)]
    data = [figure._asdict() for figure in figures]
    return Outcome(tables.verbs_tables(figures), tables.verb_aims(figures), data)


def measure_ports(bench: Bench) -> Outcome:
    """ADD and DEL of pods with a host port and bandwidth; in the first case, what each of the two costs alone."""
    first, *others = bench.extent.ports
    begun = _figures(bench, "ports", first, (*plugins.INCREMENTS[:-1], *plugins.ASKING))
    every = begun + [found for case in others for found in _figures(bench, "ports", case, plugins.ASKING)]
    asking, increments = ({contender.name for contender in group} for group in (plugins.ASKING, plugins.INCREMENTS))
    both = [figure for figure in every if figure.contender in asking]
    alone = [figure for figure in begun if figure.contender in increments]
    found = [*tables.asking_tables(both), *tables.increments_table(alone)]
    return Outcome(found, tables.asking_aims(both), [figure._asdict() for figure in every])


def _figures(bench: Bench, section: str, case: Case, group: Sequence[plugins.Contender]) -> list[Figures]:
    """Measure a case with a group's contenders, in turn, each time on a fresh node; the order turns with the rounds."""
    contenders = [contender for contender in group if contender.name in bench.names]
    turns = [[c for c in contenders if c.datapath or turn < case.reference] for turn in range(case.rounds)]
    title = f"{section}: {case.pods} pods, {case.width} at a time"
    rounds: list[Round] = []
    if not contenders:
        return []
    with Pods(f"pods{case.pods}x{case.width}", case.pods) as pods, bench.steps(title, sum(map(len, turns))) as step:
        for turn, present in enumerate(turns):
            place = turn % max(1, len(present))
            order = present[place:] + present[:place]
            for index, contender in enumerate(order if turn % 2 == 0 else reversed(order)):
                step(f"{contender.name}, round {turn + 1}")
                folder = bench.folder / f"{section}{case.pods}-{case.width}-{turn}-{index}"
                rounds.append(plugins.measure(contender, folder, pods, case.width, bench.tools))
    names = [contender.name for contender in contenders]
    return sorted(report.grouped(rounds), key=lambda f: names.index(f.contender))


def measure_ready(bench: Bench) -> Outcome:
    """Start the daemon again and again, each time on a fresh node."""
    took = []
    with bench.steps("podnet node run", bench.extent.starts) as step:
        for turn in range(bench.extent.starts):
            step(f"start {turn + 1}")
            with Node(f"ready{turn}", bench.folder / f"ready{turn}") as node:
                daemon = Daemon(node, "ptp")
                took.append(daemon.ready)
                daemon.end()
    return Outcome([tables.ready_table(took)], tables.ready_aims(took), took)


def measure_throughput(bench: Bench) -> Outcome:
    """From pod to pod on one node, beside a bare veth."""
    return _paths(bench, "Pod to pod on one node", throughput.LAYOUTS)


def measure_bridges(bench: Bench) -> Outcome:
    """Compare the ways to have a bridge's packets pass the IP hooks: what podnet's bridge datapath was chosen by."""
    return _paths(bench, "Bridges whose packets pass the IP hooks", throughput.DESIGN_LAYOUTS)


def _paths(bench: Bench, title: str, layouts: Sequence[throughput.Layout]) -> Outcome:
    extent = bench.extent
    with bench.steps(title, len(layouts) * extent.path_rounds) as step:
        found = throughput.measure(
            layouts,
            bench.folder / f"paths-{len(layouts)}",
            bench.tools,
            rounds=extent.path_rounds,
            seconds=extent.path_seconds,
            step=step,
        )
    table = tables.throughput_table(title, found, extent.path_rounds)
    return Outcome([table], tables.throughput_aims(found), [path._asdict() for path in found])


def measure_profile(bench: Bench) -> Outcome:
    """Where the time goes: what starting a process costs, and the daemon's functions per ADD."""
    with bench.steps("profile", 4) as step:
        step("starting a process")
        starts = profiled.process_starts(bench.folder / "starts", bench.tools)
        step("ADDs without the profiler")
        parts = profiled.parts(bench.folder / "parts", bench.extent.profiled, bench.tools)
        step("few ADDs under the profiler")
        few = profiled.profile(bench.folder / "few", bench.extent.profiled // 5, bench.tools)
        step("many ADDs under the profiler")
        many = profiled.profile(bench.folder / "many", bench.extent.profiled, bench.tools)
    costs = profiled.per_add(few, many)
    adds = bench.extent.profiled - bench.extent.profiled // 5
    data = {
        "starts_ms": {name: statistics.median(took) / 1e6 for name, took in starts},
        "parts_us": parts._asdict(),
        "functions": [cost._asdict() for cost in costs],
    }
    shim = dict(starts)[profiled.SHIM]
    found = [
        tables.processes_table(starts),
        tables.parts_table(parts, report.percentile(shim, 50) / 1e3, bench.extent.profiled),
        tables.rooms_table(costs, adds),
        tables.profile_table(costs, adds),
    ]
    return Outcome(found, [], data)


MEASURES: dict[str, Callable[[Bench], Outcome]] = {
    "verbs": measure_verbs,
    "ports": measure_ports,
    "ready": measure_ready,
    "throughput": measure_throughput,
    "profile": measure_profile,
    "bridges": measure_bridges,
}


def show(console: Console, table: Table) -> None:
    """Print a table on the terminal."""
    rich_table = RichTable(title=table.title, caption=table.note, title_justify="left", caption_justify="left")
    for index, column in enumerate(table.columns):
        rich_table.add_column(column, justify="right" if index else "left")
    for row in table.rows:
        style = "bold red" if row[-1] == "MISSED" else ""
        rich_table.add_row(*row, style=style)
    console.print(rich_table)


def document(folder: Path, facts: Sequence[str], all_tables: Sequence[Table]) -> str:
    """Write docs/BENCH.md; what was measured elsewhere lies in `folder`."""
    head, foot = (Path(__file__).with_name(f"BENCH.{part}.md").read_text() for part in ("head", "foot"))
    measured = [*(report.markdown(table) for table in all_tables), *(path.read_text() for path in elsewhere(folder))]
    return "\n".join([head, *(f"- {fact}" for fact in facts), "", *measured, foot])


def elsewhere(folder: Path) -> Iterator[Path]:
    """Yield the files of tables that other programs left: the last is not there where Kubernetes cannot be built."""
    return (path for name in ("scale", "bgp", "deaths", "burst") if (path := folder / f"{name}.md").exists())


def sections(names: Sequence[str]) -> set[str]:
    """Return the sections in which contenders are measured by themselves; all sections where none is named."""
    plain = {contender.name for contender in plugins.CONTENDERS}
    return {"verbs" if name in plain else "ports" for name in names} or set(SECTIONS)


@click.command(help="Time podnet's ADD and DEL beside the reference plugins', and the paths from pod to pod.")
@click.option("--folder", type=click.Path(path_type=Path), required=True, hidden=True)
@click.option("--quick", is_flag=True, help="Few pods and rounds: does it run, not how fast. docs/BENCH.md stays.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Only this; docs/BENCH.md stays.")
@click.option(
    "--contender", "names", type=click.Choice(NAMES), multiple=True, help="Only these; without --only, where they are."
)
@click.option("--profile", "profile", is_flag=True, help="The same as --only profile.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures there.")
def main(
    *, folder: Path, quick: bool, only: tuple[str, ...], names: tuple[str, ...], profile: bool, json_file: Path | None
) -> None:
    """Measure what was asked for; print the tables; write the document after a full run."""
    wanted = {*only, *(["profile"] if profile else [])} or sections(names)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    prepare_mounts(folder)
    command("ip", "link", "set", "lo", "up")
    facts = machine.facts(folder, plugins.reference_version())
    outcomes: dict[str, Outcome] = {}
    with Progress(*columns, TextColumn("{task.fields[step]}"), console=console) as progress:
        bench = Bench(folder, QUICK if quick else FULL, compile_tools(folder), progress, names or NAMES)
        for section in SECTIONS:
            if section in wanted:
                outcomes[section] = MEASURES[section](bench)
    aims = report.aims_table([aim for outcome in outcomes.values() for aim in outcome.aims])
    printed = [aims] if aims.rows else []
    printed += [table for outcome in outcomes.values() for table in outcome.tables]
    for fact in facts:
        console.print(fact, highlight=False)
    for table in printed:
        show(console, table)
    if json_file is not None:
        data = {"machine": facts, **{name: outcome.data for name, outcome in outcomes.items()}}
        json_file.write_text(json.dumps(data, indent=1) + "\n")
    if wanted == set(SECTIONS) and not quick and not names:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document(folder, facts, printed))
        console.print(f"written: {DOCUMENT}")


if __name__ == "__main__":
    try:
        main(prog_name="bench/run.py")
    except BenchError as error:
        sys.exit(f"bench: {error}")
