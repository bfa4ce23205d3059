"""A pod's attachment: what each end gets, in which order, and what DEL takes away at once."""

from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.datapath import attach, bridge_mac, cut, gateway_of, mtu_of, node_plan, pod_mac, pod_routes
from podnet.datapath.hardware import GATEWAY_MAC, link_local
from podnet.model import Network, PodAddress, PodRoute
from podnet.nft import Element
from podnet.plan import (
    GROUP_DOOMED,
    GROUP_PODS,
    PROTOCOL,
    Address,
    Link,
    Neighbour,
    Plan,
    Route,
    Sysctl,
    diff,
    key_of,
    state_of,
)
from podnet.testing.values import FACTS, ROUTES, a_lease, a_network

T = TypeVar("T")
BOTH = pytest.mark.parametrize("kind", ["ptp", "bridge"])
FAMILIES = pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["4", "6", "dual"])
SIGNPOSTS = {4: "169.254.1.1", 6: "fe80::1"}
GATEWAYS = {4: "10.244.1.1", 6: "fd00:10:244:1::1"}
PODS = {4: "10.244.1.2", 6: "fd00:10:244:1::2"}


def those(kind: type[T], plan: Plan, at: str = "") -> list[T]:
    """Return the objects of one type, at one place or any, in the plan's order."""
    return [o for o in plan.objects() if isinstance(o, kind) and at in {"", getattr(o, "at", "")}]


def elements(plan: Plan) -> list[tuple[str, str]]:
    """Return (set, key) of the elements."""
    return [(e.set.name, " ".join(map(str, e.key))) for e in those(Element, plan)]


@BOTH
@FAMILIES
def test_a_pods_address_may_come_from_its_link_only(kind: str, versions: tuple[int, ...]) -> None:
    """Per address: the link by which its packets come, that no other may send it, itself behind a service.

    An IPv6 pod has a link-local address too; on a bridge all of it again with the port and the MAC.
    """
    network = a_network(kind, versions)
    lease = a_lease(network)
    mac = pod_mac(lease)
    local = link_local(mac)
    link = "br0" if kind == "bridge" else lease.link
    expected = []
    for v in versions:
        expected += [(f"pods{v}", f"{link} {PODS[v]}"), (f"own{v}", PODS[v]), (f"hairpin{v}", f"{PODS[v]} {PODS[v]}")]
    if 6 in versions:
        expected.append(("pods6", f"{link} {local}"))
    if kind == "bridge":
        expected += [(f"ports{v}", f"{lease.link} {mac} {PODS[v]}") for v in versions]
        expected += [("ports6", f"{lease.link} {mac} {a}") for a in (local, "::") if 6 in versions]
    assert elements(attach(network, FACTS, lease)) == expected
    without = msgspec.structs.replace(network, hairpin=False)
    assert elements(attach(without, FACTS, lease)) == [e for e in expected if not e[0].startswith("hairpin")]


@BOTH
@FAMILIES
def test_the_hosts_end_is_ours_and_silent(kind: str, versions: tuple[int, ...]) -> None:
    """Group and alias say whose it is; on a bridge it is an isolated port; no address is made of its MAC."""
    network = a_network(kind, versions)
    lease = a_lease(network)
    (host,) = those(Link, attach(network, FACTS, lease), "node")
    assert (host.name, host.kind, host.peer, host.up) == (lease.link, "veth", "eth0", True)
    assert (host.group, host.alias, host.ipv6_autoconf) == (GROUP_PODS, "podnet:red:eth0", False)
    assert (host.master, host.isolated) == (("br0", True) if kind == "bridge" else ("", False))


