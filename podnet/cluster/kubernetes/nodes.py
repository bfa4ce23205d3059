"""The Nodes of a cluster of Kubernetes, kept current: what NodesWatch is for a file.

A thread of its own asks the API server and decodes; whoever asks here gets values that are finished.  Nothing that the
API server does, or does not do, changes the nodes but what it says of them: while it is away they stay as they were.
"""

import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType

from podnet.cluster.document import IPNetwork
from podnet.cluster.kubernetes.access import Access
from podnet.cluster.kubernetes.backoff import Backoff
from podnet.cluster.kubernetes.client import Client, RefusedError
from podnet.cluster.kubernetes.decoding import Decoder, Failed, Lines
from podnet.cluster.kubernetes.events import Events
from podnet.cluster.kubernetes.listing import Candidate, Listing, candidate, listed
from podnet.cluster.kubernetes.objects import WireNode, keep_node
from podnet.cluster.kubernetes.reflector import GONE, List, Reflector, Watch
from podnet.cluster.kubernetes.status import annotate, network_is_up
from podnet.errors import IOFailure, PodnetError
from podnet.model import Node

PATH = "/api/v1/nodes"
FORBIDDEN = 403
LIMIT = 500
"""Nodes to a page of a list: some megabytes, decoded and let go before the next."""
WATCH_SECONDS = 300, 600
"""How long a watch is asked for, drawn anew each time so that nodes do not come back together; as client-go does."""
SILENT = 90.0
"""Seconds without even a bookmark after which a list is taken anew.  A server whose data came back from a backup is at
an older version than what was heard from it, and lets those who wait for a later one wait."""
LASTED = 1.0
"""Seconds after which a watch that ended without a word was one: a shorter one is not begun anew at once."""
LONG = 10.0
"""Seconds of waiting after which what is refused again and again is not asked again as it was."""
ENDING = 1.0
"""Seconds that the threads are waited for at the end; they hold nothing that would have to be given back."""


