"""How long to wait after a failure: longer each time, and not at the same moment as all other nodes."""

from collections.abc import Callable

FIRST, MOST = 0.2, 30.0
"""Seconds after the first failure, and at most."""


class Backoff:
    """Waits of FIRST, twice that, and so on to MOST, each between half and all of it, as `random` (0 to 1) has it."""

    def __init__(self, random: Callable[[], float]) -> None:
        """Begin with no failure."""
        self._random = random
        self._next = FIRST

    def wait(self) -> float:
        """Return how many seconds to wait after one failure more."""
        wait, self._next = self._next, min(MOST, self._next * 2)
        return wait * (1 + self._random()) / 2

    def reset(self) -> None:
        """Take note that all went well."""
        self._next = FIRST
