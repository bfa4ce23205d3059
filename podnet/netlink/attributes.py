"""Attributes: the type-length-value lists that every netlink message ends in.

A :class:`Layout` says, once, which attributes a value may carry; encoding, decoding, the property tests and the
fuzzers are all derived from it::

    +--------+--------+------------------+---------+
    | length |  type  | payload          | padding |   struct nlattr, linux/netlink.h; host byte order
    |  u16   |  u16   | length - 4 bytes | to 4    |
    +--------+--------+------------------+---------+

A field that is ``None`` (or ``False`` for a :data:`flag`) is not sent; an attribute that no field names is passed
over, since kernels of every later version send more of them.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from operator import attrgetter
from struct import Struct
from typing import Any, Generic, NamedTuple, TypeVar

from podnet.errors import DecodeError

T = TypeVar("T")
IPAddress = IPv4Address | IPv6Address

NLA_F_NESTED = 0x8000
NLA_F_NET_BYTEORDER = 0x4000
NLA_TYPE_MASK = 0x3FFF

_HEADER = Struct("=HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Kind(NamedTuple, Generic[T]):
    """How one attribute's payload is written and read.

    `name` identifies the kind to the tests that derive strategies from layouts: ``u8`` … ``u64``, ``s32``, ``be16``,
    ``be32``, ``be64``, ``string``, ``bytes``, ``flag``, ``ip``, ``mac``, ``nested``, ``list``.  `decode` raises
    `DecodeError` (or `ValueError`, which the layout translates) and nothing else.  `whole` is the length and the struct
    of a complete attribute (header, one scalar, padding) where one call can write it; `encode` suffices elsewhere.
    """

    name: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]
    nested: bool = False
    inner: Any = None
    whole: tuple[int, Struct] | None = None

    def writer(self, number: int) -> Callable[[T], bytes]:
        """Return the function that writes a whole attribute of type `number`: header, payload, padding."""
        encode, pack, padding = self.encode, _HEADER.pack, _PADDING
        if self.nested:
            number |= NLA_F_NESTED
        if self.whole is not None:
            size, struct = self.whole
            return partial(struct.pack, size, number)

        def write(value: T) -> bytes:
            payload = encode(value)
            length = len(payload)
            return pack(length + 4, number) + payload + padding[length & 3]

        return write


def _scalar(name: str, layout: str) -> Kind[int]:
    struct = Struct(layout)

    def decode(payload: bytes) -> int:
        if len(payload) != struct.size:
            raise DecodeError(f"{name} attribute of {len(payload)} bytes, not {struct.size}")
        value: int = struct.unpack(payload)[0]
        return value

    # One struct has one byte order: only scalars in host order can be packed with their header.
    whole = (4 + struct.size, Struct(f"=HH{layout[1]}{-struct.size & 3}x")) if layout[0] == "=" else None
    return Kind(name, struct.pack, decode, whole=whole)


u8, u16, u32, u64 = (_scalar(n, f) for n, f in (("u8", "=B"), ("u16", "=H"), ("u32", "=I"), ("u64", "=Q")))
s32 = _scalar("s32", "=i")
be16, be32, be64 = (_scalar(n, f) for n, f in (("be16", ">H"), ("be32", ">I"), ("be64", ">Q")))


def _decode_string(payload: bytes) -> str:
    return payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _decode_ip(payload: bytes) -> IPAddress:
    if len(payload) == 4:  # noqa: PLR2004 - struct in_addr
        return IPv4Address(payload)
    if len(payload) == 16:  # noqa: PLR2004 - struct in6_addr
        return IPv6Address(payload)
    raise DecodeError(f"address attribute of {len(payload)} bytes, not 4 or 16")


string: Kind[str] = Kind("string", lambda s: s.encode("utf-8", "surrogateescape") + b"\0", _decode_string)
raw: Kind[bytes] = Kind("bytes", bytes, bytes)
flag: Kind[bool] = Kind("flag", lambda _: b"", lambda _: True)
ip: Kind[IPAddress] = Kind("ip", lambda a: a.packed, _decode_ip)
mac: Kind[str] = Kind("mac", lambda s: bytes.fromhex(s.replace(":", "")), lambda p: p.hex(":"))


class Field(NamedTuple):
    """One attribute of a layout: the value's field `name`, the kernel's NLA type `number`, the payload's `kind`."""

    name: str
    number: int
    kind: Kind[Any]


