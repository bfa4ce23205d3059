"""The node's own part: bridges, forwarding, the table, the elements of networks, and where unused addresses end."""

from ipaddress import ip_network
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.datapath import bridge_mac, node_plan
from podnet.model import Network
from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan import GROUP_PODS, PROTOCOL, Address, Link, Plan, Route, Sysctl, key_of
from podnet.testing.values import FACTS, a_network, a_range

T = TypeVar("T")
FAMILIES = pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["4", "6", "dual"])


def those(kind: type[T], plan: Plan) -> list[T]:
    """Return the objects of one type in the plan's order."""
    return [thing for thing in plan.objects() if isinstance(thing, kind)]


def with_subnets(name: str, *sets: str, **fields: Any) -> Network:
    """Return a network with a range set for each of `sets`, `a b` meaning two ranges in one."""
    ranges = tuple(tuple(map(a_range, subnets.split())) for subnets in sets)
    return Network(name=name, ranges=ranges, **fields)


def elements(plan: Plan, name: str) -> list[str]:
    """Return the keys of a set's elements."""
    return [" ".join(map(str, element.key)) for element in those(Element, plan) if element.set.name == name]


@pytest.mark.parametrize("networks", [[], [Network(name="empty")], [Network(name="empty", datapath="bridge")]])
def test_nothing_is_planned_for_networks_without_ranges(networks: list[Network]) -> None:
    """Who serves no addresses changes nothing on the machine."""
    assert node_plan(networks, FACTS) == Plan()
    with_others = node_plan([*networks, a_network()], FACTS)
    assert with_others == node_plan([a_network()], FACTS)


@FAMILIES
def test_forwarding_is_on_for_the_families_in_use(versions: tuple[int, ...]) -> None:
    """Only theirs, and no other sysctl on a ptp node."""
    names = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
    plan = node_plan([a_network("ptp", versions)], FACTS)
    assert [(s.name, s.value) for s in those(Sysctl, plan)] == [(names[version], "1") for version in versions]


@FAMILIES
def test_a_default_route_learned_from_routers_is_kept(versions: tuple[int, ...]) -> None:
    """accept_ra is 2 on every link that listens to routers, before IPv6 is forwarded, and only then."""
    facts = msgspec.structs.replace(FACTS, ra_links=("eth0", "wlan0.7"))
    names = [s.name for s in those(Sysctl, node_plan([a_network("ptp", versions)], facts)) if "ipv6" in s.name]
    expected = ["net/ipv6/conf/eth0/accept_ra", "net/ipv6/conf/wlan0.7/accept_ra", "net/ipv6/conf/all/forwarding"]
    assert names == (expected if 6 in versions else [])


@FAMILIES
def test_the_table_has_the_sets_of_the_families_in_use(versions: tuple[int, ...]) -> None:
    """One table, its chains, its sets per family; table before chains and sets, those before rules and elements."""
    plan = node_plan([a_network("ptp", versions)], FACTS)
    assert [str(table) for table in those(Table, plan)] == ["inet podnet"]
    assert [chain.name for chain in those(Chain, plan)] == [
        "prerouting",
        *(["discovery"] if 6 in versions else []),
        "hostport",
        "dstnat",
        "output",
        "postrouting",
    ]
    kinds = ("pods", "own", "hairpin", "hostports", "hostips", "masquerade", "cluster", "remote", "nodes")
    names = [f"{name}{version}" for version in versions for name in kinds]
    assert [found.name for found in those(Set, plan)] == names
    order = [type(thing).__name__ for thing in plan.objects() if not isinstance(thing, Sysctl | Route)]
    ranks = {"Table": 0, "Set": 1, "Chain": 2, "Rule": 3, "Element": 4}
    assert [ranks[name] for name in order] == sorted(ranks[name] for name in order)
    text = " ".join(str(rule) for rule in those(Rule, plan))
    assert ("ip saddr" in text, "ip6 saddr" in text) == (4 in versions, 6 in versions)


def test_rules_do_not_grow_with_networks() -> None:
    """What a network or a pod adds are elements: the rules of ten networks are those of one."""
    many = [with_subnets(f"n{number}", f"10.{number}.0.0/16", "fd00::/64") for number in range(10)]
    assert those(Rule, node_plan(many, FACTS)) == those(Rule, node_plan(many[:1], FACTS))


