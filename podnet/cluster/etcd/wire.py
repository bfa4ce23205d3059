"""Bytes of etcd's JSON gateway to values, and values to bytes; nothing of what to do.

The shapes are those of etcd's rpc.proto and kv.proto as the gateway writes them: int64 as strings, bytes in base64,
fields that are zero left out; an answer of a stream is ``{"result": ...}`` or ``{"error": ...}``, one to a line.  Those
of etcd 3.4 to 3.6 differ in errors alone: ``{"error": text, "code": number}`` or ``{"message": text, "code": number}``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from podnet.errors import DecodeError

T = TypeVar("T", bound=msgspec.Struct)


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key as etcd has it: `mod_revision` is of its last change, `lease` the one it goes with, 0 for none."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


class Header(msgspec.Struct, frozen=True, gc=False):
    """Of every answer: the store's revision."""

    revision: int = 0


class Range(msgspec.Struct, frozen=True, gc=False):
    """The answer to a range request; `more` where a limit cut it."""

    header: Header = Header()
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False


class Txn(msgspec.Struct, frozen=True, gc=False):
    """The answer to a transaction."""

    header: Header = Header()
    succeeded: bool = False


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The answer to a grant; of a lease kept alive, `seconds` 0 means that there is none."""

    id: int = msgspec.field(default=0, name="ID")
    seconds: int = msgspec.field(default=0, name="TTL")


class Authenticated(msgspec.Struct, frozen=True, gc=False):
    """The answer to a name with its password."""

    token: str = ""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened to a key: put, or with the type DELETE deleted."""

    kv: KeyValue
    type: str = "PUT"


class Told(msgspec.Struct, frozen=True, gc=False):
    """A message of a watch: that it is created, that it is canceled and why, that nothing happened, or events."""

    header: Header = Header()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: tuple[Event, ...] = ()


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """How the gateway says no; `error` is the text, or of a stream's the whole."""

    error: Any = None
    message: Any = None
    code: Any = 0

    @property
    def text(self) -> str:
        """The server's words."""
        return next((part for part in (self.message, self.error) if isinstance(part, str)), "")


class _Line(msgspec.Struct, frozen=True, gc=False):
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class Failed(NamedTuple):
    """The stream has come to its end, in the server's words."""

    message: str


def decode(data: bytes, shape: type[T]) -> T:
    """Return what an answer says; raise `DecodeError`."""
    try:
        return msgspec.json.decode(data, type=shape, strict=False)  # numbers are strings
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DecodeError(f"an answer of etcd is not what it should be: {error}") from error


def decode_line(line: bytes, shape: type[T]) -> T | Failed:
    """Return what a line of a stream says; raise `DecodeError`."""
    found = decode(line, _Line)
    if bytes(found.error):
        return Failed(refusal_text(bytes(found.error)))
    if not bytes(found.result):
        raise DecodeError("an answer of etcd is not what it should be: neither result nor error")
    return decode(bytes(found.result), shape)


def refusal_text(data: bytes) -> str:
    """Return the server's words of a refusal, "" where it has none; whatever the bytes are."""
    try:
        return decode(data, Refusal).text
    except DecodeError:
        return ""


def encode(request: Mapping[str, Any]) -> bytes:
    """Return a request; `bytes` in it become base64, as msgspec writes them."""
    return msgspec.json.encode(request)


def range_request(first: bytes, end: bytes, *, limit: int, revision: int = 0) -> bytes:
    """Ask for at most `limit` keys from `first` up to `end`, as of `revision` (0: now)."""
    return encode({"key": first, "range_end": end, "limit": str(limit), "revision": str(revision)})


def watch_request(first: bytes, end: bytes, *, revision: int) -> bytes:
    """Ask for what happens from `revision` on to keys from `first` up to `end`, and to be told that nothing does."""
    asked = {"key": first, "range_end": end, "start_revision": str(revision), "progress_notify": True}
    return encode({"create_request": asked})


def txn_request(compares: Mapping[bytes, int], puts: Sequence[tuple[bytes, bytes, int]]) -> bytes:
    """Ask that `puts` (key, value, lease) be done if each key of `compares` is at that mod_revision (0: not there)."""
    return encode(
        {
            "compare": [
                {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
                for key, revision in compares.items()
            ],
            "success": [
                {"request_put": {"key": key, "value": value, "lease": str(lease)}} for key, value, lease in puts
            ],
        }
    )


def after(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with `prefix`, which does not end with 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
