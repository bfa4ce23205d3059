"""Daemons that have their nodes from etcd: each claims its prefix, and what is done without that server."""

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from podnet.testing.node import REPOSITORY, RESEND, Node
from podnet.testing.waiting import PATIENCE, eventually
from tests.cluster_sources.etcd.server import Etcd
from tests.live.conftest import make_node

pytestmark = pytest.mark.live

CONFLIST = "etc/cni/net.d/10-podnet.conflist"
GRACE = 10


class Lan:
    """Nodes beside an etcd, all on one link; the first one's `outside` is where both link and etcd are."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        """Make the link and start etcd."""
        self._stack = stack
        self._first = make_node(stack)
        self._first.sh(
            "ip -n outside link add lan type bridge; ip -n outside link set lan addrgenmode none up;"
            "ip -n outside link set up1 master lan; ip -n outside addr flush dev up1;"
            "ip -n outside addr add 10.99.0.1/24 dev lan; ip -n outside addr add fd99::1/64 dev lan nodad"
        )
        self.nodes: list[Node] = []
        inside = self._first.enter("ip", "netns", "exec", "outside")
        self.etcd = Etcd(folder, host="10.99.0.1", inside=inside)
        stack.callback(self.etcd.end)
        self.etcd.start()

    def node(self, families: tuple[int, ...] = (4,), more: str = "", *, started: bool = True) -> Node:
        """Return one node more, with its daemon."""
        number = len(self.nodes) + 1
        node = self._first if number == 1 else make_node(self._stack)
        if number > 1:
            node.sh("ip link del up0")
            self._first.sh(
                f"ip -n outside link add lan{number} type veth peer name up0 netns {node.pid};"
                f"ip -n outside link set lan{number} master lan addrgenmode none up"
            )
            node.sh(
                f"ip link set up0 addrgenmode none up; ip addr add 10.99.0.1{number}/24 dev up0;"
                f"ip addr add fd99::1{number}/64 dev up0 nodad;"
                "ip route add default via 10.99.0.1; ip -6 route add default via fd99::1"
            )
        node.sh(f"ip addr add fe80::{number}/64 dev up0 nodad")  # by which routers ask for their neighbours
        cidrs = {4: "10.244.0.0/16", 6: '"fd00:10:244::/56"'}
        (node.root / "etc/podnet/podnet.yaml").write_text(
            f"node: n{number}\ncluster-cidrs: [{', '.join(cidrs[family] for family in families)}]\n"
            f"etcd: {{endpoints: ['{self.etcd.url}'], grace: {GRACE}}}\n{more}"
        )
        self.nodes.append(node)
        if started:
            node.start()
        return node


@pytest.fixture
def lan(stack: ExitStack, tmp_path: Path) -> Lan:
    """Give a link with an etcd."""
    return Lan(stack, tmp_path)


def ask(one: Node, pod: str, other: Node, its: str, address: str) -> str:
    """Have a pod send a datagram to another node's pod, which answers; return whom that saw ask."""
    with other.udp(its, address) as server, one.udp(pod, "::" if ":" in address else "0.0.0.0") as client:  # noqa: S104 - in a namespace
        client.connect((address, server.getsockname()[1]))
        server.settimeout(RESEND)
        for _ in range(int(PATIENCE / RESEND)):
            client.send(b"question")
            try:
                question, asker = server.recvfrom(1 << 16)
            except TimeoutError:
                continue
            server.sendto(question.upper(), asker)
            assert client.recv(1 << 16) == b"QUESTION"
            return str(asker[0])
    raise TimeoutError(f"{its} does not hear {pod} at {address}")


def mesh_routes(node: Node, family: int = 4) -> dict[str, str]:
    """Return destination and gateway of the routes to other nodes' pods."""
    routes = node.json("ip", "-j", f"-{family}", "route", "show", "proto", "112")
    return {route["dst"]: route["gateway"] for route in routes if "gateway" in route}


def prefix(lan: Lan, name: str) -> str:
    """Return the IPv4 prefix that a node has in etcd."""
    return next(cidr for cidr, holder in lan.etcd.holders().items() if holder == name and "." in cidr)


