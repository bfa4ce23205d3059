"""Carrying out probes: one process, one selector, sockets of every namespace.

A socket belongs to the namespace it was opened in (network_namespaces(7)), so the prober enters a namespace only to
open sockets there: servers at every address, and a client per probe.  Then all of them wait at once, each probe with
its own deadline.  A probe is a generator: it yields the socket and the event it waits for, returns when all is as
expected, and raises `Failed` with what was found where it is not.
"""

import resource
import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import groupby

from podnet.lab import attempts
from podnet.lab.attempts import Failed, Steps
from podnet.lab.matrix import Outcome, Probe
from podnet.lab.namespaces import inside
from podnet.lab.topology import Endpoint

DEADLINE = 3.0  # seconds for one probe; on an idle machine one takes a millisecond
AT_ONCE = 200  # probes underway, so that bursts do not overflow a queue that is no fault of the network's
DESCRIPTORS = 8192
FOREVER = float("inf")
Finish = Callable[[str | None], None]


class _Task:
    """A generator underway: what it waits for, until when, and what to do with its end."""

    __slots__ = ("deadline", "finish", "steps", "waiting")

    def __init__(self, steps: Steps, finish: Finish, deadline: float) -> None:
        self.steps = steps
        self.finish = finish
        self.deadline = deadline
        self.waiting: attempts.Wait | None = None


class Prober:
    """The selector's loop over servers, which have no deadline, and probes, which have."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._underway: set[_Task] = set()

    def add(self, steps: Steps, finish: Finish, deadline: float) -> None:
        """Begin `steps`, in the namespace that this thread is in now; `finish` gets None or what went wrong."""
        task = _Task(steps, finish, deadline)
        if deadline < FOREVER:
            self._underway.add(task)
        self._advance(task)

    @property
    def underway(self) -> int:
        """How many probes have begun and not ended."""
        return len(self._underway)

    def turn(self) -> None:
        """Wait for something to happen, or for the next deadline, and go on with what can."""
        now = time.monotonic()
        until = min((task.deadline for task in self._underway), default=now)
        for key, _ in self._selector.select(max(0.0, until - now)):
            self._resume(key.data)
        now = time.monotonic()
        for task in [t for t in self._underway if t.deadline <= now]:
            self._forget(task)
            task.steps.close()
            task.finish(f"nothing within {DEADLINE:.0f} s")

    def close(self) -> None:
        """End everything, servers too."""
        for key in list(self._selector.get_map().values()):
            self._forget(key.data)
            key.data.steps.close()
        self._selector.close()

    def _resume(self, task: _Task) -> None:
        self._forget(task, ended=False)
        self._advance(task)

    def _advance(self, task: _Task) -> None:
        try:
            task.waiting = next(task.steps)
        except StopIteration:
            self._end(task, None)
        except Failed as failure:
            self._end(task, str(failure))
        except OSError as error:
            self._end(task, f"{error.strerror or error}")
        else:
            self._selector.register(task.waiting.socket, task.waiting.events, task)
            for spawned in task.waiting.spawned:
                self.add(spawned, lambda _: None, FOREVER)

    def _end(self, task: _Task, fault: str | None) -> None:
        self._underway.discard(task)
        task.finish(fault)

    def _forget(self, task: _Task, *, ended: bool = True) -> None:
        if task.waiting is not None:
            self._selector.unregister(task.waiting.socket)
            task.waiting = None
        if ended:
            self._underway.discard(task)


def run(
    probes: Sequence[Probe], ends: Sequence[Endpoint], report: Callable[[int], None] = lambda _: None
) -> list[Outcome]:
    """Carry out `probes` between `ends` and return their outcomes in the same order; `report` hears how many are done.

    Whatever is wrong with an end (its namespace is gone, its address is not there) is what its probes found.
    """
    namespace_of = {end.name: end.namespace for end in ends}
    outcomes: dict[int, Outcome] = {}
    faults: dict[str, str] = {}
    seen = attempts.Seen()

    def finisher(index: int) -> Finish:
        def finish(fault: str | None) -> None:
            about_target = faults.get(probes[index].target)
            told = f"{fault} ({about_target})" if fault and about_target else fault
            outcomes[index] = Outcome(probes[index], fault is None, told or "")
            report(len(outcomes))

        return finish

    with enough_descriptors(), closing(Prober()) as prober:
        for end in ends:
            _serve(prober, end, seen, faults)
        left = deque(enumerate(probes))
        while left or prober.underway:
            ready = [left.popleft() for _ in range(min(len(left), AT_ONCE - prober.underway))]
            for source, group in groupby(ready, lambda item: item[1].source):
                items = list(group)
                try:
                    with inside(namespace_of[source]):
                        for index, probe in items:
                            prober.add(attempts.attempt(probe, seen), finisher(index), time.monotonic() + DEADLINE)
                except FileNotFoundError:
                    for index, _ in items:
                        finisher(index)(f"namespace {namespace_of[source]} is gone")
            if prober.underway:
                prober.turn()
    return [outcomes[index] for index in range(len(probes))]


def _serve(prober: Prober, end: Endpoint, seen: attempts.Seen, faults: dict[str, str]) -> None:
    """Open the TCP and UDP servers of `end`, one of each per address; note in `faults` why one cannot be."""

    def ended(fault: str | None) -> None:
        faults[end.name] = f"no server could be opened at {end.name}: {fault}"

    try:
        with inside(end.namespace):
            for address in end.addresses:
                for server in (attempts.tcp_server, attempts.udp_server):
                    prober.add(server(attempts.family(address), (str(address), attempts.PORT), end.name, seen),
                               ended, FOREVER)  # fmt: skip
    except FileNotFoundError:
        ended(f"namespace {end.namespace} is gone")


class enough_descriptors:  # noqa: N801 - reads as the statement it is
    """For the block, allow this process as many descriptors as its hard limit lets it have."""

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = self._before
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._before)
