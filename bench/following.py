"""The measured process of `bench.scale`: it follows an API server as the daemon does, and prints its cost as JSON.

    python -m bench.following nodes PORT COUNT FOLDER BACKEND
    python -m bench.following pods PORT COUNT

It imports what a daemon has and nothing else, since its memory is measured.
"""

import json
import select
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import podnet.daemon.run  # noqa: F401 - what a daemon has anyway
from podnet.cluster.kubernetes import Backoff, KubernetesNodes, KubernetesPods
from podnet.cluster.kubernetes.identity import Identity
from podnet.cluster.remote.access import Access, Server
from podnet.cluster.settings import parse_settings
from podnet.daemon.node import NodeContext
from podnet.daemon.paths import Paths
from podnet.kernel.socket import NetlinkSocket

CHANGES = 9
SELF = "node-00000"
Figures = dict[str, float]


def follow_nodes(port: int, count: int, folder: str, backend: str) -> Figures:
    """Follow the Nodes of the API server at `port`, in the calling thread's namespace."""
    settings = parse_settings(f"{{node: {SELF}, backend: {backend}, uplink: up0}}", "podnet.yaml", SELF)
    names = ("config", "database", "nodes", "spool", "options", "key")
    node = NodeContext(Paths(**{name: f"{folder}/{name}" for name in names}), settings=settings)
    began = time.perf_counter()
    source = KubernetesNodes(_access(port), SELF, down=Backoff(lambda: 1.0))
    assert source.wait(600)
    listed = time.perf_counter()
    source.changed()
    assert len(source.nodes) == count
    in_kernel = _timed_sends()
    node.reload(source.nodes)
    programmed, sent = time.perf_counter(), sum(in_kernel)
    changes = _changes(source, lambda: node.follow(source.nodes))
    source.close()
    return {"listed": listed - began, "programmed": programmed - listed, "kernel": sent, **changes, **_memory()}


def follow_pods(port: int, count: int) -> Figures:
    """Follow the Pods of the API server at `port`."""
    before, began = _memory()["resident"], time.perf_counter()
    source = KubernetesPods(_access(port), "n1", down=Backoff(lambda: 1.0))
    assert source.wait(600)
    listed = time.perf_counter()
    source.changed()
    assert len(source) == count
    changes = _changes(source, lambda: None)
    source.close()
    return {"listed": listed - began, "before": before, **changes, **_memory()}


def _access(port: int) -> Access:
    return Access(Server(source="bench", scheme="http", host="127.0.0.1", port=port), Identity())


def _changes(source: Any, follow: Callable[[], object]) -> Figures:
    """Return what one change costs, in ms: from the event to the end of what follows, and CPU time of both threads."""
    times, cpus = [], []
    cpu = time.process_time()
    for _ in range(CHANGES):
        select.select([source], [], [])
        start = time.perf_counter()
        source.changed()
        follow()
        times.append(1000 * (time.perf_counter() - start))
        cpus.append(1000 * (time.process_time() - cpu))
        cpu = time.process_time()
    return {"change": statistics.median(times), "cpu": statistics.median(cpus)}


def _timed_sends() -> list[float]:
    """Have each send to the kernel, with its answers, timed in seconds from now on; return where that is noted."""
    spent: list[float] = []
    transact = NetlinkSocket.transact

    def timed(self: NetlinkSocket, requests: Any) -> Any:
        start = time.perf_counter()
        try:
            return transact(self, requests)
        finally:
            spent.append(time.perf_counter() - start)

    NetlinkSocket.transact = timed  # type: ignore[method-assign] # this process measures only
    return spent


def _memory() -> Figures:
    """Return what is resident of this process, and the most there was, in MiB (proc_pid_status(5)).

    getrusage(2) would tell the most of whoever executed it, too.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {name: int(fields[key].split()[0]) / 1024 for name, key in (("resident", "VmRSS"), ("peak", "VmHWM"))}


if __name__ == "__main__":
    _, kind, port, count, *more = sys.argv
    measured = follow_nodes if kind == "nodes" else follow_pods
    print(json.dumps(measured(int(port), int(count), *more)))
