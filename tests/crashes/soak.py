"""`make soak`: many crash sequences, two or more at a time; the first disagreement ends it, with its seed.

SEQUENCES is how many (200), SEED the first one's seed (drawn where it is not set); the others' follow it.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from random import SystemRandom
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.crashes.batch import batches, run_batch
from tests.crashes.runner import Disagreement

TOGETHER = 4
"""Sequences on one node before it is made anew."""


def main() -> int:
    """Run; return the exit status."""
    if os.geteuid() != 0:
        sys.stderr.write("soak: it makes namespaces: run it as root\n")
        return 2
    count = int(os.environ.get("SEQUENCES") or 200)
    first = int(os.environ.get("SEED") or SystemRandom().randrange(1 << 32))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{count} sequences, again with SEQUENCES={count} SEED={first}")
    began, tally = monotonic(), Counter[str]()
    columns = (TextColumn("sequences"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as workers,
        Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
    ):
        bar = progress.add_task("", total=count)
        runs = [workers.submit(run_batch, seeds) for seeds in batches(range(first, first + count), TOGETHER)]
        try:
            for done in as_completed(runs):
                tally += done.result()
                progress.update(bar, completed=tally["sequences"])
        except Disagreement as disagreement:
            workers.shutdown(cancel_futures=True)
            progress.stop()
            console.print(str(disagreement), markup=False)
            return 1
    console.print(summary(tally, monotonic() - began))
    return 0


def summary(tally: "Counter[str]", seconds: float) -> str:
    """Return what was done, in a line."""
    kills = ", ".join(f"{count} {what}" for what, count in sorted(tally.items()) if what.startswith(("kill", "SIG")))
    kills += f", {tally['amid requests']} of them amid requests to a daemon"
    return f"{tally['sequences']} sequences, {tally['operations']} operations, {kills}: all agree, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
