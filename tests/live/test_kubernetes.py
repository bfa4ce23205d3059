"""The daemon with its nodes from an API server: what the kernel has of them, with and without that server."""

import json
import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from podnet.testing.node import REPOSITORY, Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.kubernetes.api import Api, serving
from tests.cluster_sources.kubernetes.pki import make_pki

pytestmark = pytest.mark.live

CONFLIST = "etc/cni/net.d/10-podnet.conflist"
MANY = 300


@pytest.fixture
def api(bare: Node, stack: ExitStack) -> Api:
    """Give an API server outside of the node, whose daemon is to ask it."""

    def make() -> socket.socket:
        return bare.open_socket("outside", socket.AF_INET, socket.SOCK_STREAM)

    api = stack.enter_context(serving(make, host="10.99.0.1"))
    bare.configure()
    (bare.root / "etc/podnet/nodes.yaml").unlink()
    write_kubeconfig(bare.root / "etc/podnet/kubeconfig", api)
    bare.arguments = "kubeconfig='/etc/podnet/kubeconfig', node_name='n1'"
    return api


def write_kubeconfig(path: Path, api: Api) -> None:
    """Write how the server is asked."""
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://10.99.0.1:{api.address[1]}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def put(api: Api, *numbers: int, at: int = 0) -> None:
    """Create or change the Nodes of these numbers; they are at another address with `at`."""
    for i in numbers:
        api.put(f"n{i}", (f"10.244.{i}.0/24",), f"10.99.0.{at or 10 + i}")


def mesh_routes(node: Node) -> dict[str, str]:
    """Return destination and gateway of the routes to other nodes' pods."""
    routes = node.json("ip", "-j", "route", "show", "proto", "112")
    return {route["dst"]: route["gateway"] for route in routes if "gateway" in route}


def wait_for_routes(node: Node, wanted: dict[str, str]) -> None:
    """Wait until just these routes to other nodes' pods are there."""
    eventually(lambda: mesh_routes(node) == wanted, f"routes {wanted}")


