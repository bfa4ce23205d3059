"""How soon what others undo is put back: at once, and ever later where they do it again and again."""

FIRST = 0.02
"""Seconds after the first time."""
LONGEST = 5.0
"""Seconds at most."""
ENDS = 10.0
"""Seconds of peace after which the next time is the first again."""


class Pace:
    """Twice as long each time in a row: two who undo each other's work are not to do it a thousand times a second."""

    def __init__(self) -> None:
        """Begin in peace."""
        self._wait = FIRST
        self._last = -ENDS

    def after(self, now: float) -> float:
        """Return how many seconds to wait after what was put back at `now`, a time that grows."""
        self._wait = min(2 * self._wait, LONGEST) if now - self._last < ENDS else FIRST
        self._last = now
        return self._wait
