"""Which prefix of the cluster's range a node takes.

Where it begins to look follows from its name, so that many that come at once seldom want the same; and what it had
before comes first.  What others let go comes last, so that a node which was away for longer than the grace still finds
its own for as long as there is room.
"""

from collections.abc import Collection, Sequence
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network

import msgspec

from podnet.cluster.nodes import within

IPNetwork = IPv4Network | IPv6Network


class Space(msgspec.Struct, frozen=True, gc=False):
    """The prefixes of one `length` that `cidrs` of one family have, by number."""

    cidrs: tuple[IPNetwork, ...]
    length: int

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(_count(cidr, self.length) for cidr in self.cidrs)

    def prefix(self, number: int) -> IPNetwork:
        """Return the prefix of that number."""
        for cidr in self.cidrs:
            count = _count(cidr, self.length)
            if number < count:
                shift = cidr.max_prefixlen - self.length
                return type(cidr)((int(cidr.network_address) + (number << shift), self.length))
            number -= count
        raise IndexError(number)

    def holds(self, prefix: IPNetwork) -> bool:
        """Tell whether `prefix` is one of them."""
        return prefix.prefixlen == self.length and any(within(prefix, cidr) for cidr in self.cidrs)


def choose(
    name: str, space: Space, taken: Collection[IPNetwork], abandoned: Collection[IPNetwork], had: Sequence[IPNetwork]
) -> IPNetwork | None:
    """Return the prefix of `space` that the node `name` is to claim, None where there is none left.

    `taken` are all claims of the family, of whatever length, and `abandoned` those of them that anybody may take over;
    `had` is what the node had before.
    """
    claims = _Claims(taken, space.length)
    for prefix in had:
        if space.holds(prefix) and not claims.over(prefix):
            return prefix
    size = space.size
    start = int.from_bytes(sha256(name.encode()).digest()[:8], "big") % size if size else 0
    for first, end in ((start, size), (0, start)):
        found = _first_free(space, claims, first, end)
        if found is not None:
            return found
    return _turned([prefix for prefix in abandoned if space.holds(prefix)], space, start)


class _Claims:
    """Claimed prefixes: those of the length that all have now, and others, of a time when it was another."""

    def __init__(self, taken: Collection[IPNetwork], length: int) -> None:
        self._alike = {prefix for prefix in taken if prefix.prefixlen == length}
        self._others = tuple(prefix for prefix in taken if prefix.prefixlen != length)

    def over(self, prefix: IPNetwork) -> IPNetwork | None:
        """Return a claim that overlaps `prefix`, if any."""
        if prefix in self._alike:
            return prefix
        return next((other for other in self._others if other.overlaps(prefix)), None)


def _first_free(space: Space, claims: _Claims, first: int, end: int) -> IPNetwork | None:
    number = first
    while number < end:
        prefix = space.prefix(number)
        claim = claims.over(prefix)
        if claim is None:
            return prefix
        number += _within_same(space, number, claim)
    return None


def _within_same(space: Space, number: int, claim: IPNetwork) -> int:
    """Return how many prefixes from `number` on lie in `claim`, at least this one."""
    if claim.prefixlen >= space.length:
        return 1
    here = space.prefix(number)
    shift = here.max_prefixlen - space.length
    rest = ((int(claim.broadcast_address) + 1) >> shift) - (int(here.network_address) >> shift)
    return max(1, min(rest, _until_end(space, number)))


def _until_end(space: Space, number: int) -> int:
    """Return how many prefixes from `number` on are of the same CIDR."""
    for cidr in space.cidrs:
        count = _count(cidr, space.length)
        if number < count:
            return count - number
        number -= count
    return 1


def _turned(prefixes: Sequence[IPNetwork], space: Space, start: int) -> IPNetwork | None:
    """Return the first of `prefixes` from that of number `start` on."""
    if not prefixes:
        return None
    begin = space.prefix(start)
    return min(prefixes, key=lambda prefix: (int(prefix.network_address) < int(begin.network_address), prefix))


def _count(cidr: IPNetwork, length: int) -> int:
    return 1 << (length - cidr.prefixlen) if length >= cidr.prefixlen else 0
