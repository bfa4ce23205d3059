"""A clock that goes when it is told to."""


class ManualClock:
    """The engine's clock port: Unix time that stands still between calls of :meth:`advance`."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        """Begin at `now`, in seconds."""
        self._now = now

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` go by, 0 or more."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: {seconds}")
        self._now += seconds
