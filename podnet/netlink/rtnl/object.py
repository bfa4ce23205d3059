"""What every rtnetlink object shares: its three message types and the requests they make; families and groups.

The verbs are ip(8)'s: `add` refuses what exists, `replace` overwrites it, `set` asks that it exists, `append` adds a
further one beside it.
"""

from typing import ClassVar

from podnet.netlink.message import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Request,
)

AF_UNSPEC = 0
AF_INET = 2
AF_BRIDGE = 7
AF_INET6 = 10


class RtnlObject(Message, frozen=True, kw_only=True, gc=False):
    """A rtnetlink object: `NEW` is its RTM_NEW* type; RTM_DEL* and RTM_GET* follow it (linux/rtnetlink.h)."""

    NEW: ClassVar[int]

    def add(self) -> Request:
        """Return the request that creates this object; EEXIST if it exists (`ip ... add`)."""
        return Request(self.NEW, NLM_F_CREATE | NLM_F_EXCL, self.encode())

    def replace(self) -> Request:
        """Return the request that creates this object or overwrites it (`ip ... replace`)."""
        return Request(self.NEW, NLM_F_CREATE | NLM_F_REPLACE, self.encode())

    def set(self) -> Request:
        """Return the request that alters the existing object (`ip link set`, `ip ... change`)."""
        return Request(self.NEW, 0, self.encode())

    def append(self) -> Request:
        """Return the request that adds this object beside equal ones (`ip route append`, `bridge fdb append`)."""
        return Request(self.NEW, NLM_F_CREATE | NLM_F_APPEND, self.encode())

    def delete(self) -> Request:
        """Return the request that deletes what this object names (`ip ... del`)."""
        return Request(self.NEW + 1, 0, self.encode())

    def get(self) -> Request:
        """Return the request for the one object that this one names (`ip ... get`)."""
        return Request(self.NEW + 2, 0, self.encode())

    def dump(self) -> Request:
        """Return the request for all objects that match this one (`ip ... show`).

        With NETLINK_GET_STRICT_CHK set on the socket the kernel itself filters by the fields that the class's
        docstring names, and refuses others with EINVAL; without it every object of the family comes.
        """
        return Request(self.NEW + 2, NLM_F_DUMP, self.encode())
