"""The reflector: what to ask a server next, and what is known of its objects by now.  No I/O.

List, then watch from the list's version on; go on watching at the version that was heard last, whatever the connection
did meanwhile; list anew when the server has forgotten that version (410 Gone of an API server, compaction in etcd).  A
list that is taken anew is compared with what was known, so that what vanished meanwhile is seen to be gone; until it is
whole nothing changes.
See "Efficient detection of changes", Kubernetes documentation, API concepts.
"""

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

GONE = 410
"""HTTP: the version, or the list's token, is older than what the server remembers."""


class Stored(NamedTuple, Generic[T]):
    """An object as it is at `version`."""

    key: str
    version: str
    object: T


class Deleted(NamedTuple):
    """The object `key` is gone, as of `version`."""

    key: str
    version: str


class Bookmark(NamedTuple):
    """All that happened up to `version` has been told."""

    version: str


class Page(NamedTuple, Generic[T]):
    """A part of a list: its objects, the list's version, and the token to `resume` with, "" at the end."""

    objects: tuple[Stored[T], ...]
    version: str
    resume: str = ""


class List(NamedTuple):
    """Ask for a page of the list: the first, or the one that `resume` stands for."""

    resume: str = ""


class Watch(NamedTuple):
    """Ask for what happens after `version`."""

    version: str


Ask = List | Watch
Changes = frozenset[str]
"""Keys of the objects that are other than before, come or gone."""


class Reflector(Generic[T]):
    """What is known of all objects of a kind; `synced` once there has been a whole list."""

    def __init__(self) -> None:
        """Begin without any."""
        self.objects: dict[str, T] = {}
        self.synced = False
        self._version = ""
        self._resume = ""
        self._listing: dict[str, T] = {}

    def ask(self) -> Ask:
        """Return what to ask next."""
        return Watch(self._version) if self._version else List(self._resume)

    def page(self, page: Page[T]) -> Changes:
        """Take the answer to a List; what it changes shows when the list is whole."""
        self._listing.update((stored.key, stored.object) for stored in page.objects)
        self._resume = page.resume
        if page.resume:
            return frozenset()
        before, self.objects, self._listing = self.objects, self._listing, {}
        self._version = page.version
        self.synced = True
        return frozenset(key for key in before.keys() | self.objects.keys() if before.get(key) != self.objects.get(key))

    def event(self, event: Stored[T] | Deleted | Bookmark) -> Changes:
        """Take an event of a Watch."""
        self._version = event.version
        if isinstance(event, Bookmark):
            return frozenset()
        before = self.objects.get(event.key)
        if isinstance(event, Deleted):
            self.objects.pop(event.key, None)
            return frozenset() if before is None else frozenset({event.key})
        self.objects[event.key] = event.object
        return frozenset() if event.object == before else frozenset({event.key})

    def refused(self, code: int) -> None:
        """Take note of an HTTP status or of the code of an ERROR event; others than 410 leave all as it is."""
        if code == GONE:
            self._version = self._resume = ""
            self._listing = {}
