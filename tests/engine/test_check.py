"""CHECK: each kind of thing that can be altered is named, as expected and as found."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from msgspec.structs import replace

from podnet.cni import Attached, IPConfig
from podnet.errors import NotAsAdded
from podnet.nft import Element
from podnet.plan import Address, Link, Neighbour, Object, Route, Sysctl
from podnet.testing import FakeNode
from podnet.testing.space import Space
from podnet.testing.values import a_network

Alteration = Callable[[Space, Space], None]


def the(space: Space, kind: type, **fields: object) -> Object:
    """Return the first object of `kind` in `space` with those `fields`."""
    return next(
        thing
        for thing in space.objects.values()
        if isinstance(thing, kind) and all(getattr(thing, name) == value for name, value in fields.items())
    )


def host(space: Space) -> Link:
    """Return the pod's host link."""
    return next(link for link in space.links() if link.alias == "podnet:red:eth0")


def eth0(space: Space) -> Link:
    """Return the pod's link."""
    found = space.link("eth0")
    assert found is not None
    return found


DEFAULT = ip_network("0.0.0.0/0")
ALTERED: dict[str, tuple[Alteration, str]] = {
    "host link down": (
        lambda node, _: node.put(replace(host(node), up=False)),
        r"node link veth-\w+: up expected True, found False",
    ),
    "host link gone": (lambda node, _: node.remove(host(node)), r"missing: ip link add veth-\w+ "),
    "host link's mtu": (
        lambda node, _: node.put(replace(host(node), mtu=1280)),
        r"node link veth-\w+: mtu expected 1500, found 1280",
    ),
    "host link's mac and group": (
        lambda node, _: node.put(replace(host(node), mac="02:00:00:00:00:99", group=7)),
        r"mac expected '02:70:6f:64:6e:65', found '02:00:00:00:00:99', group expected 28782, found 7",
    ),
    "pod link down": (
        lambda _, pod: pod.put(replace(eth0(pod), up=False)),
        "pod link eth0: up expected True, found False",
    ),
    "loopback down": (
        lambda _, pod: pod.put(replace(the(pod, Link, name="lo"), up=False)),
        "pod link lo: up expected True, found False",
    ),
    "address gone": (
        lambda _, pod: pod.remove(the(pod, Address, address=ip_address("10.244.1.2"))),
        r"missing: ip -n red addr add 10\.244\.1\.2/32 dev eth0",
    ),
    "route gone": (
        lambda _, pod: pod.remove(the(pod, Route, dst=DEFAULT)),
        r"missing: ip -n red route add default via 169\.254\.1\.1 dev eth0",
    ),
    "route changed": (
        lambda _, pod: pod.put(Route(at="pod", dst=DEFAULT, dev="eth0", via=ip_address("10.1.1.1"), onlink=True)),
        r"expected ip -n red route add default via 169\.254\.1\.1 .*, found ip -n red route add default via 10\.1\.",
    ),
    "route to the pod gone": (
        lambda node, _: node.remove(the(node, Route, dst=ip_network("10.244.1.2/32"))),
        r"missing: ip route add 10\.244\.1\.2/32 dev veth-\w+",
    ),
    "neighbour gone": (
        lambda _, pod: pod.remove(the(pod, Neighbour, address=ip_address("169.254.1.1"))),
        r"missing: ip -n red neigh add 169\.254\.1\.1 lladdr 02:70:6f:64:6e:65",
    ),
    "neighbour changed": (
        lambda node, _: node.put(
            replace(the(node, Neighbour, address=ip_address("10.244.1.2")), mac="02:00:00:00:00:99")
        ),
        r"expected ip neigh add 10\.244\.1\.2 lladdr 0a:58:0a:f4:01:02 .*, found ip neigh add .* 02:00:00:00:00:99",
    ),
    "element gone": (
        lambda node, _: node.remove(the(node, Element, key=(host(node).name, ip_address("10.244.1.2")))),
        r"missing: nft 'add element inet podnet pods4 \{ .*10\.244\.1\.2 \}'",
    ),
    "sysctl changed": (
        lambda _, pod: pod.put(Sysctl(at="pod", name="net/ipv6/conf/eth0/accept_ra", value="1")),
        r"expected ip netns exec red sysctl -qw net/ipv6/conf/eth0/accept_ra=0, found .*accept_ra=1",
    ),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_thing_is_named_as_expected_and_as_found(dual: FakeNode, what: str) -> None:
    """NotAsAdded, CNI 112, with the command that would have made it, and the remedy."""
    alter, message = ALTERED[what]
    result = dual.add("red")
    dual.check("red", result)
    alter(dual.kernel.node, dual.kernel.inside(dual.namespace("red")))
    with pytest.raises(NotAsAdded, match=message) as refused:
        dual.check("red", result)
    assert refused.value.cni_code == 112
    assert "DEL and ADD the container again" in refused.value.msg


def test_further_differences_are_counted(dual: FakeNode) -> None:
    """Only the first is told in full."""
    result = dual.add("red")
    space = dual.kernel.inside(dual.namespace("red"))
    routes = [thing for thing in space.objects.values() if isinstance(thing, Route)]
    for route in routes:
        space.remove(route)
    with pytest.raises(NotAsAdded, match=rf"\(and {len(routes) - 1} more\)"):
        dual.check("red", result)


def test_a_bridge_port_that_left_its_bridge_is_named() -> None:
    """Master and isolation are facts of the attachment."""
    node = FakeNode(a_network("bridge", (4,)))
    result = node.add("red")
    port = host(node.kernel.node)
    node.kernel.node.put(replace(port, isolated=False))
    with pytest.raises(NotAsAdded, match="isolated expected True, found False"):
        node.check("red", result)
    node.kernel.node.put(replace(port, master=""))
    with pytest.raises(NotAsAdded, match="master expected 'br0', found ''"):
        node.check("red", result)


def test_a_container_without_a_lease_is_named(dual: FakeNode) -> None:
    """Before ADD, and after DEL."""
    result = dual.add("red")
    dual.delete("red")
    with pytest.raises(NotAsAdded, match="container red has no live lease for eth0 in network podnet"):
        dual.check("red", result)


def test_a_previous_result_with_other_addresses_is_named(dual: FakeNode) -> None:
    """The runtime believes in something that is not so."""
    result = dual.add("red")
    other = Attached(result.interfaces, (IPConfig(ip_address("10.244.1.9"), 32),))
    with pytest.raises(NotAsAdded, match=r"prevResult has 10\.244\.1\.9, the lease 10\.244\.1\.2, fd00:10:244:1::2"):
        dual.check("red", other)


def test_a_previous_result_may_tell_of_more_or_of_nothing(dual: FakeNode) -> None:
    """Other plugins of a chain add addresses, or rewrite the result."""
    result = dual.add("red")
    dual.check("red", Attached(result.interfaces, (*result.ips, IPConfig(ip_address("10.9.9.9"), 32))))
    dual.check("red", Attached((), ()))


def test_check_changes_nothing(dual: FakeNode) -> None:
    """It only observes."""
    result = dual.add("red")
    state, inside = dual.state(), dual.pod_state("red")
    dual.kernel.calls.clear()
    dual.check("red", result)
    assert set(dual.kernel.calls) == {"observe"}
    assert (dual.state(), dual.pod_state("red")) == (state, inside)
