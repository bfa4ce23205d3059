"""A lab as a value: its names, its addresses, and the two files that its nodes read."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster import parse_nodes, parse_settings
from podnet.errors import InvalidConfiguration
from podnet.lab import topology as lab_topology
from podnet.lab.topology import CLUSTER_CIDRS, Endpoint, Topology, colour, node_list, node_settings, topology
from podnet.mesh.bgp import node_configuration, remarks, router_configuration
from podnet.model import Backend, Node, NodeFacts, Router
from podnet.wireguard.key import to_text

labs = st.builds(
    topology,
    name=st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True),
    nodes=st.integers(1, 100),
    pods=st.integers(0, 100),
    datapath=st.sampled_from(["ptp", "bridge"]),
    families=st.sampled_from([(4,), (6,), (4, 6)]),
    backend=st.sampled_from(lab_topology.BACKENDS),
)


@given(labs)
def test_no_name_and_no_address_is_given_twice(lab: Topology) -> None:
    """Namespaces, node addresses and pod CIDRs are each unique, addresses are on the LAN, CIDRs in the cluster's."""
    assert len(set(lab.namespaces)) == len(lab.namespaces) == 2 + sum(1 + len(n.pods) for n in lab.nodes)
    assert all(name.startswith(f"podnet-{lab.name}-") for name in lab.namespaces)
    addresses = [a for n in lab.nodes for a in n.addresses]
    cidrs = [c for n in lab.nodes for c in n.pod_cidrs]
    assert len(set(addresses)) == len(addresses)
    assert len(set(cidrs)) == len(cidrs)
    for n in lab.nodes:
        lan = lab.lans[n.lan]
        assert all(a in lan[a.version] and a != lab_topology.router(lan, a.version) for a in n.addresses)
    assert all(c.subnet_of(CLUSTER_CIDRS[c.version]) for c in cidrs)  # type: ignore[arg-type] # one version each
    assert all([a.version for a in n.addresses] == list(lab.families) for n in lab.nodes)


@given(labs)
def test_the_files_say_what_the_lab_is(lab: Topology) -> None:
    """podnet.yaml and nodes.yaml, read as a node reads them, are accepted and give the lab's nodes back."""
    settings = parse_settings(node_settings(lab), "/etc/podnet/podnet.yaml", "n1")
    assert (settings.node, settings.datapath, settings.backend) == ("n1", lab.datapath, lab.backend)
    assert settings.nodes == "/etc/podnet/nodes.yaml"
    keys = {node.name: to_text(bytes([node.number]) * 32) for node in lab.nodes[1:]}
    nodes = parse_nodes(node_list(lab, keys), settings.nodes, settings.cluster_cidrs)
    assert [(n.name, n.addresses, n.pod_cidrs, n.wireguard) for n in nodes] == [
        (n.name, n.addresses, n.pod_cidrs, keys.get(n.name, "")) for n in lab.nodes
    ]


@pytest.mark.parametrize(
    ("backend", "families", "mtu"),
    [
        ("direct", (4, 6), 1500),
        ("vxlan", (4, 6), 1450),
        ("auto", (4,), 1450),
        ("auto", (6,), 1430),
        ("wireguard", (4, 6), 1440),
        ("wireguard", (6,), 1420),
    ],
)
def test_pods_links_leave_room_for_what_the_backend_takes(
    backend: Backend, families: tuple[int, ...], mtu: int
) -> None:
    """Nothing, or the headers of VXLAN or WireGuard over the family that nodes have."""
    assert topology(backend=backend, families=families).pod_mtu == mtu


