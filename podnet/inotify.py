"""Paths watched by inotify(7), without polling: that something happened to one of them, not what.

Folders are watched, not files: editors and configuration systems write beside a file and rename, some replace a whole
folder, and a mounted ConfigMap swaps a symbolic link.  So the folder of each path and the folder of what it resolves to
are watched; where one is missing, the nearest above it is, until it comes.  What an event says is not asked: whoever
waits looks at the path again.
"""

import os
from collections.abc import Sequence

# linux/inotify.h.  What changes a folder's names or a file's bytes or mode, and what ends the watch of a folder.
_CLOSE_WRITE, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _IGNORED, _ONLYDIR = 0x400, 0x800, 0x8000, 0x1000000
_ENDS = _DELETE_SELF | _MOVE_SELF | _IGNORED
_EVENTS = _CLOSE_WRITE | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR


class PathsWatch:
    """Register `fileno()` for reading, and call `happened()` when it is ready."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Begin to watch the absolute `paths`, there or not."""
        from inotify_simple import INotify  # noqa: PLC0415 - 13 ms (ctypes) that a one-shot does not need

        self._paths = tuple(paths)
        self._watched: dict[str, int] = {}
        self._inotify = INotify(nonblocking=True)
        self._watch_folders()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._inotify.fileno()  # type: ignore[no-any-return] # inotify_simple has no types

    def happened(self) -> bool:
        """Take what happened since the last call; tell whether there was anything, in the folders of the paths."""
        happened = False
        while events := self._inotify.read(timeout=0):
            happened = True
            gone = {event.wd for event in events if event.mask & _ENDS}
            self._forget(gone)
            self._watch_folders()  # before anybody looks: what changes after that makes the next event
        return happened

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def _folders(self) -> set[str]:
        """Return the folders to watch: of the names and of what they lead to, or the nearest above that exist."""
        folders = set()
        for path in (found for name in self._paths for found in (name, os.path.realpath(name))):
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