def command(node: Node, *words: str) -> str:
    """Run podnet's command line on the node."""
    return node.run("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "podnet.cli", *words)


def test_pods_of_nodes_that_claimed_reach_each_other(lan: Lan) -> None:
    """In both families, with their own addresses, on nodes whose addresses nobody wrote down."""
    one, two = lan.node((4, 6)), lan.node((4, 6))
    mine = one.cni("ADD", one.pod("red")).addresses
    theirs = two.cni("ADD", two.pod("blue")).addresses
    assert len(mine) == len(theirs) == 2
    eventually(lambda: mesh_routes(one) and mesh_routes(one, 6), "routes to n2")
    for here, there in zip(mine, theirs, strict=True):
        assert ask(one, "red", two, "blue", there) == here
        assert ask(two, "blue", one, "red", here) == there
    assert mesh_routes(one) == {prefix(lan, "n2"): "10.99.0.12"}


def test_a_node_that_leaves_is_gone_after_the_grace_and_comes_back_as_it_was(lan: Lan) -> None:
    """Its pods are reached as long as it is only its daemon that is away; with the grace its route ends."""
    one, two = lan.node(), lan.node()
    address = two.attach("blue")
    one.attach("red")
    eventually(lambda: mesh_routes(one), "a route to n2")
    routes, claimed = mesh_routes(one), prefix(lan, "n2")
    two.stop(signal.SIGKILL)
    assert ask(one, "red", two, "blue", address)
    assert mesh_routes(one) == routes
    eventually(lambda: not mesh_routes(one), "no route after the grace")
    two.start()
    assert prefix(lan, "n2") == claimed
    eventually(lambda: mesh_routes(one) == routes, "the route again")
    assert ask(one, "red", two, "blue", address)
    assert two.attach("green").rpartition(".")[0] == address.rpartition(".")[0]


def test_etcd_that_is_killed_changes_nothing(lan: Lan) -> None:
    """Pods reach each other and come and go, a daemon starts anew, the one-shot serves; then it is followed again."""
    one, two = lan.node(), lan.node()
    one.attach("red")
    address = two.attach("blue")
    eventually(lambda: mesh_routes(one), "a route to n2")
    routes = mesh_routes(one)
    lan.etcd.end()
    assert one.daemon is not None
    assert "not current since" in one.daemon.wait_log("the nodes stay as they were")
    assert ask(one, "red", two, "blue", address)
    own = prefix_of(one)
    assert one.attach("green").startswith(own)
    assert one.stop() == 0
    assert one.cni("ADD", one.pod("alone")).addresses[0].startswith(own)
    one.start()
    assert mesh_routes(one) == routes
    assert one.attach("late").startswith(own)
    assert "as it was made" in command(one, "check")
    assert " via 10.99.0.12" in command(one, "explain", "red")
    lan.etcd.start()
    three = lan.node()
    eventually(lambda: len(mesh_routes(one)) == 2, "a route to n3")
    eventually(lambda: len(mesh_routes(three)) == 2, "routes of n3")


def prefix_of(node: Node) -> str:
    """Return what the addresses of a node's pods begin with, as its first pod has it."""
    return node.cni("ADD", node.pod("first")).addresses[0].rpartition(".")[0] + "."


def test_an_address_that_changes_is_known_to_the_others(lan: Lan) -> None:
    """The node that moved tells it by itself."""
    one, two = lan.node(), lan.node()
    eventually(lambda: list(mesh_routes(one).values()) == ["10.99.0.12"], "a route to n2")
    two.sh(
        "ip addr del 10.99.0.12/24 dev up0; ip addr add 10.99.0.92/24 dev up0; ip route replace default via 10.99.0.1"
    )
    eventually(lambda: list(mesh_routes(one).values()) == ["10.99.0.92"], "the route to where n2 is now")


def test_nothing_is_installed_before_there_is_a_prefix(lan: Lan) -> None:
    """With an etcd that is away at the first start; as soon as it is there the node serves."""
    lan.etcd.end()
    one = lan.node()
    assert one.daemon is not None
    one.daemon.wait_log("node n1 has no prefix of the cluster's range yet: the plugin is installed when it has")
    assert not (one.root / CONFLIST).exists()
    lan.etcd.start()
    eventually((one.root / CONFLIST).exists, "the network list")
    assert one.attach("red").startswith("10.244.")


def test_a_node_of_another_range_does_not_start(lan: Lan) -> None:
    """It says what it was told and what the cluster has, exits with 1, and builds nothing."""
    lan.node()
    two = lan.node((4, 6), started=False)
    before = two.state()
    refused = two.launch()
    told = refused.wait_log("configured for the cluster range")
    assert "10.244.0.0/16 in /24, fd00:10:244::/56 in /64, and etcd has 10.244.0.0/16 in /24" in told
    assert refused.end(0) == 1
    assert two.state() == before


def test_pods_of_a_runtime_with_names_are_not_waited_for(lan: Lan) -> None:
    """A runtime may tell pods' names as Kubernetes' does; here nobody has objects of them, nor annotations."""
    one = lan.node()
    arguments = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u"
    assert one.cni("ADD", one.pod("red"), CNI_ARGS=arguments).status == 0
    assert one.stop() == 0
    assert one.cni("ADD", one.pod("blue"), CNI_ARGS=arguments).status == 0