@BOTH
@FAMILIES
def test_the_node_reaches_the_pod_by_its_own_link(kind: str, versions: tuple[int, ...]) -> None:
    """A host route with the node's address as source and a permanent neighbour, on a bridge's port too."""
    network = a_network(kind, versions)
    lease = a_lease(network)
    plan = attach(network, FACTS, lease)
    assert those(Route, plan, "node") == [
        Route(
            at="node",
            dst=ip_network(PODS[version]),
            dev=lease.link,
            src=FACTS.address(version),
            protocol=PROTOCOL,
        )
        for version in versions
    ]
    assert those(Neighbour, plan, "node") == [
        Neighbour(at="node", dev=lease.link, address=ip_address(PODS[v]), mac=pod_mac(lease)) for v in versions
    ]
    assert those(Address, plan, "node") == []


def test_a_node_without_an_address_leaves_the_source_open() -> None:
    """The kernel chooses the source where the node has no address of the family."""
    network = a_network("ptp", (4, 6))
    facts = msgspec.structs.replace(FACTS, addresses=FACTS.addresses[:1])
    found = those(Route, attach(network, facts, a_lease(network)), "node")
    assert [route.src for route in found] == [FACTS.addresses[0], None]


@BOTH
@FAMILIES
def test_the_pods_addresses(kind: str, versions: tuple[int, ...]) -> None:
    """Alone on ptp, with the subnet's length but no route into it on a bridge; link-local where there is IPv6."""
    network = a_network(kind, versions)
    lease = a_lease(network)
    found = those(Address, attach(network, FACTS, lease), "pod")
    lengths = {4: 24, 6: 64} if kind == "bridge" else {4: 32, 6: 128}
    expected = [
        Address(at="pod", dev="eth0", address=ip_address(PODS[v]), prefixlen=lengths[v], prefix_route=kind == "ptp")
        for v in versions
    ]
    local = Address(at="pod", dev="eth0", address=link_local(pod_mac(lease)), prefixlen=64)
    assert found == [*expected, *([local] if 6 in versions else [])]


@BOTH
@FAMILIES
def test_the_pods_way_out(kind: str, versions: tuple[int, ...]) -> None:
    """A default route per family by a gateway whose MAC is known: the bridge's, or the signpost every ptp pod has."""
    network = a_network(kind, versions)
    lease = a_lease(network)
    plan = attach(network, FACTS, lease)
    gateways = GATEWAYS if kind == "bridge" else SIGNPOSTS
    mac = bridge_mac("br0") if kind == "bridge" else GATEWAY_MAC
    assert [(str(r.dst), str(r.via), r.dev, r.onlink) for r in those(Route, plan, "pod")] == [
        ({4: "0.0.0.0/0", 6: "::/0"}[v], gateways[v], "eth0", True) for v in versions
    ]
    assert those(Neighbour, plan, "pod") == [
        Neighbour(at="pod", dev="eth0", address=ip_address(gateways[v]), mac=mac) for v in versions
    ]
    assert [str(gateway_of(network, leased)) for leased in lease.addresses] == [gateways[v] for v in versions]


@BOTH
@FAMILIES
def test_the_gateways_mac_is_the_hosts(kind: str, versions: tuple[int, ...]) -> None:
    """The MAC that the pod knows is that of the link which answers: the host's end, or the node's bridge."""
    network = a_network(kind, versions)
    plan = attach(network, FACTS, a_lease(network))
    answering = those(Link, node_plan([network], FACTS)) or those(Link, plan, "node")
    assert [{n.mac for n in those(Neighbour, plan, "pod")}] == [{link.mac} for link in answering]


@BOTH
@pytest.mark.parametrize(("own", "nodes", "expected"), [(0, 1500, 1500), (0, 8950, 8950), (1280, 8950, 1280)])
def test_both_ends_have_the_networks_mtu_or_the_nodes(kind: str, own: int, nodes: int, expected: int) -> None:
    """A network's own MTU, else the node's; `lo` is left alone."""
    network, facts = a_network(kind, mtu=own), msgspec.structs.replace(FACTS, mtu=nodes)
    plan = attach(network, facts, a_lease(network))
    assert {link.name: link.mtu for link in those(Link, plan)} == {
        "lo": 0,
        "eth0": expected,
        a_lease(network).link: expected,
    }
    assert mtu_of(network, facts) == expected


