"""Links to other nodes compared: what of a tunnel can be set, and what takes another one."""

from ipaddress import IPv4Address, IPv4Network

import msgspec
import pytest

from podnet.plan import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Route,
    Sysctl,
    Vxlan,
    WireGuard,
    WireGuardPeer,
    diff,
    state_of,
)
from tests.plan.said import a_plan

ENCRYPTED = WireGuard(at="node", dev="wg0", private_key="/key", public_key="k1", port=51820)


PEER = WireGuardPeer(
    at="node",
    dev="wg0",
    public_key="k2",
    endpoint=IPv4Address("192.0.2.2"),
    port=51820,
    allowed_ips=(IPv4Network("10.244.2.0/24"), IPv4Network("10.244.9.0/24")),
)


OPTIONS = Vxlan(vni=7, local=IPv4Address("192.0.2.1"), port=4789, dev="eth0")


TUNNEL = Link(at="node", name="podnet-vx4", kind="vxlan", mac="02:00:00:00:00:01", vxlan=OPTIONS)


IN_IT: list[Object] = [
    Sysctl(at="node", name="net/ipv6/conf/podnet-vx4/disable_ipv6", value="0"),
    Address(at="node", dev="podnet-vx4", address=IPv4Address("10.0.1.0"), prefixlen=32),
    Neighbour(at="node", dev="podnet-vx4", address=IPv4Address("10.0.2.0"), mac="02:00:00:00:00:02"),
    Fdb(at="node", dev="podnet-vx4", mac="02:00:00:00:00:02", dst=IPv4Address("192.0.2.2")),
    Route(at="node", dst=IPv4Network("10.0.2.0/24"), dev="podnet-vx4"),
]


@pytest.mark.parametrize(
    ("field", "value"), [("vni", 8), ("local", IPv4Address("192.0.2.9")), ("port", 8472), ("dev", "eth1")]
)
def test_a_tunnel_of_other_options_is_made_anew_with_all_that_is_in_it(field: str, value: object) -> None:
    """A living one takes none of them: it is deleted, and what went with it is added, though it was right."""
    other = msgspec.structs.replace(TUNNEL, vxlan=msgspec.structs.replace(OPTIONS, **{field: value}))
    elsewhere = Fdb(at="node", dev="vx9", mac="02:00:00:00:00:02", dst=IPv4Address("192.0.2.2"))
    steps = diff(state_of([other, *IN_IT, elsewhere]), a_plan([TUNNEL, *IN_IT, elsewhere])).steps
    expected: list[tuple[Object, str]] = [(other, "delete"), *((thing, "add") for thing in [TUNNEL, *IN_IT])]
    assert [(step.object, step.verb) for step in steps] == expected


def test_a_tunnel_that_has_another_address_of_ours_is_made_anew() -> None:
    """Nothing is deleted from it one by one; a stranger's address on it is left alone."""
    old = Address(at="node", dev="podnet-vx4", address=IPv4Address("10.0.9.0"), prefixlen=32)
    observed = [TUNNEL, old, *IN_IT]
    steps = diff(state_of(observed), a_plan([TUNNEL, *IN_IT]), [TUNNEL, old]).steps
    expected: list[tuple[Object, str]] = [(TUNNEL, "delete"), *((thing, "add") for thing in [TUNNEL, *IN_IT])]
    assert [(step.object, step.verb) for step in steps] == expected
    assert not diff(state_of(observed), a_plan([TUNNEL, *IN_IT]))


def test_a_tunnel_of_another_mtu_is_set() -> None:
    """What can be changed on a living one is."""
    (step,) = diff(
        state_of([msgspec.structs.replace(TUNNEL, mtu=1400)]), a_plan([msgspec.structs.replace(TUNNEL, mtu=1450)])
    ).steps
    assert step.verb == "set"


def test_a_link_that_speaks_wireguard_is_made_anew_by_the_kernel_that_can_now() -> None:
    """What a program made is deleted, and all that is on it is added again; so it is the other way round."""
    for born, wanted in (("tun", "wireguard"), ("wireguard", "tun")):
        old, new = (Link(at="node", name="wg0", kind=kind, mtu=1440) for kind in (born, wanted))
        steps = diff(state_of([old, ENCRYPTED, PEER]), a_plan([new, ENCRYPTED, PEER])).steps
        assert [(step.object, step.verb) for step in steps] == [
            (old, "delete"),
            (new, "add"),
            (ENCRYPTED, "add"),
            (PEER, "add"),
        ]


def test_a_peers_addresses_are_a_set() -> None:
    """The kernel tells them in an order of its own."""
    turned = msgspec.structs.replace(PEER, allowed_ips=PEER.allowed_ips[::-1])
    assert not diff(state_of([turned]), a_plan([PEER]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowed_ips", (IPv4Network("10.244.2.0/24"),)),
        ("allowed_ips", ()),
        ("endpoint", IPv4Address("192.0.2.9")),
        ("endpoint", None),
        ("port", 1),
    ],
)
def test_a_peer_that_is_otherwise_is_set(field: str, value: object) -> None:
    """By one step."""
    (step,) = diff(state_of([msgspec.structs.replace(PEER, **{field: value})]), a_plan([PEER])).steps
    assert (step.object, step.verb) == (PEER, "set")


def test_a_device_is_known_by_its_public_key() -> None:
    """In which file its private one is cannot be seen; another key or port is set."""
    seen = msgspec.structs.replace(ENCRYPTED, private_key="")
    assert not diff(state_of([seen]), a_plan([ENCRYPTED]))
    for other in (msgspec.structs.replace(seen, public_key=""), msgspec.structs.replace(seen, port=1)):
        (step,) = diff(state_of([other]), a_plan([ENCRYPTED])).steps
        assert (step.object, step.verb) == (ENCRYPTED, "set")
