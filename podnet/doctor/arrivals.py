"""Whether the kernel takes what pods and other nodes send to this node, asked of it without sending anything."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from podnet.diagnosis.rp_filter import Arrival
from podnet.doctor.machine import MOST, Machine, some

IPV4 = 4


def arrivals(machine: Machine) -> Iterator[Arrival]:
    """Yield what would become of such packets, as IPv4, which alone has the filter."""
    here = machine.facts.address(IPV4)
    if here is None:
        return
    links = machine.surroundings.links
    for whom, source, name in (*_of_pods(machine), *_of_nodes(machine)):
        if source.version == IPV4 and name in links:
            yield Arrival(whom, source, name, machine.router.refused(source, links[name].index, here))


def _of_pods(machine: Machine) -> Iterator[tuple[str, IPv4Address | IPv6Address, str]]:
    """Yield who sends, from where, and by which link that comes, of pods that have a link of their own."""
    links = machine.surroundings.links
    for lease in machine.leases[:MOST]:
        if lease.link in links and links[lease.link].master is None:
            for leased in lease.addresses:
                yield lease.holder, leased.address, lease.link


def _of_nodes(machine: Machine) -> Iterator[tuple[str, IPv4Address | IPv6Address, str]]:
    """Yield the same of other nodes, and of their pods where podnet has a route to them: by that link they come."""
    around = machine.surroundings
    names = {message.index: name for name, message in around.links.items()}
    ways = {f"{r.dst}/{r.dst_len}": names.get(r.oif or 0, "") for r in around.routes if r.protocol in machine.protocols}
    for node in some(machine.others):
        for address in node.addresses:
            yield f"node {node.name}", address, machine.facts.uplink
        for cidr in node.cidrs:
            yield f"pods of node {node.name}", cidr[2], ways.get(str(cidr), "")
