"""VXLAN: the device, what each other node is there, and which of them goes which way."""

from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet import mesh
from podnet.model import Backend, Node, NodeFacts, Tunnel
from podnet.plan import (
    GROUP_MESH,
    PROTOCOL,
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Plan,
    Route,
    Step,
    Sysctl,
    Vxlan,
    explain,
    key_of,
)
from podnet.testing.values import FACTS

ON_LAN = msgspec.structs.replace(FACTS, subnets=(ip_network("10.99.0.0/24"), ip_network("fd99::/64")))
TUNNEL = Tunnel(vni=7, port=8472)


def a_node(number: int, versions: tuple[int, ...] = (4, 6), lan: int = 0) -> Node:
    """Return node `number`, with pods of both families and addresses of `versions` on one of the LANs."""
    addresses = {4: ip_address(f"10.99.{lan}.{number + 10}"), 6: ip_address(f"fd99:0:0:{lan}::{number + 10}")}
    cidrs = (ip_network(f"10.244.{number}.0/24"), ip_network(f"fd00:10:244:{number}::/64"))
    return Node(f"n{number}", tuple(addresses[version] for version in versions), cidrs)


def things(backend: Backend, *nodes: Node, facts: NodeFacts = ON_LAN) -> list[Object]:
    """Return what n1 has for the way to `nodes`, but for the table that guards it."""
    steps = mesh.between((a_node(1), *nodes), facts, backend, TUNNEL).plan.steps
    return [step.object for step in steps if hasattr(step.object, "at")]


def test_the_whole_of_it_for_one_other_node() -> None:
    """A device with this node's ends, then the other's: neighbours, one forwarding entry, a route per CIDR."""
    mac, other = mesh.vtep_mac("n1"), mesh.vtep_mac("n2")
    link_local = mesh.vtep_link_local("n2")
    assert things("vxlan", a_node(2, lan=1)) == [
        Link(
            at="node",
            name="podnet-vx4",
            kind="vxlan",
            mac=mac,
            mtu=1450,
            group=GROUP_MESH,
            alias="podnet:mesh:vxlan",
            ipv6_autoconf=False,
            vxlan=Vxlan(vni=7, local=ip_address("10.99.0.11"), port=8472, dev="up0"),
        ),
        Sysctl(at="node", name="net/ipv6/conf/podnet-vx4/disable_ipv6", value="0"),
        Address(at="node", dev="podnet-vx4", address=ip_address("10.244.1.0"), prefixlen=32),
        Address(at="node", dev="podnet-vx4", address=ip_address("fd00:10:244:1::"), prefixlen=128),
        Neighbour(at="node", dev="podnet-vx4", address=ip_address("10.244.2.0"), mac=other),
        Neighbour(at="node", dev="podnet-vx4", address=link_local, mac=other),
        Fdb(at="node", dev="podnet-vx4", mac=other, dst=ip_address("10.99.1.12")),
        Route(
            at="node",
            dst=ip_network("10.244.2.0/24"),
            dev="podnet-vx4",
            via=ip_address("10.244.2.0"),
            onlink=True,
            src=ip_address("10.244.1.0"),
            protocol=PROTOCOL,
        ),
        Route(
            at="node",
            dst=ip_network("fd00:10:244:2::/64"),
            dev="podnet-vx4",
            via=link_local,
            onlink=True,
            src=ip_address("fd00:10:244:1::"),
            protocol=PROTOCOL,
        ),
    ]


def test_a_tunnels_end_is_a_unicast_mac_of_its_nodes_name() -> None:
    """Locally administered, the same for a name everywhere, another for another name, and its address follows."""
    macs = {mesh.vtep_mac(f"node-{number}") for number in range(2000)}
    assert len(macs) == 2000
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in macs)
    assert mesh.vtep_mac("n1") == mesh.vtep_mac("n1")
    assert mesh.vtep_link_local("n1") in ip_network("fe80::/64")


def test_names_of_devices_are_short_enough() -> None:
    """IFNAMSIZ leaves 15 characters."""
    assert all(len(name) <= 15 for name in mesh.DEVICES.values())


@pytest.mark.parametrize(
    ("mine", "theirs", "devices"),
    [
        ((4, 6), (4, 6), ["podnet-vx4"]),
        ((4,), (4, 6), ["podnet-vx4"]),
        ((6,), (4, 6), ["podnet-vx6"]),
        ((4, 6), (6,), ["podnet-vx6"]),
        ((4,), (6,), []),
        ((), (4, 6), []),
    ],
)
def test_the_outer_family_is_one_that_both_nodes_have(
    mine: tuple[int, ...], theirs: tuple[int, ...], devices: list[str]
) -> None:
    """IPv4 before IPv6; it carries pods of both.  Both nodes come to the same, so that they hear each other."""
    facts = msgspec.structs.replace(ON_LAN, addresses=a_node(1, mine).addresses)
    made = things("vxlan", a_node(2, theirs), facts=facts)
    assert [thing.name for thing in made if isinstance(thing, Link)] == devices
    assert len([thing for thing in made if isinstance(thing, Route)]) == 2 * len(devices)
    there = msgspec.structs.replace(ON_LAN, name="n2", addresses=a_node(2, theirs).addresses)
    back = mesh.between((a_node(1, mine), a_node(2, theirs)), there, "vxlan", TUNNEL).plan
    assert [s.object.name for s in back.steps if isinstance(s.object, Link)] == devices


