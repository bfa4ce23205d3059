"""A listing kept current: where of thousands of nodes one has changed, and contradicts nobody, it is all that is done.

What :func:`podnet.cluster.remote.listing.listed` decides for all nodes together, who keeps what two of them claim, has
to be decided only where two do.  While nobody claims what another does, and nothing else is to be said of any, a node
that comes, goes or changes is compared with its neighbours in the address space alone.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from podnet.cluster.remote.listing import Candidate, Claim, Listing, listed
from podnet.model import Node

FEW = 64
"""Changes at once from which all is listed anew."""


class Relisting:
    """Lists candidates again and again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, Candidate[Any]] = {}
        self._plain: _Plain | None = None

    def follow(self, changes: Mapping[str, Candidate[Any] | None]) -> Listing | None:
        """Return the nodes after `changes`, by name, None for one that is gone; None where all is to be listed anew."""
        plain, self._plain = self._plain, None
        if plain is None or len(changes) > FEW:
            return None
        gone = [self._known[name] for name in changes if name in self._known]
        if not plain.follow(gone, [one for one in changes.values() if one is not None]):
            return None
        for name, one in changes.items():
            if one is None:
                self._known.pop(name, None)
            else:
                self._known[name] = one
        self._plain = plain
        return Listing(tuple(plain.nodes), ())

    def listed(self, candidates: Iterable[Candidate[Any]]) -> Listing:
        """Return the nodes that `candidates` make; one that is the same value as before has not changed."""
        before, self._known = self._known, {one.node.name: one for one in candidates}
        plain, self._plain = self._plain, None
        if plain is not None:
            come = [one for name, one in self._known.items() if before.get(name) is not one]
            gone = [one for name, one in before.items() if self._known.get(name) is not one]
            if len(come) + len(gone) <= FEW and plain.follow(gone, come):
                self._plain = plain
                return Listing(tuple(plain.nodes), ())
        listing = listed(self._known.values())
        if not listing.ignored:
            self._plain = _Plain.of(list(self._known.values()))
        return listing


class _Plain:
    """Nodes of which nobody contradicts another, by name, and what they claim, in order of the address space."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._names: list[str] = []
        self._keys: dict[str, str] = {}
        self._claims: dict[int, list[tuple[int, int]]] = {4: [], 6: []}

    @classmethod
    def of(cls, candidates: Sequence[Candidate[Any]]) -> "_Plain | None":
        """Return these, None where it is not as simple as that."""
        if not all(map(_is_plain, candidates)):
            return None
        plain = cls()
        plain.nodes = sorted((one.node for one in candidates), key=lambda node: node.name)
        plain._names = [node.name for node in plain.nodes]
        for one in candidates:
            for claim in _outermost(one.claims):
                plain._claims[claim.version].append((claim.first, claim.last))
            if one.node.wireguard:
                plain._keys[one.node.wireguard] = one.node.name
        for claims in plain._claims.values():
            claims.sort()
            if any(other[0] <= claim[1] for claim, other in pairwise(claims)):
                return None
        return plain

    def follow(self, gone: Iterable[Candidate[Any]], come: Iterable[Candidate[Any]]) -> bool:
        """Take what has changed; tell whether it is as simple as that still: else this is of no use any more."""
        for one in gone:
            self._remove(one)
        return all(_is_plain(one) and self._add(one) for one in come)

    def _remove(self, one: Candidate[Any]) -> None:
        at = bisect_left(self._names, one.node.name)
        del self._names[at], self.nodes[at]
        self._keys.pop(one.node.wireguard, None)
        for claim in _outermost(one.claims):
            claims = self._claims[claim.version]
            del claims[bisect_left(claims, (claim.first, claim.last))]

    def _add(self, one: Candidate[Any]) -> bool:
        """Take a node; tell whether nobody has what it claims, nor its key."""
        key, name = one.node.wireguard, one.node.name
        if key and self._keys.setdefault(key, name) != name:
            return False
        for claim in _outermost(one.claims):
            claims, taken = self._claims[claim.version], (claim.first, claim.last)
            at = bisect_right(claims, taken)
            if (at and claims[at - 1][1] >= claim.first) or (at < len(claims) and claims[at][0] <= claim.last):
                return False
            insort(claims, taken)
        at = bisect_left(self._names, name)
        self._names.insert(at, name)
        self.nodes.insert(at, one.node)
        return True


def _is_plain(one: Candidate[Any]) -> bool:
    """Tell whether nothing is to be said of a node for itself, and it has no pools, which yield to others' claims."""
    return not (one.fault or one.remarks or one.misspelt or one.node.pools)


def _outermost(claims: Sequence[Claim]) -> list[Claim]:
    """Return a node's claims but those that lie in another of its own."""
    return [
        claim
        for n, claim in enumerate(claims)
        if not any(
            other.version == claim.version
            and other.first <= claim.first
            and claim.last <= other.last
            and ((other.first, other.last) != (claim.first, claim.last) or m < n)
            for m, other in enumerate(claims)
            if m != n
        )
    ]
