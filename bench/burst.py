"""A burst of pods on a node of a real cluster: from what was logged to figures and a table. Pure, as `report` is."""

import re
import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from bench.report import Table, number, percentile

ASKED = re.compile(r'time="([^"]+)" .*msg="RunPodSandbox for [^"]*burst-')
"""What containerd logs when kubelet asks for a sandbox."""


class Burst(NamedTuple):
    """One burst with one contender; ns, since the epoch where it is a time of day.

    `adds` is how long each pod's ADD took, from its first plugin's begin to its last one's end; `asked` when kubelet
    asked for the first sandbox, `answered` when the last ADD was; `running` is how long it took from the first pod's
    creation until the API server knew that all run.
    """

    contender: str
    adds: tuple[int, ...]
    asked: int
    answered: int
    running: int


def first_asked(log: str) -> int:
    """Return when kubelet asked for the first sandbox of a burst, in ns; raise ValueError where it asked for none."""
    told = [_nanoseconds(found[1]) for line in log.splitlines() if (found := ASKED.match(line))]
    if not told:
        raise ValueError("containerd logged no request for a sandbox of the burst")
    return min(told)


def _nanoseconds(text: str) -> int:
    """Read a time as containerd writes it, to the nanosecond, which datetime does not keep."""
    seconds, fraction = text.rstrip("Z").split(".")
    whole = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
    return whole * 10**9 + int(fraction.ljust(9, "0"))


def adds_of(log: str) -> tuple[tuple[int, ...], int]:
    """Return how long each pod's ADD took by timed.c's log, and when the last was answered.

    Raises ValueError where a plugin failed, or none was executed.
    """
    spans: dict[str, tuple[int, int]] = {}
    for line in log.splitlines():
        verb, container, interface, plugin, begin, end, status = line.split()
        if verb != "ADD" or interface == "lo":
            continue
        if status != "0":
            raise ValueError(f"{plugin} failed for {container}: exit status {status}")
        first, last = spans.get(container, (int(begin), int(end)))
        spans[container] = min(first, int(begin)), max(last, int(end))
    if not spans:
        raise ValueError("no ADD was logged")
    return tuple(last - first for first, last in spans.values()), max(last for _, last in spans.values())


def bursts_table(bursts: Sequence[Burst]) -> Table:
    """Show the contenders in their order: medians over their bursts."""
    columns = ("", "first request to last ADD, s", "ADD p50 ms", "ADD p99 ms", "all Running after s", "pods")
    groups = {name: [burst for burst in bursts if burst.contender == name] for name in _names(bursts)}
    rows = tuple(
        (
            name,
            _median((one.answered - one.asked) / 1e9 for one in group),
            _median(percentile(one.adds, 50) / 1e6 for one in group),
            _median(percentile(one.adds, 99) / 1e6 for one in group),
            _median(one.running / 1e9 for one in group),
            number(len(group[0].adds)),
        )
        for name, group in groups.items()
    )
    note = f"Medians of {len(bursts) // max(1, len(groups))} bursts each; containerd, kubelet and API server beside."
    return Table("A burst of pods on one node of a real cluster", columns, rows, note)


def _names(bursts: Iterable[Burst]) -> list[str]:
    return list(dict.fromkeys(burst.contender for burst in bursts))


def _median(values: Iterable[float]) -> str:
    return number(statistics.median(values))
