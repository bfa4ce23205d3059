"""Pools: which part of them a node serves, what it makes known, and every slip in podnet.yaml named."""

from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster import default_network, kept_for_pools, named_pools, parse_settings, to_publish
from podnet.cluster.named import PoolPart
from podnet.errors import InvalidConfiguration
from podnet.model import Node, NodeFacts, Range

PATH = "/etc/podnet/podnet.yaml"
ONE = Node("n1", (ip_address("10.99.0.11"),), (ip_network("10.244.1.0/24"),))
TWO = Node("n2", (ip_address("10.99.0.12"),), (ip_network("10.244.2.0/24"),))
SHARED = """\
pools:
  fixed: [10.244.1.192/26, 10.244.2.192/26]
  egress: {n1: [10.250.1.0/28], n2: [10.250.2.0/28]}
"""


def known(node: Node, *pools: str) -> Node:
    """Return a node with pools that it has made known."""
    return Node(node.name, node.addresses, node.pod_cidrs, pools=tuple(map(ip_network, pools)))


def test_pools_are_lists_or_lists_by_node() -> None:
    """Both shapes come to parts; nodes' names are in lower case, as Kubernetes has them."""
    settings = parse_settings(SHARED.replace("n2:", "N2:"), PATH, "h")
    assert settings.pools == (
        PoolPart("fixed", ip_network("10.244.1.192/26")),
        PoolPart("fixed", ip_network("10.244.2.192/26")),
        PoolPart("egress", ip_network("10.250.1.0/28"), "n1"),
        PoolPart("egress", ip_network("10.250.2.0/28"), "n2"),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pools: {a: 10.0.0.0/24}", "{}:1: pools.a is not what it should be; write a list of CIDRs"),
        ("pools:\n  a:\n    n1: 7", "{}:3: pools.a.n1 is not what it should be"),
        ("pools: {a: [10.0.0.1/24]}", "did you mean 10.0.0.0/24?"),
        ("pools:\n  a: [10.0.0.0/24]\n  b:\n  - 10.0.0.128/25", "{}:4: pools.b[0] 10.0.0.128/25 overlaps 10.0.0.0/24"),
        ("pools: {a/b: []}", "'a/b' is not a name"),
        ("pools: {a: {n/1: []}}", "'n/1' is not a node's name"),
        ("cluster-cidrs: [10.0.0.0/16]\npools: {a: [10.1.0.0/24]}", "{}:2: pools.a[0] 10.1.0.0/24 is outside"),
        ("pools: [a]", "pools is not what it should be"),
        ("pods: {wait: -1}", "{}:1: pods.wait -1.0 is out of range"),
        ("pods: {anotations: true}", "pods.anotations is not known; did you mean annotations?"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, complaint: str) -> None:
    """Shape, CIDR, overlap and place in the cluster are checked when the file is read."""
    with pytest.raises(InvalidConfiguration) as caught:
        parse_settings(text, PATH, "host")
    assert complaint.format(PATH) in caught.value.msg


def test_the_part_in_a_nodes_pod_cidr_is_that_nodes() -> None:
    """It shares subnet and gateway with the rest, others see it as another's, and nothing is to be made known."""
    settings = parse_settings("pools: {fixed: [10.244.1.192/26, 10.244.2.192/26]}", PATH, "h")
    pool = named_pools(settings, (ONE, TWO), "n1")["fixed"]
    assert pool.ranges == (
        Range(
            subnet=ip_network("10.244.1.0/24"),
            first=ip_address("10.244.1.192"),
            last=ip_address("10.244.1.255"),
            gateway=ip_address("10.244.1.1"),
        ),
    )
    assert pool.amiss == ("10.244.2.192/26 is node n2's",)
    assert to_publish(settings, (ONE, TWO), "n1") == ()


def test_a_cidr_of_nobodys_is_made_known_before_it_is_used() -> None:
    """It gives addresses when the list of nodes says that it is this node's, and not before."""
    settings = parse_settings("pools: {egress: [10.250.1.0/28]}", PATH, "h")
    assert to_publish(settings, (ONE, TWO), "n1") == (ip_network("10.250.1.0/28"),)
    pool = named_pools(settings, (ONE, TWO), "n1")["egress"]
    assert (pool.ranges, pool.pending) == ((), True)
    nodes = (known(ONE, "10.250.1.0/28"), TWO)
    pool = named_pools(settings, nodes, "n1")["egress"]
    assert [(one.first, one.last) for one in pool.ranges] == [(ip_address("10.250.1.1"), ip_address("10.250.1.14"))]
    assert to_publish(settings, nodes, "n1") == (ip_network("10.250.1.0/28"),)


def test_what_another_node_has_made_known_is_its_own() -> None:
    """With one file for all nodes the first to say so has it."""
    settings = parse_settings("pools: {egress: [10.250.1.0/28]}", PATH, "h")
    nodes = (ONE, known(TWO, "10.250.1.0/28"))
    assert to_publish(settings, nodes, "n1") == ()
    pool = named_pools(settings, nodes, "n1")["egress"]
    assert (pool.ranges, pool.pending, pool.amiss) == ((), False, ("10.250.1.0/28 is node n2's",))


@pytest.mark.parametrize(
    ("cidr", "told"),
    [
        ("10.244.0.0/16", "10.244.0.0/16 is node n2's"),
        ("10.250.0.0/31", "has a prefix length outside"),
        ("fd00::/64", "this node has no IPv6 pod CIDR"),
    ],
)
def test_a_cidr_that_cannot_be_had_says_why(cidr: str, told: str) -> None:
    """And is not made known."""
    settings = parse_settings(f"pools: {{a: ['{cidr}']}}", PATH, "h")
    pool = named_pools(settings, (ONE, TWO), "n1")["a"]
    assert pool.ranges == ()
    assert told in pool.amiss[0]
    assert to_publish(settings, (ONE, TWO), "n1") == ()


def test_who_asks_for_no_pool_gets_no_address_of_one() -> None:
    """The node's own ranges leave out what pools have; without pools they are the same value."""
    facts = NodeFacts(name="n1", boot_id="b")
    settings = parse_settings(SHARED, PATH, "h")
    network = kept_for_pools(settings, default_network(settings, (ONE, TWO), facts))
    assert [one.exclude for one in network.ranges[0]] == [(ip_network("10.244.1.192/26"),)]
    bare = parse_settings("", PATH, "h")
    network = default_network(bare, (ONE, TWO), facts)
    assert kept_for_pools(bare, network) is network


OTHERS = IPv4Network("10.244.2.0/24")
cidrs = st.builds(
    lambda bits, length: IPv4Network(f"10.244.{bits}.0/{length}", strict=False), st.integers(0, 3), st.integers(22, 27)
)


@given(st.lists(cidrs, max_size=4), st.lists(cidrs, max_size=2))
def test_no_address_is_two_nodes(drawn: list[IPv4Network], published: list[IPv4Network]) -> None:
    """Whatever pools there are, what one node serves or makes known is in no other's list of CIDRs."""
    distinct = [one for i, one in enumerate(drawn) if not any(map(one.overlaps, drawn[:i]))]
    settings = parse_settings(f"pools: {{a: [{', '.join(map(str, distinct))}]}}", PATH, "h")
    two = Node("n2", (), TWO.pod_cidrs, pools=tuple(one for one in published if not one.overlaps(OTHERS)))
    nodes = (ONE, two)
    for pool in named_pools(settings, nodes, "n1").values():
        for one in pool.ranges:
            assert not any(one.first in cidr or one.last in cidr for cidr in two.pod_cidrs)
    for cidr in to_publish(settings, nodes, "n1"):
        assert not any(cidr.overlaps(other) for other in (*two.pod_cidrs, *two.pools, *ONE.pod_cidrs))