def test_one_device_per_outer_family() -> None:
    """Where nodes differ there are two, each with its own MTU, and every node is in one of them."""
    made = things("vxlan", a_node(2), a_node(3, (6,)))
    assert [(t.name, t.mtu) for t in made if isinstance(t, Link)] == [("podnet-vx4", 1450), ("podnet-vx6", 1430)]
    assert [(t.dev, str(t.dst)) for t in made if isinstance(t, Fdb)] == [
        ("podnet-vx4", "10.99.0.12"),
        ("podnet-vx6", "fd99::13"),
    ]


def test_a_family_without_pods_here_has_no_way() -> None:
    """A node with IPv4 pods alone cannot be answered over IPv6, and one that is not listed by nobody."""
    own = msgspec.structs.replace(a_node(1), pod_cidrs=a_node(1).pod_cidrs[:1])
    plan = mesh.between((own, a_node(2)), ON_LAN, "vxlan", TUNNEL).plan
    assert [s.object.dst.version for s in plan.steps if isinstance(s.object, Route)] == [4]
    assert not any(isinstance(step.object, Sysctl) for step in plan.steps)
    assert mesh.between((a_node(2), a_node(3)), ON_LAN, "vxlan", TUNNEL).plan == Plan()
    assert not things("vxlan")


def test_a_node_that_is_reached_by_its_address_on_lo_has_no_uplink_to_name() -> None:
    """Without an uplink the routes say by which link the outer packets go."""
    link = things("vxlan", a_node(2), facts=msgspec.structs.replace(ON_LAN, uplink=""))[0]
    assert isinstance(link, Link)
    assert link.vxlan is not None
    assert link.vxlan.dev == ""
    assert "local 10.99.0.11 dstport" in explain(Plan((Step(link, ""),)))[0].command


def test_several_cidrs_of_a_node_are_one_tunnel() -> None:
    """Each has a route; the tunnel's end has the first one's address."""
    node = a_node(2)
    more = msgspec.structs.replace(node, pod_cidrs=(*node.pod_cidrs, ip_network("10.250.0.0/24")))
    made = things("vxlan", more)
    assert [str(t.via) for t in made if isinstance(t, Route) and t.dst.version == 4] == ["10.244.2.0", "10.244.2.0"]
    assert len([t for t in made if isinstance(t, Fdb)]) == 1


def test_direct_is_direct() -> None:
    """The backend that there was before: routes by nodes' addresses, wherever they are."""
    assert all(
        isinstance(thing, Route) and thing.dev == ON_LAN.uplink for thing in things("direct", a_node(2), a_node(3))
    )


def test_auto_is_direct_on_the_uplinks_subnets_and_a_tunnel_beyond() -> None:
    """Per pair of nodes and family; a device only where one is needed."""
    near, far = a_node(2), a_node(3, lan=1)
    assert things("auto", near) == things("direct", near)
    assert things("auto", far) == things("vxlan", far)
    both = things("auto", near, far)
    assert set(map(key_of, both)) == set(map(key_of, things("direct", near) + things("vxlan", far)))
    half = msgspec.structs.replace(ON_LAN, subnets=ON_LAN.subnets[:1])
    ways = {t.dst.version: t.dev for t in things("auto", near, facts=half) if isinstance(t, Route)}
    assert ways == {4: "up0", 6: "podnet-vx4"}


def test_auto_carries_ipv6_for_nodes_that_have_ipv4_alone() -> None:
    """Direct for IPv4; IPv6 pods cannot be reached directly, and are by the tunnel."""
    ways = {t.dst.version: t.dev for t in things("auto", a_node(2, (4,))) if isinstance(t, Route)}
    assert ways == {4: "up0", 6: "podnet-vx4"}


@pytest.mark.parametrize(
    ("backend", "versions", "expected"),
    [("direct", (4, 6), 0), ("vxlan", (4, 6), 50), ("auto", (4,), 50), ("auto", (6,), 70), ("vxlan", (6,), 70)],
)
def test_what_pods_links_are_narrower_by(backend: Backend, versions: tuple[int, ...], expected: int) -> None:
    """Nothing for direct; for auto the tunnel's headers whether there is one or not."""
    facts = msgspec.structs.replace(FACTS, addresses=a_node(1, versions).addresses)
    assert mesh.overhead(facts, backend) == expected


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(2, 9), unique=True, min_size=1), gone=st.data())
def test_a_node_that_goes_takes_what_is_its_own(numbers: list[int], gone: st.DataObject) -> None:
    """Without a node the plan is the same less five objects of that node's, whatever others there are."""
    nodes = [a_node(number, lan=number % 2) for number in numbers]
    leaves = gone.draw(st.sampled_from(nodes))
    all_of_them = things("vxlan", *nodes)
    rest = things("vxlan", *(node for node in nodes if node is not leaves))
    own = [thing for thing in all_of_them if thing not in rest]
    if len(nodes) > 1:
        assert [type(thing) for thing in own] == [Neighbour, Neighbour, Fdb, Route, Route]
        assert [thing for thing in all_of_them if thing in rest] == rest
    else:
        assert rest == []
