"""Real labs whose nodes speak WireGuard: what passes, what is to be seen of it on the wire, and who is believed."""

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from podnet.kernel import wireguard
from tests.lab.captured import captured

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not (shutil.which("wg") and (shutil.which("wireguard-go") or wireguard.family())),
        reason="needs wg(8), and a kernel with WireGuard or wireguard-go: apt install wireguard-tools wireguard-go",
    ),
]

STRICT = "for at in all default eth0 podnet-wg; do sysctl -qw net.ipv4.conf.$at.rp_filter=1; done"
PEERS = "wg show podnet-wg allowed-ips | cut -f 2 | tr ' ' '\\n' | sort"
SECRET = b"podnetsecret____"
PATIENCE = "timeout 30 sh -c"


def content(machine: "Machine", path: str) -> bytes:
    """Return what is in a file on the machine."""
    return subprocess.run([*machine.enter, "cat", path], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("datapath", "families"),
    [("ptp", []), ("ptp", ["--dual-stack"]), ("ptp", ["--ipv6"]), ("bridge", ["--dual-stack"])],
    ids=["ptp-IPv4", "ptp-dual", "ptp-IPv6", "bridge-dual"],
)
def test_pods_of_all_nodes_reach_each_other(machine: "Machine", datapath: str, families: list[str]) -> None:
    """With strict rp_filter on every node, all probes are as expected: to pods, nodes, services, and full packets."""
    before = machine.snapshot()
    shape = ("--nodes", "3", "--pods", "1", "--datapath", datapath, "--backend", "wireguard", *families)
    machine.podnet("lab", "up", *shape)
    for node in ("n1", "n2", "n3") if families != ["--ipv6"] else ():
        machine.on(node, STRICT)
    assert machine.wrong() == []
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_what_pods_say_is_not_to_be_read_on_the_wire(machine: "Machine") -> None:
    """From pod to pod and from node to pod: the router sees WireGuard between nodes' addresses, and not the words.

    The same words from a pod to the outside are there, so that they would have been seen.
    """
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--backend", "wireguard")
    assert machine.wrong() == []
    with captured(machine, "/run/wire"):
        for where in ("n1-red", "n1"):
            told = machine.on(where, f"ping -c 3 -i 0.2 -s 64 -p {SECRET.hex()} 10.244.2.2")
            assert "3 received" in told
    with captured(machine, "/run/clear"):
        machine.on("n1-red", f"ping -c 1 -p {SECRET.hex()} 198.51.100.10")
    wire, clear = (content(machine, f"/run/{name}") for name in ("wire", "clear"))
    assert SECRET in clear
    assert SECRET not in wire
    lines = machine.run("tcpdump", "-n", "-t", "-q", "-r", "/run/wire", "ip").stdout.splitlines()
    pairs = {(found[1], found[2]) for line in lines if (found := re.search(r"IP (\S+) > (\S+):", line))}
    n1, n2 = "10.99.0.11.51820", "10.99.1.12.51820"
    assert pairs == {(n1, n2), (n2, n1)}
    assert len(lines) >= 12


def test_a_node_is_believed_for_its_own_pods_alone(machine: "Machine") -> None:
    """What n2 sends as a pod of n3 is dropped by n1 before any rule sees it; what it sends as its own arrives."""
    machine.podnet("lab", "up", "--nodes", "3", "--pods", "1", "--backend", "wireguard")
    assert machine.wrong() == []
    count = "nft add rule ip t in iifname podnet-wg ip saddr"
    machine.on("n1", "nft add table ip t; nft 'add chain ip t in { type filter hook prerouting priority -400; }'; "
                      f"{count} 10.244.3.9 counter; {count} 10.244.2.0/24 counter")  # fmt: skip
    machine.on("n2", "ip addr add 10.244.3.9/32 dev lo; ping -c 2 -i 0.2 -W 1 -I 10.244.3.9 10.244.1.2 || :")
    machine.on("n2", "ping -c 1 10.244.1.2")
    forged, own = re.findall(r"counter packets (\d+)", machine.on("n1", "nft list chain ip t in"))
    assert (int(forged), int(own) > 0) == (0, True)