@BOTH
def test_links_leave_room_for_the_way_to_other_nodes_and_say_so(kind: str) -> None:
    """The uplink's MTU less the overhead, with the reason; an MTU of the network's own is kept, and needs none."""
    network = a_network(kind, overhead=50)
    for plan in (attach(network, FACTS, a_lease(network)), node_plan([network], FACTS)):
        links = [step for step in plan.steps if isinstance(step.object, Link) and step.object.name != "lo"]
        assert {link.object.mtu for link in links if isinstance(link.object, Link)} <= {1450}
        assert all("MTU 1450: up0's 1500 less 50" in link.reason for link in links if link.object.at == "node")  # type: ignore[union-attr] # links
    own = attach(a_network(kind, overhead=50, mtu=1500), FACTS, a_lease(network))
    assert {link.mtu for link in those(Link, own)} == {0, 1500}
    assert not any("MTU" in step.reason for step in own.steps)


@FAMILIES
def test_ipv6_is_enabled_where_there_is_such_an_address(versions: tuple[int, ...]) -> None:
    """disable_ipv6 off and accept_ra off on the pod's link, nothing for a pod of IPv4 alone."""
    network = a_network("ptp", versions)
    found = {s.name: s.value for s in those(Sysctl, attach(network, FACTS, a_lease(network)), "pod")}
    wanted = {"net/ipv6/conf/eth0/disable_ipv6": "0", "net/ipv6/conf/eth0/accept_ra": "0"}
    assert found == (wanted if 6 in versions else {})


