"""Leases in lists: the engine's store port without a database, slow and obvious."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import msgspec

from podnet.errors import InterfaceExists, PortTaken, RequestError, StateError, TryAgainLater
from podnet.ipam import Free, Holder, Pool, choose, match_requested, pools_of
from podnet.model import (
    PLAIN,
    Attachment,
    KubernetesPod,
    Lease,
    NamespaceId,
    Network,
    PodAddress,
    PortMapping,
    Terms,
    link_name,
)

IPAddress = IPv4Address | IPv6Address


class Row(msgspec.Struct, kw_only=True):
    """One lease in its life: live, then `cut` (Unix time), then `closed` for `reason` ("" means DEL)."""

    lease: Lease
    network: Network
    cut: float | None = None
    closed: float | None = None
    reason: str = ""


class _Lists:
    """`ipam.Ledger` over rows: every question reads them all."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._last: dict[tuple[int, int], Row] = {
            (a.address.version, int(a.address)): row for row in rows for a in row.lease.addresses
        }

    def _in(self, pool: Pool) -> Iterator[tuple[int, Row]]:
        return ((n, row) for (version, n), row in self._last.items() if version == pool.version and n in pool)

    def untouched(self, pool: Pool) -> int | None:
        """Return the lowest usable address without a row."""
        touched = {number for number, _ in self._in(pool)}
        spans = (range(span.first, span.last + 1) for span in pool.spans)
        return next((number for span in spans for number in span if number not in touched), None)

    def longest_free(self, pool: Pool) -> Free | None:
        """Return the address whose row was cut first among those closed."""
        free = [Free(n, row.cut or 0.0) for n, row in self._in(pool) if row.closed is not None]
        return min(free, key=lambda one: (one.released, one.address), default=None)

    def held(self, pool: Pool) -> int:
        """Return how many addresses have an open row."""
        return sum(row.closed is None for _, row in self._in(pool))

    def cut(self, pool: Pool) -> int:
        """Return how many addresses have a row that is cut and open."""
        return sum(row.closed is None and row.cut is not None for _, row in self._in(pool))

    def lookup(self, pool: Pool, address: int) -> Holder | Free | None:
        """Return what the last row of `address` says."""
        row = self._last.get((pool.version, address))
        if row is None:
            return None
        if row.closed is not None:
            return Free(address, row.cut or 0.0)
        return Holder(row.lease.holder, row.cut is not None)


