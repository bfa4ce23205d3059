"""The machine's facts that a figure means nothing without."""

import os
import platform
import time
from pathlib import Path

import podnet
from bench.node import BenchError, command


def facts(folder: Path, reference: str) -> list[str]:
    """Return a line per fact, before anything is measured; `folder` is where databases and host-local's files go."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    return [
        f"kernel {platform.release()}, {platform.machine()}, {_processor()}, {cores} cores, {memory:.0f} GiB",
        f"podnet {podnet.__version__}{_revision()}, Python {platform.python_version()}",
        f"reference plugins: Debian's containernetworking-plugins {reference}, {_said('iptables', '--version')}",
        f"{_said('iperf3', '--version')}; databases and host-local's files on {_filesystem(folder)}",
        f"load average before the first measurement: {load} (1, 5, 15 minutes): what else the machine was doing",
        f"begun {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return "unknown processor"


def _said(*argv: str) -> str:
    """Return the first line of what a program says of itself."""
    return command(*argv).partition("\n")[0]


def _filesystem(folder: Path) -> str:
    return command("df", "--output=fstype", folder).split()[-1]


def _revision() -> str:
    git = ("git", "-C", Path(__file__).parent.parent)
    try:
        changed = " and changes" if command(*git, "status", "--porcelain", "--", "podnet", "shim").strip() else ""
        return f" ({command(*git, 'rev-parse', '--short', 'HEAD').strip()}{changed})"
    except (BenchError, FileNotFoundError):
        return ""
