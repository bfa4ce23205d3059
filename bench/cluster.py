"""A burst of pods on a node of a real cluster: `python -m bench.cluster [PODS]`, podnet beside the reference plugins.

So many pods are created at once on the one node of a cluster (tests/cluster); each contender has a cluster of its own.
Its plugins are executed through bench/timed.c, which notes when. The table is written to bench/BENCH.burst.md, which
`make bench` puts into docs/BENCH.md.
"""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.report import percentile
from tests.cluster.building import build, cache
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import Configuration
from tests.cluster.deployment import Deployment, make_podnet_image
from tests.cluster.images import AGNHOST, make_images
from tests.cluster.node import Node

TABLE = Path(__file__).with_name("BENCH.burst.md")
REFERENCE = Path("/usr/lib/cni")
ONE_NODE = Configuration(1)
SUBNET = "10.244.0.0/24"
HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": SUBNET}]], "routes": [{"dst": "0.0.0.0/0"}]}
PORTMAP = {"type": "timed-portmap", "capabilities": {"portMappings": True}}
CONTENDERS: dict[str, list[dict[str, Any]]] = {
    "podnet": [{"type": "timed-podnet", "capabilities": {"portMappings": True, "bandwidth": True}}],
    "bridge + masquerade + portmap": [
        {"type": "timed-bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "ipam": HOST_LOCAL}, PORTMAP
    ],
    "ptp + masquerade + portmap": [{"type": "timed-ptp", "ipMasq": True, "ipam": HOST_LOCAL}, PORTMAP],
}  # fmt: skip


class Made(NamedTuple):
    """What is made once: Kubernetes' programs, the pods' images, podnet's, and the program that notes times."""

    programs: Path
    images: list[Path]
    podnet: Path
    timed: Path


class Burst(NamedTuple):
    """One contender's figures; ADD in milliseconds, the rest in seconds."""

    contender: str
    pods: int
    span: float
    running: float
    p50: float
    p99: float
    retried: int


def install(node: Node, plugins: list[dict[str, Any]], timed: Path) -> None:
    """Put plugins behind `timed` into a node's folders, and their list in front of any other."""
    folder = node.host.root / "opt/cni/bin"
    folder.mkdir(parents=True, exist_ok=True)
    for plugin in plugins:
        name = plugin["type"].removeprefix("timed-")
        if name != "podnet":
            (folder / name).write_bytes((REFERENCE / name).read_bytes())
            (folder / name).chmod(0o755)
        (folder / plugin["type"]).write_bytes(timed.read_bytes())
        (folder / plugin["type"]).chmod(0o755)
    for name in ("host-local", "loopback"):
        if not (folder / name).exists():
            (folder / name).write_bytes((REFERENCE / name).read_bytes())
            (folder / name).chmod(0o755)
    document = {"cniVersion": "1.0.0", "name": "podnet", "plugins": plugins}
    place = node.host.root / "etc/cni/net.d"
    place.mkdir(parents=True, exist_ok=True)
    (place / ".burst").write_text(json.dumps(document))
    (place / ".burst").rename(place / "05-burst.conflist")


def pods(count: int) -> dict[str, Any]:
    """Return a deployment of pods that do nothing."""
    labels = {"app": "burst"}
    container = {"name": "c", "image": AGNHOST, "imagePullPolicy": "Never", "args": ["pause"]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "burst"},
        "spec": {"replicas": count, "selector": {"matchLabels": labels}, "template": template},
    }


def measure(contender: str, count: int, made: Made) -> Burst:
    """Return the figures of one contender, on a cluster of its own."""
    with ExitStack() as stack:
        cluster = Cluster(ONE_NODE, made.programs, made.images, stack)
        (node,) = cluster.nodes
        if contender == "podnet":
            Deployment(cluster, made.podnet)
        install(node, CONTENDERS[contender], made.timed)
        cluster.wait_ready()
        cluster.api.wait(lambda: cluster.api.get("ServiceAccount", "default"), "the default service account")
        log = node.host.root / "run/timed"
        log.unlink(missing_ok=True)
        began = now()
        cluster.api.create(pods(count))
        cluster.api.wait(lambda: running(cluster) == count, f"{count} pods running", 300)
        ended = now()
        return figures(contender, count, log.read_text().splitlines(), ended - began)


def running(cluster: Cluster) -> int:
    """Return how many pods of the burst run."""
    return sum(pod["status"].get("phase") == "Running" for pod in cluster.api.listed("Pod", selector="app=burst"))


def figures(contender: str, count: int, lines: list[str], took: float) -> Burst:
    """Return the figures of what `timed` wrote down: an ADD is all plugins of a pod's list, from first to last."""
    executions = [line.split() for line in lines if line.startswith("ADD ")]
    spans: dict[str, tuple[int, int]] = {}
    for _, container, start, end in executions:
        first, last = spans.get(container, (int(start), int(end)))
        spans[container] = min(first, int(start)), max(last, int(end))
    adds = sorted((end - start) / 1e6 for start, end in spans.values())
    span = (max(end for _, end in spans.values()) - min(start for start, _ in spans.values())) / 1e9
    return Burst(contender, count, span, took, percentile(adds, 50), percentile(adds, 99), len(spans) - count)


def now() -> float:
    """Return the time in seconds."""
    import time  # noqa: PLC0415 - beside its one use

    return time.monotonic()


def main(words: list[str]) -> int:
    """Measure all, print the table and keep it; return the exit status."""
    count = int(words[0]) if words else 100
    try:
        programs = build(cache())
    except RuntimeError as error:
        print(f"bench: no burst on a cluster, for it cannot be built: {error}", file=sys.stderr)
        return 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        timed = folder / "timed"
        source = Path(__file__).with_name("timed.c")
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-static", "-o", str(timed), str(source)], check=True)
        made = Made(programs, make_images(programs, folder), make_podnet_image(folder), timed)
        found = [measure(contender, count, made) for contender in CONTENDERS]
    lines = [
        f"## {count} pods at once on a node of a Kubernetes cluster",
        "",
        "|  | first ADD to last answered, s | all Running, s | ADD p50 ms | ADD p99 ms | sandboxes made anew |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {b.contender} | {b.span:.1f} | {b.running:.1f} | {b.p50:.1f} | {b.p99:.1f} | {b.retried} |"
            for b in found
        ),
        "",
        "API server, scheduler, controllers, kubelet and containerd share the machine's cores with the plugins; an ADD",
        "is all plugins of the list, as containerd executes them, with some 1 ms for the program that notes the time.",
        "",
    ]
    TABLE.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
