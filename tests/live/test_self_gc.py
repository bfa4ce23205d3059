"""The daemon looks after the node itself: pods that are gone are collected, what drifted is told once, and mended."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from podnet.testing.namespaces import shaping_of
from podnet.testing.node import ADDRESSES, DEFAULT_CONFIGURATION, Node
from podnet.testing.talk import mapped, port, refusal
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

DATAPATH = pytest.mark.parametrize("datapath", ["ptp", "bridge"])
GRACE = 0.8
COLLECTING = f"gc: {{interval: 0.05, grace: {GRACE}}}"
WATCHING = "gc: {interval: 0.05, grace: 600}"
REBOOT = """
import sqlite3
sqlite3.connect("/var/lib/podnet/podnet.db", isolation_level=None).execute("UPDATE boot SET boot_id = 'before'")
"""
SHAPED = {"ingressRate": 20_000_000, "egressRate": 10_000_000}
FULL: dict[str, Any] = {
    **DEFAULT_CONFIGURATION,
    "runtimeConfig": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
        "bandwidth": SHAPED,
        "aliases": ["web"],
    },
}


def a_look_later(node: Node) -> None:
    """Wait until the daemon has looked at all there is again: it mends what is broken just now."""
    node.sh("nft delete element inet podnet cluster4 '{ 10.244.0.0/16 }'")
    eventually(lambda: "10.244.0.0" in str(node.elements("cluster4")), "the daemon looks at the node's part")


@DATAPATH
def test_a_pod_that_is_gone_is_collected_after_the_grace(serving: Callable[..., Node], datapath: str) -> None:
    """Namespace gone, no DEL: address, elements, port, ifb and name go after the grace, not before; others stay."""
    node = serving(datapath, (4, 6), more=COLLECTING)
    assert node.daemon is not None
    staying = node.attach("blue")
    before = node.state(), shaping_of(f"/proc/{node.pid}/ns/net"), node.leases()
    assert node.cni("ADD", node.pod("red"), configuration=FULL).status == 0
    node.forget_place("red")
    node.wait_for_links(1)
    gone = float(node.run("date", "+%s.%N"))
    refused = node.cni("ADD", node.pod("late"), configuration=mapped(port(8080, 80))).json
    assert refused["code"] == 113, "within the grace it is the pod's still"
    node.forget_place("late")
    eventually(lambda: node.rows("SELECT 1 FROM lease WHERE container = 'red' AND closed NOTNULL"), "it is collected")
    ((cut,),) = node.rows("SELECT cut FROM lease WHERE container = 'red'")
    assert GRACE - 0.3 <= cut - gone <= GRACE + 5
    assert "container red (eth0) is collected" in node.daemon.wait_log("collected")
    eventually(lambda: node.leases() == before[2], "only the other's lease is left")
    assert (node.state(), shaping_of(f"/proc/{node.pid}/ns/net")) == before[:2]
    eventually(lambda: not list((node.root / "run/podnet/aliases").iterdir()), "its name is gone")
    assert refusal(node, "outside", ADDRESSES[4], 8080)
    assert node.exchange("", "blue", staying) == ADDRESSES[4]


def test_a_del_within_the_grace_comes_in_time(serving: Callable[..., Node]) -> None:
    """The runtime's own DEL of a pod that is gone succeeds, and nothing is collected after it."""
    node = serving(more="gc: {interval: 0.05, grace: 600}")
    node.attach("red")
    node.forget_place("red")
    node.wait_for_links(0)
    a_look_later(node)
    assert len(node.leases()) == 2
    assert node.cni("DEL", "red") == (0, b"")
    eventually(lambda: node.leases() == [], "the lease is closed")
    assert node.daemon is not None
    assert not [line for line in node.daemon.log if "collected" in line]


def test_another_pod_may_have_the_path(serving: Callable[..., Node]) -> None:
    """Where a new namespace has the name of the old one, the pod of the old one is collected, the new one's is not."""
    node = serving(more="gc: {interval: 0.05, grace: 0}")
    assert node.cni("ADD", "old", netns=node.pod("red")).status == 0
    node.forget_place("red")
    node.pod("red")
    address = node.cni("ADD", "new", netns="red").addresses[0]
    eventually(lambda: node.rows("SELECT container FROM lease WHERE closed IS NULL") == [["new"]], "old is collected")
    a_look_later(node)
    assert node.exchange("", "red", address) == ADDRESSES[4]


def test_leases_of_another_boot_are_void(serving: Callable[..., Node]) -> None:
    """After a restart of the machine no lease, port or link of before is left, and history says why."""
    node = serving()
    address = node.cni("ADD", node.pod("red"), configuration=FULL).addresses[0]
    node.stop()
    node.run(sys.executable, "-c", REBOOT)
    node.start()
    assert node.leases() == []
    assert node.rows("SELECT reason FROM lease WHERE container = 'red'") == [["the machine restarted"]]
    assert node.pod_links() == []
    assert address not in str(node.elements("pods4"))
    assert node.elements("hostports4", "map") == []
    assert node.cni("ADD", node.pod("blue"), configuration=FULL).status == 0


@DATAPATH
def test_a_link_deleted_by_hand_is_there_again(serving: Callable[..., Node], datapath: str) -> None:
    """The pod lives: it is attached anew as it was, with its address and its connections, and that is told."""
    node = serving(datapath)
    address = node.attach("red")
    (link,) = node.pod_links()
    before = node.state()
    node.run("ip", "link", "del", link)
    assert node.daemon is not None
    told = node.daemon.wait_log(f"link {link} is gone")
    assert "drift: container red (eth0)" in told
    assert node.pod_links() == [link]
    assert node.exchange("", "red", address) == ADDRESSES[4]
    # A bridge forgets what it learned of a port that goes.
    assert {**node.state(), "fdb": None} == {**before, "fdb": None}
    assert node.cni("DEL", "red").status == 0


