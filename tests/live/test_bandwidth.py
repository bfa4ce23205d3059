"""Bandwidth: what iperf3 measures in both directions, that the pod cannot lift it, and that DEL leaves nothing."""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from podnet.testing.namespaces import shaping_of
from podnet.testing.node import DEFAULT_CONFIGURATION, Node
from podnet.testing.waiting import PATIENCE, eventually

pytestmark = pytest.mark.live

MEGA = 1_000_000
RATES = {"ingressRate": 20 * MEGA, "egressRate": 10 * MEGA}
DATAPATH = pytest.mark.parametrize("datapath", ["ptp", "bridge"])


ATTEMPTS = 4
"""How often it is measured: a machine with much else to do may send less than it may, and never more."""


def limited(**bandwidth: int) -> dict[str, Any]:
    """Return the configuration with runtimeConfig.bandwidth."""
    return {**DEFAULT_CONFIGURATION, "runtimeConfig": {"bandwidth": bandwidth}}


def measured(node: Node, pod: str, address: str, seconds: int = 2, *, omit: int = 0) -> tuple[float, float]:
    """Return what `pod` receives from outside and sends there at the same time, in Mbit/s from the first byte on.

    The first `omit` seconds, in which TCP finds out what goes through, may be left out.  What a receiver counts within
    the time is counted, so that what waits in a sender's buffers is not.
    """
    with ExitStack() as ends:
        server = subprocess.Popen(
            node.enter("iperf3", "--server", "--one-off", "--forceflush", pod=pod), stdout=subprocess.PIPE, text=True
        )
        ends.callback(server.communicate)
        ends.callback(server.kill)
        assert server.stdout is not None
        while "listening" not in (line := server.stdout.readline()):
            assert line, "iperf3 ended before it listened"
        told = node.json(
            "iperf3", "--client", address, "--bidir", "-t", str(seconds), "-O", str(omit), "--json", pod="outside"
        )
        server.wait(PATIENCE)
    end = told["end"]
    received, sent = end["sum_received"], end["sum_received_bidir_reverse"]
    return received["bits_per_second"] / MEGA, sent["bits_per_second"] / MEGA


def shaping(node: Node) -> Any:
    """Return the node's qdiscs and filters as tc lists them."""
    return shaping_of(f"/proc/{node.pid}/ns/net")


def reachable(node: Node) -> None:
    """Let outside reach pods by their own addresses."""
    node.sh(
        "ip -n outside route add 10.244.1.0/24 via 10.99.0.11; ip -n outside route add fd00:10:244:1::/64 via fd99::11"
    )


@DATAPATH
def test_both_directions_are_held_from_outside_the_pod(serving: Callable[..., Node], datapath: str) -> None:
    """20 Mbit/s in and 10 out at once within 80 to 115 %, also when the pod deletes what qdiscs it finds.

    A pod beside it without limits has neither.
    """
    node = serving(datapath)
    reachable(node)
    given = node.cni("ADD", node.pod("red"), configuration=limited(**RATES))
    free = node.attach("free")
    node.run(
        "sh",
        "-uc",
        "tc qdisc del dev eth0 root; tc qdisc del dev eth0 ingress; tc qdisc add dev eth0 root pfifo",
        pod="red",
    )
    found = []
    for _ in range(ATTEMPTS):
        received, sent = measured(node, "red", given.addresses[0], omit=1)
        assert received <= 23
        assert sent <= 11.5
        found.append(received >= 16 and sent >= 8)
        if found[-1]:
            break
    assert any(found), (received, sent)
    received, sent = measured(node, "free", free, 1)
    assert min(received, sent) > 30


@pytest.mark.parametrize(("datapath", "unbounded"), [("ptp", (1 << 31) - 1), ("bridge", (1 << 32) - 1)])
def test_a_burst_that_holds_nothing_back_is_none(serving: Callable[..., Node], datapath: str, unbounded: int) -> None:
    """What runtimes without an opinion send as burst makes no second free: both ways are held from the start."""
    node = serving(datapath)
    reachable(node)
    given = node.cni(
        "ADD", node.pod("red"), configuration=limited(**RATES, ingressBurst=unbounded, egressBurst=unbounded)
    )
    received, sent = measured(node, "red", given.addresses[0])
    assert received <= 23
    assert sent <= 11.5


