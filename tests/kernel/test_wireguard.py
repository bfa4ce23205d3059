"""WireGuard devices: applied, observed, mended and ended, by the kernel where it can and by wireguard-go where that is.

`wg` tells what there is.  What needs a kernel with WireGuard is skipped on one without, and says so.
"""

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
from msgspec.structs import replace

from podnet.errors import KernelError, NodeNotReady
from podnet.kernel import wireguard, wireguard_go
from podnet.plan import (
    GROUP_MESH,
    Address,
    Link,
    Object,
    Plan,
    Route,
    Step,
    WireGuard,
    WireGuardPeer,
    diff,
    inverse,
    key_of,
    script,
)
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.waiting import eventually
from podnet.wireguard.key import clamped, public_key, to_text

pytestmark = pytest.mark.live

Kind = Literal["wireguard", "tun"]
OTHER, FURTHER = (to_text(public_key(bytes([number]) * 32)) for number in (1, 2))
FOUR, SIX, LATER = (ip_network(cidr) for cidr in ("10.244.2.0/24", "fd00:10:244:2::/64", "10.244.3.0/24"))


def ends(link: str) -> list[int]:
    """Return the processes of the program that serves `link`, whichever state it is in but the dead."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.joinpath("cmdline").read_bytes().split(b"\0")[:2] == [b"wireguard-go", link.encode()]:
                found.append(int(process.name))
    return found


class Tunnel:
    """A device in a node's namespace, by a name that no other test has, and the plan that brings it about."""

    def __init__(self, space: NodeNamespace, folder: Path, kind: Kind) -> None:
        self.space = space
        self.name = f"wg{uuid4().hex[:8]}"
        key = clamped(os.urandom(32))
        self.file = folder / "key"
        self.file.write_text(f"{to_text(key)}\n")
        self.link = Link(
            at="node",
            name=self.name,
            kind=kind,
            mtu=1380,
            group=GROUP_MESH,
            alias="podnet:mesh:test",
            ipv6_autoconf=False,
        )
        self.own = WireGuard(
            at="node",
            dev=self.name,
            private_key=str(self.file),
            public_key=to_text(public_key(key)),
            port=51820,
        )
        self.peer = WireGuardPeer(
            at="node",
            dev=self.name,
            public_key=OTHER,
            endpoint=ip_address("10.99.0.12"),
            port=51820,
            allowed_ips=(SIX, FOUR),
        )
        self.further = replace(
            self.peer, public_key=FURTHER, endpoint=ip_address("fd99::13"), port=7, allowed_ips=(LATER,)
        )
        source = ip_address("10.244.1.0")
        self.address = Address(at="node", dev=self.name, address=source, prefixlen=32)
        self.route = Route(at="node", dst=FOUR, dev=self.name, src=source, protocol=112)
        self.things: list[Object] = [self.link, self.own, self.address, self.peer, self.further, self.route]

    @property
    def plan(self) -> Plan:
        """All of it."""
        return Plan(tuple(Step(thing, "a test asks") for thing in self.things))

    def apply(self, *steps: Step) -> None:
        """Carry out `steps`, or the whole plan."""
        with self.space.inside():
            self.space.kernel.apply(Plan(steps) if steps else self.plan)

    def lacking(self) -> list[tuple[Object, str]]:
        """Return what the diff of the kernel and the plan would do."""
        with self.space.inside():
            steps = diff(self.space.kernel.observe(self.plan), self.plan).steps
        return [(step.object, step.verb) for step in steps]

    def mend(self) -> None:
        """Do that."""
        with self.space.inside():
            self.space.kernel.apply(diff(self.space.kernel.observe(self.plan), self.plan))

    def shown(self) -> dict[str, tuple[str, ...]]:
        """Return what `wg` says: of the device its key and port, of each peer by key its endpoint and addresses."""
        first, *peers = self.space.sh(f"wg show {self.name} dump").splitlines()
        _, public, port, _ = first.split("\t")
        found: dict[str, tuple[str, ...]] = {"device": (public, port)}
        for line in peers:
            key, _, endpoint, allowed, *_ = line.split("\t")
            found[key] = (endpoint, *sorted(allowed.split(",")))
        return found