@pytest.mark.parametrize("masquerade", [True, False])
def test_masquerade_is_by_its_source(masquerade: bool) -> None:
    """Without masquerade the network's subnets are no sources, but are still destinations within the cluster."""
    plan = node_plan([a_network("ptp", (4, 6), masquerade=masquerade)], FACTS)
    assert elements(plan, "masquerade4") == (["10.244.1.0/24"] if masquerade else [])
    assert elements(plan, "masquerade6") == (["fd00:10:244:1::/64"] if masquerade else [])
    assert elements(plan, "cluster4") == ["10.244.1.0/24"]


def test_overlapping_destinations_are_collapsed() -> None:
    """An interval set takes no overlaps: what several networks name is said once, by the fewest networks."""
    inside = (ip_network("10.0.0.0/8"), ip_network("10.244.0.0/16"), ip_network("192.168.0.0/24"))
    networks = [
        with_subnets("one", "10.244.1.0/24", non_masquerade=inside),
        with_subnets("two", "10.244.2.0/24", non_masquerade=(ip_network("192.168.1.0/24"), ip_network("fd00::/8"))),
    ]
    plan = node_plan(networks, FACTS)
    assert elements(plan, "cluster4") == ["10.0.0.0/8", "192.168.0.0/23"]
    assert elements(plan, "masquerade4") == ["10.244.1.0/24", "10.244.2.0/24"]
    assert elements(plan, "cluster6") == [], "no network has an IPv6 address, so there is no such set"


@FAMILIES
def test_a_bridge_stands_as_the_study_notes_have_it(versions: tuple[int, ...]) -> None:
    """Made, up, with each family's gateway address and a MAC from its name; host ports lead through from 127.0.0.1."""
    network = a_network("bridge", versions, mtu=1400)
    plan = node_plan([network], FACTS)
    (bridge,) = those(Link, plan)
    assert bridge == Link(
        at="node",
        name="br0",
        kind="bridge",
        mac=bridge_mac("br0"),
        mtu=1400,
        group=GROUP_PODS,
        alias="podnet:network:podnet",
        ipv6_autoconf=False,
        route_localnet=4 in versions,
    )
    assert [(a.dev, a.address, a.prefixlen, a.prefix_route) for a in those(Address, plan)] == [
        ("br0", ranges[0].gateway, ranges[0].subnet.prefixlen, False) for ranges in network.ranges
    ]
    names = {s.name: s.value for s in those(Sysctl, plan)}
    assert names.get("net/ipv6/conf/br0/disable_ipv6") == ("0" if 6 in versions else None)
    assert names.get("net/ipv4/conf/br0/rp_filter") == ("2" if 4 in versions else None)


def test_the_mtu_is_the_nodes_where_the_network_names_none() -> None:
    """A network's own MTU comes first."""
    for own, expected in ((0, 8950), (1300, 1300)):
        plan = node_plan([a_network("bridge", mtu=own)], msgspec.structs.replace(FACTS, mtu=8950))
        assert [link.mtu for link in those(Link, plan)] == [expected]


def test_each_subnet_has_one_gateway_and_one_end() -> None:
    """Two ranges of one subnet share its gateway; several ranges in a set have a gateway each."""
    network = with_subnets("n", "10.1.0.0/24 10.2.0.0/24 10.1.0.0/24", "10.3.0.0/24", datapath="bridge")
    plan = node_plan([network], FACTS)
    assert [str(a.address) for a in those(Address, plan)] == ["10.1.0.1", "10.2.0.1", "10.3.0.1"]
    assert [str(r.dst) for r in those(Route, plan)] == ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]


def test_ranges_of_one_subnet_may_have_gateways_of_their_own() -> None:
    """Every gateway that a pod may be told is the bridge's, once, though two subnets overlap in it."""
    ranges = [a_range(subnet) for subnet in ("10.1.0.0/24", "10.1.0.0/24", "10.1.0.0/16")]
    ranges[1] = msgspec.structs.replace(ranges[1], gateway=ranges[1].last)
    plan = node_plan([Network(name="n", datapath="bridge", ranges=(tuple(ranges),))], FACTS)
    assert [f"{a.address}/{a.prefixlen}" for a in those(Address, plan)] == ["10.1.0.1/24", "10.1.0.254/24"]


