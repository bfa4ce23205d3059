"""The way out of the node has another MTU: pods that run get it at both ends of their link, or at neither."""

import errno
from typing import Any

import pytest
from msgspec.structs import replace

from podnet.datapath import mtu_of
from podnet.model import Network
from podnet.plan import Link
from podnet.testing import FakeNode
from podnet.testing.values import FACTS, a_network

NARROW = replace(FACTS, mtu=1400)


def mtus(node: FakeNode, name: str) -> tuple[int, int]:
    """Return the MTUs of the host's and of the pod's end."""
    (lease,) = (lease for lease in node.store.live() if lease.attachment.container == name)
    host = node.kernel.node.link(lease.link)
    pod = node.kernel.inside(node.namespace(name)).link("eth0")
    assert host is not None
    assert pod is not None
    assert host.up
    assert pod.up
    return host.mtu, pod.mtu


def serving(network: Network, *pods: str) -> FakeNode:
    """Return a node with pods."""
    node = FakeNode(network)
    for name in pods:
        node.add(name)
    return node


def become(node: FakeNode, facts: Any) -> list[str]:
    """Let the node have other facts; return what was set, as the plan says it."""
    node.facts = facts
    return [f"{step.verb} {step.object.name}" for step in node.reconcile().steps if isinstance(step.object, Link)]


@pytest.mark.parametrize("mtu", [1400, 9000])
def test_pods_that_run_get_it_as_new_ones_do(network: Network, mtu: int) -> None:
    """Narrower or wider: both ends of each, the bridge too; then nothing is left to do, and CHECK is content."""
    node = serving(network, "red", "blue")
    result = node.add("green")
    assert become(node, replace(FACTS, mtu=mtu))
    assert [mtus(node, name) for name in ("red", "blue", "green")] == [(mtu, mtu)] * 3
    assert not node.reconcile()
    node.check("green", result)
    assert node.add("later").interfaces[-1].mtu == mtu
    assert node.state() == node.desired()


def test_a_restart_finds_it_too(network: Network) -> None:
    """Also what changed while nobody served reaches the pods: their ends never differ."""
    node = serving(network, "red")
    node.facts = NARROW
    node.restart()
    node.reconcile()
    assert mtus(node, "red") == (1400, 1400)


def test_a_pod_that_cannot_be_reached_keeps_both_ends(network: Network) -> None:
    """A host's end narrower than the pod's would drop without a word what the pod sends; the others get theirs."""
    node = serving(network, "red", "blue")
    (lease,) = (lease for lease in node.store.live() if lease.attachment.container == "red")
    pod = node.kernel.inside(node.namespace("red"))
    eth0 = pod.link("eth0")
    assert eth0 is not None
    del pod.objects[eth0.key]  # its holder has given it another name
    pod.put(replace(eth0, name="mine"))
    become(node, NARROW)
    host, mine = node.kernel.node.link(lease.link), pod.link("mine")
    assert host is not None
    assert mine is not None
    assert (host.mtu, mine.mtu) == (1500, 1500)
    assert mtus(node, "blue") == (1400, 1400)


def test_what_else_is_wrong_of_such_a_link_is_put_right(network: Network) -> None:
    """By the same reconciliation, once."""
    node = serving(network, "red")
    (lease,) = node.store.live()
    host = node.kernel.node.link(lease.link)
    assert host is not None
    node.kernel.node.put(replace(host, ipv6_autoconf=True))
    become(node, NARROW)
    assert mtus(node, "red") == (1400, 1400)
    assert node.state() == node.desired()


@pytest.mark.parametrize(("own", "becomes"), [(1300, 1300), (1450, 1400)])
def test_a_pod_that_has_narrowed_its_end_keeps_that(network: Network, own: int, becomes: int) -> None:
    """What is inside is the pod's business, as far as it fits."""
    node = serving(network, "red")
    pod = node.kernel.inside(node.namespace("red"))
    eth0 = pod.link("eth0")
    assert eth0 is not None
    pod.put(replace(eth0, mtu=own))
    become(node, NARROW)
    assert mtus(node, "red") == (1400, becomes)


def test_one_refusal_keeps_nobody_else_from_it(network: Network) -> None:
    """The pod goes just then: the others have theirs, and the node's part is built."""
    node = serving(network, "red", "blue")
    node.kernel.fail_at(lambda step: getattr(step.object, "at", "") == "pod", errno.ENODEV)
    become(node, NARROW)
    assert sorted(mtus(node, name) for name in ("red", "blue")) == [(1400, 1400), (1500, 1500)]
    node.reconcile()
    assert [mtus(node, name) for name in ("red", "blue")] == [(1400, 1400)] * 2


def test_an_mtu_that_the_network_names_stays() -> None:
    """Whatever the uplink's is."""
    node = serving(a_network(mtu=1480), "red")
    assert become(node, NARROW) == []
    assert mtus(node, "red") == (1480, 1480)


@pytest.mark.parametrize(("versions", "least"), [((4,), 600), ((6,), 1280), ((4, 6), 1280)])
def test_ipv6_keeps_its_least(versions: tuple[int, ...], least: int) -> None:
    """Below 1280 the kernel ends all IPv6 on a link (RFC 8200, section 5)."""
    network = a_network(versions=versions)
    assert mtu_of(network, replace(FACTS, mtu=600)) == least
    node = serving(network, "red")
    become(node, replace(FACTS, mtu=600))
    assert mtus(node, "red") == (least, least)
