"""Values to test with: a node's facts, networks and leases, as small as they can be."""

from ipaddress import ip_address, ip_network
from typing import Any

from podnet.model import Attachment, Lease, Network, NodeFacts, PodAddress, PodRoute, Range, link_name

FACTS = NodeFacts(
    name="n1", boot_id="b", uplink="up0", mtu=1500, addresses=(ip_address("10.99.0.11"), ip_address("fd99::11"))
)
SUBNETS = {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}


def a_range(subnet: str) -> Range:
    """Return the whole of `subnet` with its first address as the gateway."""
    network = ip_network(subnet)
    return Range(subnet=network, first=network[1], last=network[-2], gateway=network[1])


def a_network(datapath: Any = "ptp", versions: tuple[int, ...] = (4,), **fields: Any) -> Network:
    """Return a network with one subnet per IP version."""
    ranges = tuple((a_range(SUBNETS[version]),) for version in versions)
    return Network(name="podnet", datapath=datapath, ranges=ranges, **fields)


def a_lease(network: Network, container: str = "red", number: int = 2) -> Lease:
    """Return the lease of the `number`th address of each range."""
    attachment = Attachment(network.name, container, "eth0")
    return Lease(
        attachment=attachment,
        addresses=tuple(
            PodAddress(ranges[0].subnet[number], ranges[0].subnet.prefixlen, ranges[0].gateway)
            for ranges in network.ranges
        ),
        link=link_name(attachment, "-br" if network.datapath == "bridge" else ""),
        netns=None,
        netns_path=container,
        boot_id="b",
        created=0.0,
    )


ROUTES = (PodRoute(ip_network("10.0.0.0/8")), PodRoute(ip_network("fd00::/8")))
"""Routes as `ipam.routes` may ask for them, one per family."""
