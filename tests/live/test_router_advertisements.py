"""A node that learns its default route from a router keeps it when it begins to forward for its pods."""

import socket
import struct
from typing import Any

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

ALL_NODES = "ff02::1"


class Router:
    """Sends router advertisements (RFC 4861, section 4.2) from the namespace outside the node."""

    def __init__(self, node: Node) -> None:
        node.run("ip", "-n", "outside", "addr", "add", "fe80::b/64", "dev", "up1", "nodad")
        (link,) = node.json("ip", "-j", "-n", "outside", "link", "show", "up1")
        self._socket = node.open_socket("outside", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self._socket.bind(("fe80::b", 0, 0, link["ifindex"]))
        self._index = link["ifindex"]

    def advertise(self, lifetime: int) -> None:
        """Offer a default route for `lifetime` seconds; the kernel computes the checksum."""
        message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
        self._socket.sendto(message, (ALL_NODES, 0, 0, self._index))


def learned(node: Node) -> list[dict[str, Any]]:
    """Return the default routes that came by router advertisement."""
    return [r for r in node.json("ip", "-6", "-j", "route", "show", "default") if r["protocol"] == "ra"]


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_learned_default_route_survives_forwarding(bare: Node, datapath: str) -> None:
    """The route is there before, right after the daemon has started, and the next advertisement renews it."""
    bare.sh(
        "ip -6 route del default; ip link set up0 down; sysctl -qw net.ipv6.conf.up0.accept_ra=1;"
        "ip link set up0 addrgenmode eui64; ip link set up0 up; ip addr add fd99::11/64 dev up0 nodad"
    )
    router = Router(bare)

    def advertised(lifetime: int) -> bool:
        router.advertise(lifetime)
        return bool(learned(bare))

    eventually(lambda: advertised(600), "a default route by advertisement")
    (route,) = learned(bare)
    assert route["gateway"] == "fe80::b"
    assert route["expires"] <= 600
    bare.configure(datapath, (6,))
    bare.start()
    assert bare.run("sysctl", "-n", "net.ipv6.conf.all.forwarding").strip() == "1"
    assert [r["gateway"] for r in learned(bare)] == ["fe80::b"], "the route was lost when forwarding began"
    router.advertise(1800)
    eventually(lambda: [r for r in learned(bare) if r["expires"] > 1200], "the route renewed")
    bare.attach("red")
    bare.stop()
    bare.start()
    assert [r["gateway"] for r in learned(bare)] == ["fe80::b"]
    router.advertise(0)
    eventually(lambda: not learned(bare), "the route withdrawn by its router")
