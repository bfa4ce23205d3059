"""Links that are somebody else's: a bridge of the name podnet would take is not podnet's to change."""

from ipaddress import ip_network

import pytest

from podnet import mesh
from podnet.errors import NodeNotReady
from podnet.model import Node, Tunnel
from podnet.plan import Link
from podnet.testing import FakeNode
from podnet.testing.values import FACTS, a_network

LAN = Link(at="node", name="br0", kind="bridge", mac="02:00:00:00:00:77", mtu=1500)


def node_with_a_lan_bridge() -> FakeNode:
    """Return a node that has a br0 of its own, and no network yet."""
    node = FakeNode()
    node.kernel.node.put(LAN)
    return node


def test_a_strangers_bridge_keeps_the_node_from_being_built() -> None:
    """The error names the link and both remedies; the bridge stays as it was."""
    node = node_with_a_lan_bridge()
    node.networks = (a_network("bridge"),)
    with pytest.raises(NodeNotReady, match=r"br0 is there and is not podnet.s.*bridge: NAME.*ip link set br0 alias"):
        node.reconcile()
    assert node.kernel.node.objects["link", "node", "br0"] == LAN


def test_a_strangers_bridge_refuses_the_network_of_a_request() -> None:
    """An ADD whose configuration asks for that bridge fails, and one for another network does not."""
    node = node_with_a_lan_bridge()
    with pytest.raises(NodeNotReady, match="network podnet: link br0"):
        node.add("red", a_network("bridge"))
    node.add("blue", a_network("ptp"))
    assert node.kernel.node.objects["link", "node", "br0"] == LAN


def test_a_bridge_that_was_handed_over_is_taken() -> None:
    """With podnet's alias it is podnet's."""
    node = node_with_a_lan_bridge()
    node.kernel.node.put(
        Link(at="node", name="br0", kind="bridge", alias="podnet:network:podnet", mac=LAN.mac, mtu=1500)
    )
    node.add("red", a_network("bridge"))
    assert node.state() == node.desired()


def test_a_strangers_device_of_the_tunnels_name_is_not_touched() -> None:
    """The error says how to get it out of the way; nothing of it is changed."""
    node = FakeNode(a_network())
    theirs = Link(at="node", name="podnet-vx4", kind="bridge", mac="02:00:00:00:00:77", mtu=1500)
    node.kernel.node.put(theirs)
    others = [Node(f"n{n}", (FACTS.addresses[0] + n,), (ip_network(f"10.244.{n}.0/24"),)) for n in (1, 2)]
    node.mesh = mesh.between(others, FACTS, "vxlan", Tunnel())
    with pytest.raises(NodeNotReady, match=r"podnet-vx4 is there and is not podnet.s: delete or rename it"):
        node.reconcile()
    assert node.kernel.node.objects["link", "node", "podnet-vx4"] == theirs
