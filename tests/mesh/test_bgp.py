"""BGP: who speaks with whom, what each takes and tells, and that both ends of a session see it alike."""

from collections import Counter
from ipaddress import IPv4Address, ip_address

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.bird import Session
from podnet.mesh.bgp import node_configuration, remarks, router_id
from podnet.model import BGP, Node, Router
from podnet.model.bgp import Mode, Role
from tests.bird.clusters import CLUSTER, LANS, Cluster, a_node, an_address, clusters, facts_of

UNHURRIED = settings(max_examples=60, deadline=None)
TOR = Router(name="tor", addresses=(an_address(0, 1, 4),))


def a_router(role: Role, **fields: object) -> Router:
    """Return a router on the first LAN."""
    return msgspec.structs.replace(TOR, role=role, **fields)


def between(cluster: Cluster) -> dict[tuple[str, str, int], Session]:
    """Return all sessions of all machines, by whose it is, with whom, and the IP version."""
    found: dict[tuple[str, str, int], Session] = {}
    for machine in cluster.machines:
        for session in cluster.on(machine).sessions:
            key = (machine.name, session.name, session.neighbour.version)
            assert key not in found, "a neighbour is spoken to once in each family"
            found[key] = session
    return found


def said(mode: Mode, *reflectors: str, routers: tuple[Router, ...] = ()) -> dict[str, str]:
    """Return, of three nodes, a line for each session: `n1: n2 takes tells`, with `client` and the AS if another."""
    nodes = tuple(a_node(n, (4,), reflector=f"n{n}" in reflectors) for n in (1, 2, 3))
    cluster = Cluster(nodes, BGP(mode=mode, routers=routers))
    words = {}
    for machine in cluster.machines:
        lines = []
        for one in cluster.on(machine).sessions:
            more = [*(["client"] if one.client else []), *([] if one.internal else [f"{one.asn[0]}-{one.asn[1]}"])]
            lines.append(" ".join((one.name, one.takes, one.tells, *more)))
        words[machine.name] = ", ".join(lines)
    return words


def test_mesh() -> None:
    """Everybody with everybody else, each telling its own."""
    assert said("mesh") == {
        "n1": "n2 own own, n3 own own",
        "n2": "n1 own own, n3 own own",
        "n3": "n1 own own, n2 own own",
    }


def test_reflectors() -> None:
    """Nodes with reflectors, reflectors with all: RFC 4456's clients and non-clients."""
    assert said("reflectors", "n1") == {
        "n1": "n2 own all client, n3 own all client",
        "n2": "n1 each own",
        "n3": "n1 each own",
    }
    assert said("reflectors", "n1", "n2") == {
        "n1": "n2 each all, n3 own all client",
        "n2": "n1 each all, n3 own all client",
        "n3": "n1 each own, n2 each own",
    }
    assert said("reflectors") == {"n1": "", "n2": "", "n3": ""}


def test_routers() -> None:
    """Nodes with routers alone, within an AS or between two."""
    assert said("routers", routers=(a_router("peer", asn=65001),)) == {
        "n1": "tor known own 64512-65001",
        "n2": "tor known own 64512-65001",
        "n3": "tor known own 64512-65001",
        "tor": "n1 own all 65001-64512, n2 own all 65001-64512, n3 own all 65001-64512",
    }
    assert said("routers", "n1", routers=(a_router("reflector"),)) == {
        "n1": "tor each own",
        "n2": "tor each own",
        "n3": "tor each own",
        "tor": "n1 own all client, n2 own all client, n3 own all client",
    }


def test_a_client_hears_all_from_reflectors_and_each_nodes_own_without_them() -> None:
    """It tells nothing.  With a mesh it has sessions with all, or with those that are named."""
    assert said("reflectors", "n1", routers=(a_router("client"),)) == {
        "n1": "n2 own all client, n3 own all client, tor nothing all client",
        "n2": "n1 each own",
        "n3": "n1 each own",
        "tor": "n1 each nothing",
    }
    assert said("mesh", "n1", routers=(a_router("client", nodes=("n2", "n3")),)) == {
        "n1": "n2 own own, n3 own own",
        "n2": "n1 own own, n3 own own, tor nothing own",
        "n3": "n1 own own, n2 own own, tor nothing own",
        "tor": "n2 own nothing, n3 own nothing",
    }
    assert said("reflectors", "n1", routers=(a_router("client", asn=65001),))["n1"].endswith(
        "tor nothing all 64512-65001"
    )


