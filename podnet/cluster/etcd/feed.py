"""podnet's keys in etcd, as they are followed: lists in pages of one revision, and watches."""

from collections.abc import Iterator

from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import Entry, decode_entry
from podnet.cluster.etcd.wire import KeyValue, Told
from podnet.cluster.remote.following import LIMIT
from podnet.cluster.remote.http import RefusedError
from podnet.cluster.remote.reflector import GONE, Bookmark, Deleted, List, Page, Stored, Watch
from podnet.errors import DecodeError


class EtcdFeed:
    """What `client` tells; the version of a list or an event is its revision."""

    noun = "nodes"

    def __init__(self, client: EtcdClient) -> None:
        """Ask nothing yet."""
        self._client = client

    @property
    def url(self) -> str:
        """The server that is asked."""
        return self._client.url

    def page(self, ask: List) -> Page[Entry]:
        """Return a page of the list: all are of the first one's revision.  Raise `PodnetError`."""
        at, _, last = ask.resume.partition(" ")
        found = self._client.list(LIMIT, int(at or 0), last)
        revision = int(at) if at else found.header.revision
        if not revision:
            raise DecodeError("a list of etcd has no revision")
        objects = tuple(self._stored(kv) for kv in found.kvs)
        more = f"{revision} {objects[-1].key}" if found.more and objects else ""
        return Page(objects, str(revision), more)

    def watch(self, ask: Watch) -> Iterator[Stored[Entry] | Deleted | Bookmark | None]:
        """Yield what happened after the version of `ask`; raise `PodnetError`."""
        version = int(ask.version)
        for told in self._client.watch(version + 1):
            if told is None:
                yield None
            elif told.created and told.header.revision < version:
                raise RefusedError(f"{self.url}: etcd is at an older revision than it was", status=GONE)
            elif not told.created:
                yield from self._events(told)

    def release(self) -> None:
        """Close the connection that is kept for the next page."""
        self._client.release()

    def close(self) -> None:
        """End all requests."""
        self._client.close()

    def _events(self, told: Told) -> Iterator[Stored[Entry] | Deleted | Bookmark]:
        """Yield events, or that there were none.

        The version is the event's and not the message's: etcd sends a long past in parts, each with the revision that
        the store is at by then.
        """
        if not told.events and told.header.revision:
            yield Bookmark(str(told.header.revision))
        for event in told.events:
            if event.type == "DELETE":
                yield Deleted(self._client.key(event.kv.key), str(event.kv.mod_revision))
            else:
                yield self._stored(event.kv)

    def _stored(self, kv: KeyValue) -> Stored[Entry]:
        key = self._client.key(kv.key)
        return Stored(key, str(kv.mod_revision), decode_entry(key, kv))
