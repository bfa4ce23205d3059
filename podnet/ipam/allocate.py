"""The order in which addresses are given: longest free first.

1. An address that was never held (or was forgotten with its history), the lowest first, so that a range fills in order.
2. Else the one that has been free for longest, if it has rested (see `quarantine`).
3. The ranges of a set are tried in their order by 1 and 2; where all of them have only resting addresses left, the one
   of any range that was released first is given.
4. Else `AddressUnavailable`.

A requested address is given where it lies in a range of the set, is neither gateway nor excluded, and nobody holds it.
Whether it rests does not matter: who names an address wants that one (the same pod coming back, as a rule), and there
is no other to give instead.

An address is held from `reserve` until its lease is closed: also while the lease is cut, that is while the pod is off
the network and its link and connection tracking entries are still there.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Protocol

from podnet.errors import AddressUnavailable
from podnet.ipam.quarantine import effective_quarantine
from podnet.ipam.ranges import Pool

IPAddress = IPv4Address | IPv6Address


class Free(NamedTuple):
    """An address that was held once and is not now: the address as an integer, and when it was released (Unix time)."""

    address: int
    released: float


class Holder(NamedTuple):
    """Who holds an address: `name` for an error's text; `cut`: already off the network, not yet removed."""

    name: str
    cut: bool


class Occupancy(NamedTuple):
    """How a range is used: its usable addresses are `size` = live + cut + resting + ready.

    `live` belong to pods, `cut` to pods that are off the network and not yet removed, `resting` are in quarantine by
    the effective quarantine of the moment, `ready` are free to give.
    """

    subnet: str
    size: int
    live: int
    cut: int
    resting: int
    ready: int


class Ledger(Protocol):
    """What the decision asks of whoever remembers addresses; every answer is about now, nothing is changed."""

    def untouched(self, pool: Pool) -> int | None:
        """Return the lowest usable address of `pool` that has no history, None where all have."""

    def longest_free(self, pool: Pool) -> Free | None:
        """Return the address of `pool` that was released first (of equals the lowest), None where there is none."""

    def held(self, pool: Pool) -> int:
        """Return how many addresses of `pool` are held, by live and by cut leases."""

    def cut(self, pool: Pool) -> int:
        """Return how many addresses of `pool` are held by cut leases."""

    def lookup(self, pool: Pool, address: int) -> Holder | Free | None:
        """Return who holds `address`, or since when it is free, or None where it has no history."""


class Choice(NamedTuple):
    """The address to give, as an integer, its pool, and whether it has no history."""

    pool: Pool
    address: int
    untouched: bool


def choose(
    pools: Sequence[Pool], ledger: Ledger, *, now: float, quarantine: float, requested: IPAddress | None = None
) -> Choice:
    """Choose an address of one range set: `requested`, or else the longest free one.

    `now` is Unix time, `quarantine` the configured seconds.  Raises AddressUnavailable.
    """
    if requested is not None:
        return _requested(pools, ledger, requested)
    oldest: tuple[Free, Pool] | None = None
    for pool in pools:
        address = ledger.untouched(pool)
        if address is not None:
            return Choice(pool, address, untouched=True)
        free = ledger.longest_free(pool)
        if free is None:
            continue
        # The count is the one costly question, so it is asked last: with a single pool the answer changes nothing.
        rest = now - free.released
        if len(pools) == 1 or rest >= quarantine or rest >= _effective(pool, ledger, quarantine):
            return Choice(pool, free.address, untouched=False)
        if oldest is None or free.released < oldest[0].released:
            oldest = free, pool
    if oldest is None:
        raise _exhausted(pools, ledger)
    return Choice(oldest[1], oldest[0].address, untouched=False)


def match_requested(sets: Sequence[Sequence[Pool]], requested: Sequence[IPAddress]) -> tuple[IPAddress | None, ...]:
    """Return, for each range set, the requested address that lies in it, None where none does.

    Raises AddressUnavailable for an address that no set can give: in no range, the gateway, excluded, or the second
    one for the same set (a pod gets one address of each set).
    """
    matched: list[IPAddress | None] = [None] * len(sets)
    for address in requested:
        number = int(address)
        fitting = [i for i, s in enumerate(sets) if any(p.version == address.version and number in p for p in s)]
        if not fitting:
            raise AddressUnavailable(f"requested address {address} {_why_not(sets, address)}")
        place = fitting[0]
        if matched[place] is not None and matched[place] != address:
            raise AddressUnavailable(
                f"requested addresses {matched[place]} and {address} are of the same range set, and a pod gets one "
                "address of each: request one of them"
            )
        matched[place] = address
    return tuple(matched)


def _effective(pool: Pool, ledger: Ledger, quarantine: float) -> float:
    """Return the effective quarantine of `pool` now."""
    return effective_quarantine(quarantine, max(0, pool.size - ledger.held(pool)), pool.size)


def _requested(pools: Sequence[Pool], ledger: Ledger, requested: IPAddress) -> Choice:
    """Choose exactly `requested`."""
    number = int(requested)
    for pool in pools:
        if pool.version != requested.version or number not in pool:
            continue
        known = ledger.lookup(pool, number)
        if isinstance(known, Holder):
            remedy = (
                "that pod is being removed: try again"
                if known.cut
                else "request another address, or delete that container first"
            )
            raise AddressUnavailable(f"requested address {requested} is held by {known.name}; {remedy}")
        return Choice(pool, number, untouched=known is None)
    raise AddressUnavailable(f"requested address {requested} {_why_not([pools], requested)}")


def _why_not(sets: Sequence[Sequence[Pool]], address: IPAddress) -> str:
    """Say why no pool has `address`, and what to do."""
    pools = [p for s in sets for p in s if p.version == address.version]
    for pool in pools:
        if address == pool.range.gateway:
            return f"is the gateway of {pool}: request another"
        if any(address in network for network in pool.range.exclude):
            return f"is excluded from {pool} by `exclude`: request another"
    there = ", ".join(map(str, pools)) or f"none is of IPv{address.version}"
    return f"is in no range of the network ({there}): request one that is, or configure its range"


def _exhausted(pools: Sequence[Pool], ledger: Ledger) -> AddressUnavailable:
    """Return the error of a range set without a free address."""
    told = []
    cut = 0
    for pool in pools:
        gone = ledger.cut(pool)
        cut += gone
        told.append(f"{pool}: {pool.size} usable, {ledger.held(pool) - gone} live, {gone} in quarantine until removed")
    remedy = (
        "the pods in quarantine are off the network and being removed: try again"
        if cut
        else "delete pods, or give the network a larger range or a further range in `ranges`"
    )
    return AddressUnavailable(f"no free address in {'; '.join(told)}; {remedy}")
