"""Nodes that a server tells, kept current: what all such sources have in common."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from podnet.cluster.remote.following import Follower
from podnet.cluster.remote.listing import Candidate, Listing
from podnet.cluster.remote.relisting import Relisting
from podnet.errors import PodnetError
from podnet.model import Node


class RemoteNodes:
    """The nodes that a `follower` hears of; `known` are the nodes until there is a first list, `name` is this one's.

    `error` says what is amiss with the server and since when.
    """

    def __init__(self, name: str, known: tuple[Node, ...]) -> None:
        """Take what is known; whoever is made of this sets `_follower`."""
        self.name = name
        self.nodes = known
        self.error: PodnetError | None = None
        self.remarks: Sequence[str] = ()
        self.remote = True
        self._follower: Follower[Any]
        self._listing: Listing | None = None
        self._relisting = Relisting()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._follower.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait until there is a first list, at most `seconds` and not beyond a first failure; tell if there is one."""
        return self._follower.wait(seconds)

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether nodes, error or remarks are other than before."""
        before = self.nodes, _text(self.error), self.remarks
        changes = self._follower.take()
        self.error = self._follower.error
        with self._follower.lock:
            self._take(changes)
            self.remarks = (*(self._listing.ignored if self._listing else ()), *self._said())
        return (self.nodes, _text(self.error), self.remarks) != before

    # For those who are made of this; all of it is called with the lock

    def _take(self, changes: Mapping[str, Any] | None) -> None:
        """Take what is other at the server, by key, None for what is gone; None where nothing happened."""
        raise NotImplementedError

    def _said(self) -> Iterable[str]:
        """Return what is to be said besides of what is left out."""
        return ()

    def _list(
        self, changes: Mapping[str, Candidate[Any] | None], candidates: Callable[[], Iterable[Candidate[Any]]]
    ) -> None:
        """List the nodes with those that have changed, by name; `candidates` returns all."""
        if self._listing is None or changes:
            self._listing = self._relisting.follow(changes) or self._relisting.listed(candidates())
        # Equal nodes stay the same values: whoever compares them compares identities first.
        self.nodes = self.nodes if self.nodes == self._listing.nodes else self._listing.nodes


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
