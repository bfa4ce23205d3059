"""Questions to the database: by the writer within its lock, or by anybody else without it (WAL allows both at once)."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeAlias

from podnet.errors import StateError
from podnet.ipam import Occupancy, Pool, effective_quarantine, pool_of
from podnet.model import Attachment, KubernetesPod, Lease, Network
from podnet.store import schema
from podnet.store.codec import LEASE_COLUMNS, address_key, decode_lease, decode_network, decode_terms

IPAddress = IPv4Address | IPv6Address
State: TypeAlias = Literal["live", "cut", "closed"]

_LEASES = f"SELECT {LEASE_COLUMNS} FROM lease JOIN boot ON boot.id = lease.boot"  # noqa: S608 - a constant of ours
_FIND = f"{_LEASES} WHERE container = ? AND ifname = ? AND network = ? AND cut IS NULL"
_PORTS = "SELECT lease FROM port WHERE protocol = ? AND port = ?"
_HELD_PORT = f"{_LEASES} WHERE lease.id IN ({_PORTS}) ORDER BY lease.id"
_HELD_BY = f"{_LEASES} JOIN address ON address.lease = lease.id WHERE address.address = ?"
_RECENT = 2000
"""Leases that are asked for a pod's: so many ADDs ago it was here at most."""


class Holding(NamedTuple):
    """One line of an address's history.

    `lease.released` is when the pod was cut off; `closed` when its link was removed (None: not yet); `reason` why the
    lease ended otherwise than by DEL, "" for DEL.
    """

    lease: Lease
    closed: float | None
    reason: str

    @property
    def state(self) -> State:
        """Where the lease is in its life."""
        if self.closed is not None:
            return "closed"
        return "live" if self.lease.released is None else "cut"


