"""What the walk through others' rules is told of this node: addresses, links by which packets go, the nodes' port."""

from podnet.diagnosis.firewall import POD, Facts, Link, Port
from podnet.doctor.machine import Machine
from podnet.doctor.rulesets import link
from podnet.mesh import DEVICES
from podnet.mesh.wireguard import DEVICE

BGP = 179
"""IANA's port."""


def facts(machine: Machine) -> Facts:
    """Return it for a node that has an uplink."""
    own, network = machine.own, machine.network
    tunnels, ports = _tunnels(machine)
    uplink = link(machine.facts.uplink)
    direct = [] if tunnels and machine.settings.backend != "auto" else [uplink]
    return Facts(
        cidrs=own.cidrs if own else network.subnets,
        uplink=uplink,
        others=tuple(cidr for node in machine.others for cidr in node.cidrs),
        addresses=machine.facts.addresses,
        peers=tuple(address for node in machine.others for address in node.addresses),
        from_pods=POD if network.datapath == "ptp" else link(network.bridge),
        ways=(*tunnels, *direct),
        ports=ports,
    )


def _tunnels(machine: Machine) -> tuple[list[Link], tuple[Port, ...]]:
    """Return the devices by which other nodes' pods are reached, and the port at which the nodes speak for that."""
    settings = machine.settings
    shared = [v for v in DEVICES if any(node.address(v) and machine.facts.address(v) for node in machine.others)]
    if settings.backend == "wireguard":
        return [link(DEVICE)], (Port("udp", settings.wireguard.port, "WireGuard", tuple(shared)),)
    if settings.backend == "bgp":
        return [], (Port("tcp", BGP, "BGP", tuple(shared)),)
    versions = sorted({way.tunnel for way in machine.mesh.ways.values()} - {0})
    if not versions:
        return [], ()
    return [link(DEVICES[v]) for v in versions], (Port("udp", settings.vxlan.port, "VXLAN", tuple(versions)),)
