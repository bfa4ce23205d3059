"""The measured process of `bench.scale`: it follows a source as the daemon does, and prints its cost as JSON.

    python -m bench.following nodes COUNT FOLDER BACKEND kubernetes|etcd|file WHERE
    python -m bench.following pods COUNT PORT

It imports what a daemon has and nothing else, since its memory is measured.
"""

import gc
import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from bench.api import RESTED
from podnet.cluster import NodesSource, NodesWatch
from podnet.cluster.etcd import Endpoints, EtcdMember, Self, cluster_range
from podnet.cluster.kubernetes import Backoff, KubernetesNodes, KubernetesPods
from podnet.cluster.kubernetes.identity import Identity
from podnet.cluster.remote.access import Access, Server
from podnet.cluster.settings import parse_settings
from podnet.daemon.node import NodeContext, own_node_of
from podnet.daemon.paths import Paths
from podnet.daemon.run import GC_THRESHOLD  # with it comes what a daemon has anyway
from podnet.kernel.socket import NetlinkSocket
from podnet.model import Node

MORE = 15
"""Changes that come soon one after the other, after those with a rest before each."""
SELF = "node-00000"
Figures = dict[str, float]


def follow_nodes(count: int, folder: str, backend: str, kind: str, where: str) -> Figures:
    """Follow the nodes that the source of that `kind` tells, in the calling thread's namespace."""
    yaml = f"{{node: {SELF}, backend: {backend}, uplink: up0, cluster-cidrs: [10.128.0.0/9]}}"
    settings = parse_settings(yaml, "podnet.yaml", SELF)
    names = ("config", "database", "nodes", "spool", "options", "key", "bird")
    node = NodeContext(Paths(**{name: f"{folder}/{name}" for name in names}), settings=settings)
    began = time.perf_counter()
    source = _SOURCES[kind](where)
    while len(source.nodes) < count or not _has_pods(source.nodes):  # etcd's come with the claim
        select.select([source], [], [])
        source.changed()
    listed = time.perf_counter()
    in_kernel = _timed_sends()
    node.reload(source.nodes)
    programmed, sent = time.perf_counter(), sum(in_kernel)
    settle()
    changes = _changes(source, lambda: node.follow(source.nodes))
    source.close()
    if backend == "wireguard":  # ends the program that serves it
        subprocess.run(["ip", "link", "del", "podnet-wg"], check=True)
    return {"listed": listed - began, "programmed": programmed - listed, "kernel": sent, **changes, **_memory()}


def settle() -> None:
    """Have the collector look for cycles as seldom as in a daemon that has started; see `podnet.daemon.run`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _has_pods(nodes: Sequence[Node]) -> bool:
    own = own_node_of(nodes, SELF)
    return own is not None and bool(own.pod_cidrs)


def _kubernetes(port: str) -> NodesSource:
    return KubernetesNodes(_access(int(port)), SELF, down=Backoff(lambda: 1.0))


def _etcd(url: str) -> NodesSource:
    range_ = cluster_range((ip_network("10.128.0.0/9"),), 24, 64, source="bench")
    own = Self(name=SELF, boot="bench", addresses=lambda: (ip_address("10.1.0.1"),))
    endpoints = Endpoints(source="bench", urls=(url,))
    source = EtcdMember(endpoints, "/podnet/podnet", range_, own, grace=3600, down=Backoff(lambda: 1.0))
    source.begin()
    return source


_SOURCES: dict[str, Callable[[str], NodesSource]] = {"kubernetes": _kubernetes, "etcd": _etcd, "file": NodesWatch}


def follow_pods(count: int, port: str) -> Figures:
    """Follow the Pods of the API server at `port`."""
    before, began = _memory()["resident"], time.perf_counter()
    source = KubernetesPods(_access(int(port)), "n1", down=Backoff(lambda: 1.0))
    assert source.wait(600)
    listed = time.perf_counter()
    source.changed()
    assert len(source) == count
    settle()
    changes = _changes(source, lambda: None)
    source.close()
    return {"listed": listed - began, "before": before, **changes, **_memory()}


def _access(port: int) -> Access:
    return Access(Server(source="bench", scheme="http", host="127.0.0.1", port=port), Identity())


def _changes(source: Any, follow: Callable[[], object]) -> Figures:
    """Return what one change costs, in ms, from the event to the end of what follows: after a rest, and amid others.

    And the CPU time of all threads, amid others.
    """
    rested, _ = _some_changes(source, follow, RESTED)
    soon, cpu = _some_changes(source, follow, MORE)
    return {"change": statistics.median(soon), "rested": statistics.median(rested), "cpu": statistics.median(cpu)}


def _some_changes(source: Any, follow: Callable[[], object], count: int) -> tuple[list[float], list[float]]:
    """Return how long each of so many changes took, and the CPU time that it did."""
    times, cpus = [], []
    cpu = time.process_time()
    for _ in range(count):
        select.select([source], [], [])
        start = time.perf_counter()
        source.changed()
        follow()
        times.append(1000 * (time.perf_counter() - start))
        cpus.append(1000 * (time.process_time() - cpu))
        cpu = time.process_time()
    return times, cpus


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
    _, kind, count, *more = sys.argv
    measured: Callable[..., Figures] = follow_nodes if kind == "nodes" else follow_pods
    print(json.dumps(measured(int(count), *more)))