class KubernetesNodes:
    """The nodes that `access` tells of; `name` is this one's, and `annotations` what its Node is to have.

    `known` are the nodes until there is a first list.  `error` says what is amiss with the API server and since when.
    """

    def __init__(
        self,
        access: Access,
        name: str,
        known: tuple[Node, ...] = (),
        cluster_cidrs: Sequence[IPNetwork] = (),
        annotations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Begin to ask, in a thread."""
        self.name = name
        self.nodes = known
        self.error: PodnetError | None = None
        self.remarks: Sequence[str] = ()
        self.remote = True
        self._client = Client(access)
        self._announcer = Client(access)
        self._events = Events(access, name)
        self._backoff = Backoff(random.random)
        self._decoder = Decoder(WireNode, lambda wire: candidate(keep_node(wire), cluster_cidrs))
        self._reflector: Reflector[Candidate] = Reflector()
        self._lock = threading.Lock()  # of the reflector's objects and of what follows
        self._told = threading.Condition(self._lock)
        self._listing = Listing((), ())
        self._dirty = False
        self._attempted = False
        self._failure: tuple[PodnetError, float] | None = None
        self._unsaid = ""
        self._annotations = annotations
        self._serving = self._announcing = False
        self._ending = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="kubernetes", daemon=True)
        self._thread.start()

    # For the daemon's thread

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._wake

    def wait(self, seconds: float) -> bool:
        """Wait until there is a first list, at most `seconds` and not beyond a first failure; tell if there is one."""
        with self._told:
            self._told.wait_for(lambda: self._reflector.synced or self._attempted, seconds)
            return self._reflector.synced

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether nodes, error or remarks are other than before."""
        before = self.nodes, _text(self.error), self.remarks
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        with self._lock:
            dirty, self._dirty = self._dirty, False
            candidates = list(self._reflector.objects.values()) if dirty else []
            failure, unsaid = self._failure, self._unsaid
        if dirty:
            self._take(listed(candidates))
        self.remarks = (*self._listing.ignored, *([unsaid] if unsaid else []))
        self.error = None if failure is None else _since(*failure)
        return (self.nodes, _text(self.error), self.remarks) != before

    def serving(self) -> None:
        """Have the API server told that this node's network is up, now and whenever somebody says that it is not."""
        with self._lock:
            self._serving = True
        self._announce()

    def tell(self, event: str) -> None:
        """Have the API server told what happened on this node."""
        self._events.tell(event)

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._events.close()
        self._client.close()
        self._announcer.close()
        self._thread.join(ENDING)
        with self._lock:  # after it nobody writes to the descriptor
            if self._wake >= 0:
                os.close(self._wake)
            self._wake = -1

    def _take(self, listing: Listing) -> None:
        # Equal nodes stay the same values: whoever compares them compares identities first.
        self.nodes = self.nodes if self.nodes == listing.nodes else listing.nodes
        self._listing = listing

    # In the thread

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                wait = self._turn()
            except RefusedError as error:
                wait = max(self._backoff.wait(), error.retry_after)
                self._reflector.refused(error.status)
                if error.status != GONE:
                    self._failed(error)
                if wait > LONG:  # whatever it refuses, at this pace a list costs nothing
                    self._reflector.refused(GONE)
            except PodnetError as error:
                wait = self._backoff.wait()
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - the thread is not to end unheard, the nodes getting old
                wait = self._backoff.wait()
                self._reflector.refused(GONE)
                self._failed(IOFailure(f"{self._client.url}: {error!r}, which is a bug of podnet's; please report it"))
            if wait:
                self._ending.wait(wait)

    def _turn(self) -> float:
        """Ask one thing and take what is answered; return how many seconds to wait before the next."""
        ask = self._reflector.ask()
        if isinstance(ask, List):
            query = {"limit": str(LIMIT)} | ({"continue": ask.resume} if ask.resume else {})
            page = self._decoder.page(self._client.get(PATH, query))
            with self._told:
                self._note(changed=bool(self._reflector.page(page)) or not page.resume)
            return 0.0
        self._client.release()
        began = time.monotonic()
        heard = self._watch(ask)
        lasted = time.monotonic() - began
        if not heard and lasted >= SILENT:
            self._reflector.refused(GONE)
        if heard or lasted >= LASTED:
            self._backoff.reset()
            return 0.0
        return self._backoff.wait()

    def _watch(self, ask: Watch) -> bool:
        """Take what a watch tells until it ends; tell whether there was anything."""
        lines = Lines()
        heard = False
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": ask.version,
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),  # noqa: S311 - no secret
        }
        for data in self._client.stream(PATH, query):
            with self._told:
                self._note(changed=False)
            for line in lines.feed(data):
                event = self._decoder.event(line)
                if isinstance(event, Failed):
                    told = f"GET {self._client.url}{PATH}: {event.code} {event.message}"
                    raise RefusedError(told, status=event.code)
                heard = True
                with self._told:
                    self._note(changed=bool(self._reflector.event(event)))
        return heard

    def _note(self, *, changed: bool) -> None:
        """Take note, with the lock, that the server answered, and whether that changed anything."""
        self._dirty |= changed
        recovered, self._failure = self._failure is not None, None
        if changed or recovered:
            self._tell()
        if changed:
            self._announce_locked()

    def _failed(self, error: PodnetError) -> None:
        with self._told:
            if self._ending.is_set():
                return
            since = self._failure[1] if self._failure else time.time()
            self._attempted = True
            if self._failure is None or self._failure[0].msg != error.msg:
                self._failure = error, since
                self._tell()

    def _tell(self) -> None:
        """Wake who waits; with the lock."""
        self._told.notify_all()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    # What the node itself says: its condition, its annotations

    def _announce(self) -> None:
        with self._lock:
            self._announce_locked()

    def _announce_locked(self) -> None:
        """Begin to tell the API server what it does not say of this node, if there is something; with the lock."""
        if any(self._untold()) and not self._announcing:
            self._announcing = True
            threading.Thread(target=self._say, name="kubernetes-status", daemon=True).start()

    def _untold(self) -> tuple[bool, dict[str, str]]:
        """Return whether it is to be told that the network is up, and the annotations that it lacks; with the lock."""
        own = self._reflector.objects.get(self.name)
        if own is None:
            return False, {}
        found = dict(own.object.annotations)
        lacking = {key: value for key, value in self._annotations.items() if found.get(key) != value}
        return self._serving and own.object.network_unavailable, lacking

    def _say(self) -> None:
        """Say it until it is so; in a thread of its own, since the other one listens."""
        backoff = Backoff(random.random)
        while not self._ending.is_set():
            with self._lock:
                unavailable, annotations = self._untold()
                if not unavailable and not annotations:
                    self._announcing = False
                    return
            unsaid = self._try_to_say(unavailable=unavailable, annotations=annotations)
            self._announcer.release()
            with self._lock:
                if unsaid != self._unsaid and not self._ending.is_set():
                    self._unsaid = unsaid
                    self._tell()
            self._ending.wait(backoff.wait())  # also where it was said: the watch tells that it is so

    def _try_to_say(self, *, unavailable: bool, annotations: Mapping[str, str]) -> str:
        """Tell the API server; return what could not be said and why, "" where all could."""
        what = "that the network is up"
        try:
            if unavailable:
                network_is_up(self._announcer, self.name)
            if annotations:
                what = f"annotation {', '.join(annotations)} of Node {self.name}"
                annotate(self._announcer, self.name, annotations)
        except PodnetError as error:
            forbidden = isinstance(error, RefusedError) and error.status == FORBIDDEN
            remedy = "; let podnet's ClusterRole `patch` nodes and nodes/status" if forbidden else ""
            return f"{what} cannot be said: {error.msg}{remedy}"
        return ""


def _since(error: PodnetError, since: float) -> PodnetError:
    when = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return IOFailure(f"{error.msg} (the nodes are not current since {when})", error.details)


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
