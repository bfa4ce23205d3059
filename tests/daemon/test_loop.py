"""The loop calls what is readable, then has each part do what is due; a part's wait is how long it sleeps."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from podnet.daemon.loop import Loop
from podnet.daemon.notify import Notifier
from podnet.daemon.pace import ENDS, FIRST, LONGEST, Pace


class Pipe:
    """A source that is readable after `write`."""

    def __init__(self) -> None:
        """Open a pipe."""
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK)

    def fileno(self) -> int:
        """Return what is watched."""
        return self.read_end

    def write(self) -> None:
        """Make it readable."""
        os.write(self.write_end, b"x")

    def close(self) -> None:
        """Close both ends."""
        os.close(self.read_end)
        os.close(self.write_end)


class APart:
    """Waits as long as it is told, and calls what it is given at each step."""

    def __init__(self, wait: float | None, step: Callable[[], object]) -> None:
        """Take both."""
        self._wait = wait
        self._step = step

    def wait(self, _idle: float) -> float | None:
        """Return the wait."""
        return self._wait

    def step(self, _idle: float) -> None:
        """Call back."""
        self._step()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Return a loop without a service manager."""
    loop = Loop(Notifier({}))
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a source."""
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_what_is_readable_is_called_before_parts_have_their_turn(loop: Loop, pipe: Pipe) -> None:
    """And parts have one before anything happened, in their order."""
    order: list[str] = []

    def step() -> None:
        order.append("second")
        if order.count("second") == 2:
            loop.stop()

    loop.watch(pipe, lambda: order.append("readable"))
    pipe.write()
    loop.run([APart(None, lambda: order.append("first")), APart(None, step)], lambda: 0.0)
    assert order == ["first", "second", "readable", "first", "second"]


def test_the_shortest_wait_wakes_it(loop: Loop) -> None:
    """A part that has something to do soon is not kept waiting by one that never has."""
    turns: list[int] = []

    def step() -> None:
        turns.append(1)
        if len(turns) == 3:
            loop.stop()

    loop.run([APart(None, lambda: None), APart(0.001, step)], lambda: 0.0)
    assert len(turns) == 3


def test_what_is_watched_no_longer_does_not_wake_it(loop: Loop, pipe: Pipe) -> None:
    """However readable it is."""
    called: list[int] = []
    loop.watch(pipe, lambda: called.append(1))
    pipe.write()
    loop.unwatch(pipe)
    turns = iter([None, loop.stop])

    def step() -> None:
        if (end := next(turns)) is not None:
            end()

    loop.run([APart(0.001, step)], lambda: 0.0)
    assert called == []


def test_a_signal_wakes_it(loop: Loop) -> None:
    """Its handler runs, although nothing was readable and no part had anything to do."""
    before = signal.signal(signal.SIGUSR1, lambda *_: loop.stop())
    try:
        raised = iter([signal.SIGUSR1, None])

        def step() -> None:
            if (number := next(raised)) is not None:
                signal.raise_signal(number)

        loop.run([APart(None, step)], lambda: 0.0)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_pace_is_ever_slower_until_there_was_peace() -> None:
    """Doubled each time in a row, up to some seconds; after a while without, the first again."""
    pace = Pace()
    now, waits = 0.0, []
    for _ in range(12):
        waits.append(pace.after(now))
        now += waits[-1]
    assert waits[0] == FIRST
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST
    assert pace.after(now + ENDS) == FIRST
