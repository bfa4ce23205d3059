"""Measures how many branches of the pure rooms the tests took, and fails below the floor.

`coverage report` mixes lines and branches in its percentage; here it is branches alone, of each room and of all.
"""

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from coverage import Coverage

FLOOR = 95.0  # percent, of all pure rooms together
ROOMS = (
    *("errors", "model", "netlink", "nft", "wireguard", "plan", "bird"),
    *("cni", "ipam", "datapath", "mesh", "diagnosis", "engine"),
)


def branches() -> dict[str, tuple[int, int]]:
    """Return taken and possible branches of each pure room, from the data file of the last run."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report))
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for name, measured in files.items():
        room = name.partition("podnet/")[2].split("/")[0].removesuffix(".py")
        if room in ROOMS:
            taken, possible = counts[room]
            summary = measured["summary"]
            counts[room] = (taken + summary["covered_branches"], possible + summary["num_branches"])
    return counts


def main() -> int:
    """Print a line per room; return 1 when the rooms together stay below the floor."""
    counts = branches()
    for room, (taken, possible) in sorted(counts.items()):
        print(f"{room:10} {taken:5}/{possible:<5} branches {_percent(taken, possible):6.1f} %")  # noqa: T201
    taken = sum(count for count, _ in counts.values())
    possible = sum(count for _, count in counts.values())
    percent = _percent(taken, possible)
    print(f"{'pure rooms':10} {taken:5}/{possible:<5} branches {percent:6.1f} % (floor {FLOOR} %)")  # noqa: T201
    return 0 if counts and percent >= FLOOR else 1


def _percent(taken: int, possible: int) -> float:
    """Return 100 where there is nothing to take."""
    return 100.0 * taken / possible if possible else 100.0


if __name__ == "__main__":
    sys.exit(main())
