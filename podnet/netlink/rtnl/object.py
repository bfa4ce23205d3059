"""What every rtnetlink object shares: its three message types and the requests they make; families; options by kind.

The verbs are ip(8)'s: `add` refuses what exists, `replace` overwrites it, `set` asks that it exists, `append` adds a
further one beside it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from podnet.netlink.attributes import Layout
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


class Options(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what an object of one kind (a bridge, a tbf) has beside what all objects of its class have."""

    LAYOUT: ClassVar[Layout[Any]]


def encode_options(options: Options | bytes) -> bytes:
    """Return the attributes of `options`; bytes are options of a kind without a class and go as they came."""
    return options if isinstance(options, bytes) else options.LAYOUT.encode(options)


def decode_options(classes: Mapping[str, type[Options]], kind: str | None, payload: bytes) -> Options | bytes:
    """Return `payload` as the options of `kind`, or as it is where `classes` has no such kind."""
    cls = None if kind is None else classes.get(kind)
    return payload if cls is None else cls(**cls.LAYOUT.fields_of(payload))
