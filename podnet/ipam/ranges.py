"""A range's usable addresses as a few spans of integers, however many addresses they are.

Usable is what lies between `first` and `last` of the range and in its subnet, less

- the gateway and the excluded networks,
- the subnet's own address: the network's name in IPv4, the Subnet-Router anycast address in IPv6 (RFC 4291, 2.6.1),
- the broadcast address in IPv4 (RFC 919).

The last two stay usable in subnets without such addresses: /31 and /32 (RFC 3021), /127 and /128 (RFC 6164).
"""

from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import NamedTuple

import msgspec

from podnet.errors import InvalidConfiguration
from podnet.model.network import Network, Range

IPAddress = IPv4Address | IPv6Address


class Span(NamedTuple):
    """The addresses `first` to `last`, both included, as integers."""

    first: int
    last: int


class Pool(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A range made ready for arithmetic: `spans` are its usable addresses, disjoint and ascending, never empty.

    Made by `pool_of` only.  Compared by identity: who wants to compare ranges compares `range`.
    """

    range: Range
    version: int
    size: int
    spans: tuple[Span, ...]
    starts: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def first(self) -> int:
        """The lowest usable address."""
        return self.spans[0].first

    @property
    def last(self) -> int:
        """The highest usable address."""
        return self.spans[-1].last

    def __contains__(self, address: int) -> bool:
        """Return whether `address` is usable."""
        span = bisect_right(self.starts, address) - 1
        return span >= 0 and address <= self.spans[span].last

    def after(self, address: int) -> int | None:
        """Return the lowest usable address above `address`, None where there is none."""
        span = bisect_right(self.starts, address) - 1
        if span >= 0 and address < self.spans[span].last:
            return address + 1
        return self.starts[span + 1] if span + 1 < len(self.starts) else None

    def position(self, address: int) -> int | None:
        """Return how many usable addresses lie below the usable `address`; None where it is not usable."""
        span = bisect_right(self.starts, address) - 1
        if span < 0 or address > self.spans[span].last:
            return None
        return self.offsets[span] + address - self.starts[span]

    def at(self, position: int) -> int:
        """Return the usable address at `position`, 0 to `size` - 1: the inverse of `position`."""
        if not 0 <= position < self.size:
            raise IndexError(position)
        span = bisect_right(self.offsets, position) - 1
        return self.starts[span] + position - self.offsets[span]

    def address(self, address: int) -> IPAddress:
        """Return the integer `address` as an address of the range's family."""
        return IPv4Address(address) if self.version == 4 else IPv6Address(address)  # noqa: PLR2004 - IP version

    def __str__(self) -> str:
        """Return what an error calls it: `10.1.0.0/24 (10.1.0.2 to 10.1.0.254)`."""
        return f"{self.range.subnet} ({self.range.first} to {self.range.last})"


def pool_of(of: Range) -> Pool:
    """Make a `Pool`.

    Raises InvalidConfiguration where not one address is usable: a pod could never get any.
    """
    low = max(int(of.first), int(of.subnet.network_address))
    high = min(int(of.last), int(of.subnet.broadcast_address))
    spans = tuple(_less(low, high, sorted(_holes(of))))
    if not spans:
        raise InvalidConfiguration(
            f"range {of.subnet} ({of.first} to {of.last}) has no usable address once the gateway {of.gateway} and "
            "what `exclude` names are taken out: widen it or exclude less"
        )
    offsets, size = [], 0
    for span in spans:
        offsets.append(size)
        size += span.last - span.first + 1
    return Pool(of, of.subnet.version, size, spans, tuple(s.first for s in spans), tuple(offsets))


def pools_of(network: Network) -> tuple[tuple[Pool, ...], ...]:
    """Make the pools of every range set of `network`.

    Raises InvalidConfiguration where a range has no usable address, or two have one in common: a pod that gets an
    address of each set could be given the same one twice.
    """
    sets = tuple(tuple(map(pool_of, ranges)) for ranges in network.ranges)
    pools = sorted((pool for pools in sets for pool in pools), key=lambda pool: (pool.version, pool.first))
    for one, other in pairwise(pools):
        if one.version == other.version and other.first <= one.last:
            raise InvalidConfiguration(f"network {network.name}: ranges {one} and {other} overlap: make them disjoint")
    return sets


def _holes(of: Range) -> Iterator[Span]:
    """Yield what is not usable, in no order, possibly overlapping."""
    subnet = of.subnet
    yield Span(int(of.gateway), int(of.gateway))
    for network in of.exclude:
        yield Span(int(network.network_address), int(network.broadcast_address))
    if subnet.prefixlen <= subnet.max_prefixlen - 2:
        own = int(subnet.network_address)
        yield Span(own, own)
        if subnet.version == 4:  # noqa: PLR2004 - IP version
            broadcast = int(subnet.broadcast_address)
            yield Span(broadcast, broadcast)


def _less(low: int, high: int, holes: list[Span]) -> Iterator[Span]:
    """Yield what is left of `low` to `high` without `holes`, which ascend by their first address."""
    for hole in holes:
        if hole.last < low:
            continue
        if hole.first > high:
            break
        if hole.first > low:
            yield Span(low, hole.first - 1)
        low = hole.last + 1
    if low <= high:
        yield Span(low, high)
