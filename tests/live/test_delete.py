"""DEL: cut off when it is answered, links gone soon after and together, addresses and names ready for others."""

import json
import os
import signal
import socket
import struct
from collections.abc import Callable

import pytest

from podnet.cni import AnswerReader, Frame
from podnet.testing.node import DEFAULT_CONFIGURATION, Node

pytestmark = pytest.mark.live

RTM_NEWLINK, RTM_DELLINK, RTMGRP_LINK = 16, 17, 1
DOOMED_GROUP = 28783
IFF_UP = 1


def frame_of(command: str, container: str) -> bytes:
    """Return the frame of a verb that needs no namespace."""
    environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
    return Frame(environment, json.dumps(DEFAULT_CONFIGURATION).encode()).encode()


def answer_of(client: socket.socket) -> tuple[int, bytes]:
    """Return the answer that a connection to the daemon brings."""
    reader = AnswerReader()
    while (answer := reader.feed(client.recv(1 << 16))) is None:
        pass
    return answer


class LinkMonitor:
    """What the kernel tells of links, from its making on."""

    def __init__(self, node: Node) -> None:
        self._socket = node.open_socket("", socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK))

    def until_gone(self, indexes: set[int]) -> list[tuple[int, int, int]]:
        """Return (message type, ifindex, flags) of all messages until the links of `indexes` are gone."""
        told: list[tuple[int, int, int]] = []
        while indexes - {index for kind, index, _ in told if kind == RTM_DELLINK}:
            data = self._socket.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                index, flags = struct.unpack_from("=iI", data, 20)
                told.append((kind, index, flags))
                data = data[(length + 3) & ~3 :]
        return told


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_pod_is_cut_off_when_del_is_answered(serving: Callable[..., Node], datapath: str) -> None:
    """At the answer the link is down or gone and the elements are gone; not a packet passes either way after it."""
    node = serving(datapath, (4, 6))
    red, _ = node.cni("ADD", node.pod("red")).addresses
    blue = node.attach("blue")
    node.attach("green")
    (link,) = [name for name, told in node.links().items() if "podnet:red:" in told.get("ifalias", "")]
    inside, outside, bystander = node.udp("red", red), node.udp("blue", blue), node.udp("green")
    to_red, to_blue = (red, inside.getsockname()[1]), (blue, outside.getsockname()[1])
    inside.sendto(b"before", to_blue)
    assert outside.recv(64) == b"before"

    client = node.connect()
    client.sendall(frame_of("DEL", "red"))
    assert answer_of(client) == (0, b"")
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGSTOP)
    shown = node.links().get(link)
    assert shown is None or "UP" not in shown["flags"]
    assert not [e for name in ("pods4", "pods6", "hairpin4", "hairpin6") for e in node.elements(name) if link in str(e)]
    assert red not in str(node.elements("hairpin4"))
    assert red not in [route["dst"] for route in node.json("ip", "-j", "route")]
    for _ in range(50):
        for sender, to in ((inside, to_blue), (outside, to_red), (bystander, to_red)):
            try:
                sender.sendto(b"after", to)
            except OSError:
                continue  # no route any more: cut off as well
    bystander.sendto(b"end", to_blue)
    assert outside.recv(64) == b"end", "a packet of the deleted pod arrived"
    inside.setblocking(False)
    with pytest.raises(BlockingIOError):
        inside.recv(64)
    os.kill(node.daemon.pid, signal.SIGCONT)
    node.wait_for_links(2)


def test_the_links_of_many_dels_go_together(node: Node) -> None:
    """20 DELs that wait together are answered together: all links are down before the first goes."""
    names = [f"pod{number}" for number in range(20)]
    for name in names:
        node.attach(name)
    indexes = {link["ifindex"] for name, link in node.links().items() if name.startswith("veth-")}
    assert len(indexes) == 20
    monitor = LinkMonitor(node)
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGSTOP)
    clients = []
    for name in names:
        clients.append(node.connect())
        clients[-1].sendall(frame_of("DEL", name))
    os.kill(node.daemon.pid, signal.SIGCONT)
    assert [answer_of(client) for client in clients] == [(0, b"")] * 20
    told = [(kind, index, flags) for kind, index, flags in monitor.until_gone(indexes) if index in indexes]
    first_gone = next(number for number, (kind, *_) in enumerate(told) if kind == RTM_DELLINK)
    down_before = {index for kind, index, flags in told[:first_gone] if kind == RTM_NEWLINK and not flags & IFF_UP}
    assert down_before == indexes
    assert node.pod_links() == []


def test_a_pod_is_attached_again_while_its_old_link_awaits_reaping(node: Node) -> None:
    """DEL and ADD of another container in one namespace, at once: the old eth0 is out of the way."""
    node.attach("red")
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGSTOP)
    first, second = node.connect(), None
    first.sendall(frame_of("DEL", "red"))
    second = node.begin("ADD", "sandbox2", netns="red")
    os.kill(node.daemon.pid, signal.SIGCONT)
    assert answer_of(first) == (0, b"")
    stdout, _ = second.communicate()
    assert second.returncode == 0, stdout
    address = json.loads(stdout)["ips"][0]["address"].partition("/")[0]
    assert node.exchange("", "red", address) == "10.99.0.11"
    assert len(node.pod_links()) == 1


@pytest.mark.parametrize("families", [(4,), (6,)], ids=str)
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_an_address_reused_at_once_is_reachable_at_once(
    serving: Callable[..., Node], datapath: str, families: tuple[int, ...]
) -> None:
    """Another pod that asks for the address just released is reached by all who talked to its holder before."""
    node = serving(datapath, families)
    node.attach("bystander")
    address = node.attach("red")
    for source in ("bystander", ""):
        node.exchange(source, "red", address)
    node.pod("blue")
    assert node.cni("DEL", "red").status == 0
    assert node.cni("ADD", "blue", CNI_ARGS=f"IP={address}").addresses == [address]
    for source in ("bystander", ""):
        node.exchange(source, "blue", address)


def test_a_namespace_that_is_gone_is_no_obstacle_to_del(node: Node) -> None:
    """DEL after the pod's namespace was removed, with and without CNI_NETNS, succeeds and releases the address."""
    for name, netns in (("red", "/run/netns/red"), ("blue", None)):
        node.attach(name)
        node.forget_place(name)
        assert node.cni("DEL", name, CNI_NETNS=netns) == (0, b"")
    node.wait_for_links(0)
    assert node.elements("pods4") == []
