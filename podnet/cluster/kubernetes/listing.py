"""The Nodes of a cluster as the model has them, and why some are left out.

Nothing stops a Node from claiming pods' addresses that are another's.  The one that was created first keeps them (then
the one whose name sorts first), so that all nodes of a cluster leave out the same ones, whatever they heard first.
What a node makes known itself, its pools, yields to whatever Kubernetes gave to any Node, and costs it no more than
the pool.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import NamedTuple

import msgspec

from podnet.cluster.document import IPNetwork
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY, NodeObject
from podnet.cluster.named import POD_CIDRS
from podnet.cluster.nodes import pool_fault, unreachable, within
from podnet.model import Node
from podnet.wireguard.key import from_text, to_text


class Claim(NamedTuple):
    """A piece of the address space, as integers too, whose it is, and the IP version."""

    first: int
    last: int
    network: IPNetwork
    owner: str
    version: int


class Candidate(NamedTuple):
    """A Node for itself: what it would be in the model, what it claims, and what is wrong with it, "" for nothing.

    `pools` are what it claims besides; `remarks` are said of one that is a node all the same.  Made once of each Node,
    so that a change among thousands costs little more than to sort them.
    """

    object: NodeObject
    node: Node
    claims: tuple[Claim, ...]
    fault: str
    remarks: tuple[str, ...] = ()
    pools: tuple[Claim, ...] = ()


class Listing(NamedTuple):
    """The `nodes` by name, and what was `ignored` of them or of what they say, each with its reason."""

    nodes: tuple[Node, ...]
    ignored: tuple[str, ...]


def candidate(object_: NodeObject, cluster_cidrs: Sequence[IPNetwork] = ()) -> Candidate:
    """Return a Node for itself; with `cluster_cidrs`, pod CIDRs outside of these are wrong."""
    # A pod CIDR before an address that lies in it.
    networks = [*object_.pod_cidrs, *(ip_network(address) for address in object_.addresses)]
    key, remark = _key(object_)
    node = Node(object_.name, object_.addresses, object_.pod_cidrs, key, object_.pools, object_.reflector)
    faults = {pool: fault for pool in object_.pools if (fault := _cidr_fault(pool, cluster_cidrs))}
    amiss = (*(f"{pool} {fault}" for pool, fault in faults.items()), *_misspelt(object_))
    return Candidate(
        object_,
        node,
        tuple(_claim(network, object_.name) for network in networks),
        _fault(object_, cluster_cidrs),
        (*([remark] if remark else []), *(_without_pool(object_.name, fault) for fault in amiss)),
        tuple(_claim(pool, object_.name) for pool in object_.pools if pool not in faults),
    )


def listed(candidates: Iterable[Candidate]) -> Listing:
    """Return the nodes that `candidates` make."""
    nodes: list[Node] = []
    ignored: list[str] = []
    pooled: list[Candidate] = []
    claimed = {4: _Claimed(), 6: _Claimed()}
    keys: dict[str, str] = {}
    for one in sorted(candidates, key=lambda one: (one.object.created, one.object.name)):
        fault = one.fault or _rivalry(one, claimed)
        if fault:
            ignored.append(f"Node {one.object.name} is ignored: {fault}")
            continue
        for claim in one.claims:
            claimed[claim.version].add(claim)
        ignored += one.remarks
        owner = keys.setdefault(one.node.wireguard, one.node.name) if one.node.wireguard else one.node.name
        if owner != one.node.name:
            ignored.append(f"the WireGuard key of Node {one.node.name} is ignored: it is that of Node {owner}")
            one = one._replace(node=msgspec.structs.replace(one.node, wireguard=""))  # noqa: PLW2901 - the same, less that
        if one.node.pools:
            pooled.append(one)
        else:
            nodes.append(one.node)
    nodes += [_with_pools(one, claimed, ignored) for one in pooled]
    return Listing(tuple(sorted(nodes, key=lambda node: node.name)), tuple(sorted(ignored)))


def _with_pools(one: Candidate, claimed: "dict[int, _Claimed]", ignored: list[str]) -> Node:
    """Return a node with those of its pools that nobody else has; say in `ignored` which are not taken."""
    pools = []
    for claim in one.pools:
        rival = claimed[claim.version].overlapping(claim)
        if rival is not None:
            ignored.append(_without_pool(claim.owner, f"{claim.network} overlaps {rival.network} of {rival.owner}"))
            continue
        claimed[claim.version].add(claim)
        pools.append(claim.network)
    return one.node if len(pools) == len(one.node.pools) else msgspec.structs.replace(one.node, pools=tuple(pools))


def _without_pool(name: str, fault: str) -> str:
    return f"Node {name}: annotation {POD_CIDRS}: {fault}; it is left out, correct `pools` in podnet.yaml"


def _claim(network: IPNetwork, owner: str) -> Claim:
    return Claim(int(network.network_address), int(network.broadcast_address), network, owner, network.version)


def _misspelt(node: NodeObject) -> tuple[str, ...]:
    return (f"{node.misspelt} cannot be read",) if node.misspelt else ()


class _Claimed:
    """Claims of one family, of which none overlaps another's; so those that overlap a network stand side by side."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._claims: list[Claim] = []

    def rival(self, claim: Claim) -> Claim | None:
        """Return the claim of another that overlaps this one, if any.

        An address may be two Nodes': a machine that comes back by a new name, before the old one is deleted.
        """
        start, end = self._overlapping(claim)
        for other in self._claims[start:end]:
            shared = claim.first == claim.last and other.network == claim.network
            if other.owner != claim.owner and not shared:
                return other
        return None

    def overlapping(self, claim: Claim) -> Claim | None:
        """Return a claim that overlaps this one, whoever's it is."""
        start, end = self._overlapping(claim)
        return self._claims[start] if start < end else None

    def add(self, claim: Claim) -> None:
        """Take note of a claim without a rival."""
        start, end = self._overlapping(claim)
        if start < end and self._claims[start].first <= claim.first and claim.last <= self._claims[start].last:
            return
        self._firsts[start:end] = [claim.first]
        self._claims[start:end] = [claim]

    def _overlapping(self, claim: Claim) -> tuple[int, int]:
        """Return from where to where claims overlap this one."""
        start = end = bisect_right(self._firsts, claim.last)
        while start and self._claims[start - 1].last >= claim.first:
            start -= 1
        return start, end