class Reader:
    """The questions.  `Reader.read(path)` asks without the lock; the writer, `Store`, is a Reader too.

    A Reader belongs to the thread that made it.  Every method raises StateError where the database does not answer.
    Leases of an earlier boot are void, and a reader before the first writer of a boot still sees them: their
    `boot_id` tells.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take an open connection to the database at `path`; use `read` or `Store.open`."""
        self.path = path
        self._connection = connection
        self._execute = connection.execute
        self._networks: dict[int, Network] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open the database at `path` for reading.  Raises StateError: missing, damaged or of another version."""
        if not path.exists():
            raise StateError(f"{path} does not exist: podnet has given no address on this node yet")
        try:
            connection = schema.connect(path, readonly=True)
            try:
                schema.require_current(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise schema.fault(path, error) from error
        return cls(connection, path)

    def close_database(self) -> None:
        """Close the database; harmless when closed already."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.close_database()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Make StateErrors of SQLite's."""
        try:
            yield
        except sqlite3.Error as error:
            raise schema.fault(self.path, error) from error

    def find(self, attachment: Attachment) -> Lease | None:
        """Return the live lease of `attachment`."""
        with self._asking():
            return self._find(attachment)

    def _find(self, attachment: Attachment) -> Lease | None:
        """Do `find`, leaving errors as they are."""
        row = self._execute(_FIND, (attachment.container, attachment.ifname, attachment.network)).fetchone()
        return None if row is None else decode_lease(row)

    def find_container(self, prefix: str) -> list[Lease]:
        """Return the live leases of the containers whose id begins with `prefix`, by id and interface."""
        with self._asking():
            rows = self._execute(
                f"{_LEASES} WHERE container >= ? AND container < ? AND cut IS NULL ORDER BY container, ifname, network",
                (prefix, f"{prefix}\U0010ffff"),
            )
            return [decode_lease(row) for row in rows]

    def pod(self, uid: str) -> KubernetesPod | None:
        """Return the pod of that uid as the latest of its leases has it, of the last `_RECENT`; None where none has."""
        with self._asking():
            rows = self._execute("SELECT terms FROM lease ORDER BY id DESC LIMIT ?", (_RECENT,))
            likely = (decode_terms(terms).pod for (terms,) in rows if uid.encode() in terms)
            return next((pod for pod in likely if pod is not None and pod.uid == uid), None)

    def live(self) -> list[Lease]:
        """Return the live leases, oldest first."""
        with self._asking():
            return [decode_lease(row) for row in self._execute(f"{_LEASES} WHERE cut IS NULL ORDER BY lease.id")]

    def pending(self) -> list[Lease]:
        """Return the cut leases, whose links and connections are still to be removed, first cut first."""
        with self._asking():
            query = f"{_LEASES} WHERE cut IS NOT NULL AND closed IS NULL ORDER BY cut, lease.id"
            return [decode_lease(row) for row in self._execute(query)]

    def latest(self) -> float | None:
        """Return the newest time of any lease, in Unix seconds, None where there is none; O(n)."""
        with self._asking():
            newest = self._execute("SELECT max(created), max(cut), max(closed) FROM lease").fetchone()
            return max((moment for moment in newest if moment is not None), default=None)

    def network_of(self, lease: Lease) -> Network:
        """Return the Network that `lease`, live or cut, was made with; the same object for the same network.

        Raises StateError where the lease is closed.
        """
        with self._asking():
            row = self._execute(
                "SELECT document FROM lease WHERE link = ? AND closed IS NULL AND container = ?",
                (lease.link, lease.attachment.container),
            ).fetchone()
            if row is None:
                raise StateError(f"{self.path} has no open lease of {lease.attachment.alias} with link {lease.link}")
            network = self._networks.get(row[0])
            if network is None:
                (document,) = self._execute("SELECT document FROM network WHERE id = ?", row).fetchone()
                network = self._networks[row[0]] = decode_network(document)
            return network

    def holders(self, address: IPAddress, at: float | None = None) -> list[Holding]:
        """Return who held `address`, latest first: ever (within the history's bounds), or at Unix time `at`."""
        query, values = f"{_HELD_BY} ORDER BY created DESC, lease.id DESC", [address_key(address.version, int(address))]
        if at is not None:
            query = f"{_HELD_BY} AND created <= ? AND (cut IS NULL OR cut > ?) ORDER BY created DESC, lease.id DESC"
            values = [*values, at, at]  # type: ignore[list-item] # BLOB and REAL
        with self._asking():
            return [Holding(decode_lease(row), row[11], row[12]) for row in self._execute(query, values)]

    def port_holders(self, protocol: str, number: int) -> list[Holding]:
        """Return who holds a host port now: one, or several at different addresses of the node."""
        with self._asking():
            rows = self._execute(_HELD_PORT, (protocol, number))
            return [Holding(decode_lease(row), row[11], row[12]) for row in rows]

    def counts(self, network: Network, now: float) -> tuple[Occupancy, ...]:
        """Return how each range of `network` is used at Unix time `now`, in order; O(n), not for the path of an ADD."""
        with self._asking():
            return tuple(
                self._occupancy(pool_of(of), network.quarantine, now) for ranges in network.ranges for of in ranges
            )

    def _occupancy(self, pool: Pool, quarantine: float, now: float) -> Occupancy:
        """Count one range."""
        live = cut = resting = 0
        for span in pool.spans:
            bounds = address_key(pool.version, span.first), address_key(pool.version, span.last)
            query = (
                "SELECT count(*), count(cut) FROM address JOIN lease ON lease.id = address.lease "
                "WHERE released IS NULL AND address BETWEEN ? AND ?"
            )
            held, gone = self._execute(query, bounds).fetchone()
            live, cut = live + held - gone, cut + gone
        rest = effective_quarantine(quarantine, max(0, pool.size - live - cut), pool.size)
        for span in pool.spans:
            query = "SELECT count(*) FROM address WHERE released > ? AND reused = 0 AND address BETWEEN ? AND ?"
            bounds = address_key(pool.version, span.first), address_key(pool.version, span.last)
            resting += self._execute(query, (now - rest, *bounds)).fetchone()[0]
        return Occupancy(str(pool.range.subnet), pool.size, live, cut, resting, pool.size - live - cut - resting)
