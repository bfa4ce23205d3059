"""Host ports and what goes wrong around them: forged loopback, connections from before, elements that are lost."""

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import pytest

from podnet.testing.node import ADDRESSES, DEFAULT_CONFIGURATION, Node
from podnet.testing.talk import asked, client, listener, mapped, port, refusal
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
DATAPATH = pytest.mark.parametrize("datapath", ["ptp", "bridge"])
WITHOUT_LOOPBACK = (
    "ip addr flush dev lo; sysctl -qw net.ipv4.conf.all.route_localnet=1;"
    "ip route flush table local 127.0.0.0/8; ip route replace 127.0.0.1/32 {way}"
)
"""127.0.0.1 becomes an address like any other, which is asked for over the link."""


class Sender:
    """Datagrams from one port of `place` to one address, all the time, as a resolver's client or a game sends them."""

    def __init__(self, node: Node, place: str, address: str, number: int) -> None:
        self._socket = client(node, "udp", place, address)
        self._to = (address, number)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        while not self._over.wait(0.002):
            with suppress(OSError):  # no route, while the flow leads to a pod that is gone
                self._socket.sendto(b"again", self._to)

    def __enter__(self) -> Self:
        self._socket.sendto(b"first", self._to)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


@DATAPATH
def test_nobody_outside_reaches_127_0_0_1(serving: Callable[..., Node], datapath: str) -> None:
    """A packet to 127.0.0.1 that comes over a link is dropped, by the rule and not by luck: neither server nor pod."""
    node = serving(datapath, more="repair: false")
    node.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1")
    node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80, "udp")))
    node.run("sh", "-euc", WITHOUT_LOOPBACK.format(way="via 10.99.0.11 dev up1"), pod="outside")
    with (
        listener(node, "udp", "red", "0.0.0.0", 80) as pod,  # noqa: S104 - in a namespace
        listener(node, "udp", "", "0.0.0.0", 8081) as server,  # noqa: S104 - likewise
        client(node, "udp", "outside", "127.0.0.1") as intruder,
    ):
        for number, hears in ((8080, pod), (8081, server)):
            intruder.sendto(b"to 127.0.0.1", ("127.0.0.1", number))
            intruder.sendto(b"to the node", ("10.99.0.11", number))
            assert hears.recv(64) == b"to the node"
        ruleset = node.json("nft", "-j", "-a", "list", "chain", "inet", "podnet", "prerouting")["nftables"]
        (rule,) = [e["rule"] for e in ruleset if "loopback address" in e.get("rule", {}).get("comment", "")]
        node.run("nft", "delete", "rule", "inet", "podnet", "prerouting", "handle", str(rule["handle"]))
        intruder.sendto(b"to 127.0.0.1", ("127.0.0.1", 8081))
        assert server.recv(64) == b"to 127.0.0.1", "without the rule it arrives"


@DATAPATH
def test_no_pod_reaches_the_nodes_loopback(serving: Callable[..., Node], datapath: str) -> None:
    """A pod that sends to 127.0.0.1 by its default route reaches no server of the node's loopback, nor a host port."""
    node = serving(datapath)
    node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80, "udp")))
    node.attach("blue")
    gateway = {"ptp": "169.254.1.1", "bridge": "10.244.1.1"}[datapath]
    node.run("sh", "-euc", WITHOUT_LOOPBACK.format(way=f"via {gateway} dev eth0 onlink"), pod="blue")
    node.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1")
    with (
        listener(node, "udp", "red", "0.0.0.0", 80) as pod,  # noqa: S104 - in a namespace
        listener(node, "udp", "", "0.0.0.0", 8081) as server,  # noqa: S104 - likewise
        client(node, "udp", "blue", "127.0.0.1") as intruder,
    ):
        for number, hears in ((8080, pod), (8081, server)):
            intruder.sendto(b"to 127.0.0.1", ("127.0.0.1", number))
            intruder.sendto(b"to the node", ("10.99.0.11", number))
            assert hears.recv(64) == b"to the node"


@pytest.mark.parametrize("version", [4, 6])
@DATAPATH
def test_a_flow_from_before_follows_the_port(serving: Callable[..., Node], datapath: str, version: int) -> None:
    """A client that never stops sending from one port reaches the pod once it is there, and its successor after it."""
    node = serving(datapath, (version,))
    node.pod("red")
    node.pod("blue")
    configuration = mapped(port(8080, 80, "udp"))
    with Sender(node, "outside", ADDRESSES[version], 8080), Sender(node, "", ADDRESSES[version], 8080):
        eventually(lambda: len(flows(node, "8080")) == 2, "both flows are known before the port is anybody's")
        for holder in ("red", "blue"):
            given = node.cni("ADD", holder, configuration=configuration)
            assert given.status == 0, given.stdout
            with listener(node, "udp", holder, {4: "0.0.0.0", 6: "::"}[version], 80) as hears:  # noqa: S104
                wanted = {OUTSIDE[version], ADDRESSES[version]}
                while wanted:
                    wanted.discard(hears.recvfrom(64)[1][0])
            assert node.cni("DEL", holder).status == 0