def _rivalry(one: Candidate, claimed: dict[int, _Claimed]) -> str:
    """Return which claim of an older Node a Node contradicts, "" where it contradicts none."""
    for claim in one.claims:
        rival = claimed[claim.version].rival(claim)
        if rival is not None:
            remedy = "delete one Node, or give it another podCIDR"
            return f"{claim.network} overlaps {rival.network} of {rival.owner}; {remedy}"
    return ""


def _key(node: NodeObject) -> tuple[str, str]:
    """Return the public key that a Node tells, and what is to be said where it is none."""
    key = dict(node.annotations).get(WIREGUARD_KEY, "")
    try:
        return (to_text(from_text(key)) if key else ""), ""
    except ValueError as error:
        return "", f"annotation {WIREGUARD_KEY} of Node {node.name} is {error}; its daemon writes it anew"


def _fault(node: NodeObject, cluster_cidrs: Sequence[IPNetwork]) -> str:
    """Return what is wrong with a Node for itself, "" where nothing is."""
    if node.malformed:
        return f"{node.malformed} cannot be read; correct it"
    for cidr in node.pod_cidrs:
        fault = _cidr_fault(cidr, cluster_cidrs)
        if fault:
            return f"podCIDR {cidr} {fault}"
    for address in node.addresses:
        if unreachable(address):
            return f"InternalIP {address} cannot be reached from other nodes; have its kubelet report another"
    return ""


def _cidr_fault(cidr: IPNetwork, cluster_cidrs: Sequence[IPNetwork]) -> str:
    """Return why pods cannot have addresses of `cidr`, "" where they can."""
    fault = pool_fault(cidr)
    if not fault and cluster_cidrs and not any(within(cidr, cluster) for cluster in cluster_cidrs):
        outside = ", ".join(map(str, cluster_cidrs))
        return f"is outside the cluster-cidrs ({outside}); move it, or widen those in podnet.yaml"
    return fault
