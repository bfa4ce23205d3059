"""A resource of the API server, as it is followed: lists in pages, and watches."""

import random
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.decoding import Decoder, Failed
from podnet.cluster.kubernetes.objects import WireObject
from podnet.cluster.remote.following import LIMIT
from podnet.cluster.remote.http import RefusedError
from podnet.cluster.remote.lines import Lines
from podnet.cluster.remote.reflector import Bookmark, Deleted, List, Page, Stored, Watch

W = TypeVar("W", bound=WireObject)
T = TypeVar("T")

WATCH_SECONDS = 300, 600
"""How long a watch is asked for, drawn anew each time so that nodes do not come back together; as client-go does."""


class KubernetesFeed(Generic[W, T]):
    """The objects at `path`, which errors call `noun`, decoded by `decoder`.

    `selection` are query parameters of list and watch, such as a fieldSelector.
    """

    def __init__(
        self, client: Client, path: str, noun: str, decoder: Decoder[W, T], selection: Mapping[str, str] | None = None
    ) -> None:
        """Take all that; nothing is asked yet."""
        self.noun = noun
        self.decoder = decoder
        self._client = client
        self._path = path
        self._selection = selection or {}

    @property
    def url(self) -> str:
        """The API server as one writes it."""
        return self._client.url

    def page(self, ask: List) -> Page[T]:
        """Return a page of the list; raise `PodnetError`."""
        query = {"limit": str(LIMIT), **self._selection}
        if ask.resume:
            query["continue"] = ask.resume
        return self.decoder.page(self._client.get(self._path, query))

    def watch(self, ask: Watch) -> Iterator[Stored[T] | Deleted | Bookmark | None]:
        """Yield what a watch tells; raise `PodnetError`."""
        lines = Lines()
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": ask.version,
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),  # noqa: S311 - no secret
            **self._selection,
        }
        for data in self._client.stream(self._path, query):
            yield None
            for line in lines.feed(data):
                event = self.decoder.event(line)
                if isinstance(event, Failed):
                    told = f"GET {self._client.url}{self._path}: {event.code} {event.message}"
                    raise RefusedError(told, status=event.code)
                yield event

    def release(self) -> None:
        """Close the connection that is kept for the next page."""
        self._client.release()

    def close(self) -> None:
        """End all requests."""
        self._client.close()