class Layout(Generic[T]):
    """Which attributes a value of class `cls` carries, in the order they are sent."""

    def __init__(self, cls: Callable[..., T], *fields: Field) -> None:
        self.cls = cls
        self.fields = fields
        self._writers = tuple(f.kind.writer(f.number) for f in fields)
        names = [f.name for f in fields]
        # One C call reads all fields; attrgetter of a single name would return it bare, of none is refused.
        self._values: Callable[[T], tuple[Any, ...]] = (
            attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)
        )
        self._readers = {f.number: (f.name, f.kind.decode) for f in fields}
        self._choices: dict[tuple[str, ...], dict[int, tuple[str, Callable[[bytes], Any]]]] = {}

    def encode(self, value: T) -> bytes:
        """Return the attributes of `value`; fields that are None or False are left out."""
        return b"".join(
            [
                write(field)
                for field, write in zip(self._values(value), self._writers, strict=True)
                if field is not None and field is not False
            ]
        )

    def fields_of(self, data: bytes, only: tuple[str, ...] = (), offset: int = 0) -> dict[str, Any]:
        """Return the decoded fields found in `data` from `offset`, by name; raise `DecodeError` that names the fault.

        With `only`, other fields are passed over undecoded, and the walk ends once all of `only` are found.
        """
        wanted = self._choice(only) if only else self._readers
        found: dict[str, Any] = {}
        end, unpack = len(data), _HEADER.unpack_from
        # `attributes` inlined: a dump of 500 links has 30,000 attributes, few of them wanted.
        while offset + 4 <= end:
            length, number = unpack(data, offset)
            if length < 4 or offset + length > end:  # noqa: PLR2004 - the header itself
                raise _cut_short(number, offset, length, end)
            reader = wanted.get(number & NLA_TYPE_MASK)
            if reader is not None:
                name, decode = reader
                try:
                    found[name] = decode(data[offset + 4 : offset + length])
                except (DecodeError, ValueError) as error:
                    raise DecodeError(f"{name}: {error}") from error
                if only and len(found) == len(wanted):
                    break
            offset += (length + 3) & ~3
        return found

    def _choice(self, only: tuple[str, ...]) -> dict[int, tuple[str, Callable[[bytes], Any]]]:
        chosen = self._choices.get(only)
        if chosen is None:
            chosen = self._choices[only] = {n: reader for n, reader in self._readers.items() if reader[0] in only}
        return chosen

    def decode(self, data: bytes) -> T:
        """Return the value that `data` encodes."""
        return self.cls(**self.fields_of(data))


def attributes(data: bytes, mask: int = NLA_TYPE_MASK) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of each attribute in `data`; raise `DecodeError` with the offset where one is cut short.

    `mask` is what of the type is given: 0xFFFF keeps the NLA_F_* bits.
    """
    offset, end, unpack = 0, len(data), _HEADER.unpack_from
    while offset + 4 <= end:
        length, number = unpack(data, offset)
        if length < 4 or offset + length > end:  # noqa: PLR2004 - the header itself
            raise _cut_short(number, offset, length, end)
        yield number & mask, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _cut_short(number: int, offset: int, length: int, end: int) -> DecodeError:
    return DecodeError(f"attribute {number & NLA_TYPE_MASK} at offset {offset}: {length} of {end - offset} bytes")


def attribute(number: int, payload: bytes) -> bytes:
    """Return one attribute, padded."""
    length = len(payload)
    return _HEADER.pack(length + 4, number) + payload + _PADDING[length & 3]


def nested(layout: Layout[T]) -> Kind[T]:
    """Return the kind of an attribute whose payload is itself a list of attributes."""
    return Kind("nested", layout.encode, layout.decode, nested=True, inner=layout)


def listed(element: Kind[T], number: int) -> Kind[tuple[T, ...]]:
    """Return the kind of an attribute that holds any count of equal attributes `number` (NFTA_LIST_ELEM and such)."""
    flags = NLA_F_NESTED if element.nested else 0

    def encode(values: Iterable[T]) -> bytes:
        return b"".join(attribute(number | flags, element.encode(v)) for v in values)

    def decode(payload: bytes) -> tuple[T, ...]:
        return tuple(element.decode(p) for _, p in attributes(payload))

    return Kind("list", encode, decode, nested=True, inner=element)
