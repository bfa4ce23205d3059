"""Sources: a pod sends with its own addresses and says nothing in others' names, and nobody else sends with its own."""

import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest

from podnet.datapath.hardware import GATEWAY_MAC, bridge_mac, link_local
from podnet.model import Attachment, link_name
from podnet.testing.node import ADDRESSES, Node
from podnet.testing.talk import mapped
from tests.live import frames
from tests.live.frames import Wire, arp, ethernet, icmpv6, kind_of, solicitation, udp

pytestmark = pytest.mark.live

OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
REMOTE = {4: "10.244.2.7", 6: "fd00:10:244:2::7"}
CIDRS = {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}
ASKED_MAC = "02:00:00:00:aa:01"
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
PEER = (
    '  - name: n2\n    addresses: ["10.99.0.12", "fd99::12"]\n    pod-cidrs: ["10.244.2.0/24", "fd00:10:244:2::/64"]\n'
)


class Pod(NamedTuple):
    """A pod by its name, with its MAC, its addresses by IP version, and its link-local address."""

    name: str
    mac: str
    addresses: dict[int, str]

    @property
    def local(self) -> str:
        """The link-local address."""
        return str(link_local(self.mac))


def attach(node: Node, name: str, families: tuple[int, ...] = (4, 6), mac: str = "") -> Pod:
    """Make and attach a pod, with a MAC that its runtime asks for where one is given."""
    more = {"configuration": {**mapped(), "runtimeConfig": {"mac": mac}}} if mac else {}
    outcome = node.cni("ADD", node.pod(name), **more)
    (link,) = node.json("ip", "-j", "link", "show", "eth0", pod=name)
    assert mac in {"", link["address"]}
    return Pod(name, link["address"], dict(zip(families, outcome.addresses, strict=True)))


def no_reverse_path_filter(node: Node) -> None:
    """Let the kernel itself take any source from any link."""
    node.sh("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_nobody_outside_sends_with_the_address_of_a_pod_of_this_node(
    serving: Callable[..., Node], datapath: str, version: int
) -> None:
    """Neither to the pods nor to the node, whatever rp_filter says; another node's pods and the outside do."""
    node = serving(datapath, (version,), peers=PEER)
    red, blue = (attach(node, name, (version,)) for name in ("red", "blue"))
    no_reverse_path_filter(node)
    forged = red.addresses[version]
    length, nodad = (32, []) if version == 4 else (128, ["nodad"])
    for address in (forged, REMOTE[version]):
        node.run("ip", "addr", "add", f"{address}/{length}", "dev", "up1", *nodad, pod="outside")
    node.run("ip", f"-{version}", "route", "add", CIDRS[version], "via", ADDRESSES[version], pod="outside")
    for place, at in (("blue", blue.addresses[version]), ("", ADDRESSES[version])):
        receiver = node.udp(place, at)
        to = receiver.getsockname()[:2]
        for source, said in ((forged, b"forged"), (REMOTE[version], b"remote"), (OUTSIDE[version], b"outside")):
            node.udp("outside", source).sendto(said, to)
        assert [receiver.recv(64), receiver.recv(64)] == [b"remote", b"outside"]


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_what_comes_out_of_a_tunnel_is_no_pod_of_this_node(serving: Callable[..., Node], datapath: str) -> None:
    """A packet that n2 sends in VXLAN with the source of a pod here is dropped; with that of one of its own, not."""
    node = serving(datapath, (4,), more="backend: vxlan", peers=PEER)
    red, blue = (attach(node, name, (4,)) for name in ("red", "blue"))
    no_reverse_path_filter(node)
    mine = node.json("ip", "-j", "link", "show", "podnet-vx4")[0]["address"]
    node.run("ip", "addr", "add", "10.99.0.12/24", "dev", "up1", pod="outside")
    tunnel = node.udp("outside", "10.99.0.12")
    receiver = node.udp("blue", blue.addresses[4], frames.PORT)
    for source, said in ((red.addresses[4], b"forged"), (REMOTE[4], b"remote")):
        inner = ethernet("02:00:00:00:00:77", mine, frames.IP, udp(source, blue.addresses[4], said))
        tunnel.sendto(bytes((8, 0, 0, 0)) + (28782 << 8).to_bytes(4, "big") + inner, ("10.99.0.11", 4789))
    assert receiver.recv(64) == b"remote"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
