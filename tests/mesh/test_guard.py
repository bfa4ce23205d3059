"""What keeps pods from nodes' VXLAN port: an element per node address, a rule per family, without a tunnel nothing."""

from ipaddress import ip_address, ip_network

from podnet import mesh
from podnet.mesh.guard import VTEPS
from podnet.model import Node, Tunnel
from podnet.nft import Element, Rule
from podnet.testing.values import FACTS

TUNNEL = Tunnel(vni=7, port=8472)
NODES = tuple(
    Node(
        f"n{number}",
        (ip_address(f"10.99.0.{number + 10}"), ip_address(f"fd99::{number + 10}")),
        (ip_network(f"10.244.{number}.0/24"),),
    )
    for number in (1, 2, 3)
)


def test_every_nodes_addresses_are_guarded_this_ones_too() -> None:
    """With the port that the cluster has configured."""
    plan = mesh.between(NODES, FACTS, "vxlan", TUNNEL).plan
    elements = {s.object for s in plan.steps if isinstance(s.object, Element) and s.object.set in VTEPS.values()}
    wanted = {Element(VTEPS[a.version], (a, 8472)) for node in NODES for a in node.addresses}
    assert elements == wanted


def test_rules_are_one_per_family_however_many_nodes_there_are() -> None:
    """A node more is two elements more."""
    for nodes in (NODES[:2], NODES):
        plan = mesh.between(nodes, FACTS, "vxlan", TUNNEL).plan
        rules = [str(step.object) for step in plan.steps if isinstance(step.object, Rule)]
        assert rules == [
            'iifgroup 28782 ip daddr . udp dport @vteps4 drop comment "VXLAN from a pod, IPv4"',
            'iifgroup 28782 ip6 daddr . udp dport @vteps6 drop comment "VXLAN from a pod, IPv6"',
        ]


def test_without_a_tunnel_nothing_is_guarded() -> None:
    """Neither with the backend `direct`, nor where this node is alone."""
    for nodes, backend in ((NODES, "direct"), (NODES[:1], "vxlan")):
        plan = mesh.between(nodes, FACTS, backend, TUNNEL).plan  # type: ignore[arg-type] # of the Literal
        assert not [step for step in plan.steps if isinstance(step.object, Rule) or "vteps" in str(step.object)]
