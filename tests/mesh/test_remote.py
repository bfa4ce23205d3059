"""Who beyond this node sees its pods' own addresses: the sets that masquerade asks."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podnet import mesh
from podnet.model import Backend, Node, NodeFacts, Tunnel, WireGuardEnd
from podnet.nft import Element
from podnet.plan import NODES, REMOTE, Plan, Route, encode
from podnet.wireguard.key import to_text

ONE = Node("n1", (ip_address("10.99.0.11"),), (ip_network("10.244.1.0/24"), ip_network("fd00:10:244:1::/64")))
TWO = Node("n2", (ip_address("10.99.0.12"), ip_address("fd99::12")), (ip_network("10.244.2.0/24"),))
FAR = Node("n3", (ip_address("10.99.7.13"),), (ip_network("10.244.9.0/24"),))
HERE = NodeFacts(name="n1", boot_id="b", addresses=ONE.addresses, subnets=(ip_network("10.99.0.0/24"),))


def elements(plan: Plan, *names: str) -> set[str]:
    """Return what `plan` puts into the sets whose names begin with one of `names`."""
    found = (step.object for step in plan.steps if isinstance(step.object, Element))
    return {str(thing.key[0]) for thing in found if thing.set.name.startswith(names)}


@pytest.mark.parametrize(
    ("backend", "sees"),
    [
        ("direct", {"10.99.0.11", "10.99.0.12", "10.99.7.13", "fd99::12"}),
        ("auto", {"10.99.0.11", "10.99.0.12"}),
        ("vxlan", {"10.99.0.11"}),
    ],
)
def test_a_node_past_a_tunnel_sees_no_pods_address(backend: Backend, sees: set[str]) -> None:
    """This one and those that are reached directly do; past a tunnel the packet would go outside of it."""
    plan = mesh.between((ONE, TWO, FAR), HERE, backend, Tunnel()).plan
    assert elements(plan, "nodes") == sees
    assert elements(plan, "remote") == {"10.244.2.0/24", "10.244.9.0/24"}


@pytest.mark.parametrize("backend", ["direct", "auto", "vxlan"])
def test_pools_of_a_node_are_pods_of_it_too(backend: Backend) -> None:
    """What a node has made known besides its pod CIDR has a route to it, and sees pods' own addresses."""
    pooled = Node("n2", TWO.addresses, TWO.pod_cidrs, pools=(ip_network("10.250.2.0/28"),))
    plan = mesh.between((ONE, pooled), HERE, backend, Tunnel()).plan
    assert elements(plan, "remote") == {"10.244.2.0/24", "10.250.2.0/28"}
    routes = [step.object for step in plan.steps if isinstance(step.object, Route)]
    assert [str(route.dst) for route in routes] == ["10.244.2.0/24", "10.250.2.0/28"]
    assert len({(route.dev, route.via) for route in routes}) == 1


def test_a_family_without_pods_here_has_no_elements() -> None:
    """The table has no sets for it."""
    four = Node("n1", (*ONE.addresses, ip_address("fd99::11")), ONE.pod_cidrs[:1])
    plan = mesh.between((four, Node("n2", TWO.addresses, ONE.pod_cidrs[1:])), HERE, "direct", Tunnel()).plan
    assert {step.object.set for step in plan.steps if isinstance(step.object, Element)} == {NODES[4]}


def test_an_address_of_two_nodes_stays_until_the_second_is_gone() -> None:
    """A machine that came back by a new name: what the old one's end would take away is the new one's too."""
    twin = Node("n9", TWO.addresses[:1], (ip_network("10.244.77.0/24"),))
    finder = mesh.Wayfinder(ONE, HERE, "direct", Tunnel())
    both = finder.mesh((ONE, TWO, twin))
    gone = [step.object for step in both.ways["n2"].plan.steps if isinstance(step.object, Element)]
    without = finder.follow(both, {"n2": None})
    assert without.holds(gone) == [Element(NODES[4], (ip_address("10.99.0.12"),))]
    assert finder.follow(without, {"n9": None}).holds(gone) == []


@given(data=st.data())
def test_followed_step_by_step_it_is_as_made_at_once(data: st.DataObject) -> None:
    """Whatever nodes come, change and go, by whatever backend."""
    pool = [
        Node(f"n{n}", (ip_address(f"10.99.{lan}.{n}"),), (ip_network(f"10.244.{cidr}.0/24"),))
        for n in (2, 3, 4)
        for lan in (0, 7)
        for cidr in (n, n + 10)
    ]
    finder = mesh.Wayfinder(ONE, HERE, data.draw(st.sampled_from(("direct", "vxlan", "auto"))), Tunnel())
    here: dict[str, Node] = {"n1": ONE}
    followed = finder.mesh(here.values())
    for node, comes in data.draw(st.lists(st.tuples(st.sampled_from(pool), st.booleans()), max_size=8)):
        if comes:
            here[node.name] = node
        else:
            here.pop(node.name, None)
        followed = finder.follow(followed, {node.name: here.get(node.name)})
        assert followed == finder.mesh(here.values())
    assert {str(cidr) for node in here.values() if node is not ONE for cidr in node.pod_cidrs} == elements(
        followed.plan, REMOTE[4].name
    )


@pytest.mark.parametrize("backend", ["direct", "vxlan", "wireguard"])
def test_hundreds_of_nodes_are_a_few_sends(backend: Backend) -> None:
    """What goes to one part of the kernel goes there together: each send of nftables is a transaction of its own."""
    nodes = [
        Node(f"n{n}", (ip_address(f"10.99.0.{n}"),), (ip_network(f"10.244.{n}.0/24"),), to_text(bytes([n]) * 32))
        for n in range(1, 200)
    ]
    end = WireGuardEnd(kind="wireguard", private_key="/key", public_key=nodes[0].wireguard)
    facts = replace(HERE, addresses=nodes[0].addresses, uplink="eth0", wireguard=end)
    found = mesh.between(nodes, facts, backend, Tunnel())
    links = {"eth0", "podnet-vx4", "podnet-wg"}
    ways = Plan(tuple(step for step in found.plan.steps if step not in found.base.steps))
    batches = encode(ways, {("node", name): number for number, name in enumerate(links, 1)})
    assert [batch.channel for batch in batches] == [
        "netfilter", *(["wireguard"] if backend == "wireguard" else []), "route",
    ]  # fmt: skip
    assert len(batches[-1].steps) >= 198
