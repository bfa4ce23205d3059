"""The daemon and its WireGuard device: it outlives the daemon, goes with the backend, and tells its key to who asks."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from podnet.kernel import wireguard
from podnet.testing.node import Node
from podnet.testing.stream import Stream
from podnet.testing.waiting import eventually
from podnet.wireguard.key import from_text, public_key, to_text

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (shutil.which("wg") and (shutil.which("wireguard-go") or wireguard.family())),
        reason="needs wg(8), and a kernel with WireGuard or wireguard-go: apt install wireguard-tools wireguard-go",
    ),
]

SECRET = bytes([9]) * 32
KEY = to_text(public_key(SECRET))
PEER = f'  - name: n2\n    addresses: ["10.99.0.1"]\n    pod-cidrs: ["10.244.2.0/24"]\n    wireguard: {KEY}\n'
FAR = "10.244.2.2"
"""The address of a pod of that node."""


def program(node: Node, link: str = "podnet-wg") -> list[int]:
    """Return the processes of the program that serves a link of the node's; none where the kernel does."""
    at = "" if link == "podnet-wg" else "outside"
    inode = int(node.run("stat", "-Lc", "%i", "/proc/self/ns/net", pod=at))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            words = process.joinpath("cmdline").read_bytes().split(b"\0")
            if words[:2] == [b"wireguard-go", link.encode()] and (process / "ns/net").stat().st_ino == inode:
                found.append(int(process.name))
    return found


@pytest.fixture
def node(serving: Callable[..., Node]) -> Iterator[Node]:
    """Give a node with a pod `red` that knows a second node: the outside, where WireGuard is set up by hand."""
    made = serving("ptp", (4,), more="backend: wireguard\ngc: {interval: 0.5}", peers=PEER)
    made.attach("red")
    public = made.run("wg", "show", "podnet-wg", "public-key").strip()
    make = "wireguard-go wg-far" if program(made) else "ip link add wg-far type wireguard"
    script = (
        f"{make}; printf {to_text(SECRET)} >/run/far.key; chmod 600 /run/far.key;"
        f"wg set wg-far listen-port 51820 private-key /run/far.key peer {public} endpoint 10.99.0.11:51820 "
        f"allowed-ips 10.244.1.0/24; ip link set wg-far up; ip addr add {FAR}/32 dev wg-far;"
        "ip route add 10.244.1.0/24 dev wg-far"
    )
    made.run("sh", "-ec", script, pod="outside")
    served = [*program(made), *program(made, "wg-far")]
    yield made
    made.stop()  # which leaves the device, and its program with it
    made.sh("ip link del podnet-wg 2>/dev/null || :; ip -n outside link del wg-far")
    eventually(lambda: not any(Path(f"/proc/{pid}/ns").exists() for pid in served), "the end of the programs")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_loses_no_packet(node: Node, how: signal.Signals) -> None:
    """The device goes on without the daemon, in the same program, and is what it was when the next one has come."""
    said = "wg show podnet-wg public-key; wg show podnet-wg allowed-ips; wg show podnet-wg listen-port"
    before = node.state(), node.sh(said), program(node)
    node.exchange("red", "outside", FAR)
    with Stream(node, "red", "outside", FAR) as stream:
        node.stop(how)
        assert (node.state(), node.sh(said), program(node)) == before
        node.start()
    assert stream.sent > 0
    assert stream.lost == set()
    assert (node.state(), node.sh(said), program(node)) == before


def test_a_device_that_is_gone_comes_back(node: Node) -> None:
    """Deleted by hand, its program still ending: link, peers and routes are there again, and packets pass."""
    said = "wg show podnet-wg public-key; wg show podnet-wg allowed-ips; wg show podnet-wg listen-port; ip route"
    before, served = node.sh(said), program(node)
    for _ in range(3):
        node.sh("ip link del podnet-wg")
        eventually(lambda: node.run("sh", "-c", said, check=False) == before, "the device")
        assert node.exchange("red", "outside", FAR) == "10.244.1.2"
    assert not served or not set(served) & set(program(node))


def test_a_peer_that_was_removed_by_hand_comes_back(node: Node) -> None:
    """The kernel does not tell of it: it is found by who looks at the whole node now and then."""
    before = node.sh("wg show podnet-wg allowed-ips")
    node.sh("wg set podnet-wg peer $(wg show podnet-wg peers) remove")
    eventually(lambda: node.sh("wg show podnet-wg allowed-ips") == before, "the peer")


def test_nodes_see_each_others_pods_with_their_own_addresses(node: Node) -> None:
    """A pod with its own, this node itself with that of its tunnel's end."""
    assert node.exchange("red", "outside", FAR) == "10.244.1.2"
    assert node.exchange("", "outside", FAR) == "10.244.1.0"


def test_with_another_backend_nothing_is_left_of_it(node: Node) -> None:
    """Link, peers, routes and program end; the key stays, for a node that comes back is to be known."""
    key = node.run("cat", "/var/lib/podnet/wireguard.key")
    node.stop()
    node.configure("ptp", (4,), peers=PEER)
    node.start()
    assert "podnet-wg" not in str(node.links())
    eventually(lambda: program(node) == [], "the end of the program")
    assert "10.244.2.0/24 via 10.99.0.1" in node.run("ip", "route")
    assert node.run("cat", "/var/lib/podnet/wireguard.key") == key


def test_a_list_without_the_nodes_own_key_is_remarked(node: Node) -> None:
    """With the line that is to be written."""
    public = node.run("wg", "show", "podnet-wg", "public-key").strip()
    assert node.daemon is not None
    node.daemon.wait_log(
        f"has no WireGuard key for this node, n1: the others do not reach its pods; write `wireguard: {public}`"
    )


def test_the_key_is_told_in_public_alone(node: Node) -> None:
    """The private one is root's, and what the device has; others are told what `wg` computes of it."""
    private = node.run("cat", "/var/lib/podnet/wireguard.key").strip()
    public = to_text(public_key(from_text(private)))
    assert node.run("stat", "-c", "%a %U", "/var/lib/podnet/wireguard.key").strip() == "600 root"
    assert node.run("wg", "show", "podnet-wg", "public-key").strip() == public
    assert node.run("wg", "show", "podnet-wg", "private-key").strip() == private
