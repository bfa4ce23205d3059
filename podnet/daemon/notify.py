"""Words to the service manager, as sd_notify(3) has them: ready, what is done, alive, about to end.

A manager that is not there, or does not listen any more, is no fault of the daemon's: nothing here raises.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Tells the manager that the environment names, if it names one; a watchdog is told at half of its patience."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC, and WATCHDOG_PID, by which a watchdog may be another process's."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        usec = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        self._every = int(usec) / 2e6 if path and usec.isdecimal() and meant else 0.0
        self._due = time.monotonic()

    def tell(self, *lines: str) -> None:
        """Send `lines`, such as READY=1 or STATUS=text."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.setblocking(False)  # a manager that does not read is not to keep pods waiting
            client.connect(self._address)
            client.send("\n".join(lines).encode())

    def alive(self) -> None:
        """Tell the watchdog that the loop goes round, where that is due."""
        if self._every and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            self.tell("WATCHDOG=1")

    def within(self, seconds: float | None) -> float | None:
        """Return how long may be waited, `seconds` (None: for ever) at most, for :meth:`alive` to come in time."""
        if not self._every:
            return seconds
        left = max(0.0, self._due - time.monotonic())
        return left if seconds is None else min(seconds, left)
