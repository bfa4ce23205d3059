"""Namespaces by name and the mounts that hold them: the system calls below the lab, by way of the C library.

Network namespaces get names as ``ip netns add`` gives them (a bind mount of the nsfs file in /run/netns), so that
``ip netns exec`` and every other tool can use them.
"""

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from podnet.errors import IOFailure

NAMED = Path("/run/netns")
OWN = "/proc/thread-self/ns/net"
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 1 << 20
MNT_DETACH = 2
WRONG_NAMESPACE = 70  # sysexits.h, EX_SOFTWARE

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0) -> None:
    """Mount `source` (or change the propagation) at `target`; raise `OSError` that names it (mount(2))."""
    if _libc.mount(source.encode(), bytes(target), kind.encode(), flags, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def unmount(target: Path, flags: int = MNT_DETACH) -> bool:
    """Unmount by umount2(2); return whether something was mounted there; raise `OSError` if it cannot go."""
    if _libc.umount2(bytes(target), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in {errno.EINVAL, errno.ENOENT}:
        return False
    raise OSError(number, os.strerror(number), str(target))


def share_names() -> bool:
    """Make /run/netns a shared mount, as ``ip netns add`` does; return whether it had not been a mount at all.

    Shared, so that a name removed here is removed in the lab nodes' mount namespaces too, and its namespace with it.
    """
    try:
        mount("", NAMED, flags=MS_SHARED | MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount(str(NAMED), NAMED, "none", MS_BIND | MS_REC)
        mount("", NAMED, flags=MS_SHARED | MS_REC)
        return True
    return False


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in the network namespace `name` for the block: sockets opened and /proc/sys/net written are its own.

    If there is no way back the process ends, since whatever it did next would hit the wrong namespace.
    """
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        descriptor = os.open(NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(descriptor)
        finally:
            os.close(descriptor)
        try:
            yield
        finally:
            try:
                _enter(home)
            except OSError:
                os._exit(WRONG_NAMESPACE)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def create(name: str) -> None:
    """Make a new network namespace and give it `name`; raise `IOFailure` if that is taken or not allowed."""
    place = NAMED / name
    try:
        os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
    except FileExistsError as error:
        raise IOFailure(f"network namespace {name} is there already: `ip netns delete {name}`") from error
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWNET) != 0:
            place.unlink()
            raise IOFailure(f"unshare: {os.strerror(ctypes.get_errno())}; a lab needs root (CAP_SYS_ADMIN)")
        try:
            mount(OWN, place, "none", MS_BIND)
        finally:
            _enter(home)
    finally:
        os.close(home)


def delete(name: str) -> None:
    """Take the `name` from its namespace, which ends when nothing else holds it; a name that is not there is fine."""
    place = NAMED / name
    unmount(place)
    with suppress(FileNotFoundError):
        place.unlink()


def named(prefix: str) -> list[str]:
    """Return the names of network namespaces that begin with `prefix`, sorted."""
    try:
        return sorted(p.name for p in NAMED.iterdir() if p.name.startswith(prefix))
    except FileNotFoundError:
        return []


def identities(names: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Return what the named network namespaces are, by device and inode, whatever becomes of their names."""
    found = set()
    for name in names:
        with suppress(OSError):  # it ended meanwhile
            status = (NAMED / name).stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def members(wanted: frozenset[tuple[int, int]]) -> list[int]:
    """Return the ids of all processes whose network namespace is one of `wanted`, but not of this process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it ended meanwhile
                status = (entry / "ns/net").stat()
                if (status.st_dev, status.st_ino) in wanted:
                    found.append(int(entry.name))
    return found
