"""What is heard to be gone or changed is put back, and told; what was not spoken of is not looked at."""

import errno
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet import mesh
from podnet.engine.mending import STRANGE
from podnet.model import Network, Node, Tunnel
from podnet.nft import Element, Rule, Set, Table
from podnet.plan import Address, Fdb, Heard, Link, Neighbour, NftObject, Object, Route, key_of, place_of
from podnet.testing import FakeNode
from podnet.testing.values import FACTS, a_network

NODES = tuple(Node(f"n{n}", (ip_address(f"10.99.{n}.11"),), (ip_network(f"10.244.{n}.0/24"),)) for n in (1, 2, 3))


def populated(network: Network) -> FakeNode:
    """Return a node with two pods, which reaches two others by VXLAN."""
    node = FakeNode(network)
    node.mesh = mesh.between(NODES, FACTS, "vxlan", Tunnel())
    node.reconcile()
    node.add("red")
    node.add("blue")
    return node


def losable(node: FakeNode) -> list[Object]:
    """Return what somebody might take from the node, less what goes with links."""
    own = [thing for key, thing in node.desired().items() if key not in node.strangers]
    return [thing for thing in own if isinstance(thing, Route | Neighbour | Address | Fdb)]


def test_whatever_is_taken_is_back_when_it_was_heard(network: Network) -> None:
    """Each route, neighbour, forwarding entry and address, the node's and pods' alike; told once, as missing."""
    node = populated(network)
    before = node.state()
    for thing in losable(node):
        node.kernel.node.remove(thing)
        (drift,) = node.engine.mend(Heard(objects=(thing,)))
        assert any(fault.startswith("missing: ") for fault in drift.faults)
        assert drift.left == ""
        assert node.state() == before


@given(data=st.data())
def test_several_losses_at_once(data: st.DataObject) -> None:
    """Heard together, they are put back together."""
    node = populated(a_network("ptp", (4, 6)))
    before = node.state()
    gone = data.draw(st.lists(st.sampled_from(losable(node)), unique_by=key_of, min_size=1, max_size=6))
    for thing in gone:
        node.kernel.node.remove(thing)
    assert node.engine.mend(Heard(objects=tuple(gone)))
    assert node.state() == before
    assert node.engine.mend(Heard(objects=tuple(gone))) == []


@pytest.mark.parametrize("kind", [Table, Set, Rule, Element])
def test_the_ruleset_is_mended_after_others_wrote_it(network: Network, kind: type[NftObject]) -> None:
    """A table, a set, a rule or an element that is gone: all that went with it is back, pods' elements too."""
    node = populated(network)
    before = node.state()
    for thing in [thing for thing in before.values() if isinstance(thing, kind)]:
        node.kernel.node.remove(thing)
        node.engine.mend(Heard(writers=("nft (pid 7)",)))
        assert node.state() == before, thing
    assert node.engine.mend(Heard(writers=("nft (pid 7)",))) == []


def test_a_link_of_the_nodes_own_is_made_anew_with_what_was_on_it() -> None:
    """br0 with its gateways, and the ports are on it again; the tunnel with all its ways."""
    node = populated(a_network("bridge", (4, 6)))
    before = node.state()
    for name in ("br0", "podnet-vx4"):
        ports = {thing.name for thing in before.values() if isinstance(thing, Link) and thing.master == name}
        node.kernel.node.remove_link(name)
        assert node.engine.mend(Heard(links=frozenset({name, *ports})))
        assert node.state() == before


def test_a_pods_link_is_made_anew_as_it_was(network: Network) -> None:
    """Both ends, and all that was on them; of the other pod nothing is said."""
    node = populated(network)
    before, inside = node.state(), node.pod_state("red")
    lease = next(lease for lease in node.store.live() if lease.attachment.container == "red")
    node.kernel.node.remove_link(lease.link)
    ((told, faults, left),) = node.engine.mend(Heard(links=frozenset({lease.link})))
    assert (told, left) == (lease, "")
    assert faults == (f"link {lease.link} is gone, and what was on it: the pod is attached anew",)
    assert (node.state(), node.pod_state("red")) == (before, inside)


