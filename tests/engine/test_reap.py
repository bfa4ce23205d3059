"""Reaping: what DEL left is ended together, and nobody else's."""

import errno

import pytest
from msgspec.structs import replace

from podnet.errors import KernelError, StateError
from podnet.plan import GROUP_DOOMED, Link
from podnet.testing import FakeNode


def test_links_connections_and_leases_end(node: FakeNode) -> None:
    """After reaping nothing is left of a pod that was cut off; others are as they were."""
    red, blue = node.add("red"), node.add("blue")
    node.kernel.connections |= {ip.address for ip in (*red.ips, *blue.ips)}
    links = {lease.attachment.container: lease.link for lease in node.store.live()}
    node.delete("red")
    assert node.engine.unreaped
    reaped = node.engine.reap()
    assert (reaped.links, reaped.strangers) == ((links["red"],), ())
    assert not node.engine.unreaped
    assert node.kernel.connections == {ip.address for ip in blue.ips}
    assert not node.pod_state("red")
    assert node.state() == node.desired()
    assert [row.closed for row in node.store.rows] == [node.clock.now(), None]


def test_reaping_nothing_does_nothing(node: FakeNode) -> None:
    """No commit, no change."""
    commits, state = node.store.commits, node.state()
    assert node.engine.reap().links == ()
    assert (node.store.commits, node.state()) == (commits, state)


def test_leases_are_closed_in_slices(dual: FakeNode) -> None:
    """All links go with the first slice; `unreaped` tells that leases are left."""
    names = [f"pod{n}" for n in range(5)]
    for name in names:
        dual.add(name)
    dual.delete(*names)
    assert len(dual.engine.reap(2).links) == 5
    assert len(dual.store.pending()) == 3
    assert dual.engine.unreaped
    assert dual.engine.reap(2).links == ()
    assert dual.engine.unreaped
    dual.engine.reap(2)
    assert not dual.engine.unreaped
    assert dual.state() == dual.desired()


def test_a_stranger_in_the_doomed_group_is_moved_out_and_reported(dual: FakeNode) -> None:
    """A link without podnet's alias is not podnet's, whatever group it is in."""
    dual.add("red")
    dual.delete("red")
    stranger = Link(at="node", name="docker0", kind="bridge", mac="02:00:00:00:00:99", mtu=1500, group=GROUP_DOOMED)
    dual.kernel.node.put(stranger)
    reaped = dual.engine.reap()
    assert reaped.strangers == ("docker0",)
    assert dual.kernel.node.link("docker0") == replace(stranger, group=0)


@pytest.mark.parametrize("method", ["reap", "forget_connections"])
def test_where_the_kernel_refuses_the_leases_stay_to_be_reaped(dual: FakeNode, method: str) -> None:
    """Their addresses are not given before it is known that nothing is left."""
    dual.add("red")
    dual.delete("red")
    dual.kernel.fail_at(method, errno.ENOBUFS)
    with pytest.raises(KernelError, match="ENOBUFS"):
        dual.engine.reap()
    assert dual.engine.unreaped
    dual.engine.reap()
    assert not dual.engine.unreaped


def test_where_the_store_fails_reaping_is_done_again(dual: FakeNode) -> None:
    """Links are gone already; the leases are closed by the next."""
    dual.add("red")
    dual.delete("red")
    dual.store.fail("close", StateError("the disk is full"))
    with pytest.raises(StateError):
        dual.engine.reap()
    assert dual.engine.unreaped
    dual.engine.reap()
    assert not dual.engine.unreaped
    assert dual.state() == dual.desired()
