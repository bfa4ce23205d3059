"""How often sessions went down: counted by looking at when each came to the state that it is in."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from podnet.bird import Protocol

APART = timedelta(seconds=1)
"""How much later a session comes up again at least: it waits that long before it connects."""


class Count(msgspec.Struct, gc=False):
    """Of one session: when its state was entered, whether it stood, how often it has gone down, and why it is down."""

    since: str
    established: bool
    flaps: int = 0
    error: str = ""


class Flaps:
    """Counts by a session's name, kept in the file at `path` for whoever asks, and for the next daemon."""

    def __init__(self, path: str) -> None:
        """Go on with what the file has; one that cannot be read counts from nothing."""
        self._path = path
        self.counts: dict[str, Count] = {}
        with suppress(OSError, msgspec.DecodeError), open(path, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer
            self.counts = msgspec.json.decode(file.read(), type=dict[str, Count])

    def look(self, sessions: Iterable[Protocol]) -> list[tuple[Protocol, bool]]:
        """Take what sessions are now; return those that came up (True) or went down (False) since the last look."""
        changed: list[tuple[Protocol, bool]] = []
        before, self.counts = self.counts, {}
        for one in sessions:
            count = before.get(one.name)
            if count is None:
                self.counts[one.name] = Count(one.since, one.established, error=one.error)
                if one.established:
                    changed.append((one, True))
                continue
            self.counts[one.name] = count
            if count.established and (not one.established or later(one.since, count.since)):
                count.flaps += 1
            if count.established != one.established:
                changed.append((one, one.established))
            count.since, count.established = one.since, one.established
            count.error = one.error or ("" if one.established else count.error)
        return changed

    def keep(self) -> None:
        """Write the file, as far as that can be done: nobody's pods depend on it."""
        with suppress(OSError):
            with open(f"{self._path}.tmp", "wb") as file:  # noqa: PTH123 - as above
                file.write(msgspec.json.encode(self.counts))
            os.rename(f"{self._path}.tmp", self._path)  # noqa: PTH104 - as above


def later(since: str, before: str) -> bool:
    """Tell whether `since` is another moment than `before`.

    BIRD works a moment out anew each time that it is asked, from two clocks: milliseconds differ.  A host's BIRD may
    write a moment of another day as a date alone: what has just begun has its time.
    """
    if since == before or ":" not in since:
        return False
    try:
        return abs(_moment(since) - _moment(before)) > APART
    except ValueError:
        return True


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text if "-" in text else f"1970-01-01 {text}")