@pytest.mark.parametrize("mac", ["", ASKED_MAC], ids=["derived MAC", "asked MAC"])
def test_a_pod_does_not_pass_for_the_pod_beside_it(
    serving: Callable[..., Node], datapath: str, version: int, mac: str
) -> None:
    """By its address, on a bridge also by its MAC or by both, to pods, node and outside; its own packets arrive."""
    node = serving(datapath, (4, 6))
    red, blue, green = attach(node, "red", mac=mac), attach(node, "blue"), attach(node, "green")
    gateway = GATEWAY_MAC if datapath == "ptp" else bridge_mac("br0")
    own, other = red.addresses[version], blue.addresses[version]
    identities = [(red.mac, other), (blue.mac, other)] + ([(blue.mac, own)] if datapath == "bridge" else [])
    wire = Wire(node, "red", "eth0")
    for place, at in (("green", green.addresses[version]), ("", ADDRESSES[version]), ("outside", OUTSIDE[version])):
        receiver = node.udp(place, at, frames.PORT)
        for hardware, address in identities:
            wire.send(ethernet(hardware, gateway, kind_of(at), udp(address, at, b"forged")))
        wire.send(ethernet(red.mac, gateway, kind_of(at), udp(own, at, b"own")))
        assert receiver.recv(64) == b"own"


@pytest.mark.parametrize("mac", ["", ASKED_MAC], ids=["derived MAC", "asked MAC"])
def test_a_port_of_a_bridge_lets_in_its_own_pods_frames_alone(serving: Callable[..., Node], mac: str) -> None:
    """Nothing forged gets as far as br0, where every pod's frames come: ARP, advertisements, tags, other protocols."""
    node = serving("bridge", (4, 6))
    red, blue = attach(node, "red", mac=mac), attach(node, "blue")
    gateway, bridge = ("10.244.1.1", "fd00:10:244:1::1"), bridge_mac("br0")
    at_bridge, wire = Wire(node, "", "br0"), Wire(node, "red", "eth0")
    forged = [
        ethernet(red.mac, frames.BROADCAST, frames.ARP, arp(operation, who, (frames.BROADCAST, who[1])))
        for operation in (frames.REQUEST, frames.REPLY)
        for who in (
            (red.mac, blue.addresses[4]),
            (red.mac, gateway[0]),
            (blue.mac, red.addresses[4]),
            (blue.mac, blue.addresses[4]),
        )
    ]
    forged.append(
        ethernet(red.mac, bridge, frames.ARP, arp(frames.REPLY, (red.mac, "10.244.1.99"), (bridge, gateway[0])))
    )
    own_arp = arp(frames.REQUEST, (red.mac, red.addresses[4]), ("00:00:00:00:00:00", gateway[0]))
    forged.append(ethernet(blue.mac, frames.BROADCAST, frames.ARP, own_arp))
    for address in (blue.addresses[6], gateway[1], red.addresses[6]):
        for source in {red.addresses[6], red.local, address}:
            body = frames.advertisement(address, red.mac)
            forged.append(ethernet(red.mac, bridge, frames.IP6, icmpv6(source, gateway[1], frames.ADVERTISE, body)))
    own = ethernet(red.mac, bridge, frames.IP, udp(red.addresses[4], gateway[0], b"own"))
    forged += [frames.tagged(own), ethernet(red.mac, bridge, frames.EXPERIMENT, b"x" * 46)]
    forged += [
        ethernet(red.mac, bridge, frames.IP6, icmpv6(blue.local, gateway[1], frames.SOLICIT, solicitation(gateway[1])))
    ]
    legitimate = [
        ethernet(red.mac, frames.BROADCAST, frames.ARP, own_arp),
        ethernet(red.mac, bridge, frames.ARP, arp(frames.REPLY, (red.mac, red.addresses[4]), (bridge, gateway[0]))),
        ethernet(
            red.mac,
            bridge,
            frames.IP6,
            icmpv6(red.addresses[6], gateway[1], frames.SOLICIT, solicitation(gateway[1], red.mac)),
        ),
        ethernet(
            red.mac,
            "33:33:00:00:00:01",
            frames.IP6,
            icmpv6("::", ALL_NODES, frames.SOLICIT, solicitation(red.addresses[6])),
        ),
        ethernet(
            red.mac, "33:33:00:00:00:02", frames.IP6, icmpv6(red.local, ALL_ROUTERS, frames.SOLICIT_ROUTER, bytes(4))
        ),
        own,
    ]
    wire.send(*forged, *legitimate)
    sent = [frame.rstrip(b"\0") for frame in (*forged, *legitimate)]  # the pod's kernel speaks MLD besides
    heard = [frame.rstrip(b"\0") for frame in at_bridge.until(b"own")]
    assert [frame for frame in heard if frame in sent] == sent[len(forged) :]