def test_a_router_of_some_nodes_has_sessions_with_those() -> None:
    """As a switch at the top of one rack has; a name that no node has is nobody."""
    words = said("mesh", routers=(a_router("peer", nodes=("n2", "n9")),))
    assert words["tor"] == "n2 own all client"
    assert [name for name in ("n1", "n2", "n3") if "tor" in words[name]] == ["n2"]


@UNHURRIED
@given(clusters())
def test_both_ends_have_the_same_session(cluster: Cluster) -> None:
    """Who has a session with another is one with whom it has one: addresses and AS numbers mirrored, one password."""
    sessions = between(cluster)
    for (own, other, version), session in sessions.items():
        mirror = sessions[other, own, version]
        assert (mirror.local, mirror.neighbour) == (session.neighbour, session.local)
        assert mirror.asn == session.asn[::-1]
        assert mirror.password == session.password
        assert own != other


@UNHURRIED
@given(clusters())
def test_who_tells_is_listened_to(cluster: Cluster) -> None:
    """A neighbour takes what is told, and no more; nobody listens to who tells nothing."""
    sessions = between(cluster)
    heard = {"nothing": {"nothing"}, "own": {"own", "known", "each"}, "all": {"each", "known", "nothing"}}
    for (own, other, version), session in sessions.items():
        mirror = sessions[other, own, version]
        assert mirror.takes in heard[session.tells]
        assert session.tells != "nothing" or mirror.takes == "nothing"
        assert mirror.takes != "nothing" or session.tells in {"nothing", "all"} or "tor" in other + own


@UNHURRIED
@given(clusters())
def test_a_client_of_a_reflector_is_told_all_within_an_as(cluster: Cluster) -> None:
    """RFC 4456 knows clients of iBGP alone, and they have none of their own: not both ends are reflectors."""
    sessions = between(cluster)
    for (own, other, version), session in sessions.items():
        assert not session.client or (session.internal and session.tells == "all")
        assert not (session.client and sessions[other, own, version].client)


@UNHURRIED
@given(clusters())
def test_each_machine_has_an_identifier_of_its_own(cluster: Cluster) -> None:
    """RFC 6286: none has another's within the AS, nor 0."""
    ids = [cluster.on(machine).router_id for machine in cluster.machines]
    assert [one for one, times in Counter(ids).items() if times > 1] == []
    assert IPv4Address(0) not in ids


def test_an_identifier_is_the_ipv4_address_or_stays_with_the_name() -> None:
    """A node without one has the same after every start, and another than the next node."""
    assert router_id("n1", (ip_address("fd99::1"), ip_address("10.0.0.7"))) == IPv4Address("10.0.0.7")
    assert router_id("n1", (ip_address("fd99::1"),)) == router_id("n1", (ip_address("fd99::2"),))
    assert router_id("n1", ()) != router_id("n2", ())


@UNHURRIED
@given(clusters())
def test_a_node_believes_the_list(cluster: Cluster) -> None:
    """What is whose: its own prefixes, and those of all other nodes, behind every address of theirs."""
    for node in cluster.nodes:
        wanted = cluster.on(node)
        assert wanted.own == node.cidrs
        assert wanted.owners == {a: n.cidrs for n in cluster.nodes if n is not node for a in n.addresses}
    for router in cluster.bgp.routers:
        assert cluster.on(router).own == ()
        assert cluster.on(router).owners == {a: n.cidrs for n in cluster.nodes for a in n.addresses}


@UNHURRIED
@given(clusters(), st.data())
def test_a_further_node_leaves_sessions_as_they_are(cluster: Cluster, data: st.DataObject) -> None:
    """It is a session more at most in each family, wherever it is; all others are the same values."""
    lan, reflector = data.draw(st.sampled_from(tuple(LANS))), data.draw(st.booleans())
    node = msgspec.structs.replace(a_node(98, lan=lan, reflector=reflector), name="joined")
    cluster = Cluster((*cluster.nodes, a_node(99)), cluster.bgp)  # both families are there already
    grown = Cluster((*cluster.nodes, node), cluster.bgp)
    for machine in cluster.machines:
        before, after = cluster.on(machine).sessions, grown.on(machine).sessions
        assert [one for one in after if one.name != "joined"] == list(before)
        assert len(after) <= len(before) + 2


