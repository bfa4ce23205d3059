"""The nodes that a remote source tells of as the model has them, and why some are left out.

Nothing stops a Node of Kubernetes from claiming pods' addresses that are another's.  The one that was created first
keeps them (then the one whose name sorts first), so that all nodes of a cluster leave out the same ones, whatever they
heard first.  What a node makes known itself, its pools, yields to whatever any node was given, and costs it no more
than the pool.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from podnet.cluster.document import IPNetwork
from podnet.cluster.nodes import pool_fault, within
from podnet.model import Node

T = TypeVar("T")


class Claim(NamedTuple):
    """A piece of the address space, as integers too, whose it is, and the IP version."""

    first: int
    last: int
    network: IPNetwork
    owner: str
    version: int


class Candidate(NamedTuple, Generic[T]):
    """A node for itself: what it would be in the model, what it claims, and what is wrong with it, "" for nothing.

    `origin` is what it was made of, `created` sorts by who was there first.  `pools` are what it claims besides, of
    which `pools_by` is where it says so and `misspelt` what cannot be; `remarks` are said of one that is a node all the
    same.  Made once of each, so that a change among thousands costs little more than to sort them.
    """

    origin: T
    created: str
    node: Node
    claims: tuple[Claim, ...]
    fault: str
    remarks: tuple[str, ...] = ()
    pools: tuple[Claim, ...] = ()
    pools_by: str = "pools"
    misspelt: tuple[str, ...] = ()


class Listing(NamedTuple):
    """The `nodes` by name, and what was `ignored` of them or of what they say, each with its reason."""

    nodes: tuple[Node, ...]
    ignored: tuple[str, ...]


def listed(candidates: Iterable[Candidate[Any]]) -> Listing:
    """Return the nodes that `candidates` make."""
    nodes: list[Node] = []
    ignored: list[str] = []
    pooled: list[Candidate[Any]] = []
    claimed = {4: _Claimed(), 6: _Claimed()}
    keys: dict[str, str] = {}
    for one in sorted(candidates, key=lambda one: (one.created, one.node.name)):
        fault = one.fault or _rivalry(one, claimed)
        if fault:
            ignored.append(f"Node {one.node.name} is ignored: {fault}")
            continue
        for claim in one.claims:
            claimed[claim.version].add(claim)
        ignored += one.remarks
        ignored += [_without_pool(one, fault) for fault in one.misspelt]
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


def _with_pools(one: Candidate[Any], claimed: "dict[int, _Claimed]", ignored: list[str]) -> Node:
    """Return a node with those of its pools that nobody else has; say in `ignored` which are not taken."""
    pools = []
    for claim in one.pools:
        rival = claimed[claim.version].overlapping(claim)
        if rival is not None:
            ignored.append(_without_pool(one, f"{claim.network} overlaps {rival.network} of {rival.owner}"))
            continue
        claimed[claim.version].add(claim)
        pools.append(claim.network)
    return one.node if len(pools) == len(one.node.pools) else msgspec.structs.replace(one.node, pools=tuple(pools))


def _without_pool(one: Candidate[Any], fault: str) -> str:
    return f"Node {one.node.name}: {one.pools_by}: {fault}; it is left out, correct `pools` in podnet.yaml"


def claim_of(network: IPNetwork, owner: str) -> Claim:
    """Return the claim of `owner` to `network`."""
    return Claim(int(network.network_address), int(network.broadcast_address), network, owner, network.version)


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


def _rivalry(one: Candidate[Any], claimed: dict[int, _Claimed]) -> str:
    """Return which claim of an older Node a Node contradicts, "" where it contradicts none."""
    for claim in one.claims:
        rival = claimed[claim.version].rival(claim)
        if rival is not None:
            remedy = "delete one Node, or give it another podCIDR"
            return f"{claim.network} overlaps {rival.network} of {rival.owner}; {remedy}"
    return ""


def cidr_fault(cidr: IPNetwork, cluster_cidrs: Sequence[IPNetwork]) -> str:
    """Return why pods cannot have addresses of `cidr`, "" where they can."""
    fault = pool_fault(cidr)
    if not fault and cluster_cidrs and not any(within(cidr, cluster) for cluster in cluster_cidrs):
        outside = ", ".join(map(str, cluster_cidrs))
        return f"is outside the cluster-cidrs ({outside}); move it, or widen those in podnet.yaml"
    return fault