@pytest.fixture(params=["wireguard", "tun"], ids=["kernel", "wireguard-go"])
def tunnel(request: pytest.FixtureRequest, space: NodeNamespace, tmp_path: Path) -> Iterator[Tunnel]:
    """Give a device that is not made yet."""
    if request.param == "wireguard" and not wireguard.family():
        pytest.skip("this kernel has no WireGuard (CONFIG_WIREGUARD)")
    if request.param == "tun" and not shutil.which("wireguard-go"):
        pytest.skip("needs wireguard-go: apt install wireguard-go")
    if not shutil.which("wg"):
        pytest.skip("needs wg(8): apt install wireguard-tools")
    made = Tunnel(space, tmp_path, request.param)
    yield made
    space.sh(f"ip link del {made.name} 2>/dev/null || :")
    eventually(lambda: not ends(made.name), "the end of wireguard-go")


def test_what_was_applied_is_observed_as_desired(tunnel: Tunnel) -> None:
    """And `wg` shows it: key, port, endpoints of both families, addresses; the link has the MTU that it was given."""
    tunnel.apply()
    assert tunnel.lacking() == []
    assert tunnel.shown() == {
        "device": (tunnel.own.public_key, "51820"),
        OTHER: ("10.99.0.12:51820", str(FOUR), str(SIX)),
        FURTHER: ("[fd99::13]:7", str(LATER)),
    }
    (link,) = json.loads(tunnel.space.sh(f"ip -j -d link show {tunnel.name}"))
    assert (link["mtu"], link["group"], link["linkinfo"]["info_kind"]) == (1380, str(GROUP_MESH), tunnel.link.kind)


def test_it_is_podnets_by_group_and_alias(tunnel: Tunnel) -> None:
    """Its peers and addresses too, so that what is not wanted any more is found."""
    tunnel.apply()
    with tunnel.space.inside():
        owned = tunnel.space.kernel.owned()
    assert {key_of(thing) for thing in tunnel.things if not isinstance(thing, WireGuard)} <= set(owned)


@pytest.mark.parametrize("by_hand", ["remove", "allowed-ips 10.9.0.0/16", "endpoint 10.99.0.99:1"])
def test_a_peer_that_was_changed_by_hand_is_mended(tunnel: Tunnel, by_hand: str) -> None:
    """By that one step: the peer is set as it should be, or added; nothing else is touched."""
    tunnel.apply()
    before = tunnel.shown()
    tunnel.space.sh(f"wg set {tunnel.name} peer {OTHER} {by_hand}")
    assert tunnel.shown() != before
    assert tunnel.lacking() == [(tunnel.peer, "add" if by_hand == "remove" else "set")]
    tunnel.mend()
    assert tunnel.shown() == before
    assert tunnel.lacking() == []


def test_another_key_or_port_is_set_right(tunnel: Tunnel, tmp_path: Path) -> None:
    """A key that others do not know, and a port at which they do not look."""
    tunnel.apply()
    before = tunnel.shown()
    stranger = tmp_path / "stranger"
    stranger.write_text(to_text(clamped(os.urandom(32))))
    for by_hand in (f"private-key {stranger}", "listen-port 7777"):
        tunnel.space.sh(f"wg set {tunnel.name} {by_hand}")
        assert tunnel.lacking() == [(tunnel.own, "set")]
        tunnel.mend()
        assert tunnel.shown() == before


def test_addresses_go_from_one_peer_to_another(tunnel: Tunnel) -> None:
    """A CIDR that another node has now is allowed to that one alone, in whichever order they are told."""
    tunnel.apply()
    tunnel.things[3:5] = [replace(tunnel.peer, allowed_ips=(LATER,)), replace(tunnel.further, allowed_ips=(FOUR, SIX))]
    assert {verb for _, verb in tunnel.lacking()} == {"set"}
    tunnel.mend()
    assert tunnel.lacking() == []
    assert tunnel.shown()[OTHER][1:] == (str(LATER),)
    assert tunnel.shown()[FURTHER][1:] == (str(FOUR), str(SIX))


