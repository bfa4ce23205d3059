"""FakeKernel beside the real kernel: VXLAN devices and what is in them."""

from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import pytest
from msgspec.structs import replace

from podnet.plan import (
    GROUP_MESH,
    PROTOCOL,
    Address,
    Fdb,
    Link,
    Neighbour,
    Plan,
    Route,
    Step,
    Vxlan,
    diff,
    inverse,
)
from podnet.testing.values import FACTS, a_network
from tests.engine.both import Both

pytestmark = pytest.mark.live


def test_tunnels_are_alike(stack: ExitStack) -> None:
    """Made twice, beside another of the same VNI, set, down, of another MAC, entry by entry, taken apart, made anew."""
    both = Both(a_network(), stack)
    mac = "02:00:00:00:02:%02x"
    vxlan = Vxlan(vni=7, local=FACTS.addresses[0], port=4789, dev="up0")
    tunnel = Link(
        at="node",
        name="podnet-vx4",
        kind="vxlan",
        mac=mac % 1,
        mtu=1450,
        group=GROUP_MESH,
        alias="podnet:mesh:vxlan",
        ipv6_autoconf=False,
        vxlan=vxlan,
    )
    address = Address(at="node", dev=tunnel.name, address=ip_address("10.244.1.0"), prefixlen=32)
    neighbour = Neighbour(at="node", dev=tunnel.name, address=ip_address("10.244.2.0"), mac=mac % 2)
    entry = Fdb(at="node", dev=tunnel.name, mac=mac % 2, dst=ip_address("10.99.0.12"))
    moved = replace(entry, dst=ip_address("10.99.0.13"))
    route = Route(
        at="node",
        dst=ip_network("10.244.2.0/24"),
        dev=tunnel.name,
        via=neighbour.address,
        onlink=True,
        src=address.address,
        protocol=PROTOCOL,
    )
    whole = Plan(tuple(Step(thing, "") for thing in (tunnel, address, neighbour, entry, route)))
    other = replace(tunnel, vxlan=replace(vxlan, vni=8))
    remade = Plan((Step(tunnel, "", "delete"), Step(other, ""), *whole.steps[1:]))
    courses: list[tuple[str, Plan]] = [
        ("apply", Plan((Step(entry, ""),))),
        ("apply", whole),
        ("apply", whole),
        ("apply", Plan((Step(replace(tunnel, name="vx-twin", mac=mac % 9), ""),))),
        ("apply", Plan((Step(entry, ""),))),
        ("apply", Plan((Step(moved, "", "set"),))),
        ("apply", Plan((Step(entry, "", "delete"),))),
        ("apply", Plan((Step(moved, "", "delete"), Step(moved, "", "delete")))),
        ("apply", Plan((Step(entry, "", "set"),))),
        ("apply", Plan((Step(replace(tunnel, mtu=1400), "", "set"),))),
        ("apply", Plan((Step(Link(at="node", name=tunnel.name, mac=mac % 3), "", "set"),))),
        ("apply", Plan((Step(Link(at="node", name=tunnel.name, up=False), "", "set"),))),
        ("apply", Plan((Step(tunnel, "", "set"), Step(neighbour, "", "set"), Step(route, "", "set")))),
        ("apply", remade),
        ("dismantle", inverse(whole)),
        ("dismantle", inverse(whole)),
        ("apply", whole),
        ("apply", Plan((Step(Link(at="node", name="up0"), "", "delete"),))),
    ]
    for verb, plan in courses:
        both.do(verb, plan)
        both.compare({})
        with both.node.inside():
            of_both = [diff(kernel.observe(whole), whole) for kernel in (both.fake, both.real)]
        assert of_both[0] == of_both[1]
