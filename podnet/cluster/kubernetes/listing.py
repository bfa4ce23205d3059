"""The Nodes of a cluster as the model has them, and why some are left out.

Nothing stops a Node from claiming pods' addresses that are another's.  The one that was created first keeps them (then
the one whose name sorts first), so that all nodes of a cluster leave out the same ones, whatever they heard first.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from podnet.cluster.document import IPNetwork
from podnet.cluster.kubernetes.objects import NodeObject
from podnet.cluster.nodes import pool_fault, unreachable, within
from podnet.model import Node


class Listing(NamedTuple):
    """The `nodes` by name, and what was `ignored`, each with its reason."""

    nodes: tuple[Node, ...]
    ignored: tuple[str, ...]


class _Claim(NamedTuple):
    """A piece of the address space, as integers too, and whose it is."""

    first: int
    last: int
    network: IPNetwork
    owner: str


class _Claims:
    """Claims of one family, of which none overlaps another's; so those that overlap a network stand side by side."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._claims: list[_Claim] = []

    def rival(self, network: IPNetwork, owner: str) -> _Claim | None:
        """Return the claim of another that overlaps `network`, if any.

        An address may be two Nodes': a machine that comes back by a new name, before the old one is deleted.
        """
        start, end = self._overlapping(int(network.network_address), int(network.broadcast_address))
        single = network.prefixlen == network.max_prefixlen
        others = (claim for claim in self._claims[start:end] if claim.owner != owner)
        return next((claim for claim in others if not (single and claim.network == network)), None)

    def add(self, network: IPNetwork, owner: str) -> None:
        """Take note of a claim without a rival."""
        claim = _Claim(int(network.network_address), int(network.broadcast_address), network, owner)
        start, end = self._overlapping(claim.first, claim.last)
        if start < end and self._claims[start].first <= claim.first and claim.last <= self._claims[start].last:
            return
        self._firsts[start:end] = [claim.first]
        self._claims[start:end] = [claim]

    def _overlapping(self, first: int, last: int) -> tuple[int, int]:
        """Return from where to where claims overlap `first` to `last`."""
        start = end = bisect_right(self._firsts, last)
        while start and self._claims[start - 1].last >= first:
            start -= 1
        return start, end


def listed(objects: Iterable[NodeObject], cluster_cidrs: Sequence[IPNetwork] = ()) -> Listing:
    """Return the nodes that `objects` make; with `cluster_cidrs`, pod CIDRs outside of these are left out too."""
    nodes: list[Node] = []
    ignored: list[str] = []
    claims = {4: _Claims(), 6: _Claims()}
    for node in sorted(objects, key=lambda node: (node.created, node.name)):
        fault = _fault(node, cluster_cidrs, claims)
        if fault:
            ignored.append(f"Node {node.name} is ignored: {fault}")
            continue
        for network in _networks(node):
            claims[network.version].add(network, node.name)
        nodes.append(Node(node.name, node.addresses, node.pod_cidrs))
    return Listing(tuple(sorted(nodes, key=lambda node: node.name)), tuple(sorted(ignored)))


def _networks(node: NodeObject) -> list[IPNetwork]:
    """Return all that a node claims: a pod CIDR before an address that lies in it."""
    return [*node.pod_cidrs, *(ip_network(address) for address in node.addresses)]


def _fault(node: NodeObject, cluster_cidrs: Sequence[IPNetwork], claims: dict[int, _Claims]) -> str:
    """Return what is wrong with a node, "" where nothing is."""
    if node.malformed:
        return f"{node.malformed} cannot be read; correct it"
    for cidr in node.pod_cidrs:
        fault = pool_fault(cidr)
        if fault:
            return f"podCIDR {cidr} {fault}"
        if cluster_cidrs and not any(within(cidr, cluster) for cluster in cluster_cidrs):
            outside = ", ".join(map(str, cluster_cidrs))
            return f"podCIDR {cidr} is outside the cluster-cidrs ({outside}); move it, or widen those in podnet.yaml"
    for address in node.addresses:
        if unreachable(address):
            return f"InternalIP {address} cannot be reached from other nodes; have its kubelet report another"
    for network in _networks(node):
        rival = claims[network.version].rival(network, node.name)
        if rival is not None:
            return f"{network} overlaps {rival.network} of {rival.owner}; delete one Node, or give it another podCIDR"
    return ""
