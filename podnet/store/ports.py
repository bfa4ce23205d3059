"""Host ports in the database: which live lease holds which, and who is in the way of one that is asked for.

The primary key keeps one port of one address to one lease.  That every address stands beside each single one is asked
before, within the transaction.
"""

import sqlite3
from collections.abc import Iterator

from podnet.errors import PortTaken
from podnet.model import Lease, PortMapping, bracketed
from podnet.store.codec import LEASE_COLUMNS, address_key, decode_lease, key_address

_EVERY = {4: address_key(4, 0), 6: address_key(6, 0)}
_HOLDERS = (
    f"SELECT {LEASE_COLUMNS}, address FROM port JOIN lease ON lease.id = port.lease "  # noqa: S608 - ours
    "JOIN boot ON boot.id = lease.boot WHERE protocol = ? AND port = ?"
)


def refuse_taken_ports(connection: sqlite3.Connection, lease: Lease) -> None:
    """Raise PortTaken, with the holder's name, where another lease has a host port that `lease` asks for."""
    for mapping in lease.terms.ports:
        for key in _keys(mapping, lease):
            every = _EVERY[key[0]]
            for found in connection.execute(_HOLDERS, (mapping.protocol, mapping.host_port)).fetchall():
                *columns, held = found
                if held[0] == key[0] and (held == key or every in (held, key)):
                    raise _taken(mapping, held, decode_lease(tuple(columns)))


def take_ports(connection: sqlite3.Connection, lease: Lease, row: int) -> None:
    """Make `lease`, of the row id `row`, the holder of its host ports, which nobody has."""
    connection.executemany(
        "INSERT OR IGNORE INTO port (protocol, port, address, lease) VALUES (?, ?, ?, ?)",
        [(m.protocol, m.host_port, key, row) for m in lease.terms.ports for key in _keys(m, lease)],
    )


def give_back_ports(connection: sqlite3.Connection, row: int) -> None:
    """Free the host ports of the lease with the row id `row`."""
    connection.execute("DELETE FROM port WHERE lease = ?", (row,))


def _keys(mapping: PortMapping, lease: Lease) -> Iterator[bytes]:
    """Yield the addresses at which `mapping` takes its port: one, or all of each family that the pod has."""
    only = mapping.only_at
    for version in sorted({leased.address.version for leased in lease.addresses}):
        if mapping.serves(version):
            yield _EVERY[version] if only is None else address_key(version, int(only))


def _taken(mapping: PortMapping, held: bytes, holder: Lease) -> PortTaken:
    leads = next((m for m in holder.terms.ports if _is(m, mapping, held)), None)
    inside = next((a.address for a in holder.addresses if a.address.version == held[0]), None)
    to = f", for {bracketed(inside)}:{leads.container_port}" if inside is not None and leads is not None else ""
    return PortTaken(
        f"host port {mapping} is held by {holder.holder} of network {holder.attachment.network}{to}; "
        "choose another host port, or delete that container first"
    )


def _is(mine: PortMapping, asked: PortMapping, held: bytes) -> bool:
    only = mine.only_at
    return (mine.protocol, mine.host_port) == (asked.protocol, asked.host_port) and (
        int(only) if only is not None else 0
    ) == key_address(held)
