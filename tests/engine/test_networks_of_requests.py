"""Networks that only requests bring: the node's part is built when they come and stays while they have pods."""

import errno
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from msgspec.structs import replace

from podnet.errors import NodeNotReady
from podnet.model import Network, Range
from podnet.nft import Element
from podnet.plan import Link
from podnet.testing import FakeNode
from podnet.testing.values import a_network, a_range


def brought(subnet: str, name: str = "brought", **fields: Any) -> Network:
    """Return a network of one subnet."""
    return Network(name=name, ranges=((a_range(subnet),),), **fields)


def test_its_part_is_built_once(network: Network) -> None:
    """The first ADD brings it, the second finds it."""
    node = FakeNode()
    node.add("red", network)
    assert node.state() == node.desired()
    node.kernel.calls.clear()
    result = node.add("blue", network)
    assert node.kernel.calls == ["apply"]
    node.check("blue", result, network)


def test_an_equal_configuration_is_the_same_network(network: Network) -> None:
    """Whoever parses it again brings nothing new."""
    node = FakeNode(network)
    node.kernel.calls.clear()
    node.add("red", replace(network))
    assert node.kernel.calls == ["apply"]


def test_a_node_that_cannot_serve_it_says_so_and_forgets_it(dual: FakeNode) -> None:
    """NodeNotReady for that ADD; the next tries again, and others go on."""
    network = brought("10.77.0.0/24", datapath="bridge", bridge="br77")
    before = dual.state()
    dual.kernel.fail_at(lambda step: isinstance(step.object, Link) and step.object.name == "br77", errno.EOPNOTSUPP)
    with pytest.raises(NodeNotReady, match=r"network brought: ip link add br77 .*: ENOTSUP") as refused:
        dual.add("red", network)
    assert refused.value.cni_code == 102
    assert dual.state() == before
    assert not dual.store.live()
    dual.add("green")
    dual.add("red", network)
    assert dual.state() == dual.desired()


@pytest.mark.parametrize("kind", ["ptp", "bridge"])
def test_it_is_kept_over_a_restart_while_it_has_pods(kind: Any) -> None:
    """A new engine learns it from the leases: its pods keep bridge, masquerade and gateway."""
    node = FakeNode(a_network())
    network = brought("10.77.0.0/24", datapath=kind, bridge="br77")
    result = node.add("red", network)
    wanted = node.state()
    node.restart()
    assert not node.reconcile()
    assert node.state() == wanted
    node.check("red", result, network)
    node.delete("red", network=network)
    node.engine.reap()
    node.restart()
    node.reconcile()
    assert node.state() == node.desired()
    assert node.kernel.node.link("br77") is None


NEIGHBOURS = {
    "beside": ("10.77.2.0/24", "10.77.3.0/24"),
    "within": ("10.77.0.0/16", "10.77.3.0/24"),
    "around": ("10.77.3.0/24", "10.77.0.0/16"),
    "same": ("10.77.3.0/24", "10.77.3.0/24"),
}


@pytest.mark.parametrize("kind", ["ptp", "bridge"])
@pytest.mark.parametrize("how", NEIGHBOURS)
def test_networks_whose_subnets_touch_stand_side_by_side(how: str, kind: Any) -> None:
    """Their elements are merged into intervals that replace those that were there."""
    first, second = (
        brought(subnet, f"net{n}", datapath=kind, bridge="br77", non_masquerade=(ip_network("10.96.0.0/12"),))
        for n, subnet in enumerate(NEIGHBOURS[how])
    )
    node = FakeNode()
    red = node.add("red", first)
    blue = node.add("blue", second)
    node.check("red", red, first)
    node.check("blue", blue, second)
    assert node.state() == node.desired()
    node.restart()
    assert not node.reconcile()


def test_a_wider_exception_from_masquerading_replaces_the_narrower(dual: FakeNode) -> None:
    """10.0.0.0/8 covers what was there: one interval, as the kernel takes no overlaps."""
    dual.add("red", brought("10.77.0.0/24", non_masquerade=(ip_network("10.0.0.0/8"),)))
    cluster = [t.key for t in dual.state().values() if isinstance(t, Element) and t.set.name == "cluster4"]
    assert cluster == [(ip_network("10.0.0.0/8"),)]
    assert dual.state() == dual.desired()


def test_one_range_in_two_networks_gives_each_address_once() -> None:
    """An address is a pod's, whichever network's configuration it came by."""
    pool = Range(ip_network("10.77.0.0/29"), ip_address("10.77.0.1"), ip_address("10.77.0.6"), ip_address("10.77.0.1"))
    networks = [Network(name=f"net{n}", ranges=((pool,),)) for n in range(2)]
    node = FakeNode()
    given = [node.add(f"pod{n}", networks[n % 2]).ips[0].address for n in range(5)]
    assert len(set(given)) == 5
    assert node.state() == node.desired()


def test_a_node_that_cannot_be_observed_is_not_ready(dual: FakeNode) -> None:
    """It is told to that ADD alone, and the next tries again."""
    network = brought("10.77.0.0/24")
    dual.kernel.fail_at("observe", errno.ENOBUFS)
    with pytest.raises(NodeNotReady, match="ENOBUFS"):
        dual.add("red", network)
    dual.add("red", network)
    assert dual.state() == dual.desired()


def test_a_network_that_cannot_join_leaves_the_others_masqueraded(dual: FakeNode) -> None:
    """What made room for it is there again."""
    before = dual.state()
    wide = brought("10.77.0.0/24", datapath="bridge", bridge="br77", non_masquerade=(ip_network("10.0.0.0/8"),))
    dual.kernel.fail_at(lambda step: isinstance(step.object, Link) and step.object.name == "br77", errno.ENOMEM)
    with pytest.raises(NodeNotReady):
        dual.add("red", wide)
    assert dual.state() == before
