"""A ledger as obvious as can be, and the order of giving by enumeration: the oracles of this room."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from podnet.ipam import Free, Holder, Pool
from podnet.model import Range

IPAddress = IPv4Address | IPv6Address
Known = Holder | Free


class DictLedger:
    """`ipam.Ledger` over a dict of every address with a history."""

    def __init__(self, known: dict[IPAddress, Known]) -> None:
        """Take who holds each address, or since when it is free."""
        self.known = known

    def _usable(self, of: Range) -> Iterator[IPAddress]:
        """Yield the usable addresses by looking at each of the subnet."""
        for address in of.subnet:
            reserved = len(list(of.subnet)) > 2 and (
                address == of.subnet.network_address
                or (address.version == 4 and address == of.subnet.broadcast_address)
            )
            outside = int(address) < int(of.first) or int(address) > int(of.last)
            if not (reserved or outside or address == of.gateway or any(address in e for e in of.exclude)):
                yield address

    def usable(self, of: Range) -> list[IPAddress]:
        """Return the usable addresses, ascending."""
        return list(self._usable(of))

    def untouched(self, pool: Pool) -> int | None:
        """Return the lowest address without history."""
        return next((int(a) for a in self._usable(pool.range) if a not in self.known), None)

    def longest_free(self, pool: Pool) -> Free | None:
        """Return the first released."""
        found = [k for a in self._usable(pool.range) if isinstance(k := self.known.get(a), Free)]
        return min(found, key=lambda free: (free.released, free.address), default=None)

    def held(self, pool: Pool) -> int:
        """Count holders."""
        return sum(isinstance(self.known.get(a), Holder) for a in self._usable(pool.range))

    def cut(self, pool: Pool) -> int:
        """Count holders that are cut."""
        return sum(isinstance(k := self.known.get(a), Holder) and k.cut for a in self._usable(pool.range))

    def lookup(self, pool: Pool, address: int) -> Known | None:
        """Return what is known of one address."""
        return self.known.get(pool.address(address))


@pytest.fixture(scope="session")
def dict_ledger() -> Callable[[dict[IPAddress, Known]], DictLedger]:
    """Return the maker of obvious ledgers."""
    return DictLedger


@pytest.fixture(scope="session")
def make_range() -> Callable[..., Range]:
    """Return a maker of ranges from text; bounds default to the subnet's own, the gateway to its first host."""

    def make(subnet: str, first: str = "", last: str = "", gateway: str = "", exclude: Sequence[str] = ()) -> Range:
        network = ip_network(subnet)
        return Range(
            subnet=network,
            first=ip_address(first) if first else network[0],
            last=ip_address(last) if last else network[-1],
            gateway=ip_address(gateway) if gateway else network[1],
            exclude=tuple(map(ip_network, exclude)),
        )

    return make
