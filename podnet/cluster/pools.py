"""Named pools of podnet.yaml on this node: which of their CIDRs it gives addresses from, and which it makes known.

All nodes may have one podnet.yaml.  So what of a pool lies in a node's pod CIDR is that node's, and derived; a CIDR
that lies in no node's is made known by the node that is to have it, and is its own when the cluster's list of nodes
says so.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import msgspec

from podnet.cluster.network import range_of
from podnet.cluster.nodes import pool_fault, within
from podnet.cluster.settings import Settings
from podnet.model import NamedPool, Network, Node, Range

IPNetwork = IPv4Network | IPv6Network


def named_pools(settings: Settings, nodes: Sequence[Node], name: str) -> dict[str, NamedPool]:
    """Return the pools by name, as the node `name` can serve them; empty where `nodes` does not have that node."""
    own = next((node for node in nodes if node.name == name), None)
    if own is None:
        return {}
    publishing = to_publish(settings, nodes, name)
    ranges: dict[str, list[Range]] = {pool.name: [] for pool in settings.pools}
    amiss: dict[str, list[str]] = {pool.name: [] for pool in settings.pools}
    pending: set[str] = set()
    for pool in settings.pools:
        found = _range(pool.cidr, own, nodes) if pool.node in {"", name} else f"{pool.cidr} is node {pool.node}'s"
        if isinstance(found, Range):
            ranges[pool.name].append(found)
            continue
        amiss[pool.name].append(found)
        if pool.cidr in publishing:
            pending.add(pool.name)
    return {key: NamedPool(key, tuple(ranges[key]), tuple(amiss[key]), key in pending) for key in ranges}


def to_publish(settings: Settings, nodes: Sequence[Node], name: str) -> tuple[IPNetwork, ...]:
    """Return the CIDRs of pools that other nodes must be told are the node `name`'s: those in nobody's pod CIDRs."""
    own = next((node for node in nodes if node.name == name), None)
    if own is None:
        return ()
    return tuple(
        pool.cidr
        for pool in settings.pools
        if pool.node in {"", name}
        and not pool_fault(pool.cidr)
        and _has_family(own, pool.cidr)
        and _lies_apart(pool.cidr, nodes, own)
    )


def kept_for_pools(settings: Settings, network: Network) -> Network:
    """Return the node's default network without the addresses of pools, which are for those who ask for them."""
    cidrs = [pool.cidr for pool in settings.pools]
    sets = tuple(
        tuple(
            msgspec.structs.replace(one, exclude=tuple(cidr for cidr in cidrs if within(cidr, one.subnet)))
            for one in ranges
        )
        for ranges in network.ranges
    )
    return msgspec.structs.replace(network, ranges=sets) if sets != network.ranges else network


def _range(cidr: IPNetwork, own: Node, nodes: Sequence[Node]) -> Range | str:
    """Return the range of `cidr` on the node `own`, or why there is none."""
    home = next((pod_cidr for pod_cidr in own.pod_cidrs if within(cidr, pod_cidr)), None)
    if home is not None:
        return Range(subnet=home, first=cidr[0], last=cidr[-1], gateway=home[1])
    return range_of(cidr) if cidr in own.pools and _has_family(own, cidr) else _why_not(cidr, own, nodes)


def _why_not(cidr: IPNetwork, own: Node, nodes: Sequence[Node]) -> str:
    """Return why the node `own` gives no addresses of `cidr`, which is outside of its pod CIDRs."""
    if fault := pool_fault(cidr):
        return f"{cidr} {fault}"
    if not _has_family(own, cidr):
        return f"{cidr}: this node has no IPv{cidr.version} pod CIDR"
    other = next((node for node in nodes if node is not own and any(map(cidr.overlaps, _of(node, cidr)))), None)
    if other is not None:
        return f"{cidr} is node {other.name}'s"
    if any(map(cidr.overlaps, _of(own, cidr))):
        return f"{cidr} is more than this node's pod CIDR"
    return f"{cidr} is not known to other nodes yet"


def _lies_apart(cidr: IPNetwork, nodes: Sequence[Node], own: Node) -> bool:
    """Tell whether `cidr` overlaps nothing of any node but what `own` has made known."""
    others = (other for node in nodes for other in (node.pod_cidrs if node is own else _of(node, cidr)))
    return not any(cidr.version == other.version and cidr.overlaps(other) for other in others)


def _of(node: Node, cidr: IPNetwork) -> list[IPNetwork]:
    return [other for other in node.cidrs if other.version == cidr.version]


def _has_family(node: Node, cidr: IPNetwork) -> bool:
    return any(cidr.version == pod_cidr.version for pod_cidr in node.pod_cidrs)
