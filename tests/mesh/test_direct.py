"""Direct routes: every other node's pods, behind its address of their family, in the list's order."""

from ipaddress import ip_address, ip_network

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.mesh import between
from podnet.model import Node, NodeFacts, Tunnel
from podnet.plan import PROTOCOL, Plan, Route
from podnet.testing.values import FACTS


def a_node(number: int, versions: tuple[int, ...] = (4, 6)) -> Node:
    """Return node `number`, with pods of both families and addresses of `versions`."""
    addresses = {4: ip_address(f"10.99.0.{number}"), 6: ip_address(f"fd99::{number}")}
    cidrs = (ip_network(f"10.244.{number}.0/24"), ip_network(f"fd00:10:244:{number}::/64"))
    return Node(f"n{number}", tuple(addresses[version] for version in versions), cidrs)


def direct(nodes: list[Node], facts: NodeFacts) -> Plan:
    """Return what leads to the pods of `nodes` but for the sets that masquerade asks; the list has this node too."""
    plan = between([a_node(1), *nodes], facts, "direct", Tunnel()).plan
    return Plan(tuple(step for step in plan.steps if hasattr(step.object, "at")))


def routes(plan: Plan) -> list[Route]:
    """Return the routes of `plan`, which has nothing else."""
    found = [step.object for step in plan.steps]
    assert all(isinstance(thing, Route) for thing in found)
    return found  # type: ignore[return-value]  # asserted in the line above


def test_each_cidr_is_behind_the_nodes_address_of_its_family() -> None:
    """One route per CIDR by the uplink, marked as podnet's, with the node's name as the reason."""
    plan = direct([a_node(2)], FACTS)
    assert routes(plan) == [
        Route(
            at="node",
            dst=ip_network("10.244.2.0/24"),
            via=ip_address("10.99.0.2"),
            dev="up0",
            protocol=PROTOCOL,
        ),
        Route(
            at="node",
            dst=ip_network("fd00:10:244:2::/64"),
            via=ip_address("fd99::2"),
            dev="up0",
            protocol=PROTOCOL,
        ),
    ]
    assert [step.reason for step in plan.steps] == [
        "nodes.yaml: the pods of node n2 are behind 10.99.0.2",
        "nodes.yaml: the pods of node n2 are behind fd99::2",
    ]


def test_a_node_has_no_route_to_itself() -> None:
    """Its own pods are on links of its own."""
    assert direct([a_node(1)], FACTS) == Plan()
    assert direct([], FACTS) == Plan()


def test_a_family_that_one_of_both_lacks_has_no_route() -> None:
    """Without an address of the family on either side there is no way to send it."""
    assert [r.dst.version for r in routes(direct([a_node(2, (6,))], FACTS))] == [6]
    alone = msgspec.structs.replace(FACTS, addresses=FACTS.addresses[:1])
    assert [r.dst.version for r in routes(direct([a_node(2)], alone))] == [4]
    assert direct([a_node(2)], msgspec.structs.replace(FACTS, addresses=())) == Plan()


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(1, 9), unique=True))
def test_the_order_is_the_lists(numbers: list[int]) -> None:
    """Nodes in the list's order, each node's CIDRs in its own; the same list gives the same plan."""
    nodes = [a_node(number) for number in numbers]
    expected = [cidr for node in nodes if node.name != FACTS.name for cidr in node.pod_cidrs]
    assert [route.dst for route in routes(direct(nodes, FACTS))] == expected
    assert direct(nodes, FACTS) == direct(nodes, FACTS)
