"""WireGuard: the device, what each other node is there, and that nothing goes to other nodes' pods in clear."""

from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet import mesh
from podnet.model import Node, NodeFacts, Tunnel, WireGuardEnd, WireGuardPort
from podnet.plan import (
    GROUP_MESH,
    PROTOCOL,
    Address,
    Link,
    Object,
    Route,
    Sysctl,
    WireGuard,
    WireGuardPeer,
    explain,
)
from podnet.testing.values import FACTS
from podnet.wireguard.key import to_text

FILE = "/var/lib/podnet/wireguard.key"
KEYS = [to_text(bytes([number]) * 32) for number in range(64)]
END = WireGuardEnd(kind="wireguard", private_key=FILE, public_key=KEYS[1])
ENDED = msgspec.structs.replace(FACTS, wireguard=END)
PORT = WireGuardPort(port=7777)


def a_node(number: int, versions: tuple[int, ...] = (4, 6), pods: tuple[int, ...] = (4, 6)) -> Node:
    """Return node `number`, with addresses of `versions` and pods of the families `pods`."""
    addresses = {4: ip_address(f"10.99.{number}.11"), 6: ip_address(f"fd99:0:0:{number}::11")}
    cidrs = {4: ip_network(f"10.244.{number}.0/24"), 6: ip_network(f"fd00:10:244:{number}::/64")}
    return Node(f"n{number}", tuple(addresses[v] for v in versions), tuple(cidrs[v] for v in pods), KEYS[number])


def a_mesh(*nodes: Node, facts: NodeFacts = ENDED) -> mesh.Mesh:
    """Return what n1 has for the way to the others of `nodes`."""
    return mesh.between(nodes, facts, "wireguard", Tunnel(), PORT)


def things(*nodes: Node, facts: NodeFacts = ENDED) -> list[Object]:
    """Return the objects of that, but for the elements of podnet's table."""
    steps = a_mesh(*nodes, facts=facts).plan.steps
    return [step.object for step in steps if hasattr(step.object, "at")]


def test_the_whole_of_it_for_one_other_node() -> None:
    """The device with this node's key and ends, then the other: what closes the way in clear, a peer and routes."""
    four, six = ip_network("10.244.2.0/24"), ip_network("fd00:10:244:2::/64")
    own_four, own_six = ip_address("10.244.1.0"), ip_address("fd00:10:244:1::")
    dev = "podnet-wg"
    assert things(a_node(1), a_node(2)) == [
        Link(
            at="node",
            name=dev,
            kind="wireguard",
            mtu=1440,
            group=GROUP_MESH,
            alias="podnet:mesh:wireguard",
            ipv6_autoconf=False,
        ),
        WireGuard(at="node", dev=dev, private_key=FILE, public_key=KEYS[1], port=7777),
        Sysctl(at="node", name=f"net/ipv6/conf/{dev}/disable_ipv6", value="0"),
        Address(at="node", dev=dev, address=own_four, prefixlen=32),
        Address(at="node", dev=dev, address=own_six, prefixlen=128),
        WireGuardPeer(
            at="node",
            dev=dev,
            public_key=KEYS[2],
            endpoint=ip_address("10.99.2.11"),
            port=7777,
            allowed_ips=(four, six),
        ),
        Route(at="node", dst=four, type="unreachable", protocol=PROTOCOL, metric=4278198271),
        Route(at="node", dst=six, type="unreachable", protocol=PROTOCOL, metric=4278198271),
        Route(at="node", dst=four, dev=dev, src=own_four, protocol=PROTOCOL),
        Route(at="node", dst=six, dev=dev, src=own_six, protocol=PROTOCOL),
    ]


def test_a_program_makes_the_link_where_the_kernel_does_not() -> None:
    """All else is the same."""
    by_program = msgspec.structs.replace(FACTS, wireguard=msgspec.structs.replace(END, kind="tun"))
    by_kernel = things(a_node(1), a_node(2))
    made = things(a_node(1), a_node(2), facts=by_program)
    assert [b for a, b in zip(by_kernel, made, strict=True) if a != b] == [
        msgspec.structs.replace(thing, kind="tun") for thing in by_kernel if isinstance(thing, Link)
    ]


@pytest.mark.parametrize(
    ("mine", "theirs", "endpoint", "mtu"),
    [
        ((4, 6), (4, 6), "10.99.2.11", 1440),
        ((4, 6), (6,), "fd99:0:0:2::11", 1420),
        ((6,), (4, 6), "fd99:0:0:2::11", 1420),
        ((4,), (6,), "", 1440),
    ],
)
def test_the_outer_family_is_one_that_both_nodes_have(
    mine: tuple[int, ...], theirs: tuple[int, ...], endpoint: str, mtu: int
) -> None:
    """IPv4 before IPv6; it carries pods of both.  The MTU leaves room for the wider of the headers in use."""
    facts = msgspec.structs.replace(ENDED, addresses=a_node(1, mine).addresses)
    made = things(a_node(1, mine), a_node(2, theirs), facts=facts)
    assert [str(t.endpoint) for t in made if isinstance(t, WireGuardPeer)] == ([endpoint] if endpoint else [])
    assert [t.mtu for t in made if isinstance(t, Link)] == [mtu]


