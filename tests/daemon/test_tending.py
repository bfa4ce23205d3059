"""The database's housekeeping: once after each busy time."""

from typing import cast

from podnet.daemon.tending import IDLE, Tending
from podnet.store import Store


class Tended:
    """A store that counts how often it was tended."""

    def __init__(self) -> None:
        """Begin with none."""
        self.times = 0

    def tend(self, _now: float) -> None:
        """Count."""
        self.times += 1


def test_it_is_done_once_when_nobody_has_asked_for_a_while() -> None:
    """Not while requests come, and not again before the next."""
    store = Tended()
    tending = Tending(cast("Store", store))
    assert tending.wait(1.0) is None
    for busy in (1, 2):
        tending.step(0.0)
        assert tending.wait(1.0) == IDLE - 1.0
        tending.step(IDLE - 1)
        assert store.times == busy - 1
        for _ in range(2):
            tending.step(IDLE)
        assert store.times == busy
        assert tending.wait(IDLE) is None