def test_the_link_of_a_pod_that_is_gone_is_left_gone(network: Network) -> None:
    """Its namespace ended, and the link with it: that is for the sweep, after its grace."""
    node = populated(network)
    lease = next(lease for lease in node.store.live() if lease.attachment.container == "red")
    node.new_namespace("red")
    before = node.state()
    assert node.engine.mend(Heard(links=frozenset({lease.link}))) == []
    assert node.state() == before


def test_strangers_changes_are_nobodys_business(network: Network) -> None:
    """Routes of others, links of others, addresses on them: nothing is done, nothing told."""
    node = populated(network)
    before = node.state()
    theirs = Route(at="node", dst=ip_network("192.0.2.0/24"), dev="up0", via=ip_address("10.99.0.1"))
    strange = Neighbour(at="node", dev="eth7", address=ip_address("192.0.2.1"), mac="")
    assert node.engine.mend(Heard(objects=(theirs, strange), links=frozenset({"docker0", "up0"}))) == []
    assert node.state() == before


def test_what_was_lost_to_hearing_is_found_by_looking_at_everything(network: Network) -> None:
    """Something of the node, something of a pod, something of the ruleset."""
    node = populated(network)
    before = node.state()
    things = losable(node)
    pods = {lease.link for lease in node.store.live()}
    gone = [next(t for t in things if (place_of(t)[1] in pods) is mine) for mine in (True, False)]
    gone.append(next(thing for thing in before.values() if isinstance(thing, Rule)))
    for thing in gone:
        node.kernel.node.remove(thing)
    assert len(node.engine.mend(Heard(lost=True))) == 1
    (drift,) = node.engine.mend(Heard(links=frozenset(pods)))
    assert drift.lease is not None
    assert node.state() == before


def test_what_cannot_be_put_back_is_told_with_the_reason() -> None:
    """The kernel refuses: the drift stays, and says why."""
    node = populated(a_network())
    route = next(thing for thing in losable(node) if isinstance(thing, Route) and "10.244.2" in str(thing.dst))
    node.kernel.node.remove(route)
    node.kernel.fail_at("apply", errno.EPERM)
    (drift,) = node.engine.mend(Heard(objects=(route,)))
    assert "EPERM" in drift.left
    assert node.engine.mend(Heard(objects=(route,)))[0].left == ""


def test_a_strangers_link_in_the_place_of_podnets_is_left_alone() -> None:
    """Somebody made a br0 of their own where it was deleted: it is told with both ways out, and stays theirs."""
    node = populated(a_network("bridge"))
    node.kernel.node.remove_link("br0")
    theirs = Link(at="node", name="br0", kind="bridge", mac="02:00:00:00:00:77", mtu=9000)
    node.kernel.node.put(theirs)
    for heard in (Heard(links=frozenset({"br0"})), Heard(lost=True)):
        (drift, *_) = node.engine.mend(heard)
        assert drift.lease is None
        assert drift.left == STRANGE
        assert "link br0 is there and is not podnet's" in drift.faults[0]
        assert node.kernel.node.link("br0") == theirs


def test_a_strangers_link_in_the_place_of_a_pods_is_left_alone() -> None:
    """However unlikely its name is."""
    node = populated(a_network())
    lease = next(lease for lease in node.store.live() if lease.attachment.container == "red")
    node.kernel.node.remove_link(lease.link)
    theirs = Link(at="node", name=lease.link, kind="bridge", mac="02:00:00:00:00:77", mtu=9000)
    node.kernel.node.put(theirs)
    (drift,) = node.engine.mend(Heard(links=frozenset({lease.link})))
    assert (drift.lease, drift.left) == (lease, STRANGE)
    assert node.kernel.node.link(lease.link) == theirs


def test_an_uplink_that_was_down_has_its_routes_again() -> None:
    """The kernel does not tell of the IPv4 routes that ended with it, only of the link, or of its address."""
    node = FakeNode(a_network())
    node.mesh = mesh.between(NODES, FACTS, "direct", Tunnel())
    node.reconcile()
    before = node.state()
    address = Address(at="node", dev=FACTS.uplink, address=FACTS.addresses[0], prefixlen=24)
    for heard in (Heard(links=frozenset({FACTS.uplink})), Heard(objects=(address,))):
        for thing in [t for t in before.values() if isinstance(t, Route) and t.dev == FACTS.uplink]:
            node.kernel.node.remove(thing)
        assert node.engine.mend(heard)
        assert node.state() == before
