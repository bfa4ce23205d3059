"""The runtime's own questions: GC keeps what it names and what is not ours; STATUS tells whether ADD can be served."""

from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.node import ADDRESSES, DEFAULT_CONFIGURATION, Node
from podnet.testing.talk import asked, mapped, port

pytestmark = pytest.mark.live

NEWEST = {**DEFAULT_CONFIGURATION, "cniVersion": "1.1.0"}
OTHER = {
    **NEWEST,
    "name": "other",
    "ipam": {
        "type": "podnet",
        "ranges": [[{"subnet": "10.88.0.0/24"}]],
        "routes": [{"dst": "10.88.0.0/16"}],
    },
}
OUTSIDE = "10.99.0.1"


def keeping(*containers: str, ifname: str = "eth0", network: dict[str, Any] = NEWEST) -> dict[str, Any]:
    """Return the configuration of a GC that keeps attachments."""
    valid = [{"containerID": container, "ifname": ifname} for container in containers]
    return {**network, "cni.dev/valid-attachments": valid}


def live(node: Node) -> list[tuple[str, str, str]]:
    """Return network, container and interface of the live leases."""
    query = "SELECT network, container, ifname FROM lease WHERE cut IS NULL ORDER BY network, container, ifname"
    return [tuple(row) for row in node.rows(query)]


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_gc_frees_what_is_not_named(serving: Callable[..., Node], datapath: str) -> None:
    """Addresses, links, elements, ports of the others go; those named, other networks and strangers' things stay."""
    node = serving(datapath, (4, 6))
    strange = "ip link add stranger type bridge; ip link set stranger group 28782; nft add table inet strangers"
    node.sh(f"{strange}; ip link add veth-mine type veth peer name veth-yours")
    red = node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80)))
    other = node.cni("ADD", "red", ifname="net1", configuration=OTHER)
    before = node.state()
    stale = node.cni("ADD", node.pod("stale"), configuration=mapped(port(8081, 80)))
    assert stale.status == 0, stale.stdout
    assert node.cni("ADD", "red", ifname="net2", configuration=other_interface()).status == 0

    assert node.cni("GC", configuration=keeping("red", "never")) == (0, b"")
    node.wait_for_links(4)
    assert live(node) == [("other", "red", "net1"), ("podnet", "red", "eth0")]
    assert node.state() == before
    for address in red.addresses:
        assert node.exchange("", "red", address)
    shown = node.json("ip", "-j", "route", "get", other.addresses[0])
    assert shown[0]["dev"].startswith("veth-")
    assert asked(node, "tcp", "outside", ADDRESSES[4], 8080, at=("red", 80)) == OUTSIDE
    assert node.cni("GC", configuration=keeping("red")) == (0, b""), "a second one has nothing to do"
    assert node.state() == before