def test_a_node_alone_has_its_device() -> None:
    """Others may speak first; one that the list does not have has none."""
    assert [type(thing) for thing in things(a_node(1))] == [Link, WireGuard, Sysctl, Address, Address]
    assert things(a_node(2), a_node(3)) == []


def test_pods_of_a_family_that_this_node_has_none_of_have_no_way() -> None:
    """Nobody here could be answered."""
    made = things(a_node(1, pods=(4,)), a_node(2))
    assert [t.allowed_ips for t in made if isinstance(t, WireGuardPeer)] == [(ip_network("10.244.2.0/24"),)]
    assert [t.type for t in made if isinstance(t, Route)] == ["unreachable", "unicast"]


def test_a_node_without_a_key_is_not_reached_and_told_of() -> None:
    """Its pods' CIDRs are closed; the remark names the node and what to do."""
    silent = msgspec.structs.replace(a_node(2), wireguard="")
    made = things(a_node(1), silent)
    assert not [thing for thing in made if isinstance(thing, WireGuardPeer)]
    assert [thing.type for thing in made if isinstance(thing, Route)] == ["unreachable"] * 2
    (remark,) = a_mesh(a_node(1), silent, a_node(3)).remarks
    assert "node n2 has told no WireGuard key" in remark
    assert "podnet node key" in remark


def test_addresses_are_allowed_to_one_node_each() -> None:
    """A node's own pods to none."""
    nodes = [a_node(number) for number in range(1, 20)]
    allowed = [cidr for t in things(*nodes) if isinstance(t, WireGuardPeer) for cidr in t.allowed_ips]
    assert sorted(allowed, key=str) == sorted((cidr for node in nodes[1:] for cidr in node.pod_cidrs), key=str)


def test_one_node_that_changes_is_one_way() -> None:
    """The base and the other ways stay the values they are, whoever joins, moves, tells another key or leaves."""
    nodes = [a_node(number) for number in range(1, 6)]
    finder = mesh.Wayfinder(nodes[0], ENDED, "wireguard", Tunnel(), PORT)
    before = finder.mesh(nodes)
    for changed in (a_node(9), msgspec.structs.replace(nodes[2], wireguard=KEYS[30]), None):
        name = changed.name if changed else "n3"
        after = finder.follow(before, {name: changed})
        assert after.base is before.base
        assert {n for n in before.ways.keys() | after.ways.keys() if before.ways.get(n) is not after.ways.get(n)} == {
            name
        }


@given(st.integers(2, 60), st.booleans())
def test_a_further_node_changes_nothing_for_the_others(number: int, has_key: bool) -> None:
    """It is five objects here, two where it has no key, however many nodes there are."""
    nodes = [a_node(n) for n in range(1, number)]
    one = a_node(number) if has_key else msgspec.structs.replace(a_node(number), wireguard="")
    before, after = things(*nodes), things(*nodes, one)
    assert set(before) < set(after)
    assert len(after) - len(before) == (5 if has_key else 2)


def test_no_secret_is_in_the_plan() -> None:
    """The text has the file's name, as `wg` takes it."""
    lines = [line.command for line in explain(a_mesh(a_node(1), a_node(2)).plan)]
    assert f"wg set podnet-wg listen-port 7777 private-key {FILE}" in lines
    assert "ip link add podnet-wg mtu 1440 group 28784 type wireguard" in lines
    assert (
        f"wg set podnet-wg peer {KEYS[2]} endpoint 10.99.2.11:7777 allowed-ips 10.244.2.0/24,fd00:10:244:2::/64"
        in lines
    )


def test_nodes_see_this_nodes_address() -> None:
    """Packets to a node's own address go past the tunnel, so with a source that others know the way to."""
    for node in (a_node(2), a_node(3)):
        assert not mesh.sees_pods(node, 4, ENDED, "wireguard")
    assert mesh.sees_pods(a_node(1), 4, ENDED, "wireguard")


@pytest.mark.parametrize(("versions", "bytes_around"), [((4, 6), 60), ((4,), 60), ((6,), 80)])
def test_pods_links_leave_room_for_the_headers(versions: tuple[int, ...], bytes_around: int) -> None:
    """Those of the family in which this node sends."""
    facts = msgspec.structs.replace(ENDED, addresses=a_node(1, versions).addresses)
    assert mesh.overhead(facts, "wireguard") == bytes_around
