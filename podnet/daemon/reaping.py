"""When doomed links are reaped, and how much is done at a time: a reaping makes those who come meanwhile wait.

Links end all together, with one message and one wait of the kernel's; what it knows of their leases' connections is
then forgotten in slices, while nobody asks for anything.
"""

import logging
import time

from podnet.daemon.describe import describe
from podnet.engine import Engine
from podnet.errors import PodnetError

IDLE = 0.02
"""Seconds without a request after which doomed links are reaped."""
LATEST = 1.0
"""Seconds after which they are reaped even if requests keep coming."""
MOST = 128
"""Doomed links that are reaped whatever comes: deleting them holds the kernel's rtnl lock, 128 for 50 to 75 ms,
and an ADD that comes meanwhile waits so long."""
LEASES = 16
"""Leases whose connections are forgotten at a time, some milliseconds' work, before requests are looked at again."""
BACKLOG = 512
"""Leases that may wait for that while requests keep coming."""

log = logging.getLogger("podnet")


class Reaping:
    """What is doomed by now, and since when."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine, on whose node an earlier daemon may have left something."""
        self._engine = engine
        self._doomed = 1
        self._since = time.monotonic()

    def doom(self) -> None:
        """Take note of one more pod that was cut off."""
        self._since = self._since if self._doomed else time.monotonic()
        self._doomed += 1

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until something is to be done, None where nothing is.

        The last request came `idle` seconds ago.
        """
        if self._engine.unclosed:
            return max(0.0, IDLE - idle)
        return IDLE if self._doomed else None

    def step(self, idle: float) -> bool:
        """Do what is due, if anything is; tell whether that was the last of it."""
        due = idle >= IDLE or time.monotonic() - self._since >= LATEST or self._doomed >= MOST
        reap = self._doomed > 0 and due
        if not reap and not (self._engine.unclosed and idle >= IDLE):
            return False
        try:
            if reap:
                self._reap()
            else:
                self._engine.close_reaped(LEASES)
        except PodnetError as error:
            log.warning("reaping failed, it is tried again: %s", describe(error))
            self.doom()
            return False
        return not self._engine.unclosed

    def _reap(self) -> None:
        """End doomed links, and what is known of some of their leases; of all, where those are many by now."""
        self._doomed = 0
        reaped = self._engine.reap(LEASES if self._engine.unclosed < BACKLOG else None)
        for name in reaped.strangers:
            log.warning("link %s was in podnet's doomed group without being podnet's; it was moved out", name)
