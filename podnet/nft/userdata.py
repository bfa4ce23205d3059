"""User data: what nft(8) keeps beside an object for its own listing; the kernel only stores it.

A run of ``type u8, length u8, value``, unpadded (libnftnl, udata.h).  Comments are NUL-terminated strings.
"""

from collections.abc import Iterable
from struct import Struct

from podnet.errors import DecodeError

COMMENT = 0  # of tables, chains, rules and elements
SET_KEY_BYTEORDER, SET_DATA_BYTEORDER, SET_MERGE_ELEMENTS = 0, 1, 2
SET_KEY_TYPEOF, SET_DATA_TYPEOF, SET_DATA_INTERVAL, SET_COMMENT = 3, 4, 6, 7

MAX_COMMENT = 127  # bytes; nft(8) prints no longer one back

_U32 = Struct("=I")


def encode(entries: Iterable[tuple[int, bytes]]) -> bytes:
    """Return `entries` of (type, value) as user data."""
    return b"".join(bytes((number, len(value))) + value for number, value in entries)


def decode(data: bytes) -> dict[int, bytes]:
    """Return the entries of `data` by type; raise `DecodeError` where one is cut short."""
    entries: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        end = offset + 2 + (data[offset + 1] if offset + 1 < len(data) else 0)
        if offset + 2 > len(data) or end > len(data):
            raise DecodeError(f"user data entry {data[offset]} at offset {offset} is cut short")
        entries[data[offset]] = data[offset + 2 : end]
        offset = end
    return entries


def u32(number: int) -> bytes:
    """Return `number` as user data holds integers: host byte order."""
    return _U32.pack(number)


def comment(text: str) -> bytes:
    """Return `text` as the value of a comment entry; raise ValueError when nft(8) could not print it back."""
    value = text.encode()
    if len(value) > MAX_COMMENT or b'"' in value or b"\0" in value or b"\n" in value:
        raise ValueError(f"comment {text!r}: at most {MAX_COMMENT} bytes, no quotes, no line breaks")
    return value + b"\0"


def comment_of(data: bytes | None, number: int = COMMENT) -> str:
    """Return the comment in user data `data`, empty where there is none."""
    value = decode(data or b"").get(number, b"")
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")