def test_nodes_come_and_go_and_explain_says_how(machine: "Machine") -> None:
    """A node that joins is a peer of the others, one that leaves the list is none; the key is named, not shown."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--backend", "wireguard", "--dual-stack")
    machine.podnet("lab", "add-node", "--pods", "1")
    assert machine.wrong() == []
    assert machine.on("n1", PEERS).split() == [
        "10.244.2.0/24",
        "10.244.3.0/24",
        "fd00:10:244:2::/64",
        "fd00:10:244:3::/64",
    ]
    explained = machine.podnet("lab", "exec", "n1", "podnet", "explain", "red").stdout
    assert "wg set podnet-wg listen-port 51820 private-key /var/lib/podnet/wireguard.key" in explained
    assert "MTU 1440: eth0's 1500 less 60" in explained
    secret = machine.on("n1", "cat /var/lib/podnet/wireguard.key").strip()
    log = machine.run("cat", "/run/podnet-lab/n1/daemon.log", check=False).stdout
    script = machine.podnet("lab", "exec", "n1", "podnet", "script").stdout
    assert secret not in explained + script + log
    machine.on("n1", "sed -i '/name: n3/,$d' /etc/podnet/nodes.yaml")
    machine.on("n1", f"{PATIENCE} 'while ip -6 route | grep -q fd00:10:244:3; do sleep 0.05; done'")
    assert machine.on("n1", PEERS).split() == ["10.244.2.0/24", "fd00:10:244:2::/64"]


def test_without_its_device_nothing_goes_in_clear(machine: "Machine") -> None:
    """The link is gone: pods are told that others' are unreachable, and not a packet leaves by the default route."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--backend", "wireguard")
    assert "1 received" in machine.on("n1-red", "ping -c 1 -W 8 10.244.2.2")
    with captured(machine, "/run/wire"):
        machine.run("sh", "-c", "kill -9 $(cat /run/podnet-lab/lab/n1/daemon.pid)")  # which would bring it back
        told = machine.on("n1", "ip link del podnet-wg; nsenter --net=/run/netns/podnet-lab-n1-red ping -c 2 -i 0.2 "
                                 "-W 1 10.244.2.2 || :")  # fmt: skip
    assert "Unreachable" in told
    assert machine.run("tcpdump", "-n", "-r", "/run/wire", "icmp or net 10.244.0.0/16").stdout == ""


def test_the_printed_script_does_the_same(machine: "Machine") -> None:
    """Where no daemon runs, `podnet script` makes device and peers by `wg` and `ip`; for a second pod it goes on."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "0", "--backend", "wireguard")
    shown = (
        "wg show podnet-wg allowed-ips; wg show podnet-wg listen-port; ip link show podnet-wg | grep -o 'mtu [0-9]*'"
    )
    before = machine.on("n1", shown)
    machine.run("sh", "-c", "kill -9 $(cat /run/podnet-lab/lab/n1/daemon.pid)")
    for pod in ("red", "blue"):
        machine.run("ip", "netns", "add", f"podnet-lab-n1-{pod}")
    machine.on("n1", "podnet script >/run/net.sh; ip link del podnet-wg; sh /run/net.sh add c-red podnet-lab-n1-red")
    assert machine.on("n1", shown) == before
    machine.on("n1", "sh /run/net.sh add c-blue podnet-lab-n1-blue")
    assert machine.on("n1", shown) == before
    for pod in ("red", "blue"):
        ping = f"nsenter --net=/run/netns/podnet-lab-n1-{pod} ping -c 1 -W 8 10.244.2.0"
        assert "1 received" in machine.on("n1", ping)
