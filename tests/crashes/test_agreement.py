"""The comparison itself: whatever is left over, missing or touched on a node, it says so."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.crashes.agreement import require_agreement
from tests.crashes.machine import Machine

pytestmark = pytest.mark.live

FAULTS = (
    ("ip link add veth-left type veth peer name left", "ip link del veth-left", "too much.*veth-left"),
    ("ip link set veth-aaaaaaa down",
     "ip link set veth-aaaaaaa up; ip route add 10.124.0.0/16 via 10.123.0.2 proto 111",
     "missing.*veth-aaaaaaa"),
    ("ip route add 10.244.1.77 dev up0 proto 112", "ip route del 10.244.1.77", "routes:\n.*10.244.1.77"),
    ("ip neigh add 10.244.1.77 lladdr 02:00:00:00:00:01 dev up0", "ip neigh del 10.244.1.77 dev up0", "neighbours"),
    ("nft add element inet podnet pods4 '{ up0 . 10.244.1.77 }'",
     "nft delete element inet podnet pods4 '{ up0 . 10.244.1.77 }'", "ruleset"),
    ("nft add element inet podnet hostports4 '{ udp . 99 : 10.244.1.2 . 99 }'",
     "nft delete element inet podnet hostports4 '{ udp . 99 : 10.244.1.2 . 99 }'", "ruleset"),
    ("nft delete table inet podnets", "nft add table inet podnets", "ruleset"),
    ("tc qdisc add dev up0 root tbf rate 1mbit burst 16k latency 9ms", "tc qdisc del dev up0 root", "tbf"),
    ("touch /run/host-local/lent/10.77.0.9", "rm /run/host-local/lent/10.77.0.9", "host-local"),
    ("mkdir -p /var/lib/podnet/spool; touch /var/lib/podnet/spool/left", "rm /var/lib/podnet/spool/left", "spooled"),
    ("sysctl -qw net.ipv4.conf.up0.route_localnet=1", "sysctl -qw net.ipv4.conf.up0.route_localnet=0", "sysctls"),
)  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Give one machine to all tests, which leave it as it was."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as stack:
        yield Machine(stack, "ptp", vigilant=False)


def require(machine: Machine) -> None:
    """Require agreement with no other pods than the bystanders."""
    require_agreement(machine.node, machine.datapath, machine.baseline, machine.bystanders, [])


@pytest.mark.parametrize(("fault", "undo", "told"), FAULTS)
def test_a_fault_is_told(machine: Machine, fault: str, undo: str, told: str) -> None:
    """Each is found and named, and when it is gone all agrees again."""
    machine.node.sh(fault)
    with pytest.raises(AssertionError, match=told):
        require(machine)
    machine.node.sh(undo)
    require(machine)


def test_an_attachment_that_nobody_holds_is_told(machine: Machine) -> None:
    """A lease is too much where the runtime knows nothing of it, and missing where it does and it is not there."""
    pod = machine.attach("left", "podnet")
    with pytest.raises(AssertionError, match=r"too much.*left"):
        require(machine)
    assert machine.cni("DEL", "left", "podnet").status == 0
    require(machine)
    with pytest.raises(AssertionError, match=r"missing.*left"):
        require_agreement(machine.node, machine.datapath, machine.baseline, machine.bystanders, [pod])


def test_an_address_given_twice_is_told(machine: Machine) -> None:
    """Whatever the kernel says."""
    red = machine.bystanders[0]
    with pytest.raises(AssertionError, match="address was given twice"):
        require_agreement(
            machine.node, machine.datapath, machine.baseline, machine.bystanders, [red._replace(container="twin")]
        )
