"""GC and STATUS, and what is looked after between requests: pods that have gone, links and rules that were changed."""

import errno
from ipaddress import IPv4Address, ip_network

import pytest
from msgspec.structs import replace

from podnet.cni import Configuration, Status
from podnet.engine.mending import INSIDE
from podnet.errors import ConnectivityLimited, KernelError, NotAsAdded, NotAvailable, StateError
from podnet.model import Delegation, Network, PortMapping, Terms
from podnet.nft import DROP, Element, Rule
from podnet.plan import GROUP_DOOMED, Address, Link, Route
from podnet.testing import FakeNode
from podnet.testing.values import a_network, a_range

GRACE = 60.0
OTHER = Network(name="other", ranges=((a_range("10.66.0.0/24"),),))
WEB = Terms(ports=(PortMapping("tcp", 8080, 80),))


def names(node: FakeNode) -> list[str]:
    """Return whose leases are live."""
    return sorted(lease.attachment.container for lease in node.store.live())


# GC


def test_gc_frees_what_is_not_valid_of_its_network_alone(node: FakeNode) -> None:
    """Attachments of other networks stay, and so do other interfaces' links of nobody's."""
    for name in ("red", "green", "blue"):
        node.add(name)
    node.add("elsewhere", OTHER)
    node.gc("green", "never-seen")
    assert names(node) == ["elsewhere", "green"]
    node.engine.reap()
    assert node.state() == node.desired()
    node.gc()
    assert names(node) == ["elsewhere"]
    node.gc(network=OTHER)
    assert names(node) == []


def test_gc_goes_by_container_and_interface(dual: FakeNode) -> None:
    """The same container's other interface is another attachment."""
    dual.add("red")
    dual.engine.add([dual.job("red", ifname="net1")])
    dual.gc("red")
    assert [(lease.attachment.container, lease.attachment.ifname) for lease in dual.store.live()] == [("red", "eth0")]


def test_gc_puts_the_node_right(node: FakeNode) -> None:
    """Also where nothing is stale: SPEC.md lets it remove what should not be there, and podnet makes what should."""
    node.add("red")
    rule = next(thing for thing in node.state().values() if isinstance(thing, Rule))
    node.kernel.node.remove(rule)
    node.gc("red")
    assert node.state() == node.desired()


def test_gc_goes_on_after_a_refusal_and_tells_of_it(node: FakeNode) -> None:
    """Whatever can be freed is; the first refusal is the answer; the next GC frees the rest."""
    for name in ("red", "green", "blue"):
        node.add(name)
    node.kernel.fail_at("dismantle", errno.EPERM)
    with pytest.raises(KernelError, match="EPERM"):
        node.gc("blue")
    assert len(names(node)) == 2
    node.gc("blue")
    assert names(node) == ["blue"]


def test_gc_leaves_delegated_addresses_owed(dual: FakeNode) -> None:
    """The plugin that gave them has to be told of each."""
    dual.add("red", terms=Terms(delegation=Delegation("host-local", "{}")))
    dual.gc()
    assert [lease.attachment.container for lease in dual.engine.owed] == ["red"]
    assert not dual.engine.unreaped


# STATUS


def test_status_of_a_node_that_can_serve_is_silence(node: FakeNode) -> None:
    """And it changes nothing."""
    before = node.state()
    node.status()
    assert node.state() == before


def test_status_makes_what_the_node_lacks(node: FakeNode) -> None:
    """What somebody took away is no reason to be not ready: it is made again."""
    node.add("red")
    before = node.state()
    for thing in [*before.values()]:
        if isinstance(thing, Rule) or (isinstance(thing, Route) and thing.type == "unreachable"):
            node.kernel.node.remove(thing)
    node.status()
    assert node.state() == before


def test_a_range_that_is_used_up_is_no_fault(dual: FakeNode) -> None:
    """A node that is not ready would lose its pods for want of room for one more."""
    tight = replace(a_range("10.67.0.0/30"))
    network = Network(name="tight", ranges=((tight,),))
    dual.add("red", network)
    dual.status(network)


def test_status_of_a_network_without_addresses_is_50() -> None:
    """It names the two remedies; another plugin's addresses, or a loopback's none, are no lack."""
    node = FakeNode()
    with pytest.raises(NotAvailable, match=r"no address ranges on this node.*pod-cidrs.*ipam.ranges") as told:
        node.status(Network(name="bare"))
    assert told.value.cni_code == 50
    bare = Configuration(cni_version="1.1.0", network=Network(name="bare"))
    node.engine.status(Status(replace(bare, delegate="host-local")))
    node.engine.status(Status(replace(bare, role="loopback")))


