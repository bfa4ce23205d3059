"""Reconciliation: from whatever the node is to what networks, mesh and live leases ask for, and no further."""

import errno
from ipaddress import ip_address, ip_network
from typing import Literal

import pytest
from msgspec.structs import replace

from podnet import mesh
from podnet.errors import KernelError, NodeNotReady
from podnet.model import Backend, Network, Node, Tunnel, WireGuardEnd
from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan import GROUP_PODS, PROTOCOL, Address, Link, Neighbour, Object, Route, Sysctl, key_of
from podnet.testing import FakeNode
from podnet.testing.values import FACTS, a_network
from podnet.wireguard.key import to_text

NODES = tuple(Node(f"n{n}", (ip_address(f"10.99.0.1{n}"),), (ip_network(f"10.244.{n}.0/24"),)) for n in range(1, 4))


def populated(network: Network) -> FakeNode:
    """Return a node with two pods."""
    node = FakeNode(network)
    for name in ("red", "blue"):
        node.add(name)
    return node


def test_the_nodes_part_is_built_once(network: Network) -> None:
    """Then there is nothing to do, also with pods, also for another engine."""
    node = FakeNode()
    node.networks = (network,)
    assert node.reconcile()
    assert not node.reconcile()
    node.add("red")
    assert not node.reconcile()
    node.restart()
    assert not node.reconcile()
    assert node.state() == node.desired()


def test_forwarding_is_switched_on(network: Network) -> None:
    """For the families in use, and a switched-off one is switched on again."""
    node = FakeNode(network)
    files = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
    for version in network.families:
        on = Sysctl(at="node", name=files[version], value="1")
        assert node.kernel.node.read(on) == on
        node.kernel.node.put(replace(on, value="0"))
        assert [step.object for step in node.reconcile().steps] == [on]


@pytest.mark.parametrize("backend", ["vxlan", "auto"])
def test_nodes_come_and_go_by_tunnel(backend: Backend) -> None:
    """A further node is five objects, one that leaves takes its own alone, one that moves changes two; pods stay."""
    nodes = [
        Node(f"n{n}", (ip_address(f"10.99.{n}.11"),), (ip_network(f"10.244.{n}.0/24"),)) for n in range(1, 5)
    ]  # fmt: skip
    node = populated(a_network())
    node.facts = replace(FACTS, subnets=(ip_network("10.99.0.0/24"),))

    def told(*listed: Node) -> list[str]:
        node.mesh = mesh.between(listed, node.facts, backend, Tunnel())
        steps = [f"{step.verb} {type(step.object).__name__}" for step in node.reconcile().steps]
        assert node.state() == node.desired()
        assert not node.reconcile()
        return steps

    told(*nodes[:2])
    assert told(*nodes[:3]) == ["add Element", "add Element", "add Neighbour", "add Fdb", "add Route"]
    moved = Node("n3", (ip_address("10.99.9.11"),), nodes[2].pod_cidrs)
    assert told(*nodes[:2], moved) == ["delete Element", "add Element", "set Fdb"]
    assert sorted(told(nodes[0], moved)) == [*["delete Element"] * 2, "delete Fdb", "delete Neighbour", "delete Route"]
    told(nodes[0])
    assert not [thing for thing in node.state().values() if isinstance(thing, Link) and thing.kind == "vxlan"]


@pytest.mark.parametrize("kind", ["wireguard", "tun"])
def test_nodes_come_and_go_encrypted(kind: Literal["wireguard", "tun"]) -> None:
    """A further node is a peer, two routes and an element, one that moves or has another key is one step."""
    keys = [to_text(bytes([number]) * 32) for number in range(9)]
    nodes = [
        Node(f"n{n}", (ip_address(f"10.99.{n}.11"),), (ip_network(f"10.244.{n}.0/24"),), keys[n]) for n in range(1, 5)
    ]
    node = populated(a_network())
    end = WireGuardEnd(kind=kind, private_key="/key", public_key=keys[1])
    node.facts = replace(FACTS, wireguard=end)

    def told(*listed: Node) -> list[str]:
        node.mesh = mesh.between(listed, node.facts, "wireguard", Tunnel())
        steps = [f"{step.verb} {type(step.object).__name__}" for step in node.reconcile().steps]
        assert not node.reconcile()
        return steps

    told(*nodes[:2])
    assert told(*nodes[:3]) == ["add Element", "add WireGuardPeer", "add Route", "add Route"]
    moved = replace(nodes[2], addresses=(ip_address("10.99.9.11"),))
    assert told(*nodes[:2], moved) == ["set WireGuardPeer"]
    rekeyed = replace(moved, wireguard=keys[7])
    assert told(*nodes[:2], rekeyed) == ["delete WireGuardPeer", "add WireGuardPeer"]
    gone = ["delete Element", "delete Route", "delete Route", "delete WireGuardPeer"]
    assert sorted(told(nodes[0], rekeyed)) == gone
    keyless = replace(rekeyed, wireguard="")
    assert sorted(told(nodes[0], keyless)) == ["delete Route", "delete WireGuardPeer"]
    node.mesh = mesh.between(nodes[:3], node.facts, "direct", Tunnel())
    node.reconcile()
    assert not [thing for thing in node.state().values() if isinstance(thing, Link) and thing.kind == kind]


