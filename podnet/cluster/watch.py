"""nodes.yaml, watched: the list of nodes as it is now.  Its bytes decide, whatever is told of it."""

import os
from collections.abc import Mapping, Sequence

from podnet.cluster.document import IPNetwork
from podnet.cluster.edit import Listing, read_listing
from podnet.errors import DecodingFailure, IOFailure, NodeNotReady, PodnetError
from podnet.inotify import PathsWatch
from podnet.model import Node


class NodesWatch:
    """The nodes that the file at `path` lists, kept current.

    `nodes` are those of the last good content, () before there was any; `error` says what is wrong with the content
    there is now, None when nothing is.  Register `fileno()` for reading, and call `changed()` when it is ready.
    """

    def __init__(self, path: str, cluster_cidrs: Sequence[IPNetwork] = ()) -> None:
        """Begin to watch, and read once; a bad file is no exception but an `error`, since it can become good."""
        self.path = os.path.abspath(path)  # noqa: PTH100 - pathlib's import takes longer
        self.nodes: tuple[Node, ...] = ()
        self.error: PodnetError | None = None
        self.remote = False
        self.remarks: Sequence[str] = ()  # a file that is wrong is not taken at all
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._content: bytes | None = None
        self._listing: Listing | None = None
        self._watch = PathsWatch([self.path])
        self._reread()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._watch.fileno()

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether `nodes` or `error` are other than before."""
        before = self.nodes, _text(self.error)
        if self._watch.happened():
            self._reread()
        return (self.nodes, _text(self.error)) != before

    def serving(self) -> None:
        """Do nothing: a file does not want to know."""

    def tell(self, event: str) -> None:
        """Do nothing: nor that."""

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Do nothing: what a file says of a node is its author's."""

    def moved(self) -> None:
        """Do nothing: likewise."""

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def _reread(self) -> None:
        """Read the file; where its bytes are new, take its nodes, or keep the old ones and note the error."""
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer
                content = file.read()
        except FileNotFoundError:
            self._content = None
            self.error = NodeNotReady(f"{self.path}: no such file; list the cluster's nodes in it")
            return
        except OSError as error:
            self._content = None
            self.error = IOFailure(f"{self.path}: cannot be read: {error.strerror}; make it a file that root may read")
            return
        if content == self._content and self.error is None:
            return
        self._content = content
        try:
            self._listing = read_listing(content.decode(), self.path, self._cluster_cidrs, self._listing)
        except UnicodeDecodeError as error:
            self.error = DecodingFailure(f"{self.path}: not UTF-8 at byte {error.start}; save it as UTF-8")
        except PodnetError as error:
            self.error = error
        else:
            self.nodes, self.error = self._listing.nodes, None


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
