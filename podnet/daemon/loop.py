"""The daemon's loop: one thread, one selector; sources that became readable first, then what is due between events.

Plain `selectors` instead of asyncio: a request is a few hundred microseconds of work with nothing to wait for, and
the loop that gathers all requests that are ready is the one that serves them together.
"""

import os
import selectors
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from podnet.daemon.notify import Notifier


class Readable(Protocol):
    """What a selector can wait for."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


class Part(Protocol):
    """Something that the daemon does between events.  The last request came `idle` seconds ago."""

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until something is to be done, None where nothing is."""
        ...

    def step(self, idle: float) -> object:
        """Do what is due, if anything is, and no more than a request can be kept waiting for."""
        ...


class Loop:
    """Calls back for what is readable, then has each part do what is due, until told to stop."""

    def __init__(self, notifier: Notifier) -> None:
        """Begin with nothing to wait for; the `notifier`'s watchdog is told with every turn."""
        self._notifier = notifier
        self._running = True
        self._selector = selectors.EpollSelector()

    def watch(self, source: Readable, readable: Callable[[], None]) -> None:
        """Call `readable` whenever `source` is."""
        self._selector.register(source, selectors.EVENT_READ, readable)

    def unwatch(self, source: Readable) -> None:
        """Watch `source` no longer."""
        self._selector.unregister(source)

    def run(self, parts: Sequence[Part], idle: Callable[[], float]) -> None:
        """Go round until :meth:`stop`; `idle` tells how long ago the last request came."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker)
        self._selector.register(wake, selectors.EVENT_READ, lambda: None)  # a signal: its handler has run by then
        try:
            self._step(parts, idle)
            while self._running:
                for key, _ in self._selector.select(self._notifier.within(self._patience(parts, idle()))):
                    key.data()
                self._step(parts, idle)
                self._notifier.alive()
        finally:
            signal.set_wakeup_fd(-1)
            os.close(wake)
            os.close(waker)

    def stop(self) -> None:
        """End after what is being done now."""
        self._running = False

    def close(self) -> None:
        """Wait for nothing any more; the sources stay their owners'."""
        self._selector.close()

    @staticmethod
    def _patience(parts: Sequence[Part], idle: float) -> float | None:
        """Return how many seconds may pass without an event."""
        return min((wait for part in parts if (wait := part.wait(idle)) is not None), default=None)

    @staticmethod
    def _step(parts: Sequence[Part], idle: Callable[[], float]) -> None:
        for part in parts:
            part.step(idle())