def flows(node: Node, number: str) -> list[str]:
    """Return what conntrack knows of UDP flows to a port."""
    shown = [node.run("conntrack", "-L", "-f", family, "-p", "udp", "--dport", number) for family in ("ipv4", "ipv6")]
    return "".join(shown).splitlines()


@DATAPATH
def test_connections_outlive_the_daemon(serving: Callable[..., Node], datapath: str) -> None:
    """A restart disturbs no connection through a host port, and the port is the pod's still."""
    node = serving(datapath)
    node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80)))
    with listener(node, "tcp", "red", "0.0.0.0", 80) as server:  # noqa: S104 - in a namespace
        asker = client(node, "tcp", "outside", ADDRESSES[4])
        asker.connect((ADDRESSES[4], 8080))
        accepted, _ = server.accept()
        before = node.state()
        node.stop()
        node.start()
        assert node.state() == before
        with accepted, asker:
            asker.sendall(b"still there?")
            assert accepted.recv(64) == b"still there?"
    node.pod("blue")
    assert node.cni("ADD", "blue", configuration=mapped(port(8080, 80))).json["code"] == 113


HARM = {
    "deleted": "nft delete element inet podnet hostports4 '{ tcp . 8080 }'",
    "redirected": (
        "nft 'delete element inet podnet hostports4 { tcp . 8080 };"
        " add element inet podnet hostports4 { tcp . 8080 : 10.244.1.99 . 80 }'"
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_check_tells_of_a_lost_host_port(serving: Callable[..., Node], harm: str) -> None:
    """CHECK names the element that is gone or leads elsewhere."""
    node = serving(more="repair: false")
    configuration = mapped(port(8080, 80))
    result = node.cni("ADD", node.pod("red"), configuration=configuration).json
    check = {**configuration, "prevResult": result}
    assert node.cni("CHECK", "red", configuration=check) == (0, b"")
    node.sh(HARM[harm])
    told = node.cni("CHECK", "red", configuration=check).json
    assert told["code"] == 112
    assert "hostports4" in told["msg"]
    assert ("10.244.1.99" in told["msg"]) == (harm == "redirected")


@pytest.mark.parametrize("harm", HARM)
def test_the_daemon_mends_a_lost_host_port(serving: Callable[..., Node], harm: str) -> None:
    """What CHECK would tell the daemon finds itself: it logs container, expected and found, and puts it right."""
    node = serving(more="gc: {interval: 0.05}")
    node.cni("ADD", node.pod("red"), configuration=mapped(port(8080, 80)))
    assert node.daemon is not None
    node.sh(HARM[harm])
    told = node.daemon.wait_log("drift: container red (eth0): ")
    assert "hostports4" in told
    assert ("10.244.1.99" in told) == (harm == "redirected")
    eventually(lambda: "10.244.1.2" in str(node.elements("hostports4", "map")), "the element is as it was")
    assert asked(node, "tcp", "outside", ADDRESSES[4], 8080, at=("red", 80)) == OUTSIDE[4]
    assert len([line for line in node.daemon.log if "hostports4" in line]) == 1


def test_an_add_that_fails_leaves_no_port(serving: Callable[..., Node]) -> None:
    """Where the pod's interface is taken, port and element are free again, and the node answers for itself."""
    node = serving()
    node.pod("red")
    node.run("ip", "link", "add", "eth0", "type", "bridge", pod="red")
    assert node.cni("ADD", "red", configuration=mapped(port(8080, 80))).json["code"] == 111
    assert node.elements("hostports4", "map") == []
    assert refusal(node, "outside", ADDRESSES[4], 8080)
    given = node.cni("ADD", node.pod("blue"), configuration=mapped(port(8080, 80)))
    assert given.status == 0, given.stdout


@pytest.mark.parametrize("number", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(settled: Node, number: int) -> None:
    """Error 7 names the entry, and nothing is made."""
    before = settled.state()
    for entry in (port(number, 80), port(80, number), port(80, 0)):
        refused = settled.cni("ADD", "red", netns="bystander", ifname="net1", configuration=mapped(entry)).json
        assert refused["code"] == 7
        assert "portMappings[0]" in refused["msg"]
    assert settled.state() == before


def test_two_ports_of_one_pod_may_lead_to_one(node: Node) -> None:
    """Two host ports to one port of the pod are two; the same entry twice is one; a contradiction is error 7."""
    node.pod("red")
    refused = node.cni("ADD", "red", configuration=mapped(port(8080, 80), port(8080, 81)))
    assert refused.json["code"] == 7
    given = node.cni("ADD", "red", configuration=mapped(port(8080, 80), port(8080, 80), port(8081, 80)))
    assert given.status == 0, given.stdout
    assert len(node.elements("hostports4", "map")) == 2
    for number in (8080, 8081):
        assert asked(node, "tcp", "outside", ADDRESSES[4], number, at=("red", 80)) == OUTSIDE[4]
    assert node.cni("DEL", "red", configuration=DEFAULT_CONFIGURATION).status == 0
    assert node.elements("hostports4", "map") == []
