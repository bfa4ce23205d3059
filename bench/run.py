"""podnet's benchmark: `python bench/run.py [--quick] [--json FILE] [--only SECTION]`.

This file makes the place: a folder for the run, and network, mount and process namespaces in which `bench.suite`
measures. When these end, by whatever cause, the kernel takes away every link, mount and process in them; the folder is
removed here. Nothing of the machine's own network is touched. `bench.scale`, `bench.bgp`, `bench.deaths` and
`bench.cluster` make places of their own; they come first, and leave their tables in the folder for the document.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS = {"ip": "iproute2", "nft": "nftables", "iptables": "iptables", "cc": "gcc", "iperf3": "iperf3", "bird": "bird2"}
REFERENCE = "/usr/lib/cni/bridge"
ELSEWHERE = {"scale": "bench.scale", "bgp": "bench.bgp", "deaths": "bench.deaths", "burst": "bench.cluster"}
"""Sections that are programs of their own."""


def missing() -> list[str]:
    """Return what has to be installed before anything can be measured, one complaint each."""
    complaints = [
        f"{tool} is not there: apt-get install {package}" for tool, package in NEEDS.items() if not find(tool)
    ]
    if not Path(REFERENCE).exists():
        complaints.append(f"{REFERENCE} is not there: apt-get install containernetworking-plugins")
    if os.geteuid() != 0:
        complaints.append("it makes namespaces: run it as root")
    return complaints


def find(tool: str) -> str | None:
    """Return where a tool is; the folders of root's tools count even if PATH leaves them out."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def main() -> int:
    """Make the place, run what is asked for in it, clean up; return the status."""
    if complaints := missing():
        print("bench: " + "\nbench: ".join(complaints), file=sys.stderr)
        return 2
    only, words = _sections(sys.argv[1:])
    folder = tempfile.mkdtemp(prefix="podnet-bench-")
    try:
        for section in ELSEWHERE if only is None else only & ELSEWHERE.keys():
            program = [sys.executable, "-m", ELSEWHERE[section], "--output", f"{folder}/{section}.md"]
            if status := subprocess.run(program, cwd=ROOT, check=False).returncode:
                return status
        return 0 if only and only <= ELSEWHERE.keys() else suite(folder, words)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sections(words: list[str]) -> tuple[set[str] | None, list[str]]:
    """Return the sections that are asked for, None for all, and the words without those that are not the suite's."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--only", action="append", default=[])
    given, others = parser.parse_known_args(words)
    inside = [word for section in given.only if section not in ELSEWHERE for word in ("--only", section)]
    return (set(given.only) if words else None), [*others, *inside]


def suite(folder: str, words: list[str]) -> int:
    """Run `bench.suite` in namespaces of its own; return its status."""
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    measured = [sys.executable, "-m", "bench.suite", "--folder", folder, *words]
    # ^C reaches the suite too, which stops by itself; until it has, its folder is in use.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())  # unshare kills its child then
    process = subprocess.Popen(
        [*unshare, *measured],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - there are no threads here
    )
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
