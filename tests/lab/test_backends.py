"""Real labs whose nodes share no subnet, or not all: what is on the wire, what passes, what comes back."""

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live

PAIR = re.compile(r"\bIP (\d+\.\d+\.\d+\.\d+)\S* > (\d+\.\d+\.\d+\.\d+)")  # the outer addresses come first
STRICT = "for at in all default eth0 podnet-vx4; do sysctl -qw net.ipv4.conf.$at.rp_filter=1; done"


@pytest.mark.parametrize("backend", ["vxlan", "auto"])
@pytest.mark.parametrize("families", [[], ["--dual-stack"], ["--ipv6"]], ids=["IPv4", "dual", "IPv6"])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_nodes_that_share_no_subnet_reach_each_others_pods(
    machine: "Machine", datapath: str, families: list[str], backend: str
) -> None:
    """With strict rp_filter on every node, all probes are as expected: to pods, nodes, services, and full packets.

    Among them: a node reaches pods of the others and is answered; of packets with DF exactly the path's MTU passes,
    and one byte more is told of.  The router knows no route to a pod.
    """
    before = machine.snapshot()
    machine.podnet("lab", "up", "--nodes", "3", "--pods", "1", "--datapath", datapath, "--backend", backend, *families)
    for node in ("n1", "n2", "n3") if families != ["--ipv6"] else ():
        machine.on(node, STRICT)
    assert machine.wrong() == []
    routes = machine.on("router", "ip route; ip -6 route")
    assert "10.244." not in routes
    assert "fd00:10:244" not in routes
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_vxlan_is_on_the_wire_between_subnets_and_not_within(machine: "Machine") -> None:
    """With auto, n1 and n3 share a subnet and n2 does not: tcpdump on the router tells what goes from whom to whom."""
    machine.podnet("lab", "up", "--nodes", "3", "--pods", "1", "--backend", "auto")
    on_router = [*machine.enter, "ip", "netns", "exec", "podnet-lab-lan"]
    tcpdump = subprocess.Popen(
        [*on_router, "tcpdump", "-U", "-n", "-i", "any", "-w", "/run/wire"], stderr=subprocess.PIPE, text=True
    )
    assert tcpdump.stderr is not None
    while "listening on" not in tcpdump.stderr.readline():
        pass
    assert machine.wrong() == []
    os.kill(tcpdump.pid, signal.SIGINT)
    tcpdump.communicate()

    def seen(what: str) -> set[tuple[str, str]]:
        told = machine.run("tcpdump", "-n", "-t", "-q", "-r", "/run/wire", what).stdout
        return {(pair[1], pair[2]) for line in told.splitlines() if (pair := PAIR.search(line))}

    outer = seen("udp port 4789 and not icmp")
    n1, n2, n3 = "10.99.0.11", "10.99.1.12", "10.99.0.13"
    assert outer == {(n1, n2), (n2, n1), (n3, n2), (n2, n3)}
    plain = seen("net 10.244.0.0/16 and not udp port 4789")
    assert {("10.244.1.2", "10.244.3.2"), ("10.244.3.2", "10.244.1.2")} <= plain
    assert not [pair for pair in plain if n2 in pair or "10.244.2.2" in pair], "what is n2's is in the tunnel"


def test_outer_packets_that_others_masquerade_arrive(machine: "Machine") -> None:
    """A rule of somebody else's rewrites the outer packets, as kube-proxy's did: all probes are as before.

    With a UDP checksum on them, netfilter would spoil it where the inner one is left to the device.
    """
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--backend", "vxlan")
    for node in ("n1", "n2"):
        machine.on(
            node,
            "nft add table ip theirs; nft 'add chain ip theirs post { type nat hook postrouting priority 90; }';"
            "nft add rule ip theirs post udp dport 4789 counter masquerade fully-random",
        )
    assert machine.wrong() == []
    for node in ("n1", "n2"):
        assert "packets 0 " not in machine.on(node, "nft list table ip theirs")


def test_nodes_come_and_go_and_explain_says_why(machine: "Machine") -> None:
    """A node joins: a forwarding entry on the others; it leaves the list: its own objects go, no other's."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--backend", "vxlan", "--dual-stack")
    state = "bridge fdb show dev podnet-vx4; ip neigh show dev podnet-vx4 nud permanent; ip route; ip -6 route"
    before = sorted(machine.on("n1", state).splitlines())
    machine.podnet("lab", "add-node", "--pods", "1")
    assert machine.wrong() == []
    added = sorted(machine.on("n1", state).splitlines())
    assert len(added) == len(before) + 5
    explained = machine.podnet("lab", "exec", "n1", "podnet", "explain", "red").stdout
    assert "MTU 1450: eth0's 1500 less 50" in explained
    assert "dstport 4789 nolearning noudpcsum" in explained
    machine.on("n1", "sed -i '/name: n3/,$d' /etc/podnet/nodes.yaml")
    machine.on("n1", "timeout 10 sh -c 'while bridge fdb show dev podnet-vx4 | grep -q 10.99.0.13; do :; done'")
    machine.on("n1", "timeout 10 sh -c 'while ip -6 route | grep -q fd00:10:244:3; do :; done'")
    assert sorted(machine.on("n1", state).splitlines()) == before
