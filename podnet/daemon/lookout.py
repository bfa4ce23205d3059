"""The lookout: whether pods are gone that nobody spoke of, and whether what is there is as it was made.

What is found is logged once, when it is found and when it is over, not at every look.
"""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from podnet.daemon.describe import describe
from podnet.engine import Engine
from podnet.errors import KernelError, PodnetError
from podnet.model import Lease
from podnet.store import Store

AUDITED = 32
"""Attachments that are compared with their plan at one look, each some 700 us."""
IDLE = 0.25
"""Seconds without a request before a look."""
LATEST = 6
"""Intervals after which it is looked even if requests keep coming."""
NODE_EVERY = 6
"""Looks between two at the node's own part, whose table holds an element per pod."""

log = logging.getLogger("podnet")


class Told(NamedTuple):
    """What was logged, and of whom."""

    who: str
    text: str


class Lookout:
    """Looks every `interval` seconds (0: never); a pod that has been gone for `grace` seconds is collected."""

    def __init__(
        self, engine: Engine, store: Store, interval: float, grace: float, then: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Take the engine, and the store whose live leases it looks at.

        After each look `then` is called, and told whether there is something to reap.
        """
        self._engine = engine
        self._store = store
        self._interval = interval
        self._grace = grace
        self._then = then
        self._last = time.monotonic()
        self._looks = 0
        self._audited = ""
        self._told: dict[str, Told] = {}

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
            collected = self._sweep()
            if self._looks % NODE_EVERY == 1:
                self._audit_node()
            self._audit()
        except PodnetError as error:
            self._tell("lookout", describe(error), "the node cannot be looked after")
            return False
        self._tell("lookout", "", "")
        return collected

    def _sweep(self) -> bool:
        swept = self._engine.sweep(self._grace)
        for lease in swept.collected:
            log.info("%s is collected: its network namespace has been gone for %g s", lease.holder, self._grace)
        for lease in swept.unlinked:
            text = f"link {lease.link} was deleted, and the pod is cut off; end and start the pod to attach it anew"
            self._tell(f"{lease.link} link", text, lease.holder)
        for key in [key for key in self._told if key.endswith(" link")]:
            if key not in {f"{lease.link} link" for lease in swept.unlinked}:
                self._tell(key, "", "")
        return bool(swept.collected)

    def _audit_node(self) -> None:
        self._tell("node", "; ".join(self._engine.audit_node()), "the node's part was not as it should be")

    def _audit(self) -> None:
        """Compare the next few attachments with what ADD made, in turn."""
        live = sorted(self._store.live(), key=lambda lease: lease.link)
        for key in set(self._told) - {lease.link for lease in live} - {"node", "lookout"}:
            if not key.endswith(" link"):
                del self._told[key]  # the pod went with its fault
        turn = [lease for lease in live if lease.link > self._audited][:AUDITED]
        self._audited = turn[-1].link if len(turn) == AUDITED else ""
        found = dict(self._found(turn))
        for lease in turn:
            self._tell(lease.link, found.get(lease.link, ""), lease.holder)

    def _found(self, leases: list[Lease]) -> list[tuple[str, str]]:
        try:
            found = self._engine.audit(leases)
        except KernelError:  # what attachments stand on may be gone, as after `nft flush ruleset`
            self._audit_node()
            found = self._engine.audit(leases)
        return [(lease.link, "; ".join(faults)) for lease, faults in found]

    def _tell(self, key: str, text: str, who: str) -> None:
        """Log `text` where it is not what was told of `key` last, and that it is over where there is none any more."""
        before = self._told.get(key)
        if text and (before is None or before.text != text):
            log.warning("drift: %s: %s", who, text)
        if text:
            self._told[key] = Told(who, text)
        elif before is not None:
            del self._told[key]
            log.info("over: %s: %s", before.who, before.text)
