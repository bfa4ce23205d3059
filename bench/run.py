"""podnet's benchmark: `python bench/run.py [--quick] [--json FILE] [--only SECTION]`.

This file makes the place: a folder for the run, and network, mount and process namespaces in which `bench.suite`
measures. When these end, by whatever cause, the kernel takes away every link, mount and process in them; the folder is
removed here. Nothing of the machine's own network is touched.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDS = {"ip": "iproute2", "nft": "nftables", "iptables": "iptables", "cc": "gcc", "iperf3": "iperf3"}
REFERENCE = "/usr/lib/cni/bridge"


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
    """Make the place, run the suite in it, clean up; return the suite's status."""
    if complaints := missing():
        print("bench: " + "\nbench: ".join(complaints), file=sys.stderr)
        return 2
    folder = tempfile.mkdtemp(prefix="podnet-bench-")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    suite = [sys.executable, "-m", "bench.suite", "--folder", folder, *sys.argv[1:]]
    # ^C reaches the suite too, which stops by itself; until it has, its folder is in use.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.kill())  # unshare kills its child then
    process = subprocess.Popen(
        [*unshare, *suite],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - there are no threads here
    )
    try:
        status = process.wait()
        return status if status >= 0 else 128 - status
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
