"""What a node writes to etcd next, decided from what it knows of etcd: one transaction, or nothing.

Whatever a decision rests upon is compared by the transaction: that the name is this machine's, that the range is the
one the node was told, that a claim is as it was seen, and of one that is taken over also that its node is gone.  So it
does not matter how old what is known is, nor who else decides at the same time: what was decided wrongly is not done.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from podnet.cluster.etcd.choice import Space, choose
from podnet.cluster.etcd.keys import (
    CLAIMS,
    CONFIG,
    Claim,
    ClusterRange,
    Entry,
    IPNetwork,
    Record,
    Session,
    Value,
    alive_key,
    claim_key,
    claimed_prefix,
    encode_value,
    node_key,
)

View = Mapping[str, Entry]
"""What is known of etcd, by key."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a node wants to have in etcd.

    `range` is what it was told of the cluster's; `had` are prefixes that it had before; `settled` whether it has had
    the name since it was started.  The leases are those that its keys are to go with.
    """

    name: str
    session: Session
    range: ClusterRange
    record: Record = Record()
    had: tuple[IPNetwork, ...] = ()
    settled: bool = False
    alive_lease: int = 0
    hold_lease: int = 0


class Put(NamedTuple):
    """A key to be put, with its lease, 0 for none."""

    key: str
    value: Value
    lease: int = 0

    @property
    def data(self) -> bytes:
        """The value as etcd has it."""
        return encode_value(self.value)


class Decision(NamedTuple):
    """What to write: `puts`, () for nothing, if each key of `compares` is at that mod_revision (0: is not there).

    `compares` are what it rests upon in any case.  `rival` is who has the name; `fault` why the node lacks what it
    wants, `refused` that it does not fit the cluster.
    """

    compares: Mapping[str, int] = {}
    puts: tuple[Put, ...] = ()
    rival: Session | None = None
    fault: str = ""
    refused: bool = False


def decide(view: View, wish: Wish, prefix: str) -> Decision:
    """Return what the node of `wish` writes; `prefix` is where the cluster's keys are, for errors."""
    work = _Work(view, wish)
    fault = work.range(prefix)
    if fault:
        return Decision(work.compares, fault=fault, refused=True)
    rival = work.name()
    if rival is not None:
        return Decision(work.compares, rival=rival)
    fault = work.claims()
    work.record()
    return Decision(work.compares, work.puts, fault=fault)


def prefixes_of(view: View, name: str) -> tuple[IPNetwork, ...]:
    """Return what the node `name` claims, IPv4 first."""
    found = [
        prefix
        for key, entry in view.items()
        if isinstance(entry.value, Claim) and entry.value.node == name and (prefix := claimed_prefix(key)) is not None
    ]
    return tuple(sorted(found, key=lambda prefix: (prefix.version, prefix)))


def whole(prefixes: tuple[IPNetwork, ...], cluster: ClusterRange) -> bool:
    """Tell whether there is a prefix of each family that `cluster` has."""
    return {prefix.version for prefix in prefixes} >= set(cluster.versions)


class _Work:
    """A transaction in the making."""

    def __init__(self, view: View, wish: Wish) -> None:
        self.compares: dict[str, int] = {}
        self._puts: list[Put] = []
        self._lacks_range = False
        self._view = view
        self._wish = wish

    @property
    def puts(self) -> tuple[Put, ...]:
        """What is to be written.

        That etcd lacks the range is no reason of its own: who deleted it wants a node to start with another one.
        """
        return (*([Put(CONFIG, self._wish.range)] if self._puts and self._lacks_range else []), *self._puts)

    def range(self, prefix: str) -> str:
        """See that the cluster's range is the one wished for; return what is wrong."""
        entry, mine = self._seen(CONFIG), self._wish.range
        if entry is None:
            self._lacks_range = True
            return ""
        if entry.value == mine:
            return ""
        told = entry.value if isinstance(entry.value, ClusterRange) else f"not to be read ({entry.value})"
        return (
            f"this node is configured for the cluster range {mine}, and etcd has {told} at {prefix}/{CONFIG}; set "
            "cluster-cidrs and etcd.node-cidr-mask-size-* in podnet.yaml as etcd has them, or, to change those of the "
            "cluster, delete that key and restart all nodes with the new ones"
        )

    def name(self) -> Session | None:
        """See that the name is this machine's; return who else has it.

        A daemon takes it over from one of the same boot, which it must have followed; but not once it has had it, for
        then there are two.
        """
        wish, key = self._wish, alive_key(self._wish.name)
        entry = self._seen(key)
        if entry is not None and entry.value != wish.session:
            rival = entry.value if isinstance(entry.value, Session) else Session("", "")
            if wish.settled or rival.boot != wish.session.boot:
                return rival
        if entry is None or entry.value != wish.session or entry.lease != wish.alive_lease:
            self._puts.append(Put(key, wish.session, wish.alive_lease))
        return None

    def claims(self) -> str:
        """See that the node has a prefix of each family; return why it cannot have one."""
        wish, chosen = self._wish, []
        own = prefixes_of(self._view, wish.name)
        for prefix in own:
            self._seen(claim_key(prefix))
        for version in wish.range.versions:
            if any(prefix.version == version for prefix in own):
                continue
            choice = self._choose(version)
            if choice is None:
                return self._exhausted(version)
            chosen.append(choice)
        for prefix in chosen:  # all of them or none: a pod is not to lack a family in silence
            self._claim(prefix)
        return ""

    def record(self) -> None:
        """See that others know where the node is, and that its claims are held."""
        key, wish = node_key(self._wish.name), self._wish
        entry = self._view.get(key)
        self._seen(key)
        if entry is None or entry.value != wish.record or entry.lease != wish.hold_lease:
            self._puts.append(Put(key, wish.record, wish.hold_lease))

    def _seen(self, key: str) -> Entry | None:
        """Return what is known at `key`, and have the transaction compare that it is so still."""
        entry = self._view.get(key)
        self.compares[key] = entry.mod if entry else 0
        return entry

    def _choose(self, version: int) -> IPNetwork | None:
        wish = self._wish
        taken: dict[IPNetwork, Entry] = {}
        for key, entry in self._view.items():
            prefix = claimed_prefix(key) if key.startswith(CLAIMS) else None
            if prefix is not None and prefix.version == version:
                taken[prefix] = entry
        abandoned = [prefix for prefix, entry in taken.items() if self._is_abandoned(entry.value)]
        return choose(wish.name, self._space(version), taken, abandoned, wish.had)

    def _is_abandoned(self, claim: Value) -> bool:
        return isinstance(claim, Claim) and node_key(claim.node) not in self._view

    def _claim(self, prefix: IPNetwork) -> None:
        entry = self._seen(claim_key(prefix))
        if entry is not None and isinstance(entry.value, Claim):
            self._seen(node_key(entry.value.node))  # its node is still gone
        self._puts.append(Put(claim_key(prefix), Claim(self._wish.name)))

    def _space(self, version: int) -> Space:
        cidrs = tuple(cidr for cidr in self._wish.range.cidrs if cidr.version == version)
        return Space(cidrs, self._wish.range.length(version))

    def _exhausted(self, version: int) -> str:
        space = self._space(version)
        return (
            f"the cluster's range {', '.join(map(str, space.cidrs))} has no prefix /{space.length} left for this node: "
            f"all {space.size} are claimed by nodes that are there, or were within the grace; widen cluster-cidrs, or "
            "delete the claim and the record of a node that will not come back"
        )
