"""One writer at a time: a lock file beside the database.

SQLite itself lets any number of programs write in turn, and podnet's daemon and one-shot would then allocate beside
each other's caches.  flock(2) ends with its process however that ends, so a lock is never stale.  The file says who
holds it, and for which boot the database was last written: where the boot has changed, every lease in it is void.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from podnet.errors import StateError

_PAUSE = 0.005  # seconds between attempts: flock(2) knows no timeout


class HeldError(StateError):
    """Another process has the lock; waiting, or asking that process, helps."""


class WriterLock:
    """The exclusive right to write a database; held from `acquire` to `release`.

    `previous_boot` is the boot id of the writer before, "" where there was none.
    """

    def __init__(self, descriptor: int, previous_boot: str) -> None:
        """Take over the locked `descriptor`; use `acquire`."""
        self._descriptor = descriptor
        self.previous_boot = previous_boot

    @classmethod
    def acquire(cls, database: Path, timeout: float = 0.0) -> Self:
        """Lock the database at `database`, waiting at most `timeout` seconds.

        Raises HeldError that names the process that holds it; StateError where the lock file cannot be opened.
        """
        path = lock_path(database)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror}; podnet must run as root") from error
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise HeldError(_held(path)) from None
                time.sleep(_PAUSE)
            except OSError as error:
                os.close(descriptor)
                raise StateError(f"{path} cannot be locked: {error.strerror}; put it on a local disk") from error
        return cls(descriptor, _content(os.pread(descriptor, 256, 0))[1])

    def sign(self, boot_id: str) -> None:
        """Write this process and `boot_id` into the lock file: the database is of this boot from now on."""
        content = f"{os.getpid()} {boot_id}\n".encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def release(self) -> None:
        """Let the next writer in; the file stays, since removing it would let two in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_path(database: Path) -> Path:
    """Return the lock file of a database."""
    return database.with_name(f"{database.name}.lock")


def holder(database: Path) -> int | None:
    """Return the process id that last locked the database, None where nobody has."""
    try:
        return _content(lock_path(database).read_bytes())[0]
    except OSError:
        return None


def _content(content: bytes) -> tuple[int | None, str]:
    """Return process id and boot id of a lock file's content; a torn or empty one gives None and ""."""
    words = content.decode("ascii", "replace").split()
    if len(words) != 2 or not words[0].isdigit():  # noqa: PLR2004 - process id and boot id
        return None, ""
    return int(words[0]), words[1]


def _held(path: Path) -> str:
    """Say who holds the lock at `path` and what to do."""
    process = _content(path.read_bytes())[0]
    if process is None:
        return f"{path} is locked by another podnet that is just starting: try again"
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        command = "in another pid namespace"
    return f"{path} is locked by process {process} ({command}): two podnets never write one database; end that one"
