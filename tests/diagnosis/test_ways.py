"""The ways to other nodes: uplink, widths, ports, and who else claims addresses."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random

import pytest

from podnet.diagnosis import overlap, path_mtu, tunnel_port, uplink
from podnet.diagnosis.overlap import Beside, Pods
from podnet.diagnosis.path_mtu import Outcome, Probe, width
from podnet.diagnosis.tunnel_port import Device, Listener
from podnet.diagnosis.uplink import Reached, State
from podnet.model import NodeFacts
from tests.diagnosis.values import FACTS, node

NODES = (node("n1", 1), node("n2", 2), node("n3", 3, cidr="fd00:3::/64"))
UP = {"eth0": State(up=True, carrier=True)}
HERE = (ip_address("192.0.2.1"),)
THERE = ip_address("192.0.2.2")


def subnet(dst: str) -> Beside:
    """Return the subnet of eth1."""
    return Beside(ip_network(dst), "eth1")


def route(dst: str, via: str, kind: str = "") -> Beside:
    """Return a route by a gateway."""
    return Beside(ip_network(dst), "eth1", ip_address(via), kind)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((), []),
        ((subnet("10.245.0.0/16"), subnet("fd00:4::/64")), []),
        ((subnet("10.244.0.0/16"),), ["broken"]),
        ((subnet("10.244.2.64/26"),), ["broken"]),
        ((subnet("fd00:3::/48"),), ["broken"]),
        ((route("10.244.2.0/25", "192.0.2.99"),), ["broken"]),
        ((route("10.244.2.0/24", "192.0.2.99"),), ["broken"]),
        ((route("10.244.2.0/24", "192.0.2.2"),), []),
        ((route("10.0.0.0/8", "192.0.2.99"),), ["note"]),
        ((Beside(ip_network("10.244.2.0/25"), "", None, "blackhole"),), ["broken"]),
    ],
)
def test_routes_into_pods_addresses(routes: Sequence[Beside], expected: list[str]) -> None:
    """A subnet in any case; a gateway's where it is at least as narrow, and not the node's own; else what is beyond."""
    assert [finding.severity for finding in overlap(NODES, (), routes)] == expected


def test_a_route_in_the_way_is_deleted_as_it_is_written() -> None:
    """With its kind, gateway and link."""
    (found,) = overlap(NODES, (), [route("10.244.2.0/25", "192.0.2.99")])
    assert found.remedy.startswith("ip route del 10.244.2.0/25 via 192.0.2.99 dev eth1,")
    (found,) = overlap(NODES, (), [Beside(ip_network("10.244.2.0/25"), "", None, "blackhole")])
    assert found.remedy.startswith("ip route del blackhole 10.244.2.0/25,")


@pytest.mark.parametrize(
    ("services", "said"),
    [("10.96.0.1", []), ("10.244.2.1", ["node n2's pods"]), ("10.98.0.1", ["the subnet of eth1"]), ("fd00:9::1", [])],
)
def test_services(services: str, said: list[str]) -> None:
    """Among pods, and among the nodes' own."""
    found = list(overlap(NODES, (), [subnet("10.98.0.0/16")], ip_address(services)))
    assert [part in finding.what for part, finding in zip(said, found, strict=True)] == [True] * len(said)


def test_name_servers_and_the_nodes_subnet_in_the_cluster() -> None:
    """One that is a pod's address is not reached; a LAN within cluster-cidrs is worth a note."""
    (found,) = overlap(NODES, (), (), None, [ip_address("10.244.1.10"), ip_address("9.9.9.9")])
    assert (found.severity, "10.244.1.10" in found.what) == ("broken", True)
    (found,) = overlap(NODES, [ip_network("10.0.0.0/8"), ip_network("fd00::/8")], [subnet("10.1.0.0/16")])
    assert found.severity == "note"


def test_overlaps_among_thousands_are_as_ipaddress_has_them() -> None:
    """By interval, compared with asking each: networks drawn around two thousand nodes' CIDRs."""
    draw = Random(7)  # noqa: S311 - a test's
    nodes = [node(f"n{n}", 1, cidr=f"10.{n >> 8}.{n & 255}.0/{draw.choice((24, 25, 28))}") for n in range(2000)]
    pods = Pods(nodes)
    for _ in range(200):
        length = draw.randrange(8, 33)
        other = ip_network((draw.randrange(10 << 24, (10 << 24) + (10 << 16)), length), strict=False)
        slow = [each.pod_cidrs[0] for each in nodes if each.pod_cidrs[0].overlaps(other)]
        assert [claim.cidr for claim in pods.in_way(other)] == slow