def test_status_of_a_store_that_cannot_be_written_is_50(dual: FakeNode) -> None:
    """With the store's own words."""
    dual.store.fail("commit", StateError("the disk is full"))
    with pytest.raises(NotAvailable, match="the disk is full"):
        dual.status()
    dual.status()


def test_status_of_a_node_that_cannot_be_built_is_51(dual: FakeNode) -> None:
    """Pods that are there suffer too, and the error says what of it the kernel refused."""
    dual.kernel.node.remove(next(thing for thing in dual.state().values() if isinstance(thing, Rule)))
    dual.kernel.fail_at(lambda step: isinstance(step.object, Rule), errno.ENOMEM)
    with pytest.raises(ConnectivityLimited, match=r"the node.s part cannot be built: .*ENOMEM") as told:
        dual.status()
    assert told.value.cni_code == 51
    dual.status()


def test_status_of_a_network_that_cannot_be_prepared_is_50(dual: FakeNode) -> None:
    """Its bridge's name is somebody else's; the pods that are there are none the worse."""
    dual.kernel.node.put(Link(at="node", name="lan0", kind="bridge", mac="02:00:00:00:00:55"))
    with pytest.raises(NotAvailable, match="link lan0 is there and is not podnet's"):
        dual.status(Network(name="new", datapath="bridge", bridge="lan0", ranges=OTHER.ranges))
    dual.status()


# Sweeping


def test_a_pod_that_has_gone_is_collected_after_its_grace(node: FakeNode) -> None:
    """Not before: its runtime may yet say DEL."""
    node.add("red", terms=WEB)
    node.add("blue")
    node.new_namespace("red")
    assert node.engine.sweep(GRACE) == ((), ())
    node.clock.advance(GRACE - 1)
    assert node.engine.sweep(GRACE) == ((), ())
    node.clock.advance(1)
    swept = node.engine.sweep(GRACE)
    assert [lease.attachment.container for lease in swept.collected] == ["red"]
    assert names(node) == ["blue"]
    node.engine.reap()
    assert node.state() == node.desired()
    assert node.engine.sweep(GRACE) == ((), ())


def test_a_del_within_the_grace_is_all_there_is_to_it(node: FakeNode) -> None:
    """The lease is cut once; the attachment that comes again is given a grace of its own."""
    node.add("red")
    node.new_namespace("red")
    node.engine.sweep(GRACE)
    node.delete("red")
    assert node.engine.sweep(GRACE) == ((), ())
    node.engine.reap()
    node.add("red")
    node.new_namespace("red")
    node.clock.advance(GRACE)
    assert node.engine.sweep(GRACE).collected == ()
    node.clock.advance(GRACE)
    assert len(node.engine.sweep(GRACE).collected) == 1


def test_a_link_that_was_deleted_by_hand_is_reported_not_collected(node: FakeNode) -> None:
    """The pod lives: its addresses stay its own, however long ago."""
    node.add("red")
    (lease,) = node.store.live()
    node.kernel.node.remove_link(lease.link)
    for _ in range(3):
        assert node.engine.sweep(GRACE) == ((), (lease,))
        node.clock.advance(10 * GRACE)
    assert node.store.live() == [lease]


def test_a_link_that_left_its_group_is_left_to_reconciliation(node: FakeNode) -> None:
    """It is known by its alias; neither gone nor deleted."""
    node.add("red")
    (lease,) = node.store.live()
    link = node.kernel.node.link(lease.link)
    assert link is not None
    node.kernel.node.put(replace(link, group=0))
    node.clock.advance(10 * GRACE)
    assert node.engine.sweep(GRACE) == ((), ())
    node.reconcile()
    assert node.state() == node.desired()


def test_addresses_alone_are_collected_by_their_namespace() -> None:
    """There is no link to miss: the namespace tells."""
    node = FakeNode(a_network("none"))
    node.add("red")
    node.add("blue")
    assert node.engine.sweep(0) == ((), ())
    node.new_namespace("red")
    assert [lease.attachment.container for lease in node.engine.sweep(0).collected] == ["red"]
    assert names(node) == ["blue"]


# Auditing


