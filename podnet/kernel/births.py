"""Births: what the kernel tells of a pod's link from when it is made until it carries packets is no change of it.

That is three messages for a veth, nine for a port of a bridge; they have no port of who asked (nlmsg_pid is 0, seen up
to Linux 6.18), so that no filter can tell them from changes that others made.
"""

import time
from collections.abc import Callable
from struct import Struct

from podnet.errors import DecodeError
from podnet.netlink.rtnl import AF_BRIDGE, AF_UNSPEC, Link
from podnet.netlink.rtnl.link import IFF_LOWER_UP, IFF_RUNNING, RTM_DELLINK, RTM_NEWLINK
from podnet.netlink.rtnl.neigh import RTM_NEWNEIGH
from podnet.plan import GROUP_PODS

NEW = 0xFFFFFFFF
"""ifi_change of the message that tells of a link for the first time (rtnl_configure_link)."""
CARRIES = IFF_LOWER_UP | IFF_RUNNING
"""What the last message has; one before it may have either, by which end of the veth came up first."""
LONGEST = 2.0
"""Seconds after which a link that carries nothing yet is heard of as others are."""

_HEADER = 16
# struct nlmsghdr: type at 4; then struct ifinfomsg: family, index at 4, flags, change; index is there in ndmsg too.
_FIELDS = Struct("=4xH10xB3xiII")


class Births:
    """The pods' links that are being born, by index."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; `now` is the clock, in seconds."""
        self._now = now
        self._since: dict[int, float] = {}

    def told(self, notification: bytes) -> bool:
        """Take a notification of rtnetlink's; tell whether it belongs to a birth.

        Little of it is looked at: there are many while pods come in a burst.
        """
        if len(notification) < _FIELDS.size:
            return False
        kind, family, index, flags, change = _FIELDS.unpack_from(notification)
        if kind == RTM_NEWNEIGH:
            return bool(family == AF_BRIDGE) and self._is_born(index)  # a port's own MAC, which comes with the port
        if kind == RTM_DELLINK:
            self._since.pop(index, None)
        if kind != RTM_NEWLINK:
            return False
        if family == AF_UNSPEC and change == NEW and _group(notification) == GROUP_PODS:
            self._since[index] = self._now()
        born = self._is_born(index)
        if born and family == AF_UNSPEC and flags & CARRIES == CARRIES:
            del self._since[index]
        return born

    def _is_born(self, index: int) -> bool:
        """Tell whether the link `index` is being born; forget it where that takes too long."""
        since = self._since.get(index)
        if since is not None and self._now() - since >= LONGEST:
            del self._since[index]
            return False
        return since is not None


def _group(notification: bytes) -> int | None:
    """Return the group of the link that is told of; None of what cannot be read, which is for who decodes it all."""
    try:
        return Link.decode(notification[_HEADER:], only=("group",)).group
    except DecodeError:
        return None
