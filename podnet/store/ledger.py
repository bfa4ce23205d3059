"""The database as `ipam.Ledger`: what is known of addresses, and the two ways to take one.

Every question is one index lookup, so an allocation takes O(log n) of the addresses ever held.  Two things are kept in
memory, since this process is the only writer: below which address a pool has nothing untouched, and, once asked for,
how many addresses of a pool are held.  Both are dropped by `forget` where a transaction is rolled back.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from podnet.errors import StateError
from podnet.ipam import Choice, Free, Holder, Pool, pools_of
from podnet.model import Network
from podnet.store.codec import address_key, decode_terms, encode_network, key_address

_REMEMBERED = 64  # networks kept ready: a runtime may send another configuration with each ADD


class PreparedNetwork(NamedTuple):
    """A Network as the store uses it: its document's row, the suffix of its links, its range sets as pools."""

    document: int
    suffix: str
    sets: tuple[tuple[Pool, ...], ...]


class StoredLedger:
    """`ipam.Ledger` over a writer's connection, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection that the store writes on."""
        self._execute = connection.execute
        self._latest: dict[str, tuple[Network, PreparedNetwork]] = {}
        self._prepared: dict[bytes, PreparedNetwork] = {}
        self._subnets: dict[str, int] = {}
        self._overlapping: dict[str, tuple[int, ...]] = {}
        self._floor: dict[Pool, int | None] = {}
        self._held: dict[Pool, int] = {}

    def forget(self) -> None:
        """Drop everything kept in memory: the database may say otherwise now."""
        self._latest.clear()
        self._prepared.clear()
        self._subnets.clear()
        self._overlapping.clear()
        self._floor.clear()
        self._held.clear()

    # Networks

    def prepare(self, network: Network) -> PreparedNetwork:
        """Return `network` made ready; stored where its document is new.

        The same object as the last time is known by identity, an equal one by its document.  Raises
        InvalidConfiguration for a range without usable addresses and for ranges that overlap.
        """
        known = self._latest.get(network.name)
        if known is not None and known[0] is network:
            return known[1]
        document = encode_network(network)
        prepared = self._prepared.get(document)
        if prepared is None:
            prepared = self._prepare(network, document)
        self._latest[network.name] = network, prepared
        return prepared

    def _prepare(self, network: Network, document: bytes) -> PreparedNetwork:
        """Make `network` ready and store it."""
        sets = pools_of(network)
        row = self._execute("SELECT id FROM network WHERE document = ?", (document,)).fetchone()
        if row is None:
            row = self._execute(
                "INSERT INTO network (document, quarantine) VALUES (?, ?) RETURNING id", (document, network.quarantine)
            ).fetchone()
        for subnet in network.subnets:
            self._learn(str(subnet))
        if len(self._prepared) >= _REMEMBERED:
            self._prepared.clear()
            self._latest.clear()
            self._floor.clear()
            self._held.clear()
        prepared = self._prepared[document] = PreparedNetwork(
            row[0], "-br" if network.datapath == "bridge" else "", sets
        )
        return prepared

    def _learn(self, subnet: str) -> None:
        """Give `subnet` its row, and find the subnets that share addresses with it."""
        if subnet in self._subnets:
            return
        self._execute("INSERT OR IGNORE INTO subnet (subnet) VALUES (?)", (subnet,))
        self._subnets = dict(self._execute("SELECT subnet, id FROM subnet").fetchall())
        known = {text: ip_network(text) for text in self._subnets}
        self._overlapping = {
            a: tuple(
                self._subnets[b] for b in known if known[a].version == known[b].version and known[a].overlaps(known[b])
            )
            for a in known
        }

    # What the allocator asks

    def untouched(self, pool: Pool) -> int | None:
        """Return the lowest usable address of `pool` that has no history, None where all have."""
        floor = self._floor.get(pool, pool.first)
        if floor is None:
            return None
        found = None
        for span in pool.spans:
            if span.last >= floor:
                found = self._untouched_within(pool.version, max(span.first, floor), span.last)
                if found is not None:
                    break
        self._floor[pool] = found
        return found

    def _untouched_within(self, version: int, first: int, last: int) -> int | None:
        """Return the lowest address without history of `first` to `last`."""
        low = address_key(version, first)
        row = self._execute(
            "SELECT last FROM untouched WHERE first <= ? ORDER BY first DESC LIMIT 1", (low,)
        ).fetchone()
        if row is not None and row[0] >= low:
            return first
        row = self._execute(
            "SELECT first FROM untouched WHERE first > ? AND first <= ? ORDER BY first LIMIT 1",
            (low, address_key(version, last)),
        ).fetchone()
        return None if row is None else key_address(row[0])

    def longest_free(self, pool: Pool) -> Free | None:
        """Return the address of `pool` that was released first (of equals the lowest), None where there is none."""
        bounds = address_key(pool.version, pool.first), address_key(pool.version, pool.last)
        best: Free | None = None
        for subnet in self._overlapping[str(pool.range.subnet)]:
            rows = self._execute(
                "SELECT address, released FROM address INDEXED BY address_free WHERE subnet = ? "
                "AND released IS NOT NULL AND reused = 0 AND address BETWEEN ? AND ? ORDER BY released, address",
                (subnet, *bounds),
            )
            for key, released in rows:
                address = key_address(key)
                if address in pool:
                    if best is None or (released, address) < (best.released, best.address):
                        best = Free(address, released)
                    break
            rows.close()
        return best

    def held(self, pool: Pool) -> int:
        """Return how many addresses of `pool` are held, by live and by cut leases."""
        count = self._held.get(pool)
        if count is None:
            query = "SELECT count(*) FROM address WHERE released IS NULL AND address BETWEEN ? AND ?"
            count = self._held[pool] = self._count(query, pool)
        return count

    def cut(self, pool: Pool) -> int:
        """Return how many addresses of `pool` are held by cut leases."""
        return self._count(
            "SELECT count(*) FROM lease CROSS JOIN address ON address.lease = lease.id "
            "WHERE cut IS NOT NULL AND closed IS NULL AND released IS NULL AND address BETWEEN ? AND ?",
            pool,
        )

    def _count(self, query: str, pool: Pool) -> int:
        """Return the sum of a counting `query` over the spans of `pool`."""
        version = pool.version
        return sum(
            self._execute(query, (address_key(version, span.first), address_key(version, span.last))).fetchone()[0]
            for span in pool.spans
        )

    def lookup(self, pool: Pool, address: int) -> Holder | Free | None:
        """Return who holds `address`, or since when it is free, or None where it has no history."""
        row = self._execute(
            "SELECT released, container, ifname, cut, terms FROM address JOIN lease ON lease.id = lease "
            "WHERE address = ? AND reused = 0",
            (address_key(pool.version, address),),
        ).fetchone()
        if row is None:
            return None
        released, container, ifname, cut, terms = row
        if released is not None:
            return Free(address, released)
        pod = decode_terms(terms).pod
        return Holder(f"{f'pod {pod}, ' if pod else ''}container {container} ({ifname})", cut is not None)

    # What reserve and close change

    def take(self, choice: Choice, lease: int) -> None:
        """Make `lease` (its row id) the holder of a chosen address.  Raises sqlite3.IntegrityError where it is held."""
        pool = choice.pool
        key = address_key(pool.version, choice.address)
        if choice.untouched:
            self._carve(key, choice)
        else:
            self._execute("UPDATE address SET reused = 1 WHERE address = ? AND reused = 0", (key,))
        self._execute(
            "INSERT INTO address (address, lease, subnet) VALUES (?, ?, ?)",
            (key, lease, self._subnets[str(pool.range.subnet)]),
        )
        self._recount((choice.address,), pool.version, 1)

    def _carve(self, key: bytes, choice: Choice) -> None:
        """Take one address out of the untouched span that has it."""
        version, address = choice.pool.version, choice.address
        span = self._execute(
            "SELECT first, last FROM untouched WHERE first <= ? ORDER BY first DESC LIMIT 1", (key,)
        ).fetchone()
        if span is None or span[1] < key:
            raise StateError(f"address {choice.pool.address(address)} has neither a history nor none: see `podnet who`")
        first, last = span
        if self._floor.get(choice.pool) == address:
            self._floor[choice.pool] = address + 1
        if key != last:
            after = address_key(version, address + 1)
            if key == first:
                self._execute("UPDATE untouched SET first = ? WHERE first = ?", (after, first))
                return
            self._execute("INSERT INTO untouched VALUES (?, ?)", (after, last))
        if key == first:
            self._execute("DELETE FROM untouched WHERE first = ?", (first,))
        else:
            self._execute("UPDATE untouched SET last = ? WHERE first = ?", (address_key(version, address - 1), first))

    def release(self, lease: int, addresses: Iterable[tuple[int, int]], released: float) -> None:
        """Free the `addresses` (version, number) that `lease` holds; they rest from `released`."""
        for version, address in addresses:
            self._execute(
                "UPDATE address SET released = ? WHERE address = ? AND lease = ?",
                (released, address_key(version, address), lease),
            )
            self._recount((address,), version, -1)

    def _recount(self, addresses: Sequence[int], version: int, by: int) -> None:
        """Keep the counts that were asked for."""
        for pool in self._held:
            if pool.version == version:
                self._held[pool] += by * sum(address in pool for address in addresses)

    def restore(self, keys: Iterable[bytes]) -> None:
        """Return addresses, whose history was dropped, to the untouched ones, joining neighbouring spans."""
        for key in keys:
            version, address = key[0], key_address(key)
            before = self._execute(
                "SELECT first, last FROM untouched WHERE first <= ? ORDER BY first DESC LIMIT 1", (key,)
            ).fetchone()
            if before is not None and before[1] >= key:
                continue
            first, last = key, key
            if before is not None and before[0][0] == version and key_address(before[1]) + 1 == address:
                first = before[0]
            after = self._execute(
                "SELECT first, last FROM untouched WHERE first > ? ORDER BY first LIMIT 1", (key,)
            ).fetchone()
            if after is not None and after[0][0] == version and key_address(after[0]) == address + 1:
                last = after[1]
                self._execute("DELETE FROM untouched WHERE first = ?", (after[0],))
            self._execute("INSERT OR REPLACE INTO untouched VALUES (?, ?)", (first, last))
        self._floor.clear()