@pytest.mark.parametrize(("at", "wanted"), [((0, 1), 0), ((1, 0), 0), ((1, 2), 1)])
def test_of_a_routers_addresses_that_on_the_nodes_subnet_is_spoken_to(at: tuple[int, int], wanted: int) -> None:
    """Else the first; both sides choose the same."""
    router = a_router("peer", addresses=tuple(an_address(lan, 1, 4) for lan in at))
    node = a_node(1, (4,), lan=0)
    cluster = Cluster((node,), BGP(mode="routers", routers=(router,)))
    (ours,), (theirs,) = cluster.on(node).sessions, cluster.on(router).sessions
    assert ours.neighbour == theirs.local == an_address(wanted, 1, 4)
    assert ours.adjacent == (wanted == 0)


@pytest.mark.parametrize(
    ("pods", "addresses", "families"),
    [((4,), (4, 6), (4,)), ((6,), (4, 6), (6,)), ((4, 6), (4, 6), (4, 6)), ((), (6,), (4,))],
)
def test_families_are_those_of_pods(
    pods: tuple[int, ...], addresses: tuple[int, ...], families: tuple[int, ...]
) -> None:
    """Whatever addresses nodes have besides: of a family without pods there is nothing to tell, and no session."""
    cluster = Cluster(tuple(a_node(n, addresses, pods) for n in (1, 2)), BGP())
    wanted = cluster.on(cluster.nodes[0])
    assert wanted.families == families
    assert {session.neighbour.version for session in wanted.sessions} == set(families) & set(addresses)


def a_remark(nodes: tuple[Node, ...], bgp: BGP) -> list[str]:
    """Return what is remarked on the first of `nodes`."""
    return list(remarks(nodes, facts_of(nodes[0]), bgp))


def test_reflectors_without_a_reflector_are_remarked() -> None:
    """With both ways to name one; a router that is one is enough."""
    nodes = (a_node(1), a_node(2))
    (remark,) = a_remark(nodes, BGP(mode="reflectors"))
    for word in ("no reflector", "podnet.dev/route-reflector=true", "route-reflector: true"):
        assert word in remark
    assert a_remark(nodes, BGP(mode="reflectors", routers=(a_router("reflector"),))) == []
    assert a_remark((a_node(1, reflector=True), a_node(2)), BGP(mode="reflectors")) == []
    assert a_remark(nodes, BGP()) == []


def test_a_node_beyond_a_router_that_nobody_names_is_remarked() -> None:
    """The first of them by name, with the uplink; one named router is taken for that in between."""
    nodes = (a_node(1), a_node(2), a_node(3, lan=1), a_node(4, lan=2))
    (remark,) = a_remark(nodes, BGP())
    for word in ("node n3", "up0", "`routers`", "podnet router run"):
        assert word in remark
    assert a_remark(nodes, BGP(routers=(TOR,))) == []


def test_a_router_with_a_nodes_name_is_remarked_and_not_spoken_to() -> None:
    """A session is known by the neighbour's name, and BIRD takes no name twice; all others go on."""
    nodes = (a_node(1), a_node(2))
    cluster = Cluster(nodes, BGP(routers=(a_router("peer", name="n2"), TOR)))
    assert [session.name for session in cluster.on(nodes[0]).sessions if session.local.version == 4] == ["n2", "tor"]
    assert cluster.on(cluster.bgp.routers[0]).sessions == ()
    assert [session.name for session in cluster.on(TOR).sessions] == ["n1", "n2"]
    (remark,) = a_remark(nodes, cluster.bgp)
    assert "router n2 has a node's name" in remark


def test_two_nodes_at_one_address_own_what_either_has() -> None:
    """As while one machine's name changes: neither's pods are cut off; a node's own address is nobody else's."""
    one, other, twin = a_node(1), a_node(2), msgspec.structs.replace(a_node(3), addresses=a_node(2).addresses)
    wanted = node_configuration(one, (one, other, twin), facts_of(one), BGP(), CLUSTER)
    assert set(wanted.owners.values()) == {other.cidrs + twin.cidrs}
    impostor = msgspec.structs.replace(other, addresses=one.addresses)
    assert node_configuration(one, (one, impostor), facts_of(one), BGP(), CLUSTER).owners == {}