VETH = "$(ip -o link show group 28782 | grep -o 'veth-[a-z2-7-]*' | head -1)"
HARM = {
    "ip addr del 10.244.1.1/24 dev br0": "10.244.1.1",
    "ip link set br0 mtu 1400": "mtu expected 1500, found 1400",
    "sysctl -qw net.ipv4.ip_forward=0": "net/ipv4/ip_forward",
    "sysctl -qw net.ipv6.conf.all.forwarding=0": "net/ipv6/conf/all/forwarding",
    "ip route del 10.244.1.2": "route add 10.244.1.2",
    "ip -6 route del fd00:10:244:1::2": "fd00:10:244:1::2",
    f"ip neigh del 10.244.1.2 dev {VETH}": "10.244.1.2",
    "ip route del unreachable 10.244.1.0/24": "unreachable 10.244.1.0/24",
    "nft delete element inet podnet pods4 '{ br0 . 10.244.1.2 }'": "pods4",
    "nft delete element inet podnet hostports6 '{ tcp . 8080 }'": "hostports6",
    "nft delete element inet podnet own6 '{ fd00:10:244:1::2 }'": "own6",
    f'nft delete element bridge podnet ports4 "{{ {VETH} . 0a:58:0a:f4:01:02 . 10.244.1.2 }}"': "ports4",
    "nft delete table bridge podnet": "table bridge podnet",
    "nft flush chain inet podnet prerouting": "prerouting",
    "nft delete table inet podnet": "table inet podnet",
    "nft flush ruleset": "table inet podnet",
    f"bridge link set dev {VETH} isolated off": "isolated expected True, found False",
    f"ip link set {VETH} mtu 1300": "mtu expected 1500, found 1300",
    f"sysctl -qw net.ipv4.conf.{VETH}.route_localnet=0": "route_localnet expected True, found False",
    f"tc qdisc del dev {VETH} root": "rate 20000000bit",
}


@pytest.fixture(scope="module")
def watched() -> Iterator[Node]:
    """Give a node of datapath bridge, both families, with a pod of everything, whose daemon looks all the time."""
    with ExitStack() as ends:
        node = Node(ends)
        node.configure("bridge", (4, 6), more=WATCHING)
        node.start()
        given = node.cni("ADD", node.pod("red"), configuration=FULL)
        assert given.addresses == ["10.244.1.2", "fd00:10:244:1::2"]
        yield node


@pytest.mark.parametrize("harm", HARM)
def test_drift_on_the_node_is_told_once_and_mended(watched: Node, harm: str) -> None:
    """What was taken away or changed is logged as expected and found, and put back: the node is as before."""
    before = watched.state(), shaping_of(f"/proc/{watched.pid}/ns/net")
    assert watched.daemon is not None
    logged = len(watched.daemon.log)
    watched.sh(harm)
    eventually(lambda: (watched.state(), shaping_of(f"/proc/{watched.pid}/ns/net")) == before, f"{harm} is undone")
    a_look_later(watched)
    told = [line.split(": ")[:2] for line in watched.daemon.log[logged:] if HARM[harm] in line]
    assert told[0][0].endswith("drift")
    # Of whom it is told (a port's MTU is its bridge's too) once; the end when its turn comes to be looked at again.
    assert len({tuple(words) for words in told}) == len(told)


def test_drift_in_a_pod_is_told_and_left(watched: Node) -> None:
    """What is inside a pod is the pod's business: it is logged once, and stays."""
    assert watched.daemon is not None
    watched.run("ip", "link", "set", "eth0", "mtu", "1300", pod="red")
    assert "container red (eth0)" in watched.daemon.wait_log("pod link eth0: mtu expected 1500, found 1300")
    a_look_later(watched)
    (link,) = watched.json("ip", "-j", "link", "show", "eth0", pod="red")
    assert link["mtu"] == 1300
    assert len([line for line in watched.daemon.log if "found 1300" in line and "pod link" in line]) == 1
    watched.run("ip", "link", "set", "eth0", "mtu", "1500", pod="red")


def test_what_is_as_it_was_made_is_not_told(watched: Node) -> None:
    """A daemon with nothing to tell tells nothing, however often it looks; strangers' things are not its business."""
    assert watched.daemon is not None
    watched.sh("ip link add stranger type bridge; ip addr add 192.0.2.1/24 dev stranger; nft add table inet strangers")
    a_look_later(watched)
    logged = len(watched.daemon.log)
    a_look_later(watched)
    assert [line for line in watched.daemon.log[logged:] if "cluster4" not in line] == []
    watched.sh("ip link del stranger; nft delete table inet strangers")


def test_without_an_interval_nobody_looks(serving: Callable[..., Node]) -> None:
    """gc.interval 0: a pod that is gone stays until its DEL, or until the daemon starts again."""
    node = serving(more="gc: {interval: 0, grace: 0}")
    node.attach("red")
    node.forget_place("red")
    node.wait_for_links(0)
    node.attach("blue")
    assert len(node.rows("SELECT 1 FROM lease WHERE cut IS NULL")) == 2
    node.stop()
    node.start()
    assert len(node.rows("SELECT 1 FROM lease WHERE cut IS NULL")) == 1