def test_what_is_wrong_on_the_node_is_put_right_and_told(node: FakeNode) -> None:
    """A host port that leads elsewhere, a route that is gone: each as expected and found."""
    node.add("red", terms=WEB)
    (lease,) = node.store.live()
    before = node.state()
    assert node.engine.audit([lease]) == []
    mapped = [thing for thing in before.values() if isinstance(thing, Element) and thing.data]
    route = next(t for t in before.values() if isinstance(t, Route) and t.dev == lease.link)
    for element in mapped:
        node.kernel.node.put(replace(element, data=(element.data[0], 9999)))
    node.kernel.node.remove(route)
    ((told, faults, left),) = node.engine.audit([lease])
    assert (told, left) == (lease, "")
    assert len(faults) == len(mapped) + 1
    assert any("9999" in fault for fault in faults)
    assert any(fault.startswith("missing: ip") for fault in faults)
    assert node.state() == before
    assert node.engine.audit([lease]) == []


def test_what_is_wrong_in_a_pod_is_told_and_left(dual: FakeNode) -> None:
    """The inside of a pod is the pod's business; it is told as long as it is so."""
    dual.add("red")
    (lease,) = dual.store.live()
    space = dual.kernel.inside(dual.namespace("red"))
    address = next(
        t for t in space.objects.values() if isinstance(t, Address) and t.address == IPv4Address("10.244.1.2")
    )
    space.remove(address)
    for _ in range(2):
        ((told, faults, left),) = dual.engine.audit([lease])
        assert (told, left) == (lease, INSIDE)
        assert any("10.244.1.2/32" in fault for fault in faults)
        assert address not in dual.pod_state("red").values()


def test_an_audit_passes_over_what_is_no_live_pod_s(dual: FakeNode) -> None:
    """Leases that were cut since, pods whose namespace is gone, addresses alone."""
    for name in ("cut", "gone"):
        dual.add(name)
    dual.add("alone", a_network("none"))
    leases = {lease.attachment.container: lease for lease in dual.store.live()}
    dual.delete("cut")
    dual.new_namespace("gone")
    before = dual.state()
    assert dual.engine.audit(list(leases.values())) == []
    assert dual.state() == before


def test_the_node_s_own_part_is_put_right_and_told(node: FakeNode) -> None:
    """A rule between podnet's, a sysctl, an element that is missing; what is right is not told."""
    assert node.engine.audit_node() == []
    before = node.state()
    chain = next(thing.chain for thing in before.values() if isinstance(thing, Rule))
    element = next(t for t in before.values() if isinstance(t, Element) and t.set.name.startswith("cluster"))
    node.kernel.node.put(Rule.new(chain, DROP, comment="theirs"))
    node.kernel.node.remove(element)
    ((told, faults, left),) = node.engine.audit_node()
    assert (told, left) == (None, "")
    assert f"the rules of chain {chain} are not podnet's, or not in their order" in faults
    assert any("cluster" in fault for fault in faults)
    assert node.state() == before
    assert node.engine.audit_node() == []


def test_loopback_is_set_up_and_checked(dual: FakeNode) -> None:
    """The runtime's own loopback network: `lo` alone, and CHECK tells when it is down again."""
    namespace = dual.namespace("red")
    result = dual.engine.loopback(namespace)
    assert [f"{ip.address}/{ip.prefixlen}" for ip in result.ips] == ["127.0.0.1/8", "::1/128"]
    assert [(i.name, i.sandbox) for i in result.interfaces] == [("lo", namespace.path)]
    assert not dual.pod_state("red")
    dual.engine.check_loopback(namespace)
    space = dual.kernel.inside(namespace)
    lo = space.link("lo")
    assert lo is not None
    space.put(replace(lo, up=False))
    with pytest.raises(NotAsAdded, match="up expected True, found False"):
        dual.engine.check_loopback(namespace)


def test_a_doomed_link_is_no_sign_of_life(dual: FakeNode) -> None:
    """A DEL whose answer was never stored has doomed the link: with the pod gone too, the lease is collected."""
    dual.add("red")
    (lease,) = dual.store.live()
    dual.store.fail("cut", StateError("the disk is full"))
    with pytest.raises(StateError):
        dual.delete("red")
    link = dual.kernel.node.link(lease.link)
    assert link is not None
    assert link.group == GROUP_DOOMED
    dual.new_namespace("red")
    assert dual.engine.sweep(0).collected == (lease,)
    assert ip_network("10.244.1.2/32") not in {getattr(thing, "dst", None) for thing in dual.state().values()}
