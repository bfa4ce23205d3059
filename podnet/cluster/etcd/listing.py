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


class Candidates:
    """The nodes of which there is a record, and the node `own`, "" for none; kept current by what changes in etcd.

    Of thousands of keys one changes, so what it has to do with others is looked up and not searched for.
    """

    def __init__(self, own: str, cluster_cidrs: Sequence[IPNetwork]) -> None:
        """Begin with none."""
        self._own = own
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._malformed: dict[str, str] = {}  # by key, why its value cannot be read
        self._records: dict[str, Record] = {}
        self._claimants: dict[str, str] = {}  # by claim's key, whose it is
        self._claims: dict[str, dict[IPNetwork, int]] = {}  # by node, with the claim's revision
        self._made: dict[str, tuple[_Origin, Candidate[str]]] = {}
        self._touched: set[str] = set()

    def update(self, changes: Mapping[str, Entry | None]) -> None:
        """Take what is at some keys now, None for nothing."""
        for key, entry in changes.items():
            self._forget(key)
            if entry is not None:
                self._note(key, entry)

    def prefixes(self, name: str) -> tuple[IPNetwork, ...]:
        """Return what the node `name` claims, IPv4 first."""
        return tuple(sorted(self._claims.get(name, ()), key=lambda prefix: (prefix.version, prefix)))

    def changed(
        self, record: Record | None = None, pod_cidrs: tuple[IPNetwork, ...] = ()
    ) -> dict[str, Candidate[str] | None]:
        """Return by name the nodes that are others than at the last call, None for those that are gone.

        Of this node `record` and `pod_cidrs` are given: others may hear of these a moment later.
        """
        names, self._touched = self._touched, set()
        if record is not None:
            names.add(self._own)
        changes: dict[str, Candidate[str] | None] = {}
        for name in names:
            origin, old = self._origin(name, record, pod_cidrs), self._made.get(name)
            if origin is None:
                if self._made.pop(name, None):
                    changes[name] = None
            elif old is None or old[0] != origin:
                made = candidate(origin, self._cluster_cidrs)
                self._made[name] = origin, made
                changes[name] = made
        return changes

    def all(self) -> list[Candidate[str]]:
        """Return them all, as they were at the last call of :meth:`changed`."""
        return [made for _, made in self._made.values()]

    def remarks(self) -> Iterator[str]:
        """Yield what is to be said of values that cannot be read."""
        for key, reason in self._malformed.items():
            yield f"etcd's key {key} is ignored: {reason}; delete it, its node writes it anew"

    def _forget(self, key: str) -> None:
        self._malformed.pop(key, None)
        claimant, name = self._claimants.pop(key, None), key.removeprefix(NODES)
        if claimant is not None:
            del self._claims[claimant][prefix_of(key)]
            self._touched.add(claimant)
        elif key.startswith(NODES) and name in self._records:
            del self._records[name]
            self._touched.add(name)

    def _note(self, key: str, entry: Entry) -> None:
        value = entry.value
        if isinstance(value, Malformed):
            self._malformed[key] = value.reason
        elif isinstance(value, Record):
            name = key.removeprefix(NODES)
            self._records[name] = value
            self._touched.add(name)
        elif isinstance(value, Claim) and claimed_prefix(key) is not None:
            self._claimants[key] = value.node
            self._claims.setdefault(value.node, {})[prefix_of(key)] = entry.created
            self._touched.add(value.node)

    def _origin(self, name: str, record: Record | None, pod_cidrs: tuple[IPNetwork, ...]) -> "_Origin | None":
        """Return what a node is made of, None where there is no record of it."""
        told = record if record is not None and name == self._own else self._records.get(name)
        if told is None:
            return None
        claims = self._claims.get(name, {})
        found = sorted(claims, key=lambda prefix: (prefix.version, claims[prefix]))
        created = min(claims.values(), default=0)
        return _Origin(name, told, pod_cidrs if name == self._own else tuple(found), created)


def prefix_of(key: str) -> IPNetwork:
    """Return the prefix that the key of a claim is."""
    prefix = claimed_prefix(key)
    assert prefix is not None  # noqa: S101 - only claims' keys are asked about
    return prefix


class _Origin(NamedTuple):
    """What a node is made of; what it claimed was `created` at that revision."""

    name: str
    record: Record
    pod_cidrs: tuple[IPNetwork, ...]
    created: int


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