WITH_GATEWAY = (PodRoute(ip_network("10.0.0.0/8"), ip_address("10.244.1.9")), PodRoute(ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("kind", "versions", "routes", "expected"),
    [
        ("bridge", (4,), ROUTES, ["10.0.0.0/8 10.244.1.1"]),
        ("bridge", (4, 6), ROUTES, ["10.0.0.0/8 10.244.1.1", "fd00::/8 fd00:10:244:1::1"]),
        ("bridge", (4, 6), WITH_GATEWAY, ["10.0.0.0/8 10.244.1.9", "fd00::/8 fd00:10:244:1::1"]),
        ("bridge", (4,), (*WITH_GATEWAY, *ROUTES), ["10.0.0.0/8 10.244.1.9"]),
        ("ptp", (4,), ROUTES, ["10.0.0.0/8 169.254.1.1"]),
        ("ptp", (4, 6), WITH_GATEWAY, ["10.0.0.0/8 169.254.1.1", "fd00::/8 fe80::1"]),
        (
            "bridge",
            (4,),
            (PodRoute(ip_network("192.168.0.0/16")),),
            ["192.168.0.0/16 10.244.1.1", "10.244.1.0/24 10.244.1.1"],
        ),
        (
            "ptp",
            (4, 6),
            (PodRoute(ip_network("192.168.0.0/16")), PodRoute(ip_network("::/0"))),
            ["192.168.0.0/16 169.254.1.1", "::/0 fe80::1", "10.244.1.0/24 169.254.1.1"],
        ),
    ],
)
def test_routes_of_the_configuration(
    kind: str, versions: tuple[int, ...], routes: tuple[PodRoute, ...], expected: list[str]
) -> None:
    """A gateway counts on a bridge only; a destination's first route is it; the own subnet is never without one."""
    network = a_network(kind, versions, routes=routes)
    plan = attach(network, FACTS, a_lease(network))
    assert [f"{r.dst} {r.via}" for r in those(Route, plan, "pod")] == expected
    told = [f"{dst} {via}" for dst, via in pod_routes(network, a_lease(network))]
    assert told == expected[: len(told)]


def test_two_addresses_of_one_family_share_a_gateway() -> None:
    """Several range sets of a family: an address each, one default route, by the first's gateway."""
    network = a_network("bridge", (4, 4))
    first = a_lease(network).addresses[0]
    second = PodAddress(ip_address("10.9.0.2"), 16, ip_address("10.9.0.1"))
    lease = msgspec.structs.replace(a_lease(network), addresses=(first, second))
    plan = attach(network, FACTS, lease)
    assert [str(a.address) for a in those(Address, plan, "pod")] == ["10.244.1.2", "10.9.0.2"]
    assert [f"{r.dst} {r.via}" for r in those(Route, plan, "pod")] == ["0.0.0.0/0 10.244.1.1"]
    assert [str(n.address) for n in those(Neighbour, plan, "pod")] == ["10.244.1.1", "10.9.0.1"]
    assert len({n.mac for n in those(Neighbour, plan, "pod")}) == 1


NETWORKS = st.builds(
    a_network,
    datapath=st.sampled_from(["ptp", "bridge"]),
    versions=st.sampled_from([(4,), (6,), (4, 6), (6, 4)]),
    mtu=st.sampled_from([0, 1400]),
    masquerade=st.booleans(),
    hairpin=st.booleans(),
    routes=st.sampled_from([(), ROUTES, ROUTES[:1], WITH_GATEWAY]),
)


@settings(max_examples=60, deadline=None)
@given(network=NETWORKS)
def test_the_order_that_the_kernel_needs(network: Network) -> None:
    """Elements before links, sysctls before addresses, a link before all that is on it, addresses before routes."""
    lease = a_lease(network)
    plan = attach(network, FACTS, lease)
    places = {key_of(thing): number for number, thing in enumerate(plan.objects())}
    assert len(places) == len(plan.steps)

    def of(kind: type[Any], at: str = "") -> list[int]:
        return [places[key_of(thing)] for thing in those(kind, plan, at)]

    assert max(of(Element)) < min(of(Link))
    assert max(of(Sysctl), default=-1) < min(of(Address))
    assert max(of(Address, "pod")) < min(of(Route, "pod"))
    links = {(link.at, link.name): (places[link.key], link.up) for link in those(Link, plan)}
    for thing in plan.objects():
        if not isinstance(thing, Address | Route | Neighbour):
            continue
        number, up = links[thing.at, thing.dev]
        assert up
        assert number < places[thing.key]
    host, pod = (number for (_, name), (number, _) in links.items() if name != "lo")
    assert host < pod, "the pod's end is born with the host's"


@settings(max_examples=40, deadline=None)
@given(network=NETWORKS)
def test_a_cut_deletes_the_elements_and_dooms_the_link(network: Network) -> None:
    """Exactly the elements of the attachment go; the link is down and in the group that is deleted as one."""
    lease = a_lease(network)
    steps = cut(network, lease).steps
    assert [s.object for s in steps if s.verb == "delete"] == those(Element, attach(network, FACTS, lease))
    (doomed,) = [s for s in steps if s.verb != "delete"]
    assert doomed.verb == "set"
    assert doomed.object == Link(at="node", name=lease.link, group=GROUP_DOOMED, up=False)


@settings(max_examples=40, deadline=None)
@given(network=NETWORKS)
def test_pods_of_one_node_share_nothing_that_a_cut_takes(network: Network) -> None:
    """Two attachments have no object of the node in common, so one's end leaves the other's whole."""
    red, blue = a_lease(network, "red", 2), a_lease(network, "blue", 3)
    plans = [attach(network, FACTS, lease) for lease in (red, blue)]
    mine, theirs = ({key_of(o) for o in plan.objects() if getattr(o, "at", "node") == "node"} for plan in plans)
    assert not mine & theirs
    assert not {key_of(step.object) for step in cut(network, red).steps} & theirs
    assert not diff(state_of(plans[1].objects()), plans[1])
