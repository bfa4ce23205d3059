"""Messages: a fixed header struct, then attributes; and the registry of every message podnet speaks.

::

    struct nlmsghdr (16 bytes)             | payload of one message
    length type flags sequence port        | fixed header struct of the family | attributes

A message class is a frozen value; its fixed header's fields and its attributes' are plain fields of it.  The class
names its header struct and its layout; :func:`register` enters it in :data:`MESSAGES`, from which the dumps, the
property tests and the fuzzers find it.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from struct import Struct
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Layout

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
NETLINK_GENERIC = 16

NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_ROOT = 0x100
NLM_F_MATCH = 0x200
NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_NONREC = 0x100
NLM_F_BULK = 0x200

HEADER = Struct("=IHHII")


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all messages: `HEADER_STRUCT` packs `HEADER_FIELDS`, `LAYOUT` holds the attributes."""

    HEADER_STRUCT: ClassVar[Struct]
    HEADER_FIELDS: ClassVar[tuple[str, ...]]
    LAYOUT: ClassVar[Layout[Any]]
    ABSENT: ClassVar[Mapping[str, Any]] = {}  # fields for which a missing attribute does not mean the default
    HEADER_VALUES: ClassVar["attrgetter[Any]"]  # subscriptable for type checkers only

    def __init_subclass__(cls) -> None:
        """Prepare the one call that reads all of `HEADER_FIELDS`."""
        super().__init_subclass__()
        names = getattr(cls, "HEADER_FIELDS", ())
        if len(names) == 1:
            raise TypeError(f"{cls.__name__}: a header of one field is read bare by attrgetter; name its padding too")
        if names:
            cls.HEADER_VALUES = attrgetter(*names)

    def encode(self) -> bytes:
        """Return the payload that follows struct nlmsghdr."""
        return self.HEADER_STRUCT.pack(*self.HEADER_VALUES(self)) + self.LAYOUT.encode(self)

    @classmethod
    def decode(cls, payload: bytes, only: tuple[str, ...] = ()) -> Self:
        """Return the message that `payload` is; raise `DecodeError` that names this class and the attribute.

        With `only`, the attributes named are decoded and the others keep their defaults: several times cheaper for
        a long dump of which few fields matter.  The header's fields are always there.
        """
        size = cls.HEADER_STRUCT.size
        if len(payload) < size:
            raise DecodeError(f"{cls.__name__}: {len(payload)} bytes, header needs {size}")
        fields = dict(cls.ABSENT)
        fields.update(zip(cls.HEADER_FIELDS, cls.HEADER_STRUCT.unpack_from(payload), strict=True))
        try:
            fields.update(cls.LAYOUT.fields_of(payload, only, size))
            return cls(**fields)
        except DecodeError as error:
            raise DecodeError(f"{cls.__name__}: {error}") from error


class Request(NamedTuple):
    """One message to send: netlink message `type`, NLM_F_* `flags` (REQUEST is added), and its encoded `payload`."""

    type: int
    flags: int
    payload: bytes


class Envelope(NamedTuple):
    """One received message, split but not decoded."""

    type: int
    flags: int
    sequence: int
    port: int
    payload: bytes


MessageClass = TypeVar("MessageClass", bound=type[Message])

MESSAGES: dict[tuple[int, int], type[Message]] = {}


def register(protocol: int, *types: int) -> Any:
    """Return a class decorator that enters a message class under netlink `protocol` and each message type."""

    def enter(cls: MessageClass) -> MessageClass:
        for number in types:
            if (protocol, number) in MESSAGES:
                raise TypeError(f"message type {number} of protocol {protocol} is registered twice")
            MESSAGES[protocol, number] = cls
        return cls

    return enter


def frame(request: Request, sequence: int, port: int = 0) -> bytes:
    """Return `request` as bytes with its struct nlmsghdr; messages are padded to 4 bytes, as attributes are."""
    length = HEADER.size + len(request.payload)
    header = HEADER.pack(length, request.type, request.flags | NLM_F_REQUEST, sequence, port)
    return header + request.payload + b"\0" * (-length & 3)


def envelopes(data: bytes) -> Iterator[Envelope]:
    """Yield the messages in one datagram; raise `DecodeError` with the offset where one is cut short."""
    offset, end = 0, len(data)
    while offset + HEADER.size <= end:
        length, number, flags, sequence, port = HEADER.unpack_from(data, offset)
        if length < HEADER.size or offset + length > end:
            raise DecodeError(f"netlink message at offset {offset}: length {length} of {end - offset}")
        yield Envelope(number, flags, sequence, port, data[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3
    if end - offset >= 4:  # noqa: PLR2004 - less than an attribute is padding
        raise DecodeError(f"{end - offset} bytes after the last netlink message at offset {offset}")
