"""This node in etcd: its name, its claims and its record, kept there by a thread.

The thread decides on what the watch tells, writes, and keeps two leases alive: the short one of the name, and the one
of the record, whose time is the grace.  Whenever something changed that it rests upon, it decides anew.  That etcd
cannot be asked never makes the node lose anything.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from podnet.cluster.etcd.access import NOT_FOUND
from podnet.cluster.etcd.claiming import Decision, View, Wish, decide, prefixes_of
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import Record, Session, node_key
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.http import RefusedError
from podnet.cluster.remote.reflector import Changes
from podnet.errors import IOFailure, PodnetError

ALIVE_SECONDS = 30
"""How long a name stays its machine's after that is dead: what a machine that took its place has to wait."""
BEATS = 3
"""How often a lease is kept alive within its time."""
BEAT_MOST = 600.0
"""Seconds between two times that the record's lease is kept alive, at most."""
ENDING = 1.0
"""Seconds that the thread is waited for at the end."""

Standing = Literal["before", "held", "lost"]
"""Whether this node has its name: nobody knows yet, yes, or another machine has it."""


class Claimant:
    """Keeps in etcd what `wish` says; `view` is what is known of etcd, read with `lock` held, None before a list.

    `tell` is called, with the lock held, when `standing`, `fault` or `refused` are others.
    """

    def __init__(
        self,
        client: EtcdClient,
        wish: Wish,
        grace: int,
        *,
        lock: threading.Lock,
        view: Callable[[], View | None],
        tell: Callable[[], None],
    ) -> None:
        """Take all that; nothing is done before :meth:`begin`."""
        self.standing: Standing = "before"
        self.fault = ""
        """Why the node lacks what it wants, "" where nothing is known to be amiss."""
        self.refused = False
        """Whether the node does not fit the cluster."""
        self.decided = False
        """Whether all is as wished, or why it cannot be is known."""
        self._client, self._wish, self._grace = client, wish, grace
        self._lock, self._view, self._tell = lock, view, tell
        self._regards: frozenset[str] | None = None
        self._rival_since: float | None = None
        self._beats: dict[str, float] = {}
        self._backoff = Backoff(random.random)
        self._failures = 0
        self._woken = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="etcd-claim", daemon=True)

    def begin(self) -> None:
        """Begin to claim."""
        self._thread.start()

    @property
    def record(self) -> Record:
        """What others are told of this node."""
        return self._wish.record

    def publish(self, record: Record) -> None:
        """Have others told `record`; with the lock."""
        if record != self._wish.record:
            self._wish = msgspec.structs.replace(self._wish, record=record)
            self._woken.set()

    def heard(self, changes: Changes) -> None:
        """Take note of what changed in etcd, which after a list may be nothing; with the lock."""
        if self._regards is None or not changes or not changes.isdisjoint(self._regards):
            self._woken.set()

    def close(self) -> None:
        """End; what is in etcd stays there for as long as its leases do."""
        self._ending = True
        self._woken.set()
        self._client.close()
        if self._thread.ident is not None:
            self._thread.join(ENDING)

    # In the thread

    def _run(self) -> None:
        while not self._ending:
            self._woken.clear()
            try:
                wait = self._turn()
            except PodnetError as error:
                self._failures += 1  # the first is not told: the watch tells soon enough where etcd is away
                self._failed(error if self._failures > 1 else None)
                wait = self._backoff.wait()
            except Exception as error:  # noqa: BLE001 - the thread is not to end unheard, the leases with it
                self._failed(IOFailure(f"{self._client.url}: {error!r}, which is a bug of podnet's; please report it"))
                wait = self._backoff.wait()
            self._woken.wait(wait)

    def _turn(self) -> float | None:
        """Keep leases alive and write what is to be written; return how many seconds to wait, None for any time."""
        with self._lock:
            view, name = self._view(), self._wish.name
            if view is None:
                return None
            found = view.get(node_key(name))
        self._keep_alive(found.lease if found else 0)
        with self._lock:
            view = self._view() or {}
            decision = decide(view, self._wish, self._client.prefix)
            # Who cannot have what it wants may have it whatever changes.
            self._regards = None if decision.fault else frozenset({*decision.compares, node_key(name)})
            if not decision.puts and decision.rival is None:
                self._wish = msgspec.structs.replace(self._wish, had=prefixes_of(view, name) or self._wish.had)
        if decision.puts and not self._written(decision):
            return self._backoff.wait()  # what is known is older than what is there: the watch brings it any moment
        self._take(decision)
        self._failures = 0
        if decision.puts:
            return min(self._until_beat(), self._backoff.wait())  # likewise
        self._backoff.reset()
        return self._until_beat()

    def _written(self, decision: Decision) -> bool:
        compares, puts = decision.compares, [(put.key, put.data, put.lease) for put in decision.puts]
        try:
            return self._client.write(compares, puts)
        except RefusedError as error:
            if error.status == NOT_FOUND:  # a lease that was over before it was used
                self._forget_leases()
            raise

    def _take(self, decision: Decision) -> None:
        """See what a decision, which was carried out, makes of the node."""
        now = time.monotonic()
        rival, fault = decision.rival, decision.fault
        self._rival_since = None if rival is None else self._rival_since or now
        with self._lock:
            standing = self.standing
            if rival is not None:
                fault = self._of_rival(rival)
                # One that is dead is over when its lease is; who had the name and finds another there knows at once.
                if self._wish.settled or now - (self._rival_since or now) > 2 * ALIVE_SECONDS:
                    standing = "lost"
            elif not decision.refused:
                standing = "held"
                self._wish = msgspec.structs.replace(self._wish, settled=True)
            self._note(standing, fault, refused=decision.refused, decided=not decision.puts or bool(fault))

    def _of_rival(self, rival: Session) -> str:
        name = self._wish.name
        return (
            f"the name {name} is another machine's, which is alive (its boot is {rival.boot or 'not told'}): if that "
            f"was this machine before it started anew, it is over within {ALIVE_SECONDS} s; else give one of the two "
            "another `node` in podnet.yaml"
        )

    def _failed(self, error: PodnetError | None) -> None:
        """Take note of a failure, and tell of `error`."""
        with self._lock:
            told = f"what this node has in etcd cannot be kept there: {error.msg}" if error else self.fault
            self._note(self.standing, told, refused=self.refused, decided=True)

    def _note(self, standing: Standing, fault: str, *, refused: bool, decided: bool) -> None:
        before = self.standing, self.fault, self.refused, self.decided
        self.standing, self.fault, self.refused, self.decided = standing, fault, refused, self.decided or decided
        if before != (self.standing, self.fault, self.refused, self.decided) and not self._ending:
            self._tell()

    # Leases

    def _keep_alive(self, found: int) -> None:
        """See that there are leases; `found` is the one that the record has, perhaps of the daemon before."""
        wish = self._wish
        alive = self._lease("alive", wish.alive_lease, min(ALIVE_SECONDS, self._grace))
        hold = self._lease("hold", wish.hold_lease or found, self._grace)
        with self._lock:
            self._wish = msgspec.structs.replace(self._wish, alive_lease=alive, hold_lease=hold)

    def _lease(self, what: str, lease: int, seconds: int) -> int:
        """Return a lease of that time which was kept alive a short time ago: `lease` if it is there, else a new one."""
        now = time.monotonic()
        if lease and self._beats.get(what, 0.0) > now:
            return lease
        had = self._client.keep_alive(lease) if lease else 0
        if not seconds <= had <= 2 * seconds:  # it is over, or was made when the grace was another
            lease = self._client.grant(seconds).id
        self._beats[what] = now + min(seconds / BEATS, BEAT_MOST)
        return lease

    def _until_beat(self) -> float:
        return max(0.0, min(self._beats.values()) - time.monotonic())

    def _forget_leases(self) -> None:
        self._beats.clear()
