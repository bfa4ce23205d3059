"""What is not as it should be, told when it is found and when it is over, not at every look."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from podnet.engine import Drift

log = logging.getLogger("podnet")

SHOWN = 4
"""Faults that are told of one drift: with a table goes all that is in it."""
NODE, WAYS = "node", "ways"
"""The keys of the node's own part, without and with the ways to other nodes; a pod's is its link."""


class Told(NamedTuple):
    """What was logged, and of whom."""

    who: str
    text: str


class Drifts:
    """What was told and is not over."""

    def __init__(self, event: Callable[[str], None] = lambda _: None) -> None:
        """Begin with nothing; `event` is called with what is told when it is found."""
        self._event = event
        self._told: dict[str, Told] = {}

    def tell(self, key: str, text: str, who: str) -> None:
        """Log `text` where it is not what was told of `key` last, and that it is over where there is none any more."""
        before = self._told.get(key)
        if text and (before is None or before.text != text):
            log.warning("drift: %s: %s", who, text)
            self._event(f"{who}: {text}")
        if text:
            self._told[key] = Told(who, text)
        elif before is not None:
            del self._told[key]
            log.info("over: %s: %s", before.who, before.text)

    def forget(self, keys: set[str]) -> None:
        """Forget what was told of others than `keys`: they went with their fault."""
        for key in set(self._told) - keys:
            del self._told[key]


def key_of(drift: Drift) -> str:
    """Return by which key `drift` is told."""
    return drift.lease.link if drift.lease else NODE


def who(drift: Drift) -> str:
    """Return of whom `drift` is."""
    return drift.lease.holder if drift.lease else "the node's part was not as it should be"


def text(drift: Drift) -> str:
    """Return what was expected and what was found, and why that stays where it does; of many faults the first ones."""
    more = len(drift.faults) - SHOWN
    told = [*drift.faults[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return "; ".join((*told, *([f"which is not put right: {drift.left}"] if drift.left else [])))
