"""The LAN: which links, addresses, routes and sysctls each of a lab's namespaces gets.

The lists are pure; `wire` carries them out, one ``ip -batch`` per namespace, all at once where order allows.
"""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_interface
from pathlib import Path

from podnet.errors import IOFailure
from podnet.lab import namespaces
from podnet.lab.topology import (
    OUTSIDE,
    OUTSIDE_LAN,
    OUTSIDE_MTU,
    OUTSIDE_ROUTER,
    UPLINK_MTU,
    IPAddress,
    IPNetwork,
    LabNode,
    Topology,
    router,
)

ROUTER_MACS = ("02:00:00:99:00:01", "02:00:00:99:01:01")  # fixed: a bridge without one changes it with its ports


def _addr(address: IPAddress, network: IPNetwork, dev: str) -> str:
    nodad = " nodad" if isinstance(address, IPv6Address) else ""
    return f"addr add {ip_interface((address, network.prefixlen))} dev {dev}{nodad}"


def bridge(lan: int) -> str:
    """Return the name of a LAN's bridge."""
    return "lan" if lan == 0 else f"lan{lan + 1}"


def router_lines(lab: Topology) -> list[str]:
    """Return the ``ip`` lines of the LAN's namespace: a bridge for each LAN and the narrower link to the outside."""
    lans = list(enumerate(lab.lans))
    return [
        "link set lo up",
        *(
            f"link add {bridge(n)} address {ROUTER_MACS[n]} mtu {UPLINK_MTU} type bridge mcast_snooping 0"
            for n, _ in lans
        ),
        f"link add out mtu {OUTSIDE_MTU} type veth peer name eth0 mtu {OUTSIDE_MTU} netns {lab.outside_namespace}",
        *(_addr(router(lan, f), lan[f], bridge(n)) for n, lan in lans for f in lab.families),
        *(_addr(OUTSIDE_ROUTER[f], OUTSIDE_LAN[f], "out") for f in lab.families),
        *(f"link set {bridge(n)} up" for n, _ in lans),
        "link set out up",
    ]


def port_lines(lab: Topology, node: LabNode) -> list[str]:
    """Return the ``ip`` lines of the LAN's namespace for one node: its cable."""
    return [
        f"link add {node.name} mtu {UPLINK_MTU} type veth peer name eth0 mtu {UPLINK_MTU} netns {lab.namespace(node)}",
        f"link set {node.name} master {bridge(node.lan)} up",
    ]


def node_lines(lab: Topology, node: LabNode) -> list[str]:
    """Return the ``ip`` lines of a node: what a machine has before any pod network is installed."""
    lan = lab.lans[node.lan]
    return [
        "link set lo up",
        *(_addr(a, lan[a.version], "eth0") for a in node.addresses),
        "link set eth0 up",
        *(f"route add default via {router(lan, f)} dev eth0" for f in lab.families),
    ]


def outside_lines(lab: Topology) -> list[str]:
    """Return the ``ip`` lines of the outside: it knows the way to nodes, and none to pods."""
    return [
        "link set lo up",
        *(_addr(OUTSIDE[f], OUTSIDE_LAN[f], "eth0") for f in lab.families),
        "link set eth0 up",
        *(f"route add {lan[f]} via {OUTSIDE_ROUTER[f]} dev eth0" for lan in lab.lans for f in lab.families),
    ]


# A router that answers every packet that is too big, and a bridge that leaves packets to the bridge.
ROUTER_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/accept_dad": "0",
    "ipv4/icmp_ratelimit": "0",
    "ipv4/icmp_msgs_burst": "10000",
    "ipv4/icmp_msgs_per_sec": "10000",
    "ipv6/icmp/ratelimit": "0",
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}
# Nobody duplicates a lab's addresses: eth0 does not wait to find out.  Links made later wait as on any machine.
UPLINK_SYSCTLS = {"ipv6/conf/eth0/accept_dad": "0"}


def set_sysctls(namespace: str, sysctls: Mapping[str, str]) -> None:
    """Write files below /proc/sys/net in `namespace`; one that this kernel does not have is passed over."""
    with namespaces.inside(namespace):
        for name, value in sysctls.items():
            with suppress(FileNotFoundError):
                Path("/proc/sys/net", name).write_text(value)


def batch(lines: Mapping[str, Sequence[str]]) -> None:
    """Run ``ip -batch`` with the lines of each namespace, side by side; raise `IOFailure` with ip's own words."""
    running = {
        name: subprocess.Popen(
            ["ip", "-n", name, "-batch", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True,
        )
        for name in lines
    }  # fmt: skip
    told = {name: ip.communicate("\n".join(lines[name]) + "\n")[1].strip() for name, ip in running.items()}
    for name, ip in running.items():
        if ip.returncode != 0:
            raise IOFailure(f"ip -n {name} -batch: {told[name]}", "\n".join(lines[name]))


def wire(lab: Topology) -> None:
    """Join the namespaces of `lab`, which exist and are empty, to a LAN with its router and the outside."""
    set_sysctls(lab.lan_namespace, ROUTER_SYSCTLS)
    batch({lab.lan_namespace: router_lines(lab)})
    set_sysctls(lab.outside_namespace, UPLINK_SYSCTLS)
    batch({lab.outside_namespace: outside_lines(lab)})
    join(lab, lab.nodes)


def join(lab: Topology, nodes: Sequence[LabNode]) -> None:
    """Give `nodes`, whose namespaces are empty, their place on the LAN."""
    batch({lab.lan_namespace: [line for node in nodes for line in port_lines(lab, node)]})
    for node in nodes:
        set_sysctls(lab.namespace(node), UPLINK_SYSCTLS)
    batch({lab.namespace(node): node_lines(lab, node) for node in nodes})
