"""The one writer of the database.

Writes happen in transactions, and a transaction is one commit however many ADDs and DELs are in it: that is what
serving many requests at once gains.  Commits are not synchronous with the disk (WAL, synchronous=NORMAL): a killed
process loses nothing that was committed, and a power loss, which may lose the last commits, also ends the boot whose
leases they were.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple, Self

from msgspec import structs

from podnet.errors import InterfaceExists, RequestError, StateError, TryAgainLater
from podnet.ipam import Choice, choose, match_requested
from podnet.model import PLAIN, Attachment, Lease, NamespaceId, Network, PodAddress, Terms, link_name
from podnet.store import schema
from podnet.store.codec import address_key, decode_addresses, encode_addresses, encode_terms, signed
from podnet.store.ledger import PreparedNetwork, StoredLedger
from podnet.store.lock import WriterLock
from podnet.store.ports import give_back_ports, refuse_taken_ports, take_ports
from podnet.store.reader import Reader

IPAddress = IPv4Address | IPv6Address
_LINK_ATTEMPTS = 64
_INSERT = (
    "INSERT INTO lease "
    "(network, container, ifname, document, boot, addresses, link, device, inode, path, created, terms) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (link) WHERE closed IS NULL DO NOTHING"
)


class HistoryBounds(NamedTuple):
    """How much history is kept: closed leases of the last `days`, and at most `rows` of them.

    A lease whose addresses may still be in quarantine is kept beyond both.
    """

    days: float = 30.0
    rows: int = 1_000_000


_DEFAULT_BOUNDS = HistoryBounds()


class Store(Reader):
    """The database, locked for writing.

    `set_aside` is where a damaged database was moved to at `open`, None when all was well: worth a warning.
    """

    set_aside: Path | None = None

    def __init__(self, connection: sqlite3.Connection, path: Path, lock: WriterLock, history: HistoryBounds) -> None:
        """Take a connection to a database of the current version and the lock on it; use `open`."""
        super().__init__(connection, path)
        self._lock = lock
        self._history = history
        self._ledger = StoredLedger(connection)
        self._boot_id = ""
        self._boot = 0
        self._active = False
        self._doom: BaseException | None = None
        self._closed: int | None = None  # closed leases in the table; None: not counted yet

    @classmethod
    def open(
        cls, path: Path, boot_id: str, now: float, *, wait: float = 0.0, history: HistoryBounds = _DEFAULT_BOUNDS
    ) -> Self:
        """Open the database at `path` for writing, made where it is missing (mode 0600, its folder 0700).

        Leases of another boot than `boot_id` are closed as of `now` (Unix time).  `wait` seconds at most for another
        writer to end.  Raises StateError: another writer, a damaged, newer or foreign database, no permission.  A
        damaged one is moved aside, never removed, where the boot has changed since its last writer, since all its
        leases are void then; else it stays where it is, and the error says how to recover.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{path.parent} cannot be made: {error.strerror}; podnet must run as root") from error
        lock = WriterLock.acquire(path, wait)
        try:
            moved = None
            try:
                store = cls._open(path, lock, history, boot_id)
            except sqlite3.Error as error:
                if not schema.is_damage(error) or lock.previous_boot in ("", boot_id):
                    raise
                moved = _move_aside(path, now)
                store = cls._open(path, lock, history, boot_id)
            store.set_aside = moved
            store._begin_boot(boot_id, now)  # noqa: SLF001 - of this class
            lock.sign(boot_id)
        except sqlite3.Error as error:
            lock.release()
            raise schema.fault(path, error) from error
        except BaseException:
            lock.release()
            raise
        return store

    @classmethod
    def _open(cls, path: Path, lock: WriterLock, history: HistoryBounds, boot_id: str) -> Self:
        """Open and migrate; read it all where the machine was restarted since.  Raises sqlite3.Error, StateError."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror}; it must be a file root may write") from error
        connection = schema.connect(path, readonly=False)
        try:
            schema.migrate(connection, schema.version_of(connection, path))
            if lock.previous_boot != boot_id:
                schema.check(connection)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path, lock, history)

    def _begin_boot(self, boot_id: str, now: float) -> None:
        """Close what earlier boots left open, and forget networks that no lease names."""
        with self.transaction():
            self._boot_id = boot_id
            last = self._execute("SELECT id, boot_id FROM boot ORDER BY id DESC LIMIT 1").fetchone()
            if last is not None and last[1] == boot_id:
                self._boot = last[0]
                return
            (self._boot,) = self._execute("INSERT INTO boot (boot_id) VALUES (?) RETURNING id", (boot_id,)).fetchone()
            self._execute(
                "UPDATE address SET released = (SELECT coalesce(cut, ?) FROM lease WHERE id = address.lease) "
                "WHERE released IS NULL",
                (now,),
            )
            self._execute(
                "UPDATE lease SET cut = coalesce(cut, ?), closed = ?, reason = 'the machine restarted' "
                "WHERE closed IS NULL",
                (now, now),
            )
            self._execute("DELETE FROM port")
            self._execute("DELETE FROM network WHERE id NOT IN (SELECT document FROM lease)")
            self._execute("DELETE FROM boot WHERE id <> ? AND id NOT IN (SELECT boot FROM lease)", (self._boot,))

    def close_database(self) -> None:
        """Close the database and let the next writer in; harmless when closed already."""
        super().close_database()
        self._lock.release()

    # Transactions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group everything inside into one commit; an exception that leaves it undoes all of it.

        A RequestError of one operation that is caught inside leaves the others standing.  Any other error dooms the
        transaction: even if it is caught inside, leaving raises it again and nothing is written.  Not nested.
        """
        if self._active:
            raise StateError("a transaction of the store is open already: they do not nest")
        execute = self._execute
        try:
            execute("BEGIN IMMEDIATE")
            self._active = True
            yield
            self._refuse_doomed()
            execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise schema.fault(self.path, error) from error
            raise
        finally:
            self._active = False
            self._doom = None

    def _refuse_doomed(self) -> None:
        """Raise what an operation of the open transaction failed with."""
        if self._doom is not None:
            raise self._doom

    def _roll_back(self) -> None:
        """Undo the transaction and what memory has of it."""
        self._ledger.forget()
        self._networks.clear()
        self._closed = None
        try:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
        except sqlite3.Error:  # the error that led here is the one to tell; SQLite undoes it at the next open
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Join the open transaction, or be one."""
        if not self._active:
            with self.transaction():
                yield
            return
        self._refuse_doomed()
        try:
            yield
        except (RequestError, TryAgainLater):  # raised before anything is written
            raise
        except sqlite3.Error as error:
            self._doom = schema.fault(self.path, error)
            raise self._doom from error
        except BaseException as error:
            self._doom = error
            raise

    # ADD

    def reserve(  # noqa: PLR0917 - the order of the engine's port
        self,
        attachment: Attachment,
        network: Network,
        requested: Sequence[IPAddress],
        netns: NamespaceId | None,
        netns_path: str,
        now: float,
        terms: Terms = PLAIN,
    ) -> Lease:
        """Return a new live lease: one address of each range set of `network`, a host link name that nobody has.

        Raises AddressUnavailable: no address is free, or a `requested` one is not to be had; PortTaken: a host port of
        `terms` is another's; InterfaceExists: the attachment has a live lease (`find` it, and decide);
        InvalidConfiguration: ranges without usable address, or overlapping; TryAgainLater: no free link name;
        StateError.
        """
        with self._writing():
            if self._find(attachment) is not None:
                raise InterfaceExists(
                    f"container {attachment.container} is attached to network {attachment.network} by "
                    f"{attachment.ifname} already: DEL it first, or give another CNI_IFNAME"
                )
            prepared = self._ledger.prepare(network)
            wanted = match_requested(prepared.sets, requested) if requested else (None,) * len(prepared.sets)
            choices = [
                choose(pools, self._ledger, now=now, quarantine=network.quarantine, requested=address)
                for pools, address in zip(prepared.sets, wanted, strict=True)
            ]
            lease = Lease(
                attachment=attachment,
                addresses=tuple(map(_pod_address, choices)),
                link="",
                netns=netns,
                netns_path=netns_path,
                boot_id=self._boot_id,
                created=now,
                terms=terms,
            )
            if terms.ports:
                refuse_taken_ports(self._connection, lease)
            lease, row = self._insert(lease, prepared)
            if terms.ports:
                take_ports(self._connection, lease, row)
            for choice in choices:
                self._ledger.take(choice, row)
            return lease

    def _insert(self, lease: Lease, prepared: PreparedNetwork) -> tuple[Lease, int]:
        """Write the row of `lease`; return it with its link's name, and the row's id."""
        attachment, netns = lease.attachment, lease.netns
        blob = encode_addresses(lease.addresses)
        terms = encode_terms(lease.terms)
        device, inode = (None, None) if netns is None else (signed(netns.device), signed(netns.inode))
        key = attachment.network, attachment.container, attachment.ifname, prepared.document, self._boot, blob
        for attempt in range(_LINK_ATTEMPTS):
            link = link_name(attachment, prepared.suffix, attempt)
            cursor = self._execute(_INSERT, (*key, link, device, inode, lease.netns_path, lease.created, terms))
            if cursor.rowcount == 1 and cursor.lastrowid is not None:
                return structs.replace(lease, link=link), cursor.lastrowid
        raise TryAgainLater(
            f"{_LINK_ATTEMPTS} link names of {attachment.alias} belong to leases whose links are not removed yet: "
            "try again"
        )

    # DEL

    def cut(self, attachments: Iterable[Attachment], now: float) -> list[Lease]:
        """Mark the live leases of `attachments` cut off as of `now`, and return them; one without is passed over.

        Their addresses and their links' names stay taken until `close`; quarantine counts from now.  Their host ports
        are free at once: nothing leads to them any more.
        """
        found = []
        with self._writing():
            for attachment in attachments:
                lease = self._find(attachment)
                if lease is None:
                    continue
                (row,) = self._execute(
                    "UPDATE lease SET cut = ? WHERE container = ? AND ifname = ? AND network = ? AND cut IS NULL "
                    "RETURNING id",
                    (now, attachment.container, attachment.ifname, attachment.network),
                ).fetchone()
                if lease.terms.ports:
                    give_back_ports(self._connection, row)
                found.append(structs.replace(lease, released=now))
        return found

    def close(self, leases: Iterable[Lease], now: float, reason: str = "") -> int:
        """Close `leases`, cut (their links are removed) or live; their addresses are free, resting from the cut.

        `reason` is kept in the history, "" means DEL.  A lease that is closed already is passed over.  Returns how
        many were closed.  Forgets history beyond the bounds in passing, twice as many leases as it closes.
        """
        closed = 0
        with self._writing():
            for lease in leases:
                key = lease.attachment
                rows = self._execute(
                    "UPDATE lease SET cut = coalesce(cut, ?), closed = ?, reason = ? WHERE link = ? "
                    "AND closed IS NULL AND container = ? AND ifname = ? AND network = ? RETURNING id, cut, addresses",
                    (now, now, reason, lease.link, key.container, key.ifname, key.network),
                ).fetchall()
                for row, cut, blob in rows:
                    held = ((a.address.version, int(a.address)) for a in decode_addresses(blob))
                    self._ledger.release(row, held, cut)
                    if lease.terms.ports:
                        give_back_ports(self._connection, row)
                    closed += 1
            if self._closed is not None:
                self._closed += closed
            if closed:
                self._forget_history(now, 2 * closed)
        return closed

    def undo(self, lease: Lease, now: float, reason: str = "ADD failed") -> None:
        """Close the lease of an ADD that failed for `reason` and has removed what it made.

        Its addresses go to the back of the queue as any others do: where one of them was what ADD failed for, trying
        again draws another.
        """
        self.close((lease,), now, reason)

    # Bounds

    def tend(self, now: float, limit: int = 1000) -> int:
        """Do what can wait for an idle moment: forget at most `limit` leases beyond the bounds, write back the WAL.

        Outside a transaction only.  Returns how many leases were forgotten.
        """
        with self._writing():
            forgotten = self._forget_history(now, limit)
        with self._asking():
            self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return forgotten

    def _forget_history(self, now: float, limit: int) -> int:
        """Delete the oldest closed leases beyond the bounds; addresses whose last lease goes are untouched again."""
        if self._closed is None:
            (self._closed,) = self._execute("SELECT count(*) FROM lease WHERE closed IS NOT NULL").fetchone()
        excess = self._closed - self._history.rows
        (quarantine,) = self._execute("SELECT coalesce(max(quarantine), 0) FROM network").fetchone()
        oldest = now - (quarantine if excess > 0 else max(quarantine, self._history.days * 86400.0))
        rows = self._execute(
            "SELECT id, addresses FROM lease WHERE closed IS NOT NULL AND closed < ? ORDER BY closed, id LIMIT ?",
            (oldest, min(limit, excess) if excess > 0 else limit),
        ).fetchall()
        for row, blob in rows:
            keys = [address_key(a.address.version, int(a.address)) for a in decode_addresses(blob)]
            gone = (
                self._execute(
                    "DELETE FROM address WHERE address = ? AND lease = ? RETURNING reused, address", (key, row)
                )
                for key in keys
            )
            self._ledger.restore(key for found in gone for reused, key in found.fetchall() if not reused)
            self._execute("DELETE FROM lease WHERE id = ?", (row,))
        self._closed -= len(rows)
        return len(rows)


def _pod_address(choice: Choice) -> PodAddress:
    """Return a chosen address as the pod will have it."""
    pool = choice.pool
    return PodAddress(pool.address(choice.address), pool.range.subnet.prefixlen, pool.range.gateway)


def _move_aside(path: Path, now: float) -> Path:
    """Rename a damaged database with what belongs to it; return its new name."""
    aside = path.with_name(f"{path.name}.damaged-{int(now)}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return aside
