"""Another backend, list or address: the node that has pods is brought there, and ends as one that began with it."""

from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from uuid import uuid4

import pytest
from msgspec.structs import replace

from podnet import mesh
from podnet.engine import Engine
from podnet.mesh import Mesh
from podnet.model import Backend, Node, NodeFacts, Tunnel
from podnet.plan import Plan, Route, inverse, script
from podnet.testing import ManualClock, MemoryStore
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.values import FACTS

pytestmark = pytest.mark.live

ON_LAN = replace(FACTS, subnets=(ip_network("10.99.0.0/24"), ip_network("fd99::/64")))


def a_node(number: int, lan: int = 0, cidr: int = 0) -> Node:
    """Return node `number` on one of two LANs."""
    addresses = (ip_address(f"10.99.{lan}.{number + 10}"), ip_address(f"fd99:0:0:{lan}::{number + 10}"))
    cidr = cidr or number
    return Node(f"n{number}", addresses, (ip_network(f"10.244.{cidr}.0/24"), ip_network(f"fd00:10:244:{cidr}::/64")))


class State(NamedTuple):
    """What the node is told."""

    nodes: tuple[Node, ...] = (a_node(1), a_node(2), a_node(3, lan=1))
    backend: Backend = "vxlan"
    tunnel: Tunnel = Tunnel()
    facts: NodeFacts = ON_LAN

    def mesh(self) -> Mesh:
        """Return the ways to the others."""
        return mesh.between(self.nodes, self.facts, self.backend, self.tunnel)


V6_ALONE = replace(ON_LAN, addresses=ON_LAN.addresses[1:])
STATES = {
    "vxlan": State(),
    "direct, one LAN": State((a_node(1), a_node(2)), "direct"),
    "auto": State(backend="auto"),
    "a node less": State((a_node(1), a_node(2))),
    "a node more": State((a_node(1), a_node(2), a_node(3, lan=1), a_node(4, lan=1))),
    "alone": State((a_node(1),)),
    "another address of a node": State((a_node(1), a_node(2), replace(a_node(3), addresses=a_node(5).addresses))),
    "another CIDR of a node": State((a_node(1), a_node(2), a_node(3, lan=1, cidr=9))),
    "another CIDR of this one, whose old is another's": State((a_node(1, cidr=7), a_node(2), a_node(3, cidr=1))),
    "another VNI": State(tunnel=Tunnel(vni=8)),
    "another port": State(tunnel=Tunnel(port=8472)),
    "by IPv6": State(facts=V6_ALONE),
    "by the routes": State(facts=replace(ON_LAN, uplink="")),
    "a narrower uplink": State(facts=replace(ON_LAN, mtu=1400)),
}


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("name", [name for name in STATES if name != "vxlan"])
def test_a_change_leaves_what_a_fresh_node_would_have(name: str, way: str) -> None:
    """Reconciled from one to the other, the kernel is as the printed script leaves an empty one; nothing is left to do.

    What is dismantled then leaves nothing, as the printed inverse.
    """
    before, after = (STATES["vxlan"], STATES[name]) if way == "there" else (STATES[name], STATES["vxlan"])
    with ExitStack() as stack:
        changed, fresh = (NodeNamespace(f"mesh-{uuid4().hex[:8]}", stack) for _ in range(2))
        with changed.inside():
            engine = Engine(before.facts, MemoryStore(before.facts.boot_id), changed.kernel, ManualClock())
            engine.reconcile([], before.facts, before.mesh())
            engine.reconcile([], after.facts, after.mesh())
            assert engine.reconcile([], after.facts, after.mesh()) == Plan()
            assert engine.audit_node() == []
        fresh.sh(script(after.mesh().plan))
        assert changed.state() == fresh.state()
        with changed.inside():
            engine.dismantle()
        fresh.sh(script(inverse(after.mesh().plan)))
        assert changed.state() == fresh.state()
        assert "podnet-vx" not in str(changed.state())


