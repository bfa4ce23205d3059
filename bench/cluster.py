"""A hundred pods at once on a node of a real cluster, with podnet and with the reference plugins.

    python -m bench.cluster [--pods N] [--rounds N] [--output FILE]

One cluster, podnet deployed as its DaemonSet.  For a reference plugin's turn its list is put before podnet's, and taken
away again: runtimes take the first.  The contenders take turns, so that all have the same day.  The pods' plugins are
executed by bench/timed.c, which writes down when each began and ended; when kubelet asked for the first sandbox is in
containerd's log.
"""

import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns

import click
from rich.console import Console

from bench import report
from bench.burst import Burst, adds_of, bursts_table, first_asked
from bench.node import COMPILE
from bench.suite import show
from tests.cluster.api import waited
from tests.cluster.building import build, cache
from tests.cluster.burst import burst, ended, running
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import Configuration
from tests.cluster.deployment import Deployment, make_podnet_image
from tests.cluster.images import make_images
from tests.cluster.node import Node

TIMED = "/run/timed"
LIST = "00-reference.conflist"
PATIENCE = 300.0
RANGES = [[{"subnet": "10.250.0.0/16"}]]
IPAM: dict[str, object] = {"type": "host-local", "dataDir": "/run/host-local", "ranges": RANGES}
PORTMAP: dict[str, object] = {"type": "portmap", "capabilities": {"portMappings": True}}
BRIDGE: dict[str, object] = {"type": "bridge", "bridge": "bench0", "isGateway": True, "ipMasq": True, "ipam": IPAM}
CONTENDERS: dict[str, list[dict[str, object]]] = {
    "podnet ptp": [],
    "bridge + masquerade + portmap": [BRIDGE, PORTMAP],
    "ptp": [{"type": "ptp", "ipam": IPAM}],
}
"""By name, the plugins of the list that is put before podnet's."""


def measure(cluster: Cluster, node: Node, contender: str, pods: int) -> Burst:
    """Create the pods at once; return what was measured when all run, and they have ended again."""
    root = node.host.root
    before = place(node, CONTENDERS[contender])
    (root / "run/timed.log").unlink(missing_ok=True)
    known, began = len(node.log("containerd")), monotonic_ns()
    try:
        cluster.api.create(*burst(node.name, pods))
        waited(lambda: running(cluster.api, pods), f"{pods} pods running with {contender}", PATIENCE)
        took = monotonic_ns() - began
        adds, answered = adds_of((root / "run/timed.log").read_text())
        asked = first_asked(node.log("containerd")[known:])
    finally:
        ended(cluster.api)
        before.unlink(missing_ok=True)
    node.host.sh("ip link del bench0 2>/dev/null || :; rm -rf /run/host-local")
    return Burst(contender, adds, asked, answered, took)


def place(node: Node, plugins: list[dict[str, object]]) -> Path:
    """Put the list of reference plugins before podnet's, where there are any; wait until containerd has taken it."""
    name = "reference" if plugins else "podnet"
    path = node.host.root / "etc/cni/net.d" / LIST
    if plugins:
        written = path.with_suffix(".new")
        written.write_text(json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": plugins}))
        written.rename(path)
    waited(lambda: name in taken(node), f"containerd taking {name}")
    return path


def taken(node: Node) -> list[str]:
    """Return the names of the networks that containerd uses, but the loopback's."""
    told = json.loads(node.runtime.call("Status", verbose=True)["info"]["cniconfig"])
    return [network["Config"]["Name"] for network in told["Networks"] if network["IFName"] != "lo"]


def prepare(node: Node, folder: Path) -> None:
    """Put timed.c where containerd looks for plugins, under the names of all of them."""
    program, at = folder / "timed", node.host.root / TIMED.lstrip("/")
    subprocess.run([*COMPILE, "-o", str(program), str(Path(__file__).with_name("timed.c"))], check=True)
    at.mkdir()
    for name in ("podnet", "loopback", "bridge", "ptp", "portmap"):
        shutil.copy(program, at / name)


@click.command(help="Time bursts of pods on a node of a real cluster, beside the reference plugins.")
@click.option("--pods", default=100, show_default=True, help="Created at once.")
@click.option("--rounds", default=3, show_default=True, help="Bursts of each contender.")
@click.option("--output", type=click.Path(path_type=Path), help="A file for the table, as Markdown.")
def main(*, pods: int, rounds: int, output: Path | None) -> None:
    """Measure, and print the table."""
    console = Console()
    try:
        programs = build(cache())
    except RuntimeError as error:
        console.print(f"no burst on a real cluster: Kubernetes cannot be built here: {error}", highlight=False)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="podnet-bench-")))
        configuration = Configuration(1, plugins=TIMED)
        cluster = Cluster(configuration, programs, make_images(programs, folder), stack)
        (node,) = cluster.nodes
        prepare(node, folder)
        Deployment(cluster, make_podnet_image(folder))
        waited(lambda: cluster.api.get("ServiceAccount", "default"), "the default service account")
        bursts = []
        for _ in range(rounds):
            for contender in CONTENDERS:
                bursts.append(measure(cluster, node, contender, pods))
                console.print(f"{contender}: {(bursts[-1].answered - bursts[-1].asked) / 1e9:.1f} s", highlight=False)
    table = bursts_table(sorted(bursts, key=lambda one: list(CONTENDERS).index(one.contender)))
    show(console, table)
    if output is not None:
        output.write_text(report.markdown(table))


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m bench.cluster"))
