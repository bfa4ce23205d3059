"""The lookout: whether pods are gone that nobody spoke of, and whether what is there is as it was made.

What the kernel tells of is seen to at once (:mod:`podnet.daemon.mending`); this finds what it did not tell: settings
below /proc/sys, qdiscs, what was heard by nobody.
"""

import logging
import time
from collections.abc import Callable, Sequence

from podnet.cluster import GC
from podnet.daemon import drifts
from podnet.daemon.describe import describe
from podnet.daemon.drifts import Drifts
from podnet.engine import Drift, Engine
from podnet.engine.upkeep import Swept
from podnet.errors import KernelError, PodnetError
from podnet.model import Lease
from podnet.store import Store

AUDITED = 32
"""Attachments that are compared with their plan at one look, each some 700 us."""
IDLE = 0.25
"""Seconds without a request before a look."""
LATEST = 6
"""Intervals after which it is looked even if requests keep coming."""
LOOKOUT = "lookout"
"""The key by which it is told that nothing can be looked at."""
WAYS_EVERY = 60
"""Looks between two at the ways to other nodes, which may be thousands."""

log = logging.getLogger("podnet")


class Lookout:
    """Looks as often as `pace` has it (interval 0: never), and collects pods that have been gone for its grace."""

    def __init__(
        self, engine: Engine, store: Store, pace: GC, found: Drifts, then: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Take the engine, and the store whose live leases it looks at; what is `found` is told there.

        After each look `then` is called, and told whether there is something to reap.
        """
        self._engine = engine
        self._store = store
        self._interval, self._grace = pace.interval, pace.grace
        self._drifts = found
        self._then = then
        self._last = time.monotonic()
        self._looks = 0
        self._audited = ""

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until the next look, None for ever.

        While requests come, the last `idle` seconds ago, it is put off: a look makes them wait.  But not without end.
        """
        if not self._interval:
            return None
        since = time.monotonic() - self._last
        quiet = max(self._interval - since, IDLE - idle)
        return max(0.0, min(quiet, LATEST * self._interval - since))

    def step(self, idle: float) -> None:
        """Look, where it is time to."""
        if self.wait(idle) == 0.0:
            self._then(self.look())

    def look(self) -> bool:
        """Look, and log what is new; tell whether there is something to reap."""
        self._last = time.monotonic()
        self._looks += 1
        try:
            swept = self._sweep()
            self._audit_node(ways=self._looks % WAYS_EVERY == 1)
            self._audit(swept.unlinked)
        except PodnetError as error:
            self._drifts.tell(LOOKOUT, describe(error), "the node cannot be looked after")
            return False
        self._drifts.tell(LOOKOUT, "", "")
        return bool(swept.collected)

    def _sweep(self) -> Swept:
        swept = self._engine.sweep(self._grace)
        for lease in swept.collected:
            log.info("%s is collected: its network namespace has been gone for %g s", lease.holder, self._grace)
        return swept

    def _audit_node(self, *, ways: bool) -> None:
        found = self._engine.audit_node(ways=ways)
        self._drifts.tell(
            drifts.WAYS if ways else drifts.NODE, "; ".join(map(drifts.text, found)), drifts.who(Drift(None, ()))
        )

    def _audit(self, first: Sequence[Lease]) -> None:
        """Compare attachments with what ADD made: `first` those, and the next few in turn."""
        live = sorted(self._store.live(), key=lambda lease: lease.link)
        self._drifts.forget({lease.link for lease in live} | {drifts.NODE, drifts.WAYS, LOOKOUT})
        turn = [lease for lease in live if lease.link > self._audited][:AUDITED]
        self._audited = turn[-1].link if len(turn) == AUDITED else ""
        turn = [*first, *(lease for lease in turn if lease not in first)]
        found = {drifts.key_of(drift): drifts.text(drift) for drift in self._found(turn)}
        for lease in turn:
            self._drifts.tell(lease.link, found.get(lease.link, ""), lease.holder)

    def _found(self, leases: list[Lease]) -> list[Drift]:
        try:
            return self._engine.audit(leases)
        except KernelError:  # what attachments stand on may be gone, as after `nft flush ruleset`
            self._audit_node(ways=False)
            return self._engine.audit(leases)
