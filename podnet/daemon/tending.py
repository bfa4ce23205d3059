"""When the database's housekeeping is done: once after every busy time, when it is over."""

import time

from podnet.store import Store

IDLE = 30.0
"""Seconds without a request after which it is done."""


class Tending:
    """Tends `store` when nobody has asked for anything for a while."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing to do: the store was tended when it was opened."""
        self._store = store
        self._tended = True

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until it is time, None where there was no request since the last."""
        return None if self._tended else max(0.0, IDLE - idle)

    def step(self, idle: float) -> None:
        """Tend, where it is time to."""
        if idle < IDLE:
            self._tended = False
        elif not self._tended:
            self._store.tend(time.time())
            self._tended = True
