"""DEL: cut off at once, in whatever state the pod, its network or the node is."""

import errno

import msgspec
import pytest

from podnet.errors import KernelError, StateError
from podnet.model import Network
from podnet.nft import Element
from podnet.plan import GROUP_DOOMED, Link, Neighbour, Route
from podnet.testing import FakeNode
from podnet.testing.values import a_network


def test_a_pod_is_cut_off_when_del_returns(node: FakeNode) -> None:
    """Its host link is down and doomed, and no element, route or neighbour is left of it."""
    before = node.state()
    node.add("red")
    (lease,) = node.store.live()
    node.delete("red")
    link = node.kernel.node.link(lease.link)
    assert link is not None
    assert (link.up, link.group) == (False, GROUP_DOOMED)
    left = {key: thing for key, thing in node.state().items() if key not in before}
    assert list(left.values()) == [link]
    assert not node.store.live()
    assert [pending.released for pending in node.store.pending()] == [node.clock.now()]


def test_an_attachment_that_is_not_known_is_cut_off_already(node: FakeNode) -> None:
    """DEL succeeds without touching anything, also a second time."""
    node.add("red")
    node.delete("red")
    state, calls = node.state(), len(node.kernel.calls)
    node.delete("red", "never-seen")
    assert node.state() == state
    assert len(node.kernel.calls) == calls


def test_several_are_cut_off_as_one(node: FakeNode) -> None:
    """One plan for the kernel, one commit for the store; others stay attached."""
    for name in ("red", "green", "blue", "stays"):
        node.add(name)
    node.kernel.calls.clear()
    commits = node.store.commits
    node.delete("red", "green", "unknown", "blue")
    assert node.kernel.calls == ["dismantle"]
    assert node.store.commits == commits + 1
    node.engine.reap()
    assert [lease.attachment.container for lease in node.store.live()] == ["stays"]
    assert node.state() == node.desired()


@pytest.mark.parametrize("then", ["ptp", "bridge"])
def test_del_goes_by_the_network_as_it_was_at_add(network: Network, then: str) -> None:
    """The configuration may have changed in between: the lease keeps what it was made with."""
    node = FakeNode(network)
    before = node.state()
    node.add("red")
    changed = a_network(then, (4,), hairpin=False, bridge="other0", masquerade=False)
    node.delete("red", network=changed)
    node.engine.reap()
    assert node.state() == before


def test_a_pod_whose_link_went_with_its_namespace_is_cut_off_all_the_same(node: FakeNode) -> None:
    """Its elements go; what is gone is no error."""
    before = node.state()
    node.add("red")
    node.new_namespace("red")
    node.delete("red")
    assert node.state() == before
    node.engine.reap()
    assert not node.store.pending()


def test_a_pod_whose_elements_are_gone_is_cut_off_all_the_same(node: FakeNode) -> None:
    """Somebody flushed the sets: DEL still ends the link."""
    node.add("red")
    for thing in list(node.state().values()):
        if isinstance(thing, Element | Route | Neighbour):
            node.kernel.node.remove(thing)
    node.delete("red")
    node.engine.reap()
    assert not [link for link in node.kernel.node.links() if link.alias.startswith("podnet:red:")]
    node.reconcile()
    assert node.state() == node.desired()


def test_the_lease_stays_where_the_kernel_refuses(dual: FakeNode) -> None:
    """DEL fails, the runtime asks again, and then it succeeds."""
    dual.add("red")
    dual.kernel.fail_at(lambda step: isinstance(step.object, Link), errno.EPERM)
    with pytest.raises(KernelError, match="EPERM"):
        dual.delete("red")
    assert len(dual.store.live()) == 1
    dual.delete("red")
    dual.engine.reap()
    assert dual.state() == dual.desired()


def test_the_pod_is_off_the_network_even_where_the_store_fails(dual: FakeNode) -> None:
    """The kernel comes first; the next DEL writes it down."""
    dual.add("red")
    (lease,) = dual.store.live()
    dual.store.fail("cut", StateError("the disk is full"))
    with pytest.raises(StateError):
        dual.delete("red")
    link = dual.kernel.node.link(lease.link)
    assert link is not None
    assert not link.up
    dual.delete("red")
    dual.engine.reap()
    assert not dual.store.pending()
    assert dual.state() == dual.desired()


def test_an_address_rests_before_it_is_given_again() -> None:
    """While others are free, a released address is not given."""
    network = msgspec.structs.replace(a_network(), quarantine=60.0)
    node = FakeNode(network)
    first = node.add("red").ips[0].address
    node.delete("red")
    node.engine.reap()
    assert node.add("blue").ips[0].address != first
