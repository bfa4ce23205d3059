"""A node among thousands: what all others, their Pods, and each that changes, cost it.

    python -m bench.scale [--nodes N] [--pods N] [--output FILE]

One real node agent's part (source, engine, kernel; `bench.following`) in a network namespace follows an API server, an
etcd or a file (`bench.sources`), as the daemon does.  Beside it `ip -batch` makes the same routes.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import click
from rich.console import Console

from bench import api, report, sources
from bench.report import Table, number
from bench.suite import show
from podnet.testing.namespaces import NodeNamespace

Figures = dict[str, float]
Source = Callable[[int, Path], AbstractContextManager[tuple[str, str]]]
SOURCES: dict[str, Source] = {"Kubernetes": sources.kubernetes, "etcd": sources.etcd, "nodes.yaml": sources.file}
MEASURED = (
    *(("Kubernetes", backend) for backend in ("direct", "vxlan", "auto", "wireguard", "bgp")),
    *((source, backend) for source in ("etcd", "nodes.yaml") for backend in ("direct", "vxlan")),
)
"""Where the nodes come from makes no difference to what a backend costs, so not all with all."""
PRIVATE = ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs run /run && exec "$@"', "sh")
"""Runs a command with a /run of its own, where programs that serve links have their sockets."""


def batch(count: int) -> float:
    """Return how many seconds `ip -batch` takes for a route to each of the others, in this thread's namespace."""
    others = [api.node(i) for i in range(1, count)]
    ways = [(other["spec"]["podCIDRs"][0], other["status"]["addresses"][0]["address"]) for other in others]
    lines = "".join(f"route add {cidr} via {via} table 7\n" for cidr, via in ways)
    start = time.perf_counter()
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    return time.perf_counter() - start


def apart(*words: str) -> Figures:
    """Return what a process of its own measures, in this thread's namespace."""
    done = subprocess.run(
        [*PRIVATE, sys.executable, "-m", "bench.following", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def measure_nodes(source: Source, backend: str, count: int) -> Figures:
    """Return the figures of one source and backend, in a namespace of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="podnet-bench-"))
        space = NodeNamespace(f"scale-{uuid4().hex[:6]}", stack)
        space.sh("ip link set lo up; ip addr add 10.1.0.1/16 dev up0")
        with space.inside(), source(count, Path(folder)) as where:
            return {**apart("nodes", str(count), folder, backend, *where), "batch": batch(count)}


def measure_pods(count: int) -> Figures:
    """Return the figures of so many Pods."""
    with api.serving("pods", count) as port:
        return apart("pods", str(count), port)


def nodes_table(found: dict[tuple[str, str], Figures], count: int) -> Table:
    """Show what the nodes cost by each source and backend."""
    names = ("listed", "programmed", "kernel", "batch", "change", "rested", "cpu", "resident", "peak")
    columns = (
        "source",
        "backend",
        "listed s",
        "programmed s",
        "of it kernel s",
        "ip -batch s",
        "a change ms",
        "after a rest ms",
        "CPU ms",
        "MiB",
        "peak MiB",
    )
    rows = tuple((*which, *(number(figures[name]) for name in names)) for which, figures in found.items())
    note = (
        "Listed: from the first request to the last node decoded. Programmed: from there until the kernel has all, of "
        "which so much is spent in the kernel; "
        "`ip -batch` makes the routes alone. A change: a node's address is another, from the event to the kernel's "
        "answer, amid others that come every 20 ms, and after a second of rest, when memory of a virtual machine may "
        "have to be fetched; its CPU time has the decoding in it."
    )
    return Table(f"One node among {count:,}", columns, rows, note)


def pods_table(found: dict[int, Figures]) -> Table:
    """Show what Pods cost: a node's own, and those of a whole cluster, which it would follow without a selector."""
    columns = ("", "listed s", "a change ms", "after a rest ms", "CPU ms", "MiB before", "MiB", "peak")
    names = ("listed", "change", "rested", "cpu", "before", "resident", "peak")
    rows = tuple((f"{count:,}", *(number(figures[name]) for name in names)) for count, figures in found.items())
    return Table("Pods that are followed", columns, rows, "A node follows its own, `spec.nodeName`.")


@click.command()
@click.option("--nodes", default=5000, show_default=True, help="Of the cluster.")
@click.option("--pods", default=100_000, show_default=True, help="Of the cluster; 250 of a node are measured too.")
@click.option("--output", type=click.Path(path_type=Path), help="A file for the tables, as Markdown.")
def main(*, nodes: int, pods: int, output: Path | None) -> None:
    """Measure, and print the tables."""
    found = {(source, backend): measure_nodes(SOURCES[source], backend, nodes) for source, backend in MEASURED}
    tables = [nodes_table(found, nodes), pods_table({count: measure_pods(count) for count in (250, pods)})]
    for table in tables:
        show(Console(), table)
    if output is not None:
        output.write_text("\n".join(map(report.markdown, tables)))


if __name__ == "__main__":
    main(prog_name="python -m bench.scale")
