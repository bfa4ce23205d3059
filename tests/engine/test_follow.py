"""Nodes come, change and go: the kernel ends as if it had been reconciled, at the cost of what has changed."""

from ipaddress import ip_address, ip_network
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podnet import mesh
from podnet.model import Backend, Node, Tunnel
from podnet.plan import Fdb, Route
from podnet.testing import FakeNode
from podnet.testing.values import FACTS, a_network

FACTS_ON_LAN = replace(FACTS, subnets=(ip_network("10.99.0.0/24"), ip_network("10.99.7.0/24")))
OWN = Node("n1", (ip_address("10.99.0.11"),), (ip_network("10.244.1.0/24"),))


def a_node(number: int, lan: int = 0, cidr: int = 0) -> Node:
    """Return node `number` on a LAN, with pods in a CIDR that may be another's number."""
    return Node(f"n{number}", (ip_address(f"10.99.{lan}.{number}"),), (ip_network(f"10.244.{cidr or number}.0/24"),))


def meshed(backend: Backend = "direct", *others: Node) -> tuple[FakeNode, mesh.Wayfinder, mesh.Mesh]:
    """Return a node that reaches `others`, what finds ways from it, and the ways."""
    node = FakeNode(a_network(), facts=FACTS_ON_LAN)
    finder = mesh.Wayfinder(OWN, FACTS_ON_LAN, backend, Tunnel())
    node.mesh = finder.mesh((OWN, *others))
    node.reconcile()
    return node, finder, node.mesh


@given(data=st.data())
def test_following_ends_where_reconciling_does(data: st.DataObject) -> None:
    """By whatever backend and in whatever order; a reconciliation afterwards finds nothing to do."""
    pool = [a_node(n, lan, cidr) for n in (2, 3, 4) for lan in (0, 7, 9) for cidr in (n, n + 10, 2)]
    node, finder, ways = meshed(data.draw(st.sampled_from(get_args(Backend))))
    here: dict[str, Node] = {}
    for _ in range(data.draw(st.integers(1, 5))):
        changed: dict[str, Node | None] = {}
        for other, comes in data.draw(st.lists(st.tuples(st.sampled_from(pool), st.booleans()), max_size=3)):
            rivals = [n for n in here.values() if n.name != other.name and n.pod_cidrs == other.pod_cidrs]
            changed[other.name] = other if comes and not rivals else None
            here.pop(other.name, None)
            if changed[other.name]:
                here[other.name] = other
        ways = finder.follow(ways, changed)
        node.mesh = ways
        node.engine.follow(ways)
        assert node.state() == node.desired()
        assert not node.reconcile()


def test_one_node_among_many_is_its_own_objects_alone() -> None:
    """A node more than two hundred: its element, its route, and nothing is asked of the kernel before."""
    node, finder, ways = meshed("direct", *(a_node(n) for n in range(3, 200)))
    node.kernel.calls.clear()
    done = node.engine.follow(finder.follow(ways, {"n2": a_node(2)}))
    assert [f"{step.verb} {type(step.object).__name__}" for step in done.steps] == [
        "add Element",
        "add Element",
        "add Route",
    ]
    assert node.kernel.calls == ["apply"]


def test_where_the_kernel_is_not_as_it_was_left_all_is_compared_anew() -> None:
    """Somebody took the route that is to be changed, and a neighbour besides: both are there when it returns."""
    node, finder, ways = meshed("vxlan", a_node(2, 9), a_node(3, 9))
    for thing in [t for t in node.state().values() if isinstance(t, Route | Fdb) and "10.244.3" not in str(t)]:
        node.kernel.node.remove(thing)
    node.mesh = finder.follow(ways, {"n2": None})
    node.engine.follow(node.mesh)
    assert node.state() == node.desired()
    assert not node.reconcile()
