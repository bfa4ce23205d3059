"""nodes.yaml, watched: the list of nodes as it is now, by inotify(7) and without polling.

Folders are watched, not the file: editors and configuration systems write beside it and rename, some replace a whole
folder, and a mounted ConfigMap swaps a symbolic link.  So the folder of the name and the folder of what it resolves to
are watched; where one is missing, the nearest above it is, until it comes.  What an event says is not asked: the file
is read again, and its bytes decide.
"""

import os
from collections.abc import Sequence

from podnet.cluster.document import IPNetwork
from podnet.cluster.nodes import parse_nodes
from podnet.errors import DecodingFailure, IOFailure, NodeNotReady, PodnetError
from podnet.model import Node

# linux/inotify.h.  What changes a folder's names or a file's bytes or mode, and what ends the watch of a folder.
_CLOSE_WRITE, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _IGNORED, _ONLYDIR = 0x400, 0x800, 0x8000, 0x1000000
_ENDS = _DELETE_SELF | _MOVE_SELF | _IGNORED
_EVENTS = _CLOSE_WRITE | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR


class NodesWatch:
    """The nodes that the file at `path` lists, kept current.

    `nodes` are those of the last good content, () before there was any; `error` says what is wrong with the content
    there is now, None when nothing is.  Register `fileno()` for reading, and call `changed()` when it is ready.
    """

    def __init__(self, path: str, cluster_cidrs: Sequence[IPNetwork] = ()) -> None:
        """Begin to watch, and read once; a bad file is no exception but an `error`, since it can become good."""
        from inotify_simple import INotify  # noqa: PLC0415 - 13 ms (ctypes) that a one-shot does not need

        self.path = os.path.abspath(path)  # noqa: PTH100 - pathlib's import takes longer
        self.nodes: tuple[Node, ...] = ()
        self.error: PodnetError | None = None
        self.remote = False
        self.remarks: Sequence[str] = ()  # a file that is wrong is not taken at all
        self._cluster_cidrs = tuple(cluster_cidrs)
        self._content: bytes | None = None
        self._watched: dict[str, int] = {}
        self._inotify = INotify(nonblocking=True)
        self._watch_folders()
        self._reread()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._inotify.fileno()  # type: ignore[no-any-return] # inotify_simple has no types

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether `nodes` or `error` are other than before."""
        before = self.nodes, _text(self.error)
        happened = False
        while events := self._inotify.read(timeout=0):
            happened = True
            gone = {event.wd for event in events if event.mask & _ENDS}
            self._forget(gone)
            self._watch_folders()  # before reading: what changes after that makes the next event
        if happened:
            self._reread()
        return (self.nodes, _text(self.error)) != before

    def serving(self) -> None:
        """Do nothing: a file does not want to know."""

    def tell(self, event: str) -> None:
        """Do nothing: nor that."""

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

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
            self.nodes = parse_nodes(content.decode(), self.path, self._cluster_cidrs)
        except UnicodeDecodeError as error:
            self.error = DecodingFailure(f"{self.path}: not UTF-8 at byte {error.start}; save it as UTF-8")
        except PodnetError as error:
            self.error = error
        else:
            self.error = None

    def _folders(self) -> set[str]:
        """Return the folders to watch: of the name and of what it leads to, or the nearest above that exists."""
        folders = set()
        for path in (self.path, os.path.realpath(self.path)):
            folder = os.path.dirname(path)  # noqa: PTH120 - pathlib's import takes longer
            while not os.path.isdir(folder):  # noqa: PTH112 - likewise
                folder = os.path.dirname(folder)  # noqa: PTH120 - likewise
            folders.add(folder)
        return folders

    def _watch_folders(self) -> None:
        """Watch what is to be watched now and nothing else; again where it changed meanwhile."""
        while (folders := self._folders()) != set(self._watched):
            for folder in set(self._watched) - folders:
                self._forget({self._watched[folder]})
            for folder in folders - set(self._watched):
                try:
                    self._watched[folder] = self._inotify.add_watch(folder, _EVENTS)
                except FileNotFoundError:
                    continue  # it went away; the next round finds what is above it

    def _forget(self, watches: set[int]) -> None:
        """Stop watching what the watch descriptors `watches` stand for."""
        for folder, watch in list(self._watched.items()):
            if watch in watches:
                del self._watched[folder]
                try:
                    self._inotify.rm_watch(watch)
                except OSError:
                    continue  # the folder is gone and its watch with it


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
