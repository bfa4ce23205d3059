"""Moments: when the kernel has told of the n-th change, or the database was written to: a kill comes amid the work."""

import errno
import select
import socket
import threading
from collections.abc import Callable
from time import monotonic

from inotify_simple import INotify, flags

from podnet.testing.node import Node
from tests.crashes.sequence import Moment

RTMGRP_LINK = 1
NFNLGRP_NFTABLES = 7
GLANCE = 0.01
"""Seconds after which a wait for an event looks whether any can still come."""
NETLINK_NETFILTER = 12


class Monitor:
    """Hears what happens on a node whose database is there."""

    def __init__(self, node: Node) -> None:
        """Begin to listen."""
        self._links = _netlink(node, socket.NETLINK_ROUTE, RTMGRP_LINK)
        self._rules = _netlink(node, NETLINK_NETFILTER, 1 << (NFNLGRP_NFTABLES - 1))
        self._commits = INotify(nonblocking=True)
        self._commits.add_watch(f"{node.root}/var/lib/podnet", flags.MODIFY)

    def close(self) -> None:
        """Stop listening; the sockets are the node's."""
        self._commits.close()

    def arm(self) -> None:
        """Forget what was heard until now."""
        for source in ("links", "rules", "commits"):
            self._heard(source)

    def wait(self, moment: Moment, over: Callable[[], bool]) -> None:
        """Return at `moment`, counted from :meth:`arm`, at latest when it is `over` and nothing more will come."""
        deadline = monotonic() + moment.milliseconds / 1000
        if moment.source == "time":
            threading.Event().wait(moment.milliseconds / 1000)
            return
        descriptor = {"links": self._links, "rules": self._rules, "commits": self._commits}[moment.source]
        heard = 0
        while heard < moment.number and (left := deadline - monotonic()) > 0:
            if select.select([descriptor], [], [], min(left, GLANCE))[0]:
                heard += self._heard(moment.source)
            elif over():
                return

    def _heard(self, source: str) -> int:
        """Return how many events of `source` there were since this was asked last."""
        if source == "commits":
            return len(self._commits.read(timeout=0))
        listener, count = (self._links if source == "links" else self._rules), 0
        while True:
            try:
                listener.recv(1 << 16)
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            count += 1


def _netlink(node: Node, protocol: int, groups: int) -> socket.socket:
    listener = node.open_socket("", socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    listener.bind((0, groups))
    listener.setblocking(False)
    return listener
