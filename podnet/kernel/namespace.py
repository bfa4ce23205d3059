"""Network namespaces: entering one for as long as it takes to open a socket there, and knowing which is which.

A socket belongs to the namespace in which it was opened, whatever its process does later (network_namespaces(7)), so
a namespace is entered only to open sockets and to reach its /proc/sys/net.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

from podnet.errors import IOFailure
from podnet.model import Namespace, NamespaceId

CLONE_NEWNET = 0x40000000
NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def setns(descriptor: int) -> None:
    """Move the calling thread to the network namespace of `descriptor` (setns(2); Python 3.11 has none)."""
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise IOFailure(f"setns: {os.strerror(number)}; podnet needs CAP_SYS_ADMIN, run it as root")


@contextmanager
def entered(descriptor: int, home: int) -> Iterator[None]:
    """Be in the namespace of `descriptor` for the block, then in that of `home` again.

    If the way back fails the process ends at once: work in a wrong namespace would be worse than none.
    """
    setns(descriptor)
    try:
        yield
    finally:
        try:
            setns(home)
        except IOFailure:
            os._exit(70)


def open_namespace(path: str) -> int:
    """Return a descriptor of the namespace at `path` or, if it is a bare name, at /run/netns; raise `IOFailure`."""
    full = path if "/" in path else f"/run/netns/{path}"
    try:
        return os.open(full, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise IOFailure(
            f"network namespace {full}: {error.strerror}; `ip netns list` shows those with names, "
            "/proc/PID/ns/net is that of a process"
        ) from error


def is_network(descriptor: int) -> bool:
    """Tell whether `descriptor` is a network namespace, not a file, a folder or a namespace of another kind."""
    try:
        return ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


def identity(descriptor: int) -> NamespaceId:
    """Return which namespace `descriptor` is, whatever path led to it."""
    status = os.fstat(descriptor)
    return NamespaceId(status.st_dev, status.st_ino)


@contextmanager
def reopened(path: str, wanted: NamespaceId | None) -> Iterator[tuple[Namespace | None, bool]]:
    """Open the namespace at `path` for the block where it is still the one that is `wanted`.

    Where it is not, None; and whether that is certain: a folder that is not there may be in another mount namespace.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None, os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120 - pathlib costs 10 ms to import
        return
    except OSError:
        yield None, False
        return
    try:
        found = identity(descriptor)
        yield (Namespace(descriptor, found, path), True) if found == wanted else (None, True)
    finally:
        os.close(descriptor)
