"""Where the time goes: what starting a process costs, and the daemon's own functions per ADD."""

import pstats
import re
from pathlib import Path

from bench.node import BenchError, Node, Pods, Tools
from bench.plugins import PODNET_PTP, REFERENCE_FOLDER, load, serve, start_cost
from bench.report import latencies, percentile
from bench.tables import Cost, Parts

Profile = tuple[int, dict[str, tuple[float, float, float]]]
"""How many ADDs, and per function: calls, own seconds, cumulative seconds."""

SHIM = "podnet's shim, answered by the daemon"
_WAITING = ("poll", "select", "accept")


def process_starts(folder: Path, tools: Tools) -> list[tuple[str, list[int]]]:
    """Time the start of nothing, of podnet's shim (VERSION, answered by the daemon), and of a reference plugin."""
    with Node(folder.name, folder) as node:
        loaded = load(PODNET_PTP, node)
        programs = {
            "a static C program that does nothing": tools.noop,
            SHIM: node.folder / "opt-cni/bin/podnet",
            "the reference ptp plugin": REFERENCE_FOLDER / "ptp",
        }
        taken = [(name, latencies(start_cost(path, node, tools))) for name, path in programs.items()]
        if loaded.daemon:
            loaded.daemon.end()
    return taken


def parts(folder: Path, adds: int, tools: Tools) -> Parts:
    """Take ADD apart, without a profiler: the daemon's CPU time in user mode and in the kernel; all in microseconds."""
    with Node(folder.name, folder) as node, Pods(folder.name, adds) as pods:
        loaded = load(PODNET_PTP, node)
        if loaded.daemon is None:
            raise BenchError("podnet has no daemon")
        before = loaded.daemon.modes
        took = latencies(serve("ADD", loaded, node, pods, width=1, tools=tools))
        user, system = ((now - then) / adds * 1e6 for then, now in zip(before, loaded.daemon.modes, strict=True))
        loaded.daemon.end()
    return Parts(percentile(took, 50) / 1e3, user, system)


def profile(folder: Path, adds: int, tools: Tools) -> Profile:
    """Serve `adds` ADDs, one at a time, with a daemon under cProfile."""
    dump = folder / "profile"
    with Node(folder.name, folder) as node, Pods(folder.name, adds) as pods:
        loaded = load(PODNET_PTP, node, (f"PODNET_PROFILE={dump}",))
        serve("ADD", loaded, node, pods, width=1, tools=tools)
        if loaded.daemon:
            loaded.daemon.end()
    functions: dict[str, tuple[float, float, float]] = {}
    for (file, line, name), (_, calls, own, cumulative, _) in _entries(dump).items():
        where = f"{_short(file)}:{line} {name}" if line else re.sub(r" at 0x[0-9a-f]+", "", name)
        before = functions.get(where, (0.0, 0.0, 0.0))
        functions[where] = (before[0] + calls, before[1] + own, before[2] + cumulative)
    return adds, functions


def _entries(dump: Path) -> dict[tuple[str, int, str], tuple[int, int, float, float, object]]:
    # typeshed does not know `stats`, the attribute that pstats itself documents by its dump format.
    entries: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = vars(pstats.Stats(str(dump)))["stats"]
    return entries


def _short(file: str) -> str:
    """Return a file's path from the package on: `podnet/engine/engine.py`, `json/decoder.py`."""
    parts = Path(file).parts
    if "podnet" in parts:
        last = len(parts) - 1 - parts[::-1].index("podnet")
        return "/".join(parts[last:])
    return "/".join(parts[-2:])


def per_add(few: Profile, many: Profile) -> list[Cost]:
    """Return every function's cost per ADD: the difference of the two runs, so that the daemon's start drops out."""
    (few_adds, few_functions), (many_adds, many_functions) = few, many
    costs = []
    for name, after in many_functions.items():
        before = few_functions.get(name, (0.0, 0.0, 0.0))
        calls, own, cumulative = ((b - a) / (many_adds - few_adds) for a, b in zip(before, after, strict=True))
        if calls > 0 and not any(f"'{word}'" in name for word in _WAITING):
            costs.append(Cost(name, calls, own * 1e6, cumulative * 1e6))
    return costs