def test_a_bridge_learns_no_mac_of_anothers_port(serving: Callable[..., Node]) -> None:
    """Neither from a forged frame nor from one to the next bridge, which is taken in another way."""
    node = serving("bridge", (4,))
    red, blue = attach(node, "red", (4,)), attach(node, "blue", (4,))
    at_bridge, wire = Wire(node, "", "br0"), Wire(node, "red", "eth0")
    bridge = bridge_mac("br0")
    wire.send(ethernet(blue.mac, bridge, frames.IP, udp(blue.addresses[4], "10.244.1.1", b"forged")))
    wire.send(ethernet(blue.mac, frames.LLDP, frames.IP, udp(blue.addresses[4], "10.244.1.1", b"forged")))
    wire.send(ethernet(red.mac, bridge, frames.IP, udp(red.addresses[4], "10.244.1.1", b"own")))
    assert len(at_bridge.until(b"own")) == 1
    learned = node.json("bridge", "-j", "fdb", "show", "br", "br0", "dynamic")
    port = link_name(Attachment("podnet", "red", "eth0"), "-br")
    assert {entry["mac"] for entry in learned if entry["ifname"] == port} == {red.mac}


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_pod_is_no_router_and_its_link_local_address_is_for_discovery_alone(
    serving: Callable[..., Node], datapath: str
) -> None:
    """Advertisements and redirects of routers, datagrams from `fe80::` and `::`: none arrives; what hosts ask does."""
    node = serving(datapath, (6,))
    red, blue = attach(node, "red", (6,)), attach(node, "blue", (6,))
    gateway = GATEWAY_MAC if datapath == "ptp" else bridge_mac("br0")
    listener = node.open_socket("", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    datagrams = node.udp("", ADDRESSES[6], frames.PORT)
    wire = Wire(node, "red", "eth0")

    def say(source: str, kind: int, body: bytes = bytes(12)) -> None:
        wire.send(ethernet(red.mac, gateway, frames.IP6, icmpv6(source, ADDRESSES[6], kind, body)))

    own = red.addresses[6]
    for source in (red.local, "::"):
        say(source, frames.ADVERTISE_ROUTER)
        say(source, frames.REDIRECT, bytes(36))
        say(source, 128)
        wire.send(ethernet(red.mac, gateway, frames.IP6, udp(source, ADDRESSES[6], b"forged")))
    say(blue.local, frames.SOLICIT, solicitation(ADDRESSES[6]))
    say(red.local, frames.SOLICIT, solicitation(ADDRESSES[6], red.mac))
    say("::", frames.MLD_REPORT, bytes(20))
    say(own, 128, b"\0\0\0\0own")
    wire.send(ethernet(red.mac, gateway, frames.IP6, udp(own, ADDRESSES[6], b"own")))
    assert datagrams.recv(64) == b"own"
    heard: list[tuple[str, int]] = []
    while not heard or heard[-1] != (own, 128):
        data, (source, *_) = listener.recvfrom(1 << 16)
        heard.append((source.partition("%")[0], data[0]))
    of_red = [(source, kind) for source, kind in heard if source in {own, red.local, blue.local, "::"}]
    assert of_red == [(red.local, frames.SOLICIT), ("::", frames.MLD_REPORT), (own, 128)]


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_family_in_which_no_pod_has_an_address_is_shut(
    serving: Callable[..., Node], datapath: str, version: int
) -> None:
    """A pod that makes itself an address of the other family sends nothing with it, router advertisements included."""
    node = serving(datapath, (10 - version,))
    red = attach(node, "red", (10 - version,))
    gateway = GATEWAY_MAC if datapath == "ptp" else bridge_mac("br0")
    node.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1")
    receiver = node.udp("", ADDRESSES[version], frames.PORT)
    wire = Wire(node, "red", "eth0")
    made_up = {4: "192.0.2.9", 6: "2001:db8::9"}[version]
    wire.send(ethernet(red.mac, gateway, kind_of(made_up), udp(made_up, ADDRESSES[version], b"forged")))
    node.udp("outside", OUTSIDE[version]).sendto(b"outside", (ADDRESSES[version], frames.PORT))
    assert receiver.recv(64) == b"outside"
