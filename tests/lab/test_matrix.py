"""What the matrix asks and expects, for every role of source and target."""

from collections.abc import Callable
from ipaddress import ip_address
from itertools import product

import msgspec
import pytest

from podnet.lab.matrix import Kind, Probe, Through, expected, look_at, service_probes, service_rules, services
from podnet.lab.topology import OUTSIDE_MTU, UPLINK_MTU, Endpoint, Topology, topology
from podnet.model import Backend

Ends = Callable[[Topology], tuple[Endpoint, ...]]


@pytest.fixture
def lab() -> Topology:
    """Give two nodes with two pods each, both families."""
    return topology(nodes=2, pods=2, families=(4, 6))


@pytest.fixture
def ends(lab: Topology, ends_of: Ends) -> tuple[Endpoint, ...]:
    """Give its endpoints."""
    return ends_of(lab)


@pytest.fixture
def probes(lab: Topology, ends: tuple[Endpoint, ...]) -> list[Probe]:
    """Give what its matrix asks."""
    return expected(ends, lab.families, lab.pod_mtu)


def test_everything_that_is_to_reach_is_asked_once(ends: tuple[Endpoint, ...], probes: list[Probe]) -> None:
    """Every source, target, family and kind is asked exactly once, but for what is not to reach."""
    asked = [(p.source, p.target, p.version, p.kind) for p in probes]
    assert len(set(asked)) == len(asked)
    wanted = set()
    for source, target, version, kind in product(ends, ends, (4, 6), Kind):
        itself = source.name == target.name
        if source.role == "outside" and target.role == "pod":
            continue  # the outside has no route to pods
        if itself and (source.role != "pod" or kind in {Kind.FULL, Kind.TOO_BIG}):
            continue  # a pod reaches itself by lo, whose MTU is no path's
        wanted.add((source.name, target.name, version, kind))
    assert set(asked) == wanted


def test_probes_go_to_the_target_and_sizes_are_those_of_the_path(
    ends: tuple[Endpoint, ...], probes: list[Probe]
) -> None:
    """The full packet is the path's MTU and the other one byte more; the outside's link is the narrow one."""
    by_name = {end.name: end for end in ends}
    for probe in probes:
        source, target = by_name[probe.source], by_name[probe.target]
        assert probe.to == target.address(probe.version)
        narrow = OUTSIDE_MTU if "outside" in {source.role, target.role} else UPLINK_MTU
        assert probe.size == {Kind.FULL: narrow, Kind.TOO_BIG: narrow + 1}.get(probe.kind, 0)
        if probe.kind is Kind.TOO_BIG:
            assert probe.mtu == narrow
            assert probe.by_router is (target.role == "outside"), "a router tells whose own link is wide enough"


def test_a_pod_keeps_its_address_within_the_cluster_alone(ends: tuple[Endpoint, ...], probes: list[Probe]) -> None:
    """Pods and nodes see a pod's own address, the outside its node's; a node's choice towards its own pods is free."""
    by_name = {end.name: end for end in ends}
    for probe in probes:
        if probe.kind is Kind.TOO_BIG:
            continue
        source, target = by_name[probe.source], by_name[probe.target]
        if source.role == "node" and target.role == "pod" and source.name == target.node:
            assert probe.seen == ()
        elif source.role == "pod" and target.role == "outside":
            assert probe.seen == (by_name[source.node].address(probe.version),)
        else:
            assert probe.seen == (source.address(probe.version),)


def test_a_smaller_pod_mtu_is_the_path_between_pods(ends: tuple[Endpoint, ...]) -> None:
    """Where a backend takes bytes, pods are told by their own link; from a node with a larger one, by a router."""
    sized = {(p.source, p.target): p for p in expected(ends, (4,), 1450) if p.kind is Kind.TOO_BIG}
    assert (sized["n1-red", "n2-red"].mtu, sized["n1-red", "n2-red"].by_router) == (1450, False)
    assert (sized["n1", "n2"].mtu, sized["n1", "n2"].by_router) == (1500, False)
    assert (sized["n1-red", "outside"].mtu, sized["n1-red", "outside"].by_router) == (1400, True)


def sized_and_seen(backend: Backend, ends_of: Ends) -> dict[tuple[str, str], tuple[int, bool, str]]:
    """Return the MTU by which a packet is too big, whether a router tells, and who is seen, in a lab of three nodes."""
    lab = topology(nodes=3, pods=1, backend=backend)
    probes = expected(ends_of(lab), (4,), lab.pod_mtu)
    seen_ = {(p.source, p.target): str(p.seen[0]) if p.seen else "" for p in probes if p.kind is Kind.TCP}
    big = [p for p in probes if p.kind is Kind.TOO_BIG]
    return {(p.source, p.target): (p.mtu, p.by_router, seen_[p.source, p.target]) for p in big}


