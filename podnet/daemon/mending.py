"""What others undo is put back when the kernel tells of it: within some hundredths of a second, and told with the time.

Pods come first: while requests are served, what was heard waits a little, and what was heard of many links is seen to
in parts, between which requests are served.  And it is put back ever later where it is undone again and again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from podnet.daemon import drifts
from podnet.daemon.describe import describe
from podnet.daemon.drifts import Drifts
from podnet.daemon.loop import Loop
from podnet.daemon.node import NodeContext
from podnet.daemon.pace import Pace
from podnet.engine import Drift
from podnet.errors import PodnetError
from podnet.plan import Heard

QUIET = 0.02
"""Seconds after what was heard in which the rest of it may come, and without a request."""
LATEST = 0.3
"""Seconds after which it is seen to even if requests keep coming."""
AT_ONCE = 8
"""Links whose part is seen to without a request in between, each some 800 us."""
SHARE = 10
"""One part in so many of the time, at most, is spent looking at what turns out to be right."""

log = logging.getLogger("podnet")


class Mending:
    """Mends `node`; `told` is called with each event, `facts` where links or addresses of the machine's changed."""

    def __init__(
        self, node: NodeContext, drifts: Drifts, loop: Loop, told: Callable[[str], None], facts: Callable[[], None]
    ) -> None:
        """Begin to listen; raise `IOFailure`."""
        self._node = node
        self._drifts = drifts
        self._told = told
        self._facts = facts
        self._monitor = node.kernel.monitor()
        self._since: float | None = None
        self._parts: deque[tuple[Heard, float]] = deque()
        self._found = False
        self._earliest = 0.0
        self._pace = Pace()
        loop.watch(self._monitor.route, self._listen)
        loop.watch(self._monitor.netfilter, self._listen)

    def close(self) -> None:
        """Listen no longer."""
        self._monitor.close()

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until what was heard is seen to, None where nothing was."""
        now = time.monotonic()
        if self._parts:
            return max(0.0, self._earliest - now)
        if self._since is None:
            return None
        quiet = max(self._since + QUIET - now, QUIET - idle)
        return max(0.0, self._earliest - now, min(quiet, self._since + LATEST - now))

    def step(self, idle: float) -> None:
        """See to what was heard, where it is time to, or to a part of it."""
        if self.wait(idle) != 0.0:
            return
        if not self._parts:
            self._hear()
        if self._parts:
            self._mend(*self._parts.popleft())

    def _hear(self) -> None:
        """Take what was heard since the last time."""
        since, self._since = self._since, None
        self._monitor.listen()
        heard = self._monitor.heard()
        if not heard or since is None:
            return
        if heard.lost:
            pods = frozenset(lease.link for lease in self._node.store.live())
            self._parts.append((Heard(lost=True), since))
            self._parts.extend((part, since) for part in Heard(links=pods).parts(AT_ONCE))
        else:
            self._parts.extend((part, since) for part in heard.parts(AT_ONCE))

    def _mend(self, heard: Heard, since: float) -> None:
        began = time.monotonic()
        found: list[Drift] = []
        try:
            found = self._node.engine.mend(heard)
            if heard.lost or any(map(_is_machines, _places(heard) - self._node.engine.node_links())):
                self._facts()
        except PodnetError as error:
            self._drifts.tell("mending", describe(error), "what was heard cannot be seen to")
        else:
            self._drifts.tell("mending", "", "")
        ended = time.monotonic()
        for drift in found:
            self._tell(drift, heard, since, ended)
        self._found = self._found or bool(found)
        self._earliest = ended + (0.0 if found else SHARE * (ended - began))
        if not self._parts and self._found:
            self._found = False
            self._earliest = max(self._earliest, ended + self._pace.after(ended))

    def _listen(self) -> None:
        if self._since is None:
            self._since = time.monotonic()
        self._monitor.listen()

    def _tell(self, drift: Drift, heard: Heard, since: float, ended: float) -> None:
        """Log a drift that was put right; one that stays is told as the lookout does, once."""
        if drift.left:
            self._drifts.tell(drifts.key_of(drift), drifts.text(drift), drifts.who(drift))
            return
        when = datetime.fromtimestamp(time.time() - (time.monotonic() - since), UTC).isoformat(timespec="milliseconds")
        of_ruleset = any("nft" in fault or "chain" in fault for fault in drift.faults)
        by = f", by {' and '.join(heard.writers)}" if heard.writers and of_ruleset else ""
        event = (
            f"{drifts.who(drift)}: {drifts.text(drift)} (since {when.replace('+00:00', 'Z')}{by}; "
            f"put right {1000 * (ended - since):.0f} ms later)"
        )
        log.warning("drift: %s", event)
        self._told(event)


def _places(heard: Heard) -> frozenset[str]:
    """Return the names of the links that something was heard of."""
    return heard.links | {getattr(thing, "dev", "") for thing in heard.objects}


def _is_machines(link: str) -> bool:
    """Tell whether `link` is not a pod's, of which there are many: the machine's facts may be others then."""
    return not link.startswith("veth-")