def test_two_bridges_stand_side_by_side() -> None:
    """Networks on bridges of their own have both, each with its own gateway and MAC."""
    networks = [
        with_subnets("one", "10.1.0.0/24", datapath="bridge", bridge="br1"),
        with_subnets("two", "10.2.0.0/24", datapath="bridge", bridge="br2"),
        with_subnets("three", "10.3.0.0/24"),
    ]
    plan = node_plan(networks, FACTS)
    assert [link.name for link in those(Link, plan)] == ["br1", "br2"]
    assert len({link.mac for link in those(Link, plan)}) == 2
    assert [(a.dev, str(a.address)) for a in those(Address, plan)] == [("br1", "10.1.0.1"), ("br2", "10.2.0.1")]


def test_networks_that_share_a_bridge_have_their_gateways_there() -> None:
    """One bridge, whose MAC is no network's; every gateway, the families of all, the widest MTU."""
    networks = [
        with_subnets("one", "10.1.0.0/24", datapath="bridge"),
        with_subnets("two", "10.2.0.0/24", "fd00:2::/64", datapath="bridge", mtu=1600),
    ]
    plan = node_plan(networks, FACTS)
    (bridge,) = those(Link, plan)
    assert (bridge.mtu, bridge.mac, bridge.alias) == (1600, bridge_mac("br0"), "podnet:network:one")
    assert [str(a.address) for a in those(Address, plan)] == ["10.1.0.1", "10.2.0.1", "fd00:2::1"]
    assert "net/ipv6/conf/br0/disable_ipv6" in {s.name for s in those(Sysctl, plan)}


SUBNETS = st.sampled_from(["10.1.0.0/24", "10.1.0.0/16", "10.2.0.0/24", "fd00:1::/64", "fd00:2::/64"])
NETWORKS = st.lists(
    st.builds(
        lambda name, subnets, fields: with_subnets(name, *subnets, **fields),
        st.sampled_from(["one", "two"]),
        st.lists(SUBNETS, max_size=3, unique=True),
        st.fixed_dictionaries(
            {
                "datapath": st.sampled_from(["ptp", "bridge"]),
                "bridge": st.sampled_from(["br0", "br1"]),
                "mtu": st.sampled_from([0, 1400, 9000]),
                "masquerade": st.booleans(),
                "non_masquerade": st.lists(SUBNETS.map(ip_network), max_size=2).map(tuple),
            }
        ),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(networks=NETWORKS)
def test_no_object_stands_twice_and_none_before_what_it_needs(networks: list[Network]) -> None:
    """Whatever networks a node has, also two shapes of one: each object once, links and sysctls before addresses."""
    plan = node_plan(networks, FACTS)
    keys = [key_of(thing) for thing in plan.objects()]
    assert len(keys) == len(set(keys))
    made: set[str] = set()
    for thing in plan.objects():
        if isinstance(thing, Link):
            made.add(thing.name)
        elif isinstance(thing, Address):
            assert thing.dev in made
            if thing.address.version == 6:
                assert f"net/ipv6/conf/{thing.dev}/disable_ipv6" in made
        elif isinstance(thing, Sysctl):
            made.add(thing.name)
        elif isinstance(thing, Element):
            assert thing.set.name in made
        elif isinstance(thing, Set):
            made.add(thing.name)


@settings(max_examples=40, deadline=None)
@given(networks=NETWORKS)
def test_an_address_that_no_pod_has_ends_here(networks: list[Network]) -> None:
    """Every subnet is unreachable, once, behind any route that somebody else may have to it."""
    found = those(Route, node_plan(networks, FACTS))
    assert {route.dst for route in found} == {subnet for network in networks for subnet in network.subnets}
    assert {(r.type, r.protocol, r.dev, r.metric > 0xFF000000) for r in found} <= {("unreachable", PROTOCOL, "", True)}
