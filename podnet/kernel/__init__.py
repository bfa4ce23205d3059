"""The kernel's edge: the only room that opens netlink sockets, enters namespaces and writes below /proc/sys.

It carries out plans and says what is there; what ought to be there is decided elsewhere.
"""

from podnet.kernel.kernel import Kernel

__all__ = ["Kernel"]
