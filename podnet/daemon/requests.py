"""Requests: read from those who ask, answered together, each heard once.

Of one attachment one request is served at a time; another waits for its turn, in the order in which they came.
"""

import logging
import time
from collections.abc import Sequence
from functools import partial

from podnet.daemon.courses import Courses, Ended
from podnet.daemon.holding import Holding
from podnet.daemon.loop import Loop
from podnet.daemon.node import NodeContext
from podnet.daemon.reaping import Reaping
from podnet.daemon.server import Connection, Listener
from podnet.daemon.service import Answer, Call
from podnet.errors import DecodeError
from podnet.model import Lease

log = logging.getLogger("podnet")


class Requests:
    """All that came by the socket at `path` and is not answered yet, and addresses on the way back to their plugins."""

    def __init__(self, path: str, node: NodeContext, reaping: Reaping, loop: Loop) -> None:
        """Listen; raise `IOFailure`."""
        self._node = node
        self._reaping = reaping
        self._loop = loop
        self._last = time.monotonic()
        self._courses = Courses()
        self._whole: list[Connection] = []
        self._reading: set[Connection] = set()
        self._waiting: dict[tuple[str, str], list[Connection]] = {}
        self._holding: Holding | None = None
        self._unwanted: set[str] = set()
        self._complained: set[str] = set()
        self._listener = Listener(path)
        loop.watch(self._listener, self._accept)
        loop.watch(self._courses, self._end_courses)

    def idle(self) -> float:
        """Return how many seconds ago the last answer was sent."""
        return time.monotonic() - self._last

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until something is to be done, None where nothing is."""
        waits = self._reaping.wait(idle), self._holding.wait() if self._holding else None
        return min((wait for wait in waits if wait is not None), default=None)

    def step(self, _idle: float) -> None:
        """Answer all requests that are whole, together; reap what they left where there is time."""
        if self._holding:
            for connection in self._holding.released():
                self._whole += [connection, *self._turns(connection)]
        if self._whole:
            whole, self._whole = self._whole, []
            self._answer(whole)
        if self._reaping.step(self.idle()):
            self.give_back()

    def close(self) -> None:
        """Stop listening, and hang up on those whose request is not whole."""
        self._listener.close()
        for connection in self._reading:
            connection.close()
        if self._holding:
            self._holding.close()
        self._courses.close()

    def hold(self, holding: Holding) -> None:
        """Have requests wait, from now on, that `holding` holds."""
        self._holding = holding

    def give_back(self, *, again: bool = False) -> None:
        """Set under way that other plugins have back what they are owed.

        An attachment that is being served is left alone, and what a plugin would not take waits until this is asked
        for `again`.
        """
        if again:
            self._unwanted.clear()
        for lease in self._node.engine.owed:
            if _key(lease) not in self._waiting and lease.link not in self._unwanted:
                self._waiting[_key(lease)] = []
                self._courses.begin(lease, self._node.service.give_back(lease))

    # Reading

    def _accept(self) -> None:
        for connection in self._listener.accept():
            # The shim writes as soon as it is connected: most frames are there already.
            if self._read(connection):
                self._reading.add(connection)
                self._loop.watch(connection, partial(self._read_on, connection))

    def _read_on(self, connection: Connection) -> None:
        if not self._read(connection):
            self._reading.discard(connection)
            self._loop.unwatch(connection)

    def _read(self, connection: Connection) -> bool:
        """Read what `connection` has; tell whether more is to come: where not, it is whole or closed."""
        try:
            if not connection.read():
                return True
        except DecodeError as error:
            log.warning("a client was turned away: %s", error.msg)
            connection.close()
            return False
        self._whole.append(connection)
        return False

    # Answering

    def _answer(self, whole: list[Connection]) -> None:
        """Answer those that can be answered now, all together; let the others wait for a plugin, or for their turn."""
        ready: list[tuple[Connection, Call]] = []
        for connection in whole:
            call = connection.call
            if call is None:
                continue
            attachment = call.attachment
            if attachment in self._waiting:
                self._waiting[attachment].append(connection)
            elif call.delegates:
                if attachment is not None:
                    self._waiting[attachment] = []
                self._courses.begin(connection, self._node.service.course(call))
            elif self._holding and self._holding.holds(connection):
                if attachment is not None:
                    self._waiting[attachment] = []
            else:
                ready.append((connection, call))
        answers = self._node.service.answer([call for _, call in ready])
        self._send([(connection, answer) for (connection, _), answer in zip(ready, answers, strict=True)])

    def _end_courses(self) -> None:
        """Send what courses came to, and let those have their turn who waited for them to end."""
        for ended in self._courses.ended():
            self._end(ended)

    def _end(self, ended: Ended) -> None:
        origin, answer = ended
        if isinstance(origin, Connection):
            self._send([(origin, answer)])
            self._whole += self._turns(origin)
        else:
            self._note_return(origin, answer)
            self._whole += self._waiting.pop(_key(origin), [])

    def _turns(self, before: Connection) -> list[Connection]:
        """Return those who waited for the one `before` them, since they are about the same attachment."""
        attachment = before.call.attachment if before.call else None
        return self._waiting.pop(attachment, []) if attachment else []

    def _note_return(self, lease: Lease, answer: Answer) -> None:
        if answer.status:
            first = lease.link not in self._complained
            self._unwanted.add(lease.link)
            self._complained.add(lease.link)
            level = logging.WARNING if first else logging.DEBUG
            log.log(level, "%s: addresses are not given back yet: %s", lease.holder, answer.stdout.decode())
        else:
            self._complained.discard(lease.link)
            self._reaping.doom()

    def _send(self, answers: Sequence[tuple[Connection, Answer]]) -> None:
        """Send answers, undo the ADDs whose client has gone, and take note of what is to be done later."""
        unheard: list[Answer] = []
        for connection, answer in answers:
            if not connection.answer(answer):
                unheard.append(answer)
            connection.close()
            command = connection.call.command if connection.call else ""
            if answer.status:
                log.warning("%s: %s", command, answer.stdout.decode(errors="replace"))
            elif command in {"DEL", "GC"}:
                self._reaping.doom()
        if any(answer.added for answer in unheard):
            self._node.service.take_back(unheard)
            self._reaping.doom()
        self._last = time.monotonic()


def _key(lease: Lease) -> tuple[str, str]:
    """Return what a lease and the requests about it have in common, as `Call.attachment` has it."""
    return lease.attachment.container, lease.attachment.ifname
