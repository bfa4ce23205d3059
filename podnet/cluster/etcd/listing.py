"""The nodes that etcd tells of, for themselves: what they would be in the model, and what is wrong with them.

What a node's pods have is what its claims say, never its record: a prefix has one claim, so it is never two nodes'.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from podnet.cluster.etcd.keys import NODES, Claim, Entry, IPNetwork, Malformed, Record, claimed_prefix
from podnet.cluster.nodes import unreachable
from podnet.cluster.remote.listing import Candidate, cidr_fault, claim_of
from podnet.model import Node
from podnet.wireguard.key import from_text, to_text

View = Mapping[str, Entry]


class Candidates:
    """The nodes of which there is a record, and the node `own`, "" for none; what one is made of is kept with it."""

    def __init__(self, own: str, cluster_cidrs: Sequence[IPNetwork]) -> None:
        """Begin with none."""
        self._own = own
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._made: dict[str, tuple[_Origin, Candidate[str]]] = {}

    def of(
        self, view: View, record: Record | None = None, pod_cidrs: tuple[IPNetwork, ...] = ()
    ) -> list[Candidate[str]]:
        """Return them; of this node `record` and `pod_cidrs` are given: others may hear of these a moment later."""
        before, self._made = self._made, {}
        for origin in _origins(view, self._own, record, pod_cidrs):
            old = before.get(origin.name)
            made = old[1] if old and old[0] == origin else candidate(origin, self._cluster_cidrs)
            self._made[origin.name] = origin, made
        return [made for _, made in self._made.values()]


class _Origin(NamedTuple):
    """What a node is made of; what it claimed was `created` at that revision."""

    name: str
    record: Record
    pod_cidrs: tuple[IPNetwork, ...]
    created: int


def _origins(view: View, own: str, record: Record | None, pod_cidrs: tuple[IPNetwork, ...]) -> Iterator[_Origin]:
    claims: dict[str, list[tuple[int, int, IPNetwork]]] = {}
    records: dict[str, Record] = {}
    for key, entry in view.items():
        if isinstance(entry.value, Record):
            records[key.removeprefix(NODES)] = entry.value
        elif isinstance(entry.value, Claim) and (prefix := claimed_prefix(key)) is not None:
            claims.setdefault(entry.value.node, []).append((prefix.version, entry.created, prefix))
    if record is not None:
        records[own] = record
    for name, told in records.items():
        found = sorted(claims.get(name, ()), key=lambda claim: claim[:2])
        created = min((revision for _, revision, _ in found), default=0)
        yield _Origin(name, told, pod_cidrs if own == name else tuple(prefix for _, _, prefix in found), created)


def malformed(view: View) -> Iterator[str]:
    """Yield what is to be said of values that cannot be read."""
    for key, entry in view.items():
        if isinstance(entry.value, Malformed):
            yield f"etcd's key {key} is ignored: {entry.value.reason}; delete it, its node writes it anew"


def candidate(origin: _Origin, cluster_cidrs: Sequence[IPNetwork]) -> Candidate[str]:
    """Return a node for itself."""
    name, record = origin.name, origin.record
    first = {address.version: address for address in reversed(record.addresses)}  # of each family
    addresses = tuple(first[version] for version in sorted(first))
    key, remark = _key(name, record)
    node = Node(name, addresses, origin.pod_cidrs, key, record.pools, record.reflector)
    faults = {pool: fault for pool in record.pools if (fault := cidr_fault(pool, cluster_cidrs))}
    return Candidate(
        name,
        f"{origin.created:020}",
        node,
        tuple(claim_of(network, name) for network in (*origin.pod_cidrs, *map(ip_network, addresses))),
        _fault(node, cluster_cidrs),
        (remark,) if remark else (),
        tuple(claim_of(pool, name) for pool in record.pools if pool not in faults),
        misspelt=tuple(f"{pool} {fault}" for pool, fault in faults.items()),
    )


def _fault(node: Node, cluster_cidrs: Sequence[IPNetwork]) -> str:
    """Return what is wrong with a node for itself, "" where nothing is."""
    for prefix in node.pod_cidrs:
        if fault := cidr_fault(prefix, cluster_cidrs):
            return f"its prefix {prefix} {fault}"
    for address in node.addresses:
        if unreachable(address):
            return f"its address {address} cannot be reached from other nodes; set `uplink` in its podnet.yaml"
    return ""


def _key(name: str, record: Record) -> tuple[str, str]:
    """Return the public key that a node tells, and what is to be said where it is none."""
    try:
        return (to_text(from_text(record.wireguard)) if record.wireguard else ""), ""
    except ValueError as error:
        return "", f"the WireGuard key of node {name} is {error}; its daemon writes it anew"