def test_many_peers_are_told_and_read(tunnel: Tunnel) -> None:
    """More than one message of the kernel's holds."""
    many = [
        replace(
            tunnel.peer,
            public_key=to_text(public_key((number << 3).to_bytes(32, "little"))),
            allowed_ips=tuple(ip_network((0x0B000000 + (number << 8) + part, 32)) for part in range(4)),
        )
        for number in range(200)
    ]
    tunnel.things[3:] = many
    tunnel.apply()
    assert tunnel.lacking() == []
    assert len(tunnel.shown()) == 201


def test_all_of_it_ends(tunnel: Tunnel) -> None:
    """Taken back, there is neither link nor program nor its socket, and taking it back again is no error."""
    before = tunnel.space.state()
    tunnel.apply()
    with tunnel.space.inside():
        tunnel.space.kernel.dismantle(inverse(tunnel.plan))
        tunnel.space.kernel.dismantle(inverse(tunnel.plan))
    eventually(lambda: not ends(tunnel.name), "the end of wireguard-go")
    assert not Path(f"/var/run/wireguard/{tunnel.name}.sock").exists()
    assert tunnel.space.state() == before


def test_text_and_bytes_are_the_same(tunnel: Tunnel) -> None:
    """What explain prints, run by `sh`, ends as the same plan applied: in one namespace, one after the other."""
    tunnel.apply()
    applied = tunnel.shown(), tunnel.space.state()
    with tunnel.space.inside():
        tunnel.space.kernel.dismantle(inverse(tunnel.plan))
    eventually(lambda: not ends(tunnel.name), "the end of wireguard-go")
    tunnel.space.sh(script(tunnel.plan))
    assert (tunnel.shown(), tunnel.space.state()) == applied
    assert tunnel.lacking() == []
    tunnel.space.sh(script(inverse(tunnel.plan)))
    assert tunnel.name not in str(tunnel.space.state())


def test_a_key_that_cannot_be_read_is_an_error_without_the_key(tunnel: Tunnel) -> None:
    """It names the command, the file and what is wrong; half a key is not shown."""
    secret = tunnel.file.read_text().strip()
    for content in (None, secret[:40]):
        tunnel.file.unlink()
        if content is not None:
            tunnel.file.write_text(content)
        with pytest.raises(KernelError) as caught:
            tunnel.mend()
        assert str(tunnel.file) in caught.value.msg
        assert secret[:20] not in f"{caught.value.msg} {caught.value.details}"
        tunnel.file.write_text(secret)
    tunnel.mend()
    assert tunnel.lacking() == []


@pytest.mark.parametrize("tunnel", ["tun"], indirect=True)
def test_a_program_that_was_killed_is_started_again(tunnel: Tunnel) -> None:
    """Link, addresses, peers and routes went with it, and all of it comes back; its old socket is not in the way."""
    tunnel.apply()
    before = tunnel.shown()
    for process in ends(tunnel.name):
        os.kill(process, signal.SIGKILL)
    eventually(lambda: tunnel.name not in tunnel.space.sh("ip -br link"), "the end of the link")
    assert [thing for thing, _ in tunnel.lacking()] == tunnel.things
    tunnel.mend()
    assert tunnel.lacking() == []
    assert tunnel.shown() == before


@pytest.mark.parametrize("tunnel", ["tun"], indirect=True)
def test_a_program_that_does_not_answer_is_an_error(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is there, and nobody at it."""
    tunnel.apply()
    monkeypatch.setattr(wireguard, "SOCKETS", str(tunnel.file.parent))
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{tunnel.file.parent}/{tunnel.name}.sock")
        with pytest.raises(KernelError, match=rf"wg set {tunnel.name} peer .*Connection refused"):
            tunnel.apply(Step(tunnel.peer, "a test asks", "set"))


def test_a_node_with_neither_is_told_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's feature, the module, the package, and another backend."""
    monkeypatch.setenv("PATH", "/nowhere")
    if wireguard.family():
        assert wireguard_go.kind_of_device() == "wireguard"
        return
    with pytest.raises(NodeNotReady, match=r"CONFIG_WIREGUARD.*modprobe wireguard.*apt install wireguard-go.*backend"):
        wireguard_go.kind_of_device()
