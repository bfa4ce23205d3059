"""The node's default network: what podnet.yaml and nodes.yaml amount to, before any CNI configuration adds to it."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

import msgspec

from podnet import mesh
from podnet.cluster.nodes import own_node
from podnet.cluster.settings import Settings
from podnet.model import Network, Node, NodeFacts, Range

IPNetwork = IPv4Network | IPv6Network


def default_network(settings: Settings, nodes: Sequence[Node], facts: NodeFacts) -> Network:
    """Return the network of the node that `facts` name: pods get one address per family of its pod CIDRs.

    Other nodes, and their pods, are the mesh's business.  Raises NodeNotReady when the node is not listed or has no pod
    CIDR.
    """
    node = own_node(nodes, facts.name)
    versions = dict.fromkeys(cidr.version for cidr in node.pod_cidrs)
    return msgspec.structs.replace(
        standalone_network(settings, facts),
        ranges=tuple(tuple(range_of(c) for c in node.pod_cidrs if c.version == version) for version in versions),
    )


def standalone_network(settings: Settings, facts: NodeFacts) -> Network:
    """Return the network of a node that no list has: without addresses of its own.

    It still serves CNI configurations that bring their own ranges.
    """
    return Network(
        name=settings.network,
        datapath=settings.datapath,
        bridge=settings.bridge,
        mtu=settings.mtu,
        overhead=mesh.overhead(facts, settings.backend),
        masquerade=settings.masquerade,
        non_masquerade=_collapsed((*settings.cluster_cidrs, *settings.non_masquerade_cidrs)),
        quarantine=settings.quarantine,
    )


def range_of(cidr: IPNetwork) -> Range:
    """Return all of `cidr` but the network's and the broadcast address; the first host address is the gateway's.

    IPv6 has no broadcast address; its ::0 is the routers' anycast address (RFC 4291 section 2.6.1).
    """
    first: IPv4Address | IPv6Address = cidr[1]
    last: IPv4Address | IPv6Address = cidr[-1 if cidr.version == 6 else -2]  # noqa: PLR2004 - the IP version
    return Range(subnet=cidr, first=first, last=last, gateway=first)


def _collapsed(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Return the same addresses in the fewest networks, IPv4 first, sorted: an interval set takes no overlaps."""
    listed = tuple(networks)
    return (
        *collapse_addresses(n for n in listed if isinstance(n, IPv4Network)),
        *collapse_addresses(n for n in listed if isinstance(n, IPv6Network)),
    )