@DATAPATH
def test_del_leaves_no_qdisc_and_no_link(serving: Callable[..., Node], datapath: str) -> None:
    """ADD makes a tbf on the host's end, an ifb with another, or one of them; after DEL all is as before."""
    node = serving(datapath, (4, 6))
    before = node.state(), shaping(node)
    wanted = {
        "red": (RATES, ["ifb", "tbf", "tbf"]),
        "in": ({"ingressRate": MEGA}, ["tbf"]),
        "out": ({"egressRate": MEGA}, ["ifb", "tbf"]),
    }
    for name, (bandwidth, kinds) in wanted.items():
        given = node.cni("ADD", node.pod(name), configuration=limited(**bandwidth))
        assert given.status == 0, given.stdout
        found = [q["kind"] for q in shaping(node)["qdiscs"] if q["kind"] == "tbf"]
        ifbs = ["ifb" for link in node.links() if link.startswith("ifb-")]
        assert sorted(found + ifbs) == kinds
        check = {**limited(**bandwidth), "prevResult": given.json}
        assert node.cni("CHECK", name, configuration=check) == (0, b"")
        assert node.cni("DEL", name).status == 0
        node.wait_for_links(0)
        assert (node.state(), shaping(node)) == before


def test_a_lifted_limit_is_put_back(serving: Callable[..., Node]) -> None:
    """Where the host's tbf or redirect is deleted, CHECK says so, and the daemon puts it back and logs it once."""
    node = serving(more="gc: {interval: 0.1}")
    given = node.cni("ADD", node.pod("red"), configuration=limited(**RATES))
    assert node.daemon is not None
    (link,) = node.pod_links()
    before = shaping(node)
    for command, told in (
        (f"tc qdisc del dev {link} root", "rate 20000000bit"),
        (f"tc qdisc del dev {link} ingress", "ingress"),
        (f"tc qdisc del dev {link.replace('veth', 'ifb')} root", "rate 10000000bit"),
    ):
        node.sh(command)
        eventually(lambda: shaping(node) == before, f"{command} is undone")
        assert "container red" in node.daemon.wait_log(told)
    assert len([line for line in node.daemon.log if "drift" in line]) == 3
    check = {**limited(**RATES), "prevResult": given.json}
    assert node.cni("CHECK", "red", configuration=check) == (0, b"")


@pytest.mark.parametrize(
    ("bandwidth", "told"),
    [
        ({"ingressRate": 1}, "ingressRate"),
        ({"egressBurst": 8000}, "egressBurst"),
        ({"egressRate": 1 << 50}, "egressRate"),
        ({"ingressRate": MEGA, "ingressBurst": -1}, "ingressBurst"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(settled: Node, bandwidth: dict[str, int], told: str) -> None:
    """Error 7 names the key, and nothing is made."""
    before = settled.state(), shaping(settled)
    refused = settled.cni("ADD", "red", netns="bystander", ifname="net1", configuration=limited(**bandwidth)).json
    assert refused["code"] == 7
    assert told in refused["msg"]
    assert (settled.state(), shaping(settled)) == before


@pytest.mark.parametrize("bandwidth", [{"ingressRate": 0, "egressRate": 0}, {"ingressBurst": (1 << 31) - 1}, {}])
def test_no_rate_is_no_limit(settled: Node, bandwidth: dict[str, int]) -> None:
    """A rate of 0, or a burst alone that holds nothing back, asks for nothing."""
    given = settled.cni("ADD", settled.pod("red"), configuration=limited(**bandwidth))
    assert given.status == 0, given.stdout
    assert not [q for q in shaping(settled)["qdiscs"] if q["kind"] == "tbf"]
    assert settled.cni("DEL", "red").status == 0
    settled.wait_for_links(1)
    settled.forget_place("red")