def test_nodes_are_on_two_lans_where_the_backend_needs_none_in_common(
    ends_of: Callable[[Topology], tuple[Endpoint, ...]],
) -> None:
    """Every second node is on the other; which nodes are one segment is the backend's matter."""
    segments = {}
    for backend in lab_topology.BACKENDS:
        lab = topology(nodes=3, pods=1, backend=backend)
        assert [node.lan for node in lab.nodes] == ([0, 0, 0] if backend == "direct" else [0, 1, 0])
        assert lab.grown(1).nodes[-1].lan == (0 if backend == "direct" else 1)
        ends = {end.name: end.segment for end in ends_of(lab)}
        assert all(ends[f"{node.name}-red"] == ends[node.name] for node in lab.nodes)
        segments[backend] = [[other for other in ("n1", "n2", "n3") if ends[other] == ends[n]] for n in ("n1", "n2")]
    assert segments == {
        "direct": [["n1", "n2", "n3"], ["n1", "n2", "n3"]],
        "vxlan": [["n1"], ["n2"]],
        "auto": [["n1", "n3"], ["n2"]],
        "wireguard": [["n1"], ["n2"]],
        "bgp": [["n1", "n2", "n3"], ["n1", "n2", "n3"]],
    }


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)])
def test_with_bgp_the_first_nodes_are_reflectors_and_the_router_hears_them(
    nodes: int, families: tuple[int, ...]
) -> None:
    """One on each LAN; by the files as nodes and router read them, everybody has sessions with them and nobody else."""
    lab = topology(nodes=nodes, families=families, backend="bgp", profile="fast")
    settings = parse_settings(node_settings(lab), "/etc/podnet/podnet.yaml", "n1")
    listed = parse_nodes(node_list(lab, {}), settings.nodes, settings.cluster_cidrs)
    reflectors = {"n1", "n2"} & {node.name for node in listed}
    assert {node.name for node in listed if node.reflector} == reflectors
    assert (settings.bgp.mode, settings.bgp.profile) == ("reflectors", "fast")
    (router,) = settings.bgp.routers
    assert set(router.addresses) == {lab_topology.router(lan, family) for lan in lab.lans for family in families}
    machines: tuple[Node | Router, ...] = (*listed, router)
    for machine in machines:
        subnets = tuple(s for lan in lab.lans for s in lan.values() if any(a in s for a in machine.addresses))
        facts = NodeFacts(name=machine.name, boot_id="b", addresses=machine.addresses, subnets=subnets)
        if isinstance(machine, Router):
            wanted = router_configuration(machine, listed, facts, settings.bgp, settings.cluster_cidrs)
        else:
            wanted = node_configuration(machine, listed, facts, settings.bgp, settings.cluster_cidrs)
        everybody = {router.name, *(node.name for node in listed)}
        met = everybody if machine.name in reflectors else reflectors
        assert {session.name for session in wanted.sessions} == met - {machine.name}
        assert len(wanted.sessions) == len(families) * len(met - {machine.name})
        assert all(session.adjacent == any(session.neighbour in s for s in subnets) for session in wanted.sessions)
        assert isinstance(machine, Router) or list(remarks(listed, facts, settings.bgp)) == []


@given(labs, st.integers(0, 100))
def test_a_grown_lab_has_one_node_more(lab: Topology, pods: int) -> None:
    """Growing keeps every node as it is and adds one with the next number, until the most are reached."""
    if len(lab.nodes) == lab_topology.MOST_NODES:
        with pytest.raises(InvalidConfiguration, match="at most 100"):
            lab.grown(pods)
        return
    grown = lab.grown(pods)
    assert grown.nodes[:-1] == lab.nodes
    assert (grown.nodes[-1].number, len(grown.nodes[-1].pods)) == (len(lab.nodes) + 1, pods)
    assert len(set(grown.namespaces)) == len(grown.namespaces)


def test_pods_are_called_as_the_study_notes_call_theirs() -> None:
    """Red and blue come first; no colour is given twice, also after all were given."""
    assert [colour(i) for i in range(3)] == ["red", "blue", "green"]
    assert colour(len(lab_topology.COLOURS)) == "red2"
    assert len({colour(i) for i in range(100)}) == 100


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "a-b"}, "no hyphen"),
        ({"name": "Lab"}, "lower-case"),
        ({"name": ""}, "lab name"),
        ({"name": "a" * 17}, "at most 16"),
        ({"name": "../x"}, "lab name"),
        ({"nodes": 0}, "1 to 100"),
        ({"nodes": 101}, "1 to 100"),
        ({"pods": -1}, "0 to 100"),
        ({"pods": 101}, "0 to 100"),
        ({"datapath": "macvlan"}, "one of ptp, bridge"),
        ({"backend": "carrier-pigeon"}, "one of direct, vxlan, auto, wireguard"),
        ({"families": ()}, "4, 6 or both"),
        ({"families": (5,)}, "4, 6 or both"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong: dict[str, object], told: str) -> None:
    """A lab that cannot be is refused before anything is made, with what would do."""
    with pytest.raises(InvalidConfiguration, match=told):
        topology(**wrong)  # type: ignore[arg-type] # wrong on purpose


def test_endpoints_are_pods_nodes_and_the_outside(ends_of: Callable[[Topology], tuple[Endpoint, ...]]) -> None:
    """Each has the namespace that it is in and the addresses it answers at; pods as ADD answered."""
    ends = ends_of(topology(nodes=1, pods=1, families=(4, 6)))
    assert [(e.name, e.role, e.namespace) for e in ends] == [
        ("n1-red", "pod", "podnet-lab-n1-red"),
        ("n1", "node", "podnet-lab-n1"),
        ("outside", "outside", "podnet-lab-outside"),
    ]
    assert ends[0].address(4) == ip_address("10.244.1.2")
    assert ends[0].address(6) == ip_address("fd00:10:244:1::2")
    assert ends[1].address(6) == ip_address("fd99::11")
    assert lab_topology.endpoints(topology(nodes=1, pods=1), {})[0].role == "node", "a pod not attached is no endpoint"
