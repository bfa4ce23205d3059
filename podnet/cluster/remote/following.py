"""A kind of objects followed: what a server has of them, kept current by a thread that lists and watches.

The thread asks and decodes; what it knows is read by others, under the lock.  Nothing that the server does, or does not
do, changes what is known but what it says: while it is away all stays as it was.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.http import RefusedError
from podnet.cluster.remote.reflector import (
    GONE,
    Bookmark,
    Changes,
    Deleted,
    List,
    Page,
    Reflector,
    Stored,
    Watch,
)
from podnet.errors import IOFailure, PodnetError

T = TypeVar("T")

LIMIT = 500
"""Objects to a page of a list: some megabytes of Nodes, decoded and let go before the next."""
SILENT = 90.0
"""Seconds without even a bookmark after which a list is taken anew.  A server whose data came back from a backup is at
an older version than what was heard from it, and lets those who wait for a later one wait."""
LASTED = 1.0
"""Seconds after which a watch that ended without a word was one: a shorter one is not begun anew at once."""
LONG = 10.0
"""Seconds of waiting after which what is refused again and again is not asked again as it was."""
ENDING = 1.0
"""Seconds that the thread is waited for at the end; it holds nothing that would have to be given back."""


class Feed(Protocol[T]):
    """Who asks the server: `noun` is what errors call its objects."""

    noun: str

    @property
    def url(self) -> str:
        """The server as one writes it."""
        ...

    def page(self, ask: List) -> Page[T]:
        """Return what a List is answered with; raise `PodnetError`."""
        ...

    def watch(self, ask: Watch) -> Iterator[Stored[T] | Deleted | Bookmark | None]:
        """Yield what a Watch tells until it ends; raise `PodnetError`.

        None says that the server answered, and is yielded before it has told anything.
        """
        ...

    def release(self) -> None:
        """Close what is kept for the next page: there will be none for a while."""
        ...

    def close(self) -> None:
        """End all requests, also those that another thread waits for."""
        ...


class Follower(Generic[T]):
    """Follows what `feed` gives; `heard` is called in the thread, with the `lock` held, with the keys of what changed.

    It is also called after each list.  `down` is shared by all who ask the same server: how long to wait while it
    cannot be reached.
    """

    def __init__(self, feed: Feed[T], down: Backoff, heard: Callable[[Changes], None]) -> None:
        """Take all that; nothing is asked before :meth:`begin`."""
        self.lock = threading.Lock()  # of the reflector's objects and of what follows
        self.feed = feed
        self._down = down
        self._refused = Backoff(random.random)
        self._heard = heard
        self._reflector: Reflector[T] = Reflector()
        self._told = threading.Condition(self.lock)
        self._changes: set[str] = set()
        self._listed = False
        self._attempted = False
        self._failure: tuple[PodnetError, float] | None = None
        self._ending = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"follow-{feed.noun}", daemon=True)

    def begin(self) -> None:
        """Begin to ask."""
        self._thread.start()

    # For the daemon's thread

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._wake

    def wait(self, seconds: float, also: Callable[[], bool] = lambda: True) -> bool:
        """Wait until there is a first list, at most `seconds` and not beyond a first failure; tell if there is one.

        And until `also` is so, which is asked whenever somebody calls :meth:`tell`.
        """
        with self._told:
            self._told.wait_for(lambda: (self._reflector.synced and also()) or self._attempted, seconds)
            return self._reflector.synced

    @property
    def synced(self) -> bool:
        """Whether there has been a whole list."""
        return self._reflector.synced

    def objects(self) -> dict[str, T]:
        """Return what is known; with the lock."""
        return self._reflector.objects

    def take(self) -> dict[str, T | None] | None:
        """Return by key what is other than at the last call, None for what is gone; None where nothing happened."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with self.lock:
            listed, self._listed = self._listed, False
            changes, self._changes = self._changes, set()
            objects = self._reflector.objects
            return {key: objects.get(key) for key in changes} if listed or changes else None

    @property
    def error(self) -> PodnetError | None:
        """What is amiss with the server, and since when; None while nothing is."""
        with self.lock:
            failure = self._failure
        if failure is None:
            return None
        error, since = failure
        when = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return IOFailure(f"{error.msg} (the {self.feed.noun} are not current since {when})", error.details)

    def tell(self) -> None:
        """Wake who waits; with the lock."""
        self._told.notify_all()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End."""
        self._ending.set()
        self.feed.close()
        if self._thread.ident is not None:
            self._thread.join(ENDING)
        with self.lock:  # after it nobody writes to the descriptor
            if self._wake >= 0:
                os.close(self._wake)
            self._wake = -1

    # In the thread

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                wait = self._turn()
            except RefusedError as error:
                wait = max(self._refused.wait(), error.retry_after)
                self._reflector.refused(error.status)
                if error.status != GONE:
                    self._failed(error)
                if wait > LONG:  # whatever it refuses, at this pace a list costs nothing
                    self._reflector.refused(GONE)
            except PodnetError as error:
                wait = self._down.wait()
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the thread is not to end unheard, what is known getting old
                wait = self._refused.wait()
                self._reflector.refused(GONE)
                self._failed(IOFailure(f"{self.feed.url}: {error!r}, which is a bug of podnet's; please report it"))
            if wait:
                self._ending.wait(wait)

    def _turn(self) -> float:
        """Ask one thing and take what is answered; return how many seconds to wait before the next."""
        ask = self._reflector.ask()
        if isinstance(ask, List):
            page = self.feed.page(ask)
            with self._told:
                self._note(self._reflector.page(page), listed=not page.resume)
            return 0.0
        self.feed.release()
        began = time.monotonic()
        heard = self._watch(ask)
        lasted = time.monotonic() - began
        if not heard and lasted >= SILENT:
            self._reflector.refused(GONE)
        if heard or lasted >= LASTED:
            self._refused.reset()
            self._down.reset()
            return 0.0
        return self._refused.wait()

    def _watch(self, ask: Watch) -> bool:
        """Take what a watch tells until it ends; tell whether there was anything."""
        heard = False
        for event in self.feed.watch(ask):
            heard |= event is not None
            with self._told:
                self._note(frozenset() if event is None else self._reflector.event(event))
        return heard

    def _note(self, changes: Changes, *, listed: bool = False) -> None:
        """Take note, with the lock, that the server answered, and of what that changed."""
        self._changes |= changes
        self._listed |= listed
        recovered, self._failure = self._failure is not None, None
        if changes or listed or recovered:
            self.tell()
        if changes or listed:
            self._heard(changes)

    def _failed(self, error: PodnetError) -> None:
        with self._told:
            if self._ending.is_set():
                return
            since = self._failure[1] if self._failure else time.time()
            self._attempted = True
            if self._failure is None or self._failure[0].msg != error.msg:
                self._failure = error, since
                self.tell()