@pytest.mark.parametrize(
    ("outcome", "mtu", "severity", "remedy"),
    [
        ("whole", 1500, None, ""),
        ("vanished", 1400, "broken", "`mtu: 1350`"),
        ("vanished", 0, "broken", "ip link set"),
        ("narrower", 1420, "note", "`mtu: 1370`"),
        ("silent", 0, "note", "ping 192.0.2.2"),
    ],
)
def test_path_mtu(outcome: Outcome, mtu: int, severity: str | None, remedy: str) -> None:
    """What pods get is less by what goes around their packets."""
    probe = Probe("n2", THERE, 1500, outcome, mtu)
    found = list(path_mtu([probe], 50, 33434))
    assert [finding.severity for finding in found] == [severity] * (severity is not None)
    assert all(remedy in finding.remedy for finding in found)


def test_nodes_that_do_not_answer_are_one_note() -> None:
    """The first are named, the others counted."""
    (found,) = path_mtu([Probe(f"n{n}", THERE, 1500, "silent") for n in range(9)], 0, 33434)
    assert "n3 and 5 more" in found.what


@pytest.mark.parametrize(("mtu", "said"), [(1450, []), (1451, ["write `mtu: 0` into podnet.yaml, or `mtu: 1450`"])])
def test_pods_wider_than_their_way(mtu: int, said: list[str]) -> None:
    """By a byte."""
    assert [finding.remedy for finding in width(mtu, 50, "eth0", 1500)] == said


@pytest.mark.parametrize(
    ("facts", "links", "reached", "said"),
    [
        (FACTS, UP, [Reached("n2", THERE, "eth0")], []),
        (FACTS, UP, [], []),
        (FACTS, {"eth0": State(up=False, carrier=False)}, [], ["ip link set eth0 up"]),
        (FACTS, {"eth0": State(up=True, carrier=False)}, [], ["see to its cable or its peer"]),
        (FACTS, UP, [Reached("n2", THERE, "eth1"), Reached("n3", THERE, "eth1")], ["write `uplink: eth1`"]),
        (FACTS, UP, [Reached("n2", THERE, "")], ["ip route add 192.0.2.2"]),
        (NodeFacts(name="n1", boot_id="", addresses=HERE), UP, [Reached("n2", THERE, "")], ["write `uplink: LINK`"]),
        (NodeFacts(name="n1", boot_id="", addresses=HERE), UP, [], []),
    ],
)
def test_the_uplink(facts: NodeFacts, links: dict[str, State], reached: list[Reached], said: list[str]) -> None:
    """Its state, and whether other nodes are reached by it; a node that is alone needs none."""
    found = list(uplink(facts, NODES[0], links, HERE, reached, configured=False))
    assert len(found) == len(said)
    assert all(finding.remedy.startswith(part) for finding, part in zip(found, said, strict=True))


@pytest.mark.parametrize(("here", "count"), [((), 1), (HERE, 0)])
def test_an_address_that_no_link_has(here: tuple[IPv4Address | IPv6Address, ...], count: int) -> None:
    """Others send to it in vain."""
    found = list(uplink(FACTS, NODES[0], UP, here, [], configured=True))
    assert len(found) == count
    assert list(uplink(FACTS, None, UP, here, [], configured=True)) == []


OURS = Device("podnet-vx4", "vxlan", 4789, up=True, own=True, vni=28782)
DOWN = Device("podnet-vx4", "vxlan", 4789, up=False, own=True, vni=28782)
FLANNEL = Device("flannel.1", "vxlan", 4789, up=True, own=False, vni=1)
TWIN = Device("other", "vxlan", 4789, up=False, own=False, vni=28782)
ELSEWHERE = Device("vxlan.calico", "vxlan", 8472, up=True, own=False, vni=28782)
HELD = Listener("192.0.2.1", 4789, "openvswitch (process 9)")


@pytest.mark.parametrize(
    ("devices", "listeners", "said"),
    [
        ([], [], []),
        ([OURS], [HELD], []),
        ([OURS, FLANNEL], [HELD], []),
        ([OURS, ELSEWHERE], [HELD], []),
        ([DOWN], [HELD], ["openvswitch (process 9)"]),
        ([], [HELD], ["openvswitch (process 9)"]),
        ([], [Listener("::", 4789, "")], ["no process that is seen"]),
        ([], [Listener("::", 4790, "x")], []),
        ([DOWN, FLANNEL], [HELD], ["flannel.1's, another's device"]),
        ([DOWN, TWIN], [], ["other, which is not podnet's"]),
        ([TWIN], [HELD], ["other, which is not podnet's"]),
    ],
)
def test_the_port_of_a_tunnel(devices: list[Device], listeners: list[Listener], said: list[str]) -> None:
    """Podnet's device that is up has it; else a device is named before the socket, which is the device's."""
    found = list(tunnel_port("vxlan", 4789, 28782, devices, listeners))
    assert [part in finding.what for part, finding in zip(said, found, strict=True)] == [True] * len(said)