LOSSES = [Element, Route, Neighbour, Rule, Address]


@pytest.mark.parametrize("kind", LOSSES)
def test_what_is_missing_is_restored(network: Network, kind: type[Object]) -> None:
    """Every element, route, neighbour, rule and address of podnet's own, one and all."""
    node = populated(network)
    wanted = node.desired()
    things = [thing for key, thing in wanted.items() if isinstance(thing, kind) and key not in node.strangers]
    for thing in things:
        node.kernel.node.remove(thing)
    assert bool(things) == bool(node.reconcile())
    assert node.state() == wanted
    assert not node.reconcile()


def test_a_table_that_was_flushed_is_restored(network: Network) -> None:
    """`nft flush ruleset` by somebody else, and the pods' elements are there again."""
    node = populated(network)
    wanted = node.desired()
    node.kernel.node.objects = {
        key: thing
        for key, thing in node.kernel.node.objects.items()
        if not isinstance(thing, Table | Chain | Set | Rule | Element)
    }
    node.reconcile()
    assert node.state() == wanted


def test_a_link_that_was_altered_is_set_right(network: Network) -> None:
    """Its MTU, and whether it is up, with the routes and neighbours that went when it was set down."""
    node = populated(network)
    wanted = node.desired()
    link = next(link for link in node.kernel.node.links() if link.alias == "podnet:red:eth0")
    node.kernel.node.put(replace(link, mtu=1300))
    node.kernel.node.set_down(replace(link, mtu=1300))
    node.reconcile()
    assert node.state() == wanted


def test_what_is_stale_is_removed(network: Network) -> None:
    """Routes, elements and links that are podnet's by protocol, table, or group and alias, and nobody's any more."""
    node = populated(network)
    wanted = node.desired()
    element = next(t for t in wanted.values() if isinstance(t, Element) and t.set.name.startswith("pods"))
    address = element.key[1] + 90
    stale: list[Object] = [
        Route(at="node", dst=ip_network("10.244.9.0/24"), dev="up0", via=ip_address("10.99.0.19"), protocol=PROTOCOL),
        Element(element.set, ("veth-gone", address)),
        Link(at="node", name="veth-gone", kind="veth", group=GROUP_PODS, alias="podnet:gone:eth0"),
    ]
    for thing in stale:
        node.kernel.node.put(thing)
    done = node.reconcile()
    assert {key_of(step.object) for step in done.steps if step.verb == "delete"} == set(map(key_of, stale))
    assert node.state() == wanted


def test_what_is_foreign_is_left(network: Network) -> None:
    """Links in the group without the alias, with the alias outside it, routes of others, tables of others."""
    node = populated(network)
    other = Table("inet", "theirs")
    theirs: list[Object] = [
        Link(at="node", name="grouped0", kind="veth", group=GROUP_PODS, mac="02:00:00:00:00:98", mtu=1500),
        Link(at="node", name="aliased0", kind="veth", alias="podnet:x:eth0", mac="02:00:00:00:00:97", mtu=1500),
        Route(at="node", dst=ip_network("10.88.0.0/16"), dev="up0", protocol=4),
        Neighbour(at="node", dev="up0", address=ip_address("10.99.0.99"), mac="02:00:00:00:00:96"),
        other,
        Chain(other, "input"),
    ]
    for thing in theirs:
        node.kernel.node.put(thing)
        node.strangers[key_of(thing)] = thing
    assert not node.reconcile()
    assert node.state() == node.desired()


def test_a_lease_whose_link_is_gone_is_closed(network: Network) -> None:
    """The pod died and its DEL was never heard; what the node still has of it goes."""
    node = populated(network)
    node.new_namespace("red")
    node.reconcile()
    assert [lease.attachment.container for lease in node.store.live()] == ["blue"]
    assert not node.store.pending()
    assert node.state() == node.desired()
    assert not node.reconcile()


def test_a_link_that_was_taken_out_of_the_group_is_put_back(network: Network) -> None:
    """The alias proves whose it is: the pod is not cut off for it."""
    node = populated(network)
    result = node.add("green")
    wanted = node.desired()
    link = next(link for link in node.kernel.node.links() if link.alias == "podnet:green:eth0")
    node.kernel.node.put(replace(link, group=0))
    assert [step.verb for step in node.reconcile().steps] == ["set"]
    assert node.state() == wanted
    node.check("green", result)


