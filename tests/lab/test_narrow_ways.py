"""Ways between nodes that are narrower than both their uplinks, or one of them: nothing is lost in silence for good."""

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live

HEADERS = {4: 28, 6: 48}
TARGETS = {4: "10.244.2.2", 6: "fd00:10:244:2::2"}
OUTER4 = pytest.param([4, 6], ["--dual-stack"], id="over IPv4")
OUTER6 = pytest.param([6], ["--ipv6"], id="over IPv6")


def up(machine: "Machine", datapath: str, families: list[str]) -> None:
    """Make two nodes in two subnets, joined by a router, that speak VXLAN."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--datapath", datapath, "--backend", "vxlan", *families)


def at(machine: "Machine", where: str, script: str) -> str:
    """Run a script at a place of the lab, whatever its exit status; return what it prints."""
    return machine.podnet("lab", "exec", where, "--", "sh", "-c", f"{script} 2>&1", check=False).stdout


def ping(machine: "Machine", version: int, size: int, count: int = 1) -> str:
    """Have red of n1 ask the pod of n2 in packets of `size` bytes that may not be fragmented; return what it prints."""
    asked = f"ping -n -c{count} -i0.2 -W1 -M do -s {size - HEADERS[version]} {TARGETS[version]}"
    return at(machine, "n1-red", asked).replace("mtu: ", "mtu=").replace("mtu = ", "mtu=")


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_router_that_takes_less_over_ipv4_fragments_the_outer_packets(machine: "Machine", datapath: str) -> None:
    """The tunnel's own packets may be fragmented, so a pod's full packets pass as they are, of both families."""
    up(machine, datapath, ["--dual-stack"])
    at(machine, "router", "ip link set lan2 mtu 1400")
    for version in (4, 6):
        assert " 0% packet loss" in ping(machine, version, 1450, 3)
        assert "message too long, mtu=1450" in ping(machine, version, 1451)


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_router_that_takes_less_over_ipv6_is_told_of_to_the_pod(machine: "Machine", datapath: str) -> None:
    """Nobody on the way fragments IPv6: the router tells the node, the node the pod, with the tunnel's headers off."""
    up(machine, datapath, ["--ipv6"])
    at(machine, "router", "ip link set lan2 mtu 1400")
    told = ping(machine, 6, 1430, 10)
    assert re.search(r"(Packet too big: |message too long, )mtu=1330", told), told
    assert "message too long, mtu=1330" in ping(machine, 6, 1331)
    assert " 0% packet loss" in ping(machine, 6, 1330)


@pytest.mark.parametrize(("versions", "families"), [OUTER4, OUTER6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_node_with_a_narrower_uplink_has_narrower_pods_of_which_others_learn(
    machine: "Machine", datapath: str, versions: list[int], families: list[str]
) -> None:
    """Its daemon follows the uplink while pods run; a pod of the wider node is told exactly that."""
    up(machine, datapath, families)
    overhead = 50 if 4 in versions else 70
    at(machine, "router", "ip link set n2 mtu 1400")
    at(machine, "n2", "ip link set eth0 mtu 1400")
    narrow = 1400 - overhead
    waited = at(
        machine, "n2-red", f"timeout 10 sh -c 'until ip link show eth0 | grep -q mtu.{narrow}; do sleep 0.02; done'"
    )
    assert waited == ""
    for version in versions:
        told = ping(machine, version, 1500 - overhead, 10)
        assert re.search(rf"mtu={narrow}\b", told), told
        assert f"message too long, mtu={narrow}" in ping(machine, version, narrow + 1)
        assert " 0% packet loss" in ping(machine, version, narrow)