class MemoryStore:
    """The engine's store port; `rows` are all leases there ever were, `commits` counts transactions that ended well.

    :meth:`fail` makes a method raise.  The engine over a store that is handed on is what a restart of the daemon is.
    """

    def __init__(self, boot_id: str = "b") -> None:
        """Begin without leases, in the boot `boot_id`."""
        self.rows: list[Row] = []
        self.commits = 0
        self._boot_id = boot_id
        self._active = False
        self._doom: BaseException | None = None
        self._faults: dict[str, list[Exception]] = {}

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        """Let the next `times` calls of `method` raise `error` and change nothing."""
        self._faults.setdefault(method, []).extend([error] * times)

    def forget_faults(self) -> None:
        """Drop faults that have not come about."""
        self._faults.clear()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group what is done in the block into one commit, undone by an exception; see `podnet.store.Store`."""
        if self._active:
            raise StateError("a transaction of the store is open already: they do not nest")
        before = [msgspec.structs.replace(row) for row in self.rows]
        self._active = True
        try:
            yield
            self._raise_due("commit")
            self._refuse_doomed()
        except BaseException:
            self.rows = before
            raise
        else:
            self.commits += 1
        finally:
            self._active, self._doom = False, None

    @contextmanager
    def _writing(self, method: str) -> Iterator[None]:
        """Join the open transaction, or be one; an error that is not the caller's fault dooms it."""
        if not self._active:
            with self.transaction():
                self._raise_due(method)
                yield
            return
        self._refuse_doomed()
        try:
            self._raise_due(method)
            yield
        except (RequestError, TryAgainLater):
            raise
        except BaseException as error:
            self._doom = error
            raise

    def _raise_due(self, method: str) -> None:
        if due := self._faults.get(method):
            raise due.pop(0)

    def _refuse_doomed(self) -> None:
        """Raise what an operation of the open transaction failed with."""
        if self._doom is not None:
            raise self._doom

    # Questions

    def find(self, attachment: Attachment) -> Lease | None:
        """Return the live lease of `attachment`."""
        self._raise_due("find")
        return next((lease for lease in self._live() if lease.attachment == attachment), None)

    def network_of(self, lease: Lease) -> Network:
        """Return the network that `lease`, live or cut, was made with; raise `StateError` where it is closed."""
        for row in self._open():
            if row.lease.link == lease.link and row.lease.attachment.container == lease.attachment.container:
                return row.network
        raise StateError(f"there is no open lease of {lease.attachment.alias} with link {lease.link}")

    def pod(self, uid: str) -> KubernetesPod | None:
        """Return the pod of that uid as the latest of its leases has it."""
        pods = (row.lease.terms.pod for row in reversed(self.rows))
        return next((pod for pod in pods if pod is not None and pod.uid == uid), None)

    def live(self) -> list[Lease]:
        """Return the live leases, oldest first."""
        self._raise_due("live")
        return list(self._live())

    def pending(self) -> list[Lease]:
        """Return the leases that are cut and not closed, first cut first."""
        cut = [row for row in self._open() if row.cut is not None]
        return [_released(row) for row in sorted(cut, key=lambda row: row.cut or 0.0)]

    def _open(self) -> Iterator[Row]:
        return (row for row in self.rows if row.closed is None)

    def _live(self) -> Iterator[Lease]:
        return (row.lease for row in self._open() if row.cut is None)

    # Changes

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
        """Return a new live lease.

        Raise `AddressUnavailable`, `PortTaken`, `InterfaceExists`, or what :meth:`fail` says.
        """
        with self._writing("reserve"):
            if any(lease.attachment == attachment for lease in self._live()):
                raise InterfaceExists(f"{attachment.alias} has a live lease already: DEL it first")
            sets = pools_of(network)
            wanted = match_requested(sets, requested) if requested else (None,) * len(sets)
            ledger = _Lists(self.rows)
            choices = [
                choose(pools, ledger, now=now, quarantine=network.quarantine, requested=address)
                for pools, address in zip(sets, wanted, strict=True)
            ]
            lease = Lease(
                attachment=attachment,
                addresses=tuple(
                    PodAddress(c.pool.address(c.address), c.pool.range.subnet.prefixlen, c.pool.range.gateway)
                    for c in choices
                ),
                link=self._link_name(attachment, "-br" if network.datapath == "bridge" else ""),
                netns=netns,
                netns_path=netns_path,
                boot_id=self._boot_id,
                created=now,
                terms=terms,
            )
            self._refuse_taken_ports(lease)
            self.rows.append(Row(lease=lease, network=network))
            return lease

    def _refuse_taken_ports(self, lease: Lease) -> None:
        for version in {leased.address.version for leased in lease.addresses}:
            for mapping in (m for m in lease.terms.ports if m.serves(version)):
                for other, theirs in self._ports(version):
                    same = (theirs.protocol, theirs.host_port) == (mapping.protocol, mapping.host_port)
                    apart = None not in (theirs.only_at, mapping.only_at) and theirs.only_at != mapping.only_at
                    if same and not apart:
                        raise PortTaken(f"host port {mapping} is held by {other.holder}")

    def _ports(self, version: int) -> Iterator[tuple[Lease, PortMapping]]:
        for other in self._live():
            if any(leased.address.version == version for leased in other.addresses):
                yield from ((other, mapping) for mapping in other.terms.ports if mapping.serves(version))

    def _link_name(self, attachment: Attachment, suffix: str) -> str:
        taken = {row.lease.link for row in self._open()}
        attempts = range(len(taken) + 1)
        return next(name for n in attempts if (name := link_name(attachment, suffix, n)) not in taken)

    def cut(self, attachments: Iterable[Attachment], now: float) -> list[Lease]:
        """Mark live leases cut as of `now` and return them; an attachment without one is passed over."""
        found = []
        with self._writing("cut"):
            for attachment in attachments:
                for row in self._open():
                    if row.cut is None and row.lease.attachment == attachment:
                        row.cut = now
                        found.append(_released(row))
        return found

    def close(self, leases: Iterable[Lease], now: float, reason: str = "") -> int:
        """Close `leases`, cut or live; return how many were open."""
        closed = 0
        with self._writing("close"):
            for lease in leases:
                for row in self._open():
                    if (row.lease.attachment, row.lease.link) == (lease.attachment, lease.link):
                        row.cut = now if row.cut is None else row.cut
                        row.closed, row.reason = now, reason
                        closed += 1
        return closed

    def undo(self, lease: Lease, now: float, reason: str = "ADD failed") -> None:
        """Close the lease of an ADD that failed for `reason`."""
        self._raise_due("undo")
        self.close((lease,), now, reason)


def _released(row: Row) -> Lease:
    return msgspec.structs.replace(row.lease, released=row.cut)