def test_what_a_tunnel_changes(ends_of: Ends) -> None:
    """Pods see a node as its tunnel's end, nodes see a pod as its node, and the tunnel tells what is too big."""
    found = sized_and_seen("vxlan", ends_of)
    assert found["n1-red", "n2-red"] == (1450, False, "10.244.1.2")
    assert found["n1", "n2-red"] == (1450, False, "10.244.1.0")
    assert found["n1-red", "n2"] == (1450, False, "10.99.0.11")
    assert found["n1-red", "n1"] == (1450, False, "10.244.1.2")
    assert found["n1", "n1-red"] == (1450, False, "")
    assert found["n1", "n2"] == (1500, False, "10.99.0.11")
    assert found["n1-red", "outside"] == (1400, True, "10.99.0.11")
    assert found["outside", "n2"] == (1400, False, "198.51.100.10")


def test_within_a_subnet_auto_is_direct(ends_of: Ends) -> None:
    """Between n1 and n3 everybody has their own address, and the other node tells what its pods' links do not take."""
    found = sized_and_seen("auto", ends_of)
    assert found["n1-red", "n3-red"] == (1450, False, "10.244.1.2")
    assert found["n1", "n3-red"] == (1450, True, "10.99.0.11")
    assert found["n1-red", "n3"] == (1450, False, "10.244.1.2")
    tunnelled = sized_and_seen("vxlan", ends_of)
    assert {pair: what for pair, what in found.items() if "n2" in "".join(pair)} == {
        pair: what for pair, what in tunnelled.items() if "n2" in "".join(pair)
    }


def test_a_pod_without_an_address_is_still_asked_for(lab: Topology, ends: tuple[Endpoint, ...]) -> None:
    """A pod that got no IPv6 address in a dual-stack lab keeps its cells, which then fail."""
    lame = (msgspec.structs.replace(ends[0], addresses=ends[0].addresses[:1]), *ends[1:])
    towards = [p for p in expected(lame, lab.families, 1500) if p.target == "n1-red" and p.version == 6]
    assert towards
    assert all(p.to is None for p in towards)
    assert "lab status" in look_at(towards[0], lame)


def test_services_are_asked_from_the_same_node(lab: Topology, ends: tuple[Endpoint, ...]) -> None:
    """Each pod has a service per family; each pod of its node asks it by TCP and UDP, it itself too (hairpin)."""
    offered = services(ends, lab.families)
    assert len(offered) == 4 * 2
    assert len({(s.node, s.address) for s in offered}) == len(offered)
    asked = service_probes(ends, offered)
    assert len(asked) == len(offered) * 2 * 2
    by_name = {end.name: end for end in ends}
    for probe in asked:
        assert by_name[probe.source].node == by_name[probe.target].node
        assert probe.to not in {a for end in ends for a in end.addresses}
        hairpin = probe.source == probe.target
        assert probe.through is (Through.HAIRPIN if hairpin else Through.DNAT)
        own = by_name[probe.source].address(probe.version)
        assert probe.seen == (() if hairpin else (own,))


def test_the_rules_name_each_service_of_their_node(ends: tuple[Endpoint, ...]) -> None:
    """A node's script translates its own pods' services there and back, and no other node's."""
    script = service_rules("n1", services(ends, (4, 6)))
    assert "ip daddr 10.96.0.10 dnat ip to 10.244.1.2" in script
    assert "ip6 daddr fd00:10:96::b dnat ip6 to fd00:10:244:1::3" in script
    assert "ip saddr 10.244.1.2 ip daddr 10.244.1.2 masquerade" in script
    assert "10.244.2." not in script


@pytest.mark.parametrize(
    ("source", "target", "through", "command"),
    [
        ("n1-red", "n2-red", Through.DIRECT, "podnet lab exec n1-red -- ip route get 10.244.2.2"),
        ("n1", "n2-red", Through.DIRECT, "podnet lab exec n1 -- ip route get 10.244.2.2"),
        ("n1-red", "outside", Through.DIRECT, "podnet lab exec n1 -- nft list table inet podnet"),
        ("outside", "n2", Through.DIRECT, "podnet lab exec n2 -- ip -4 addr"),
        ("n2-red", "n2-blue", Through.DNAT, "podnet lab exec n2 -- nft list ruleset"),
    ],
)
def test_where_to_look_depends_on_who_asks_whom(
    ends: tuple[Endpoint, ...], source: str, target: str, through: Through, command: str
) -> None:
    """Every failure comes with the command that shows the likely cause, for this lab."""
    to = {"n2-red": "10.244.2.2", "outside": "198.51.100.10", "n2": "10.99.0.12", "n2-blue": "10.96.0.11"}[target]
    probe = Probe(source=source, target=target, version=4, kind=Kind.TCP, to=ip_address(to), through=through)
    assert look_at(probe, ends) == command
    assert look_at(probe, ends, "mine") == command.replace("exec ", "exec --name mine ")
