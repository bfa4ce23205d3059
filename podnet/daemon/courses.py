"""Courses under way: calls that wait for another plugin, each in a thread of its own while that one runs.

What is decided is decided in the loop's thread; the others execute, wait, and wake it.
"""

import os
import threading
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from podnet.daemon.delegate import Executed, Execution, execute
from podnet.daemon.server import Connection
from podnet.daemon.service import Answer, Course
from podnet.model import Lease

Origin = Connection | Lease
"""Who waits for the end: a client, or nobody but the lease whose addresses are given back."""


class Ended(NamedTuple):
    """A course that came to its end."""

    origin: Origin
    answer: Answer


class Courses:
    """What is under way; readable (`fileno`) when :meth:`ended` has something to do."""

    def __init__(self) -> None:
        """Begin with none."""
        self._done: deque[tuple[Origin, Course, Executed]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._ended: list[Ended] = []

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._wake

    def begin(self, origin: Origin, course: Course) -> None:
        """Set a course under way."""
        self._advance(origin, course, None)
        if self._ended:  # at once, asking no plugin: nobody else wakes the loop for that
            os.eventfd_write(self._wake, 1)

    def ended(self) -> list[Ended]:
        """Let every course go on whose plugin has ended; return those that came to their end."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._done:
            self._advance(*self._done.popleft())
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Give up waiting; a plugin that still runs ends by itself, and what is owed is found at the next start."""
        os.close(self._wake)

    def _advance(self, origin: Origin, course: Course, executed: Executed | None) -> None:
        try:
            execution = next(course) if executed is None else course.send(executed)
        except StopIteration as end:
            self._ended.append(Ended(origin, end.value))
            return
        threading.Thread(target=self._execute, args=(origin, course, execution), daemon=True).start()

    def _execute(self, origin: Origin, course: Course, execution: Execution) -> None:
        self._done.append((origin, course, execute(execution)))
        try:
            os.eventfd_write(self._wake, 1)
        except OSError:
            return  # closed: the daemon ends


def drive(course: Course) -> Answer:
    """Take a course to its end here and now."""
    try:
        execution = next(course)
        while True:
            execution = course.send(execute(execution))
    except StopIteration as end:
        answer: Answer = end.value
        return answer
