"""The LAN between hosts: one subnet or two, and the machine as the router that knows no pod."""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from tests.cluster.machine import Machine, Place


class Port(NamedTuple):
    """Where a host is on the LAN: as number `number` of subnet `subnet`."""

    subnet: int
    number: int

    @property
    def ipv4(self) -> IPv4Address:
        """Its IPv4 address."""
        return IPv4Address(f"10.99.{self.subnet}.{self.number}")

    @property
    def ipv6(self) -> IPv6Address:
        """Its IPv6 address."""
        return IPv6Address(f"fd99:0:0:{self.subnet}::{self.number}")

    def address(self, family: int) -> str:
        """Return its address of the IP version `family`, as written."""
        return str(self.ipv4 if family == 4 else self.ipv6)

    @property
    def router(self) -> "Port":
        """The router in this subnet."""
        return Port(self.subnet, 1)


OUTSIDE = Port(0, 1)
"""The router, as pods know it."""
CONTROL = Port(0, 2)
FIRST_NODE = 11


def node_port(number: int, nodes: int, subnets: int) -> Port:
    """Return where node `number` of so many is, from 1: the last in the last subnet, the others in the first."""
    return Port(subnets - 1 if number == nodes else 0, FIRST_NODE - 1 + number)


def make_lan(machine: Machine, subnets: int) -> None:
    """Make the LAN's subnets, which the machine routes between."""
    machine.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for subnet in range(subnets):
        router = Port(subnet, 1)
        machine.sh(
            f"ip link add lan{subnet} address 02:00:00:00:{subnet:02x}:01 type bridge; ip link set lan{subnet} up; "
            f"ip addr add {router.ipv4}/24 dev lan{subnet}; ip addr add {router.ipv6}/64 dev lan{subnet} nodad"
        )


def join_lan(machine: Machine, place: Place, port: Port) -> None:
    """Give `place` an eth0 on the LAN, with a default route by the router; what comes by another way is dropped."""
    machine.sh(
        f"ip link add {place.name} type veth peer name eth0 address 02:00:00:00:{port.subnet:02x}:{port.number:02x} "
        f"netns {place.inner}; ip link set {place.name} master lan{port.subnet} up"
    )
    place.sh(
        "sysctl -qw net.ipv4.conf.all.rp_filter=1; ip link set eth0 up; "
        f"ip addr add {port.ipv4}/24 dev eth0; ip addr add {port.ipv6}/64 dev eth0 nodad; "
        f"ip route add default via {port.router.ipv4}; ip -6 route add default via {port.router.ipv6}"
    )
