"""Nodes that claim each other's pods: who is left out, beside the naive way to tell."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.kubernetes.listing import candidate
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY, NodeObject
from podnet.cluster.remote.listing import listed
from podnet.wireguard.key import to_text

cidrs = st.builds(
    lambda bits, length: ip_network(f"10.0.{bits}.0/{length}", strict=False), st.integers(0, 15), st.integers(20, 26)
)
addresses = st.builds(lambda bits: ip_address(f"10.0.{bits // 8}.{bits % 8}"), st.integers(0, 200))
nodes = st.lists(
    st.builds(
        NodeObject,
        name=st.integers(0, 99).map(lambda i: f"n{i}"),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        addresses=st.lists(addresses, max_size=1).map(tuple),
        pod_cidrs=st.lists(cidrs, max_size=2).map(tuple),
    ),
    max_size=12,
    unique_by=lambda node: node.name,
)


def contradict(one: NodeObject, other: NodeObject) -> bool:
    """Tell whether two Nodes cannot both be right, by comparing everything with everything."""
    return (
        any(a.overlaps(b) for a in one.pod_cidrs for b in other.pod_cidrs)
        or any(a in b for a in one.addresses for b in other.pod_cidrs)
        or any(b in a for b in other.addresses for a in one.pod_cidrs)
    )


@given(nodes, st.randoms())
def test_those_that_contradict_an_older_one_are_left_out(given_nodes: list[NodeObject], random: st.randoms) -> None:  # type: ignore[valid-type] # hypothesis' own
    """The naive way finds the same, and it does not matter in which order the Nodes were heard of."""
    kept: list[NodeObject] = []
    for node in sorted(given_nodes, key=lambda n: (n.created, n.name)):
        if not any(contradict(node, other) for other in kept):
            kept.append(node)
    found = listed(map(candidate, given_nodes))
    assert [node.name for node in found.nodes] == sorted(node.name for node in kept)
    assert len(found.ignored) == len(given_nodes) - len(kept)
    shuffled = list(given_nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # as above
    assert listed(map(candidate, shuffled)) == found


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (NodeObject(name="n", pod_cidrs=(ip_network("10.1.2.0/31"),)), "prefix length"),
        (NodeObject(name="n", pod_cidrs=(ip_network("224.1.0.0/16"),)), "not unicast"),
        (NodeObject(name="n", pod_cidrs=(ip_network("10.3.0.0/24"),)), "outside the cluster-cidrs (10.1.0.0/16)"),
        (NodeObject(name="n", addresses=(ip_address("127.0.0.1"),)), "cannot be reached"),
        (NodeObject(name="n", malformed="podCIDR 'x'"), "podCIDR 'x'"),
    ],
)
def test_what_cannot_be_meant_is_left_out_with_its_reason(node: NodeObject, told: str) -> None:
    """The other Nodes are followed all the same."""
    good = NodeObject(name="good", pod_cidrs=(ip_network("10.1.0.0/24"),))
    found = listed(candidate(one, (ip_network("10.1.0.0/16"),)) for one in (node, good))
    assert [n.name for n in found.nodes] == ["good"]
    (reason,) = found.ignored
    assert reason.startswith("Node n is ignored: ")
    assert told in reason


def test_one_address_of_two_nodes_is_no_contradiction() -> None:
    """A machine that came back by another name, its old Node not yet deleted."""
    address = (ip_address("10.9.0.1"),)
    nodes = [NodeObject(name=name, addresses=address) for name in ("old", "new")]
    assert len(listed(map(candidate, nodes)).nodes) == 2


def test_a_key_is_one_nodes() -> None:
    """The older one's, as with CIDRs; what is no key is no node's.  Either is a node all the same, and told of."""
    key = to_text(bytes(32))
    found = listed(
        candidate(NodeObject(name=name, created=created, annotations=((WIREGUARD_KEY, told),)))
        for name, created, told in (("a", "2", key), ("b", "1", key), ("c", "1", "x"))
    )
    assert [(node.name, node.wireguard) for node in found.nodes] == [("a", ""), ("b", key), ("c", "")]
    assert len(found.ignored) == 2
    assert "of Node a is ignored: it is that of Node b" in "".join(found.ignored)
    assert "of Node c is not a key of WireGuard" in "".join(found.ignored)


def test_pools_yield_to_what_kubernetes_gave() -> None:
    """A pool that overlaps any Node's pod CIDR or address is left out, the Node stays; the rest of its pools too."""
    young = NodeObject(name="young", created="2", pod_cidrs=(ip_network("10.1.1.0/24"),))
    pools = tuple(map(ip_network, ("10.1.0.0/16", "10.2.0.0/24", "224.0.0.0/24")))
    old = NodeObject(name="old", created="1", pod_cidrs=(ip_network("10.1.2.0/24"),), pools=pools, misspelt="'x'")
    found = listed(map(candidate, (young, old)))
    assert [(node.name, list(map(str, node.pools))) for node in found.nodes] == [
        ("old", ["10.2.0.0/24"]),
        ("young", []),
    ]
    assert len(found.ignored) == 3
    assert all(reason.startswith("Node old: annotation podnet.dev/pod-cidrs: ") for reason in found.ignored)
    assert any("10.1.0.0/16 overlaps 10.1.1.0/24 of young" in reason for reason in found.ignored)


def test_of_two_nodes_with_one_pool_the_older_has_it() -> None:
    """Whatever was heard first; and with cluster-cidrs a pool must be in them."""
    pool = (ip_network("10.2.0.0/24"),)
    nodes = [NodeObject(name=name, created=created, pools=pool) for name, created in (("a", "2"), ("b", "1"))]
    for order in (nodes, nodes[::-1]):
        assert [node.pools for node in listed(map(candidate, order)).nodes] == [(), pool]
    found = listed(candidate(one, (ip_network("10.1.0.0/16"),)) for one in nodes)
    assert [node.pools for node in found.nodes] == [(), ()]
    assert "outside the cluster-cidrs" in found.ignored[0]
