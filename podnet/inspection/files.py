"""The edge of the inspection: a root folder read without following it out of itself, and without ever raising.

Absolute symbolic links are resolved within the root, as chroot(2) would: an offline image's /etc/cni/net.d must not
lead to this machine's.  Only regular files are opened, without blocking, and at most `LIMIT` bytes of them.
"""

import os
import stat
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path, PurePosixPath

from podnet.inspection.executables import machine
from podnet.inspection.values import Executable, Listing, Process, Source

LIMIT = 1 << 20
_HEAD = 4096
_LINKS = 40  # path_resolution(7)
_SAMPLES = ("/bin/sh", "/usr/bin/env", "/sbin/init", "/bin/busybox")


class Root:
    """A `View` of the folder `path` as a root."""

    def __init__(self, path: str = "/") -> None:
        """Look at `path`; another root than this machine's is for the architecture of its own programs.

        A `path` that is a link is followed by the kernel, since one below /proc leads where its text does not.
        """
        self._root = str(Path(path).absolute())
        heads = (self.executable(sample).head for sample in _SAMPLES) if self._root != "/" else ()
        self.machine = next((name for name in map(machine, heads) if name), os.uname().machine)

    def read(self, path: str) -> Source:
        """Return the file's content; a file above `LIMIT` bytes is a fault."""
        try:
            data, _ = self._open(path, LIMIT + 1)
        except (OSError, ValueError) as error:
            return Source(path, None, _fault(error), _missing(error))
        if len(data) > LIMIT:
            return Source(path, None, f"larger than {LIMIT} bytes")
        return Source(path, data)

    def names(self, folder: str) -> Listing:
        """Return the names of the files in `folder`, sorted; folders in it do not count, links to files do."""
        try:
            with os.scandir(self._resolve(folder)) as entries:
                names = sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
        except (OSError, ValueError) as error:
            return Listing(folder, (), "" if _missing(error) else _fault(error), _missing(error))
        return Listing(folder, tuple(names))

    def executable(self, path: str) -> Executable:
        """Return the permission bits and the first bytes of the file at `path`."""
        try:
            head, mode = self._open(path, _HEAD)
        except (OSError, ValueError) as error:
            return Executable(path, fault=_fault(error), missing=_missing(error))
        return Executable(path, mode, head)

    def processes(self) -> tuple[Process, ...]:
        """Return the processes of this root's /proc; none where it is not mounted."""
        try:
            pids = sorted(int(p.name) for p in Path(self._resolve("/proc")).iterdir() if p.name.isdecimal())
        except (OSError, ValueError):
            return ()
        found = []
        for pid in pids:
            data = self.read(f"/proc/{pid}/cmdline").data
            if data:
                words = data.decode(errors="replace").rstrip("\0").split("\0")
                found.append(Process(pid, tuple(words)))
        return tuple(found)

    def _open(self, path: str, size: int) -> tuple[bytes, int]:
        descriptor = os.open(self._resolve(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ValueError("not a regular file")
            return file.read(size), stat.S_IMODE(mode)

    def _resolve(self, path: str) -> str:
        """Return where `path` leads, with every link taken relative to this root."""
        pending = list(PurePosixPath("/", path).parts[1:])
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part == "..":
                del done[-1:]
                continue
            here = "/".join((self._root.rstrip("/"), *done, part))
            try:
                target = str(Path(here).readlink())
            except OSError:
                done.append(part)  # no link; what else it is, open(2) tells
                continue
            links += 1
            if links > _LINKS:
                raise OSError(ELOOP, os.strerror(ELOOP), path)
            if target.startswith("/"):
                done = []
            pending[:0] = [p for p in target.split("/") if p not in {"", "."}]
        return "/".join((self._root.rstrip("/"), *done)) or "/"


def _fault(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)


def _missing(error: OSError | ValueError) -> bool:
    return isinstance(error, OSError) and error.errno in {ENOENT, ENOTDIR}