def test_a_link_of_the_name_without_the_alias_is_not_the_pods(network: Network) -> None:
    """Who took group and alias away made it somebody else's: the lease ends."""
    node = populated(network)
    link = next(link for link in node.kernel.node.links() if link.alias == "podnet:red:eth0")
    node.kernel.node.put(replace(link, group=0, alias="theirs"))
    node.reconcile()
    assert [lease.attachment.container for lease in node.store.live()] == ["blue"]
    assert node.kernel.node.link(link.name) is not None


def test_what_was_cut_off_before_a_restart_is_reaped(network: Network) -> None:
    """Leases that wait for their link's end are closed."""
    node = populated(network)
    node.delete("red")
    node.restart()
    node.reconcile()
    assert not node.store.pending()
    assert node.state() == node.desired()


def test_a_crash_between_cutting_and_writing_it_down_is_cut_off_again(dual: FakeNode) -> None:
    """The link is doomed, the lease is live: the pod is gone."""
    dual.add("red")
    dual.store.fail("cut", KernelError("killed", errno.EINTR))
    with pytest.raises(KernelError):
        dual.delete("red")
    dual.restart()
    dual.reconcile()
    assert not dual.store.live()
    assert dual.state() == dual.desired()


def test_routes_to_peers_follow_the_list() -> None:
    """A node that comes, changes its address, and goes."""
    node = FakeNode(a_network())

    def peers() -> dict[str, str]:
        return {
            str(route.dst): str(route.via)
            for route in node.kernel.node.objects.values()
            if isinstance(route, Route) and route.via
        }

    node.mesh = mesh.between(NODES, FACTS, "direct", Tunnel())
    node.reconcile()
    assert peers() == {"10.244.2.0/24": "10.99.0.12", "10.244.3.0/24": "10.99.0.13"}
    assert not node.reconcile()
    moved = Node("n2", (ip_address("10.99.0.22"),), NODES[1].pod_cidrs)
    node.mesh = mesh.between((NODES[0], moved), FACTS, "direct", Tunnel())
    node.reconcile()
    assert peers() == {"10.244.2.0/24": "10.99.0.22"}
    node.mesh = mesh.between(NODES[:1], FACTS, "direct", Tunnel())
    node.reconcile()
    assert peers() == {}
    assert node.state() == node.desired()


def test_a_nodes_new_address_is_the_source_of_routes_to_pods(dual: FakeNode) -> None:
    """The facts of the reconciliation hold for pods that are there and for those that come."""
    dual.add("red")
    new = ip_address("10.99.0.50")
    dual.kernel.node.put(Address(at="node", dev="up0", address=new, prefixlen=24))
    dual.strangers = {**dual.strangers, **{key: t for key, t in dual.state().items() if isinstance(t, Address)}}
    dual.facts = replace(FACTS, addresses=(new, FACTS.addresses[1]))
    dual.reconcile()
    dual.add("blue")
    sources = {t.src for t in dual.state().values() if isinstance(t, Route) and t.dst.prefixlen == 32}
    assert sources == {new}
    assert dual.state() == dual.desired()


def test_a_changed_network_keeps_the_pods_that_it_had(network: Network) -> None:
    """New pods get the new shape; old ones keep theirs, and the node serves both until the last has gone."""
    node = populated(network)
    old = node.add("old")
    changed = replace(network, masquerade=False, hairpin=False, mtu=1400)
    node.networks = (changed,)
    node.reconcile()
    node.check("old", old)
    new = node.add("new")
    assert new.interfaces[-1].mtu == 1400
    node.check("new", new)
    assert node.state() == node.desired()
    node.delete("red", "blue", "old", "new")
    node.engine.reap()
    node.reconcile()
    masqueraded = [t for t in node.state().values() if isinstance(t, Element) and t.set.name.startswith("masq")]
    assert masqueraded == []
    assert node.state() == node.desired()
    assert not node.reconcile()


def test_without_networks_nothing_of_podnet_is_left() -> None:
    """A node that serves nothing any more has no table, no route, no bridge."""
    node = FakeNode(a_network("bridge", (4, 6)))
    node.networks = ()
    node.reconcile()
    assert node.state() == node.strangers


def test_a_node_that_cannot_be_built_says_what_and_why() -> None:
    """NodeNotReady, CNI 102, with the command; the next attempt goes on from there."""
    node = FakeNode()
    node.networks = (a_network("bridge", (4, 6)),)
    node.kernel.fail_at(lambda step: isinstance(step.object, Table), errno.EOPNOTSUPP)
    with pytest.raises(NodeNotReady, match="cannot be built: nft 'add table inet podnet': ENOTSUP") as refused:
        node.reconcile()
    assert refused.value.cni_code == 102
    node.reconcile()
    assert node.state() == node.desired()
