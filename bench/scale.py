"""A node among thousands: what all others, and each that changes, cost it; `python -m bench.scale [NODES]`.

One real node agent's part (source, engine, kernel) in a network namespace follows an API server in a process of its
own, with as many Nodes as are asked for, of the size of real ones.  Beside it `ip -batch` makes the same routes.  The
table is written to bench/BENCH.scale.md, which `make bench` puts into docs/BENCH.md.
"""

import json
import os
import resource
import select
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from bench import kubernetes
from podnet.testing.namespaces import NodeNamespace

TABLE = Path(__file__).with_name("BENCH.scale.md")
CHANGES = 7
COLUMNS = (
    "backend",
    "listed s",
    "programmed s",
    "of it in the kernel s",
    "`ip -batch` s",
    "one change ms",
    "CPU ms",
    "RSS MiB",
    "peak MiB",
)


def follow(folder: str, port: int, count: int) -> dict[str, float]:
    """Follow the API server at `port` as the daemon does, in the calling thread's namespace; return the figures."""
    from podnet.cluster.kubernetes.access import Access, Server  # noqa: PLC0415 - what is imported is measured
    from podnet.cluster.kubernetes.backoff import Backoff  # noqa: PLC0415
    from podnet.cluster.kubernetes.identity import Identity  # noqa: PLC0415
    from podnet.cluster.kubernetes.nodes import KubernetesNodes  # noqa: PLC0415
    from podnet.cluster.settings import parse_settings  # noqa: PLC0415
    from podnet.daemon.node import NodeContext  # noqa: PLC0415
    from podnet.daemon.paths import Paths  # noqa: PLC0415

    backend = os.environ["BACKEND"]
    settings = parse_settings(f"{{node: node-00000, backend: {backend}, uplink: up0}}", "podnet.yaml", "node-00000")
    node = NodeContext(Paths(config="", database=f"{folder}/db", nodes="", spool=folder), settings=settings)
    node.settings = settings.__class__(**{**{f: getattr(settings, f) for f in settings.__struct_fields__}, "nodes": ""})
    began = time.perf_counter()
    access = Access(Server(source="bench", scheme="http", host="127.0.0.1", port=port), Identity())
    source = KubernetesNodes(access, "node-00000", down=Backoff(lambda: 1.0))
    assert source.wait(600)
    listed = time.perf_counter()
    source.changed()
    assert len(source.nodes) == count
    kernel = _timed()
    node.reload(source.nodes)
    programmed = time.perf_counter()
    in_kernel = sum(kernel)
    times, cpus = [], []
    for _ in range(CHANGES):
        select.select([source], [], [])
        start, cpu = time.perf_counter(), time.process_time()
        source.changed()
        node.follow(source.nodes)
        times.append(1000 * (time.perf_counter() - start))
        cpus.append(1000 * (time.process_time() - cpu))
    source.close()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "listed s": listed - began,
        "programmed s": programmed - listed,
        "of it in the kernel s": in_kernel,
        "one change ms": statistics.median(times),
        "CPU ms": statistics.median(cpus),
        "RSS MiB": pages * resource.getpagesize() / (1 << 20),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed() -> list[float]:
    """Have each send to the kernel counted, in seconds."""
    from podnet.kernel.socket import NetlinkSocket  # noqa: PLC0415 - as above

    spent: list[float] = []
    transact = NetlinkSocket.transact

    def timed(self: NetlinkSocket, requests: object) -> object:
        start = time.perf_counter()
        try:
            return transact(self, requests)  # type: ignore[arg-type] # handed through
        finally:
            spent.append(time.perf_counter() - start)

    NetlinkSocket.transact = timed  # type: ignore[method-assign,assignment] # this process measures only
    return spent


def batch(count: int) -> float:
    """Return how many seconds `ip -batch` takes for a route to each of the others, in this thread's namespace."""
    cidrs = [kubernetes.node(i)["spec"]["podCIDRs"][0] for i in range(1, count)]
    gateways = [kubernetes.node(i)["status"]["addresses"][0]["address"] for i in range(1, count)]
    lines = "".join(f"route add {cidr} via {via} table 7\n" for cidr, via in zip(cidrs, gateways, strict=True))
    start = time.perf_counter()
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    return time.perf_counter() - start


def measure(backend: str, count: int) -> dict[str, float]:
    """Return the figures of one backend, in a namespace of its own."""
    with ExitStack() as stack, TemporaryDirectory() as folder:
        space = NodeNamespace(f"scale-{uuid4().hex[:6]}", stack)
        space.sh("ip link set lo up; ip addr add 10.1.0.1/16 dev up0")
        with space.inside():
            server = subprocess.Popen(
                [sys.executable, "-m", "bench.kubernetes", "serve", str(count)], stdout=subprocess.PIPE, text=True
            )
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                done = subprocess.run(
                    [sys.executable, "-m", "bench.scale", "follow", folder, port, str(count)],
                    stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "BACKEND": backend},
                )  # fmt: skip
                return {**json.loads(done.stdout), "`ip -batch` s": batch(count)}
            finally:
                server.kill()
                server.communicate()


def main(words: list[str]) -> int:
    """Measure, print the table and keep it; return the exit status."""
    if words[:1] == ["follow"]:
        print(json.dumps(follow(words[1], int(words[2]), int(words[3]))))
        return 0
    count = int(words[0]) if words else 5000
    lines = [
        f"## One node among {count:,}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| --- {'| ---: ' * (len(COLUMNS) - 1)}|",
    ]
    for backend in ("direct", "vxlan"):
        figures = measure(backend, count)
        lines.append(f"| {backend} | {' | '.join(f'{figures[column]:.3g}' for column in COLUMNS[1:])} |")
    lines += [
        "",
        "Listed: from the first request to the last Node decoded. Programmed: from there until the kernel has routes,",
        "elements and, with VXLAN, neighbours and forwarding entries for all. One change: a Node's address is another;",
        "from the event to the kernel's answer, median. `ip -batch` makes the routes alone.",
        "",
    ]
    TABLE.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