def other_interface() -> dict[str, Any]:
    """Return the default network's configuration for a second interface, which brings no default route."""
    ipam = {"type": "podnet", "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "10.5.0.0/16"}]}
    return {**NEWEST, "ipam": ipam}


def test_gc_of_an_empty_list_frees_the_network(node: Node) -> None:
    """[] is meant; no list, or a version without GC, is an error, and frees nothing."""
    node.attach("red")
    assert node.cni("ADD", "red", ifname="net1", configuration=OTHER).status == 0
    assert node.cni("GC", configuration=NEWEST).json["code"] == 7
    assert node.cni("GC", configuration={**keeping(), "cniVersion": "1.0.0"}).json["code"] == 1
    assert len(live(node)) == 2
    assert node.cni("GC", configuration=keeping()) == (0, b"")
    assert live(node) == [("other", "red", "net1")]
    assert node.cni("GC", configuration=keeping(network=OTHER)) == (0, b"")
    assert live(node) == []
    node.wait_for_links(0)


def test_gc_repairs_the_node(serving: Callable[..., Node]) -> None:
    """What the node's part and the pods that stay have lost is put back."""
    node = serving("bridge", more="gc: {interval: 0}")
    address = node.attach("red")
    before = node.state()
    node.sh(f"ip addr flush dev br0; ip route del {address}; nft delete table inet podnet")
    assert node.cni("GC", configuration=keeping("red")) == (0, b"")
    assert node.state() == before
    assert node.exchange("red", "outside", OUTSIDE) == ADDRESSES[4]


def test_gc_without_a_daemon(node: Node) -> None:
    """The shim's one-shot serves GC and STATUS as the daemon does."""
    node.attach("red")
    node.attach("stale")
    node.stop()
    assert node.cni("STATUS", configuration=NEWEST) == (0, b"")
    assert node.cni("GC", configuration=keeping("red")) == (0, b"")
    assert live(node) == [("podnet", "red", "eth0")]


def test_status_of_a_node_that_serves(node: Node) -> None:
    """Success without a word, also where a range is used up; with a version that has no STATUS error 1."""
    assert node.cni("STATUS", configuration=NEWEST) == (0, b"")
    one = [[{"subnet": "10.88.0.0/24", "rangeStart": "10.88.0.2", "rangeEnd": "10.88.0.2"}]]
    full = {**NEWEST, "name": "small", "ipam": {"type": "podnet", "ranges": one}}
    assert node.cni("ADD", node.pod("red"), configuration=full).status == 0
    assert node.cni("ADD", node.pod("blue"), configuration=full).json["code"] == 110
    assert node.cni("STATUS", configuration=full) == (0, b"")
    assert node.cni("STATUS", configuration=DEFAULT_CONFIGURATION).json["code"] == 1


def test_status_without_ranges(bare: Node) -> None:
    """A node that nobody lists: error 50 with the remedy; with ranges of the configuration's own it is ready."""
    bare.configure()
    bare.list_nodes("nodes: []\n")
    bare.start()
    told = bare.cni("STATUS", configuration=NEWEST).json
    assert told["code"] == 50
    assert "nodes.yaml" in told["msg"]
    assert bare.cni("ADD", bare.pod("red"), configuration=NEWEST).json["code"] == 7
    assert bare.cni("STATUS", configuration=OTHER) == (0, b"")
    assert bare.cni("ADD", "red", configuration=OTHER).status == 0
    bare.configure()
    assert bare.daemon is not None
    bare.daemon.wait_log("nodes: 1 listed")
    assert bare.cni("STATUS", configuration=NEWEST) == (0, b"")


def test_status_where_the_nodes_part_cannot_be_built(serving: Callable[..., Node]) -> None:
    """A stranger's br0 where ours was: error 51 names it and both ways out; when it has gone, all is made anew."""
    node = serving("bridge", more="repair: false")
    assert node.cni("STATUS", configuration=NEWEST) == (0, b"")
    before = node.state()
    node.sh("ip link del br0; ip link add br0 type bridge")
    told = node.cni("STATUS", configuration=NEWEST).json
    assert told["code"] == 51
    for word in ("br0", "not podnet's", "podnet.yaml", "ip link set br0 alias"):
        assert word in told["msg"]
    assert node.cni("ADD", node.pod("red")).status == 1
    assert node.pod_links() == []
    (stranger,) = node.json("ip", "-j", "addr", "show", "br0")
    assert stranger["addr_info"] == [], "it is left alone"
    node.sh("ip link del br0")
    assert node.cni("STATUS", configuration=NEWEST) == (0, b"")
    assert node.state() == before
    (address,) = node.cni("ADD", "red").addresses
    assert node.exchange("", "red", address) == ADDRESSES[4]


def test_status_makes_what_is_lacking(serving: Callable[..., Node]) -> None:
    """A table that somebody deleted is no reason to say that the node is not ready: it is made, with pods' elements."""
    node = serving("ptp", (4, 6), more="gc: {interval: 0}")
    address = node.attach("red")
    before = node.state()
    node.sh("nft delete table inet podnet; sysctl -qw net.ipv4.ip_forward=0")
    assert node.cni("STATUS", configuration=NEWEST) == (0, b"")
    assert node.exchange("red", "outside", OUTSIDE) == ADDRESSES[4]
    assert node.exchange("", "red", address) == ADDRESSES[4]
    assert node.state() == before


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_an_add_makes_what_is_lacking(serving: Callable[..., Node], datapath: str) -> None:
    """After `nft flush ruleset`, before anybody looks, ADD succeeds, and the pods that were there are served again."""
    node = serving(datapath, (4, 6), more="gc: {interval: 0}")
    red = node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80)))
    node.sh("nft flush ruleset")
    blue = node.attach("blue")
    for name, address in (("red", red.addresses[0]), ("blue", blue)):
        assert node.exchange("", name, address) == ADDRESSES[4]
        assert node.exchange(name, "outside", OUTSIDE) == ADDRESSES[4]
    assert asked(node, "tcp", "outside", ADDRESSES[4], 8080, at=("red", 80)) == OUTSIDE
