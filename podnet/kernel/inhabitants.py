"""In which pods' network namespaces processes are, by /proc.

What is asked is whether a pod runs, so what cannot be seen counts as running: in a PID namespace of its own (a pod
without hostPID) this process does not see the others, nor where /proc hides those of more capabilities (hidepid).  A
machine in a machine (Kata) has its hypervisor in the pod's namespace, gVisor its kernel.

Which namespace a process is in could be told by /proc/PID/ns/net, which takes CAP_SYS_PTRACE.  But each namespace has
files of its own below /proc/PID/net (fs/proc/proc_net.c), so their inodes tell it as well, and anybody may see those.
"""

import os
from collections.abc import Iterator, Sequence

from podnet.kernel.namespace import entered, reopened
from podnet.model import Lease

INITIAL = 0xEFFFFFFC
"""Inode of the initial PID namespace (include/linux/proc_ns.h, PROC_PID_INIT_INO): whoever is in it sees everybody."""


def inhabited(leases: Sequence[Lease], home: int) -> list[Lease]:
    """Return those of `leases` in whose namespace a thread of any process is, or may be; `home` is this one's own.

    A namespace that its path does not lead to any more cannot be looked for: nor can one without a path.
    """
    if os.stat("/proc/self/ns/pid").st_ino != INITIAL or not os.path.isdir("/proc/1"):  # noqa: PTH112, PTH116 - see namespace
        return list(leases)
    try:
        places = {lease: _place(lease, home) for lease in leases}
        running = set(_places())
    except OSError:  # such as EACCES, of a process that is there and not shown
        return list(leases)
    return [lease for lease, place in places.items() if place is None or place in running]


def _place(lease: Lease, home: int) -> int | None:
    """Return what the namespace of `lease` is known by among the threads' places, None where it is not there."""
    with reopened(lease.netns_path, lease.netns) as (namespace, _):
        if namespace is None:
            return None
        with entered(namespace.descriptor, home):
            return _inode("/proc/thread-self/net/dev")


def _places() -> Iterator[int]:
    """Yield the place of every thread there is."""
    for process in _numbers("/proc"):
        for thread in _numbers(f"/proc/{process}/task"):
            place = _inode(f"/proc/{process}/task/{thread}/net/dev")
            if place is not None:
                yield place


def _inode(path: str) -> int | None:
    """Return the inode of a file in /proc, None where its process has ended: then it is nowhere."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - see namespace
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def _numbers(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.isdecimal()]  # noqa: PTH208 - see namespace
    except (FileNotFoundError, ProcessLookupError):
        return []