def command(node: Node, *words: str) -> str:
    """Run podnet's command line on the node."""
    return node.run("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "podnet.cli", *words)


def test_routes_follow_the_nodes(bare: Node, api: Api) -> None:
    """A Node that comes, moves or goes is one route that does, and pods do not notice."""
    put(api, 1)
    bare.start()
    address = bare.attach("red")
    before = bare.state()
    put(api, 2, 3)
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12", "10.244.3.0/24": "10.99.0.13"})
    put(api, 3, at=14)
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12", "10.244.3.0/24": "10.99.0.14"})
    api.put("n4")
    for name in ("n2", "n3", "n4"):
        api.delete(name)
    wait_for_routes(bare, {})
    assert bare.exchange("", "red", address)
    eventually(lambda: bare.state() == before, "the node as it was")


def test_what_a_node_costs_does_not_depend_on_how_many_there_are(bare: Node, api: Api) -> None:
    """Among hundreds one more, and one less, is a handful of changes to the kernel."""
    put(api, 1)
    for i in range(MANY):
        api.put(f"m{i:03}", (f"10.244.{16 + i // 4}.{i % 4 * 64}/26",), f"10.98.{i // 250}.{i % 250 + 1}")
    bare.sh("ip route add 10.98.0.0/16 dev up0")  # a gateway has to be a neighbour
    daemon = bare.start()
    put(api, 2)
    eventually(lambda: "10.244.2.0/24" in mesh_routes(bare), "a route to n2")
    assert changes(daemon.wait_log(f"nodes: {MANY + 2} listed")) < 20
    api.delete("n2")
    eventually(lambda: "10.244.2.0/24" not in mesh_routes(bare), "no route to n2")
    assert changes(daemon.wait_log(f"nodes: {MANY + 1} listed")) < 20


def changes(line: str) -> int:
    """Return how many changes a line of the log tells of."""
    found = re.search(r"(\d+) changes made", line)
    assert found, line
    return int(found[1])


def test_a_start_without_the_server_serves_as_before(bare: Node, api: Api) -> None:
    """The daemon and, without it, the one-shot know the nodes; `podnet check` and `podnet explain` too."""
    put(api, 1, 2)
    bare.start()
    bare.attach("red")
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12"})
    before = bare.state()
    api.down()
    assert bare.daemon is not None
    assert "not current since" in bare.daemon.wait_log("the nodes stay as they were")
    assert bare.stop() == 0
    bare.sh("ip route flush proto 112")
    assert bare.cni("ADD", bare.pod("blue")).addresses[0].startswith("10.244.1.")
    assert bare.cni("DEL", "blue").status == 0
    bare.forget_place("blue")
    bare.sh("ip route flush proto 112")
    bare.start()
    eventually(lambda: bare.state() == before, "the node as it was")
    assert "as it was made" in command(bare, "check")
    assert "10.244.2.0/24 via 10.99.0.12" in command(bare, "explain", "red")
    assert bare.attach("green").startswith("10.244.1.")
    api.up()
    put(api, 3)
    eventually(lambda: "10.244.3.0/24" in mesh_routes(bare), "a route to n3")


def test_nothing_is_installed_before_there_is_a_pod_cidr(bare: Node, api: Api) -> None:
    """Runtimes see the list when pods can be given addresses; then the server is told that the network is up."""
    api.put("n1", (), "10.99.0.11", unavailable=True)
    put(api, 2)
    daemon = bare.start()
    daemon.wait_log("n1 has no pod CIDR yet")
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12"})
    assert not (bare.root / CONFLIST).exists()
    assert not (bare.root / "opt/cni/bin/podnet").exists()
    api.put("n1", ("10.244.1.0/24",), "10.99.0.11", unavailable=True)
    eventually((bare.root / CONFLIST).exists, "the list")
    assert bare.attach("red").startswith("10.244.1.")

    def condition() -> str:
        found = [c for c in api.node("n1")["status"]["conditions"] if c["type"] == "NetworkUnavailable"]
        return str(found[0]["status"])

    eventually(lambda: condition() == "False", "the condition")


def test_a_node_that_claims_this_ones_pods_is_told_and_ignored(bare: Node, api: Api) -> None:
    """Its CIDR gets no route, and this node goes on."""
    put(api, 1, 2)
    daemon = bare.start()
    api.put("n9", ("10.244.1.0/25",), "10.99.0.19")
    assert "10.244.1.0/24 of n1" in daemon.wait_log("Node n9 is ignored")
    assert mesh_routes(bare) == {"10.244.2.0/24": "10.99.0.12"}
    bare.attach("red")


def test_a_file_takes_over_again(bare: Node, api: Api) -> None:
    """Started without Kubernetes the daemon has its nodes from the list, and nothing of the server's is left."""
    put(api, 1, 2)
    bare.start()
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12"})
    assert json.loads((bare.root / "var/lib/podnet/nodes.json").read_text())["node"] == "n1"
    bare.stop()
    bare.arguments = ""
    bare.configure(peers="  - name: n7\n    addresses: [10.99.0.17]\n    pod-cidrs: [10.244.7.0/24]\n")
    bare.start()
    assert mesh_routes(bare) == {"10.244.7.0/24": "10.99.0.17"}
    assert not (bare.root / "var/lib/podnet/nodes.json").exists()


def test_in_a_pod_nothing_has_to_be_named(bare: Node, stack: ExitStack, tmp_path: Path) -> None:
    """The service account's token and CA, the environment's server and NODE_NAME do; the token may rotate."""
    pki = make_pki(tmp_path)

    def make() -> socket.socket:
        return bare.open_socket("outside", socket.AF_INET, socket.SOCK_STREAM)

    api = stack.enter_context(serving(make, pki.context(), "10.99.0.1"))
    api.tokens = {"one"}
    put(api, 1, 2)
    folder = bare.root / "run/secrets/kubernetes.io/serviceaccount"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(pki.ca.read_bytes())
    (folder / "token").write_text("one", encoding="ascii")
    bare.configure()
    (bare.root / "etc/podnet/nodes.yaml").unlink()
    place = f"KUBERNETES_SERVICE_HOST=10.99.0.1 KUBERNETES_SERVICE_PORT={api.address[1]} NODE_NAME=n1".split()
    bare.launch("env", *place).wait_log("serving")
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12"})
    bare.attach("red")
    (folder / "token").write_text("two", encoding="ascii")
    api.tokens = {"two"}
    api.end_watches()
    api.wait_for(lambda asked: asked[-1].headers["Authorization"] == "Bearer two")
    put(api, 3)
    eventually(lambda: "10.244.3.0/24" in mesh_routes(bare), "a route to n3")
    used = {"Bearer one", "Bearer two"}
    eventually(lambda: {asked.headers["Authorization"] for asked in api.asked} == used, "the new token is used")
