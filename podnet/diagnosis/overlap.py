"""Addresses that two claim: pods, services, the nodes' own network, and whatever else this node has a route to.

A packet goes where the most specific route leads, so of two that overlap one is not reached, on this node or beyond it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

import msgspec

from podnet.diagnosis.finding import Finding
from podnet.model import Node

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

CHECK = "overlap"
ELSEWHERE = (
    "give pods another CIDR: `pod-cidrs` in nodes.yaml; in Kubernetes --cluster-cidr of kube-controller-manager, with "
    "the Nodes made anew"
)


class Beside(msgspec.Struct, frozen=True, gc=False):
    """A route of somebody else's: to `dst` by `link`, `via` a gateway or, None, as a subnet of that link.

    `kind` is ip-route(8)'s where it is not a unicast route ("blackhole").
    """

    dst: IPNetwork
    link: str
    via: IPAddress | None = None
    kind: str = ""

    def __str__(self) -> str:
        """Return it as ip-route(8) has it."""
        words = [self.kind, str(self.dst), f"via {self.via}" if self.via else "", f"dev {self.link}" * bool(self.link)]
        return " ".join(filter(None, words))


class _Claim(NamedTuple):
    """Where pods of the node `whose` are."""

    first: int
    last: int
    cidr: IPNetwork
    whose: Node


class Pods:
    """Where all nodes' pods have their addresses; asked by interval, since nodes may be thousands."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        """Take the nodes; no two of them have addresses in common, which whoever read them has seen to."""
        self._claims: dict[int, list[_Claim]] = {4: [], 6: []}
        for node in nodes:
            for cidr in node.cidrs:
                claim = _Claim(int(cidr.network_address), int(cidr.broadcast_address), cidr, node)
                self._claims[cidr.version].append(claim)
        for claims in self._claims.values():
            claims.sort(key=lambda claim: claim[:2])
        self._firsts = {version: [claim.first for claim in claims] for version, claims in self._claims.items()}

    def in_way(self, network: IPNetwork) -> list[_Claim]:
        """Return the claims that overlap `network`."""
        claims, last = self._claims[network.version], int(network.broadcast_address)
        end = bisect_right(self._firsts[network.version], last)
        first = int(network.network_address)
        start = max(0, bisect_right(self._firsts[network.version], first) - 1)
        return [claim for claim in claims[start:end] if claim.last >= first]

    def at(self, address: IPAddress) -> _Claim | None:
        """Return the claim that has `address`."""
        return next(iter(self.in_way(_alone(address))), None)


def overlap(
    nodes: Sequence[Node],
    cluster_cidrs: Sequence[IPNetwork],
    routes: Sequence[Beside],
    services: IPAddress | None = None,
    resolvers: Sequence[IPAddress] = (),
) -> Iterator[Finding]:
    """Yield what overlaps the pods of `nodes`, or the services.

    `routes` are this node's less podnet's own and default ones; `services` is an address of the services', where one is
    known; `resolvers` are this node's name servers.
    """
    pods = Pods(nodes)
    for route in routes:
        yield from _route(route, pods)
        if route.via is None and not route.kind:
            yield from _subnet_in_cluster(route, cluster_cidrs, pods)
    yield from _services(services, pods, routes)
    for resolver in resolvers:
        if claim := pods.at(resolver):
            what = f"name server {resolver} is in the addresses of {_pods(claim)}: it is not reached"
            yield Finding(CHECK, "broken", what, "/etc/resolv.conf", ELSEWHERE)


def _route(route: Beside, pods: Pods) -> Iterator[Finding]:
    found = [claim for claim in pods.in_way(route.dst) if route.via is None or route.via not in claim.whose.addresses]
    if not found:
        return
    claim = found[0]
    more = f" and of {len(found) - 1} more" if len(found) > 1 else ""
    whose = f"{_pods(claim)}{more}"
    if route.via is None and not route.kind:
        what = f"{route.dst}, the subnet of {route.link}, overlaps {claim.cidr}, the addresses of {whose}"
        yield Finding(CHECK, "broken", what, f"ip route: {route}", ELSEWHERE)
    elif route.dst.prefixlen >= claim.cidr.prefixlen:
        what = f"a route of somebody else's takes what goes to {route.dst}, addresses of {whose}"
        yield Finding(CHECK, "broken", what, f"ip route: {route}", f"ip route del {route}, and whoever sets it")
    else:
        what = f"what is beyond {route.link or route.kind} at addresses of {whose} is not reached from this node"
        yield Finding(CHECK, "note", what, f"ip route: {route}, and pods have {claim.cidr}", ELSEWHERE)


def _subnet_in_cluster(route: Beside, cluster_cidrs: Sequence[IPNetwork], pods: Pods) -> Iterator[Finding]:
    for cidr in cluster_cidrs:
        if cidr.version == route.dst.version and cidr.overlaps(route.dst) and not pods.in_way(route.dst):
            what = (
                f"{route.dst}, the subnet of {route.link}, is in the cluster-cidrs: what pods send there keeps their "
                "addresses, and is answered only where the way to them is known"
            )
            remedy = "narrow `cluster-cidrs` in podnet.yaml to where pods have their addresses"
            yield Finding(CHECK, "note", what, f"podnet.yaml: cluster-cidrs has {cidr}", remedy)


def _services(address: IPAddress | None, pods: Pods, routes: Sequence[Beside]) -> Iterator[Finding]:
    if address is None:
        return
    remedy = "give services another CIDR: --service-cluster-ip-range of kube-apiserver, kubeadm serviceSubnet"
    evidence = f"service kubernetes is at {address}"
    if claim := pods.at(address):
        what = f"services have their addresses in {claim.cidr}, where {_pods(claim)} have theirs"
        yield Finding(CHECK, "broken", what, evidence, f"{remedy}; or {ELSEWHERE}")
    for route in routes:
        if route.via is None and not route.kind and route.dst.version == address.version and address in route.dst:
            what = f"services have their addresses in {route.dst}, the subnet of {route.link}: what is there is hidden"
            yield Finding(CHECK, "broken", what, f"{evidence}; ip route: {route}", remedy)


def _pods(claim: _Claim) -> str:
    return f"node {claim.whose.name}'s pods"


def _alone(address: IPAddress) -> IPNetwork:
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
