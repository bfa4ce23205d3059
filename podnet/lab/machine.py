"""What all labs of a machine share, and how the last one takes it away again.

A mount namespace needs a folder to mount on, so /etc/cni and the like must exist, and /run/netns must be a shared
mount.  What was made for that is written down in /run/podnet-lab/machine.json before it is made, and is removed with
the last lab, unless someone else has come to use it.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from podnet.lab import namespaces

UNMOUNT_WITHIN = 0.5  # seconds
RUN = Path("/run/podnet-lab")
NODE_FOLDERS = {
    "etc-podnet": Path("/etc/podnet"),
    "etc-cni": Path("/etc/cni"),
    "opt-cni": Path("/opt/cni"),
    "var-lib-podnet": Path("/var/lib/podnet"),
}


class Traces(msgspec.Struct):
    """What podnet labs made on this machine: `folders` in the order of making, and whether /run/netns is a mount."""

    folders: list[str] = []
    names_mounted: bool = False


@contextmanager
def locked() -> Iterator[None]:
    """Hold the one lock of all labs; it outlives no process."""
    while True:
        RUN.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the last lab of another process took the folder away just now
            descriptor = os.open(RUN / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _still_there(descriptor):
                break
            os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def _still_there(descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == (RUN / "lock").stat().st_ino
    except FileNotFoundError:
        return False


def prepare() -> None:
    """Make what lab nodes need of the machine (call with the lock held)."""
    traces = _read()
    for folder in (*NODE_FOLDERS.values(), namespaces.NAMED):
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        for path in reversed(missing):
            traces.folders.append(str(path))
            _write(traces)
            path.mkdir(exist_ok=True)
    if namespaces.share_names():
        traces.names_mounted = True
        _write(traces)


def release() -> None:
    """Take away what `prepare` made if no lab is left (call with the lock held)."""
    if any(p.is_dir() for p in RUN.iterdir()):
        return
    traces = _read()
    if traces.names_mounted:
        _unmount_names()
    for folder in reversed(traces.folders):
        with suppress(OSError):  # not empty: someone uses it
            Path(folder).rmdir()
    for name in ("machine.json", "lock"):
        (RUN / name).unlink(missing_ok=True)
    RUN.rmdir()


def _unmount_names() -> None:
    """Unmount /run/netns, unless it holds a name that is not ours.

    Not lazily at first: the kernel is to refuse if someone adds a name at this very moment.  It also refuses for as
    long as anything holds the folder itself: mount namespaces of nodes that are being taken apart, a descriptor that
    an interrupted `up` left open.  Those come to an end by themselves, so they are waited for, but not for long.
    """
    deadline = time.monotonic() + UNMOUNT_WITHIN
    while not any(namespaces.NAMED.iterdir()):
        late = time.monotonic() > deadline
        try:
            namespaces.unmount(namespaces.NAMED, namespaces.MNT_DETACH if late else 0)
        except OSError as error:
            if error.errno != errno.EBUSY or late:
                return
            time.sleep(0.005)
        else:
            return


def _read() -> Traces:
    try:
        return msgspec.json.decode((RUN / "machine.json").read_bytes(), type=Traces)
    except FileNotFoundError:
        return Traces()


def _write(traces: Traces) -> None:
    temporary = RUN / "machine.json.new"
    temporary.write_bytes(msgspec.json.encode(traces))
    temporary.rename(RUN / "machine.json")
