"""Bytes of the API server to pages and events: what a list's page and a watch's line say, and nothing of what to do.

The shapes are those of the Kubernetes API reference: a List with ``metadata.resourceVersion`` and
``metadata.continue``, and WatchEvents, one JSON document to a line.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from podnet.cluster.kubernetes.objects import WireObject
from podnet.cluster.remote.reflector import Bookmark, Deleted, Page, Stored
from podnet.errors import DecodeError

W = TypeVar("W", bound=WireObject)
T = TypeVar("T")


class Failed(NamedTuple):
    """The watch has come to its end: a Status with an HTTP code."""

    code: int
    message: str


class _ListMeta(msgspec.Struct, frozen=True, rename="camel", gc=False):
    resource_version: str
    resume: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, frozen=True, gc=False):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class _BookmarkMeta(msgspec.Struct, frozen=True, rename="camel", gc=False):
    resource_version: str


class _Bookmark(msgspec.Struct, frozen=True, gc=False):
    metadata: _BookmarkMeta


class Status(msgspec.Struct, frozen=True, gc=False):
    """A meta/v1 Status: how the API server says no."""

    message: str = ""
    reason: str = ""
    code: int = 0


class Decoder(Generic[W, T]):
    """Decodes pages and lines of one kind of object: `wire` is its shape, `keep` makes of it what is kept."""

    def __init__(self, wire: type[W], keep: Callable[[W], T]) -> None:
        """Take the shape, and what is made of it."""
        self._object = msgspec.json.Decoder(wire)
        self._keep = keep
        self._list = msgspec.json.Decoder(_List)
        self._event = msgspec.json.Decoder(_Event)

    def page(self, data: bytes) -> Page[T]:
        """Return a page of a list; raise `DecodeError`."""
        try:
            found = self._list.decode(data)
            objects = tuple(self._stored(raw, found.metadata.resource_version) for raw in found.items or ())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"a list of the API server is not what it should be: {error}") from error
        return Page(objects, _version(found.metadata.resource_version), found.metadata.resume or "")

    def event(self, line: bytes) -> Stored[T] | Deleted | Bookmark | Failed:
        """Return what a line of a watch says; raise `DecodeError`."""
        try:
            event = self._event.decode(line)
            if event.type == "ERROR":
                status = msgspec.json.decode(event.object, type=Status)
                return Failed(status.code, status.message or status.reason)
            if event.type == "BOOKMARK":
                return Bookmark(_version(msgspec.json.decode(event.object, type=_Bookmark).metadata.resource_version))
            stored = self._stored(event.object)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"an event of the API server is not what it should be: {error}") from error
        if event.type == "DELETED":
            return Deleted(stored.key, stored.version)
        if event.type in {"ADDED", "MODIFIED"}:
            return stored
        raise DecodeError(f"an event of the API server is of the unknown type {event.type!r}")

    def _stored(self, raw: msgspec.Raw, version: str = "") -> Stored[T]:
        wire = self._object.decode(raw)
        return Stored(wire.metadata.key, _version(wire.metadata.resource_version or version), self._keep(wire))


def _version(text: str) -> str:
    """Return a resourceVersion; raise `DecodeError` where there is none, since nothing could go on from there."""
    if not text:
        raise DecodeError("an object of the API server has no resourceVersion")
    return text
