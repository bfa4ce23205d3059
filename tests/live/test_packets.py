"""What becomes of packets: services, spoofing, the signpost, masquerade, sizes; in the surroundings that nodes have."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.testing.node import ADDRESSES, Node

pytestmark = pytest.mark.live

BRIDGE_NF = "/proc/sys/net/bridge/bridge-nf-call-"
SERVICE = {4: "10.96.0.1", 6: "fd96::1"}
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - in a namespace
OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_MTU_DISCOVER, IPV6_DONTFRAG = 10, 2, 23, 62


def surround(node: Node, nf_call: str) -> None:
    """Set strict rp_filter everywhere, and br_netfilter as `nf_call` says, or skip where the kernel has none."""
    node.sh("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done")
    if not Path(BRIDGE_NF + "iptables").exists():
        if nf_call == "1":
            pytest.skip("the kernel has no br_netfilter, or its module is not loaded")
        return
    node.sh(f"for f in iptables ip6tables arptables; do echo {nf_call} > {BRIDGE_NF}$f; done")


@pytest.mark.parametrize("nf_call", ["0", "1"])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_pods_reach_pods_and_services_in_any_surroundings(bare: Node, datapath: str, nf_call: str) -> None:
    """Directly, by a DNATed address of a pod beside, and by one of its own; with strict rp_filter and br_netfilter."""
    surround(bare, nf_call)
    bare.configure(datapath, (4, 6))
    bare.start()
    red = bare.cni("ADD", bare.pod("red")).addresses
    blue = bare.cni("ADD", bare.pod("blue")).addresses
    bare.sh(
        "nft add table inet services; nft 'add chain inet services pre { type nat hook prerouting priority -100; }';"
        f"nft add rule inet services pre ip daddr {SERVICE[4]} udp dport 7 dnat ip to {blue[0]}:4007;"
        f"nft add rule inet services pre ip6 daddr {SERVICE[6]} udp dport 7 dnat ip6 to '[{blue[1]}]:4007'"
    )
    for ours, theirs, version in zip(red, blue, (4, 6), strict=True):
        assert bare.exchange("red", "blue", theirs) == ours
        assert bare.exchange("red", "blue", SERVICE[version], heard=4007) == ours
        assert bare.exchange("blue", "blue", SERVICE[version], heard=4007) != theirs, "a pod drops its own address"
        assert bare.exchange("red", "outside", OUTSIDE[version]) == ADDRESSES[version]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("datapath", "forged"),
    [
        ("ptp", "of blue"),
        ("ptp", "of nobody"),
        ("ptp", "outside"),
        ("bridge", "of blue"),
        ("bridge", "of nobody"),
        ("bridge", "outside"),
    ],
)
def test_a_pod_cannot_send_with_anothers_address(
    serving: Callable[..., Node], datapath: str, forged: str, version: int
) -> None:
    """What red sends as blue, as a free address, or as somebody outside, arrives nowhere; its own packets do."""
    node = serving(datapath, (version,))
    red, blue, green = (node.attach(name) for name in ("red", "blue", "green"))
    address = {
        "of blue": {4: blue, 6: blue},
        "of nobody": {4: "10.244.1.200", 6: "fd00:10:244:1::200"},
        "outside": {4: "192.0.2.7", 6: "2001:db8::7"},
    }[forged][version]
    prefix = f"{address}/32" if version == 4 else f"{address}/128"
    node.run("ip", "addr", "add", prefix, "dev", "eth0", *(["nodad"] if version == 6 else []), pod="red")
    for place, at in (("", ADDRESSES[version]), ("outside", OUTSIDE[version]), ("green", green)):
        receiver = node.udp(place, at)
        to = receiver.getsockname()[:2]
        node.udp("red", address).sendto(b"forged", to)
        node.udp("red", red).sendto(b"own", to)
        assert receiver.recv(64) == b"own"


def test_the_signpost_is_not_forwarded(node: Node) -> None:
    """169.254.1.1 is where a ptp pod's routes point; a packet to it goes no further, even where somebody has it."""
    node.attach("red")
    node.sh(
        "ip -n outside addr add 169.254.1.1/32 dev up1; ip route add 169.254.1.1 via 10.99.0.1 dev up0;"
        "ip -n outside addr add 169.254.1.2/32 dev up1; ip route add 169.254.1.2 via 10.99.0.1 dev up0"
    )
    receiver = node.udp("outside")
    sender = node.udp("red")
    for address, said in (("169.254.1.1", b"to the signpost"), ("169.254.1.2", b"beside it")):
        sender.sendto(said, (address, receiver.getsockname()[1]))
    assert receiver.recv(64) == b"beside it"


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_masquerade_is_as_configured(bare: Node, datapath: str) -> None:
    """Outside sees the node's address; a destination in non-masquerade-cidrs sees the pod's own."""
    bare.configure(datapath, (4,), more="non-masquerade-cidrs: [10.99.0.128/25]")
    bare.start()
    red = bare.attach("red")
    bare.sh(
        "ip -n outside addr add 10.99.0.200/32 dev up1; ip -n outside route add 10.244.1.0/24 via 10.99.0.11;"
        "ip route add 10.99.0.200 via 10.99.0.1"
    )
    assert bare.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"
    assert bare.exchange("red", "outside", "10.99.0.200") == red


def as_large_as_possible(sender: socket.socket, version: int) -> None:
    """Never fragment, and believe what routers say of sizes."""
    if version == 4:
        sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    else:
        sender.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
        sender.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_full_packet_passes_and_too_big_comes_back(serving: Callable[..., Node], datapath: str, version: int) -> None:
    """1500 bytes pass whole; where the way outside takes 1400, the pod is told so, through masquerade."""
    node = serving(datapath, (version,))
    node.attach("red")
    headers = 28 if version == 4 else 48
    node.exchange("red", "outside", OUTSIDE[version], size=1500 - headers)
    narrow = {4: "192.0.2.0/24", 6: "2001:db8::/64"}[version]
    family = f"-{version}"
    node.run("ip", family, "route", "add", narrow, "via", OUTSIDE[version], "dev", "up0", "mtu", "1400")
    target = {4: "192.0.2.1", 6: "2001:db8::1"}[version]
    length = 32 if version == 4 else 128
    node.run("ip", "-n", "outside", "addr", "add", f"{target}/{length}", "dev", "lo")
    sender = node.udp("red", ANY[version])
    as_large_as_possible(sender, version)
    receiver = node.udp("outside", ANY[version])
    sender.connect((target, receiver.getsockname()[1]))
    sender.send(b"x" * (1401 - headers))
    with pytest.raises(OSError, match="Message too long"):
        sender.send(b"x" * (1401 - headers))
    sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    sender.send(b"y" * (1400 - headers))
    assert receiver.recv(1 << 16) == b"y" * (1400 - headers)