def test_what_is_taken_away_by_hand_is_made_again() -> None:
    """The device itself, a forwarding entry, a neighbour, a route, an address: told as missing, and there again."""
    with ExitStack() as stack:
        node = NodeNamespace(f"mesh-{uuid4().hex[:8]}", stack)
        mac = mesh.vtep_mac("n3")
        with node.inside():
            engine = Engine(ON_LAN, MemoryStore(ON_LAN.boot_id), node.kernel, ManualClock())
            engine.reconcile([], ON_LAN, State().mesh())
            whole = node.state()
            for loss, told in (
                ("bridge fdb del @ dev podnet-vx4 dst 10.99.1.13", "missing: bridge fdb add"),
                ("bridge fdb replace @ dev podnet-vx4 dst 10.99.1.99 self permanent", "found bridge fdb add"),
                ("ip neigh del 10.244.3.0 dev podnet-vx4", "missing: ip neigh add 10.244.3.0"),
                ("ip route del 10.244.3.0/24", "missing: ip route add 10.244.3.0/24"),
                ("ip addr del 10.244.1.0/32 dev podnet-vx4", "missing: ip addr add 10.244.1.0/32"),
                ("ip link set podnet-vx4 mtu 1400", "mtu expected 1450, found 1400"),
                ("ip link set podnet-vx4 down", "up expected True, found False"),
                ("ip link del podnet-vx4", "missing: ip link add podnet-vx4"),
            ):
                node.sh(loss.replace("@", mac))
                (drift,) = engine.audit_node()
                assert any(told in line for line in drift.faults), drift
                assert not drift.left
                assert engine.audit_node() == []
                assert node.state() == whole


def test_a_device_of_other_options_is_told_of_as_one_fault() -> None:
    """Somebody made the device anew with another VNI: that is the fault, not what is on it as it should be."""
    with ExitStack() as stack:
        node = NodeNamespace(f"mesh-{uuid4().hex[:8]}", stack)
        with node.inside():
            engine = Engine(ON_LAN, MemoryStore(ON_LAN.boot_id), node.kernel, ManualClock())
            engine.reconcile([], ON_LAN, STATES["another VNI"].mesh())
            engine.reconcile([], ON_LAN, Mesh())
            node.sh(script(STATES["another VNI"].mesh().plan))
            engine._mesh = State().mesh()
            ((_, (fault,), _),) = engine.audit_node()
            assert "vni=28782" in fault
            assert "vni=8" in fault
            assert engine.audit_node() == []


@pytest.mark.parametrize("version", [4, 6])
def test_a_node_elsewhere_is_not_reached_directly_and_it_is_said_what_does(version: int) -> None:
    """The kernel takes no gateway that is on no subnet: it is left out, and the other node is reached all the same."""
    far = a_node(3, lan=1)
    alone = replace(far, pod_cidrs=tuple(cidr for cidr in far.pod_cidrs if cidr.version == version))
    near = a_node(2)
    state = State((a_node(1), near, alone), "direct")
    (remark,) = state.mesh().remarks
    assert remark.startswith(f"node n3 at {far.address(version)} is on no subnet of ")
    assert "`backend: auto` in podnet.yaml reaches" in remark
    assert not state._replace(backend="auto").mesh().remarks
    with ExitStack() as stack:
        node = NodeNamespace(f"mesh-{uuid4().hex[:8]}", stack)
        with node.inside():
            engine = Engine(ON_LAN, MemoryStore(ON_LAN.boot_id), node.kernel, ManualClock())
            engine.reconcile([], ON_LAN, state.mesh())
            routes = [thing for thing in node.kernel.owned().values() if isinstance(thing, Route)]
            assert {route.dst for route in routes} == set(near.pod_cidrs)
            engine.reconcile([], ON_LAN, state._replace(backend="auto").mesh())
