"""etcd, asked: the requests of its JSON gateway that podnet makes, of the first server that answers."""

from collections.abc import Iterator, Mapping, Sequence

from podnet.cluster.etcd.access import DIALECT, FORBIDDEN, REMEDIES, UNAUTHENTICATED, Endpoints, Login, meaning
from podnet.cluster.etcd.wire import (
    Failed,
    Lease,
    Range,
    Told,
    Txn,
    after,
    decode,
    decode_line,
    encode,
    range_request,
    txn_request,
    watch_request,
)
from podnet.cluster.remote.http import Client, RefusedError
from podnet.cluster.remote.lines import Lines
from podnet.errors import IOFailure

SERVERS_FAULT = 500
"""HTTP statuses from here on: another server may do better."""


class EtcdClient:
    """Asks about the keys that begin with `prefix`; used by one thread, but for :meth:`close`."""

    def __init__(self, endpoints: Endpoints, prefix: str) -> None:
        """Take the servers; nothing is connected before somebody asks.  Raise InvalidConfiguration."""
        self._accesses = endpoints.accesses()
        self._clients = [Client(access, DIALECT) for access in self._accesses]
        self._users = bool(endpoints.user)
        self._at = 0
        self.prefix = prefix
        self._first = prefix.encode() + b"/"

    @property
    def url(self) -> str:
        """The server that is asked."""
        return self._clients[self._at].url

    def list(self, limit: int, revision: int = 0, last: str = "") -> Range:
        """Return at most `limit` keys, those behind `last`, as of `revision` (0: now); raise `PodnetError`."""
        first = self._first + last.encode(errors="surrogateescape") + b"\0" if last else self._first
        return decode(
            self._post("/v3/kv/range", range_request(first, self._end, limit=limit, revision=revision)), Range
        )

    def write(self, compares: Mapping[str, int], puts: Sequence[tuple[str, bytes, int]]) -> bool:
        """Put keys (key, value, lease) if those of `compares` are at these mod_revisions, and tell whether they were.

        Raises `PodnetError`, after which it may be done all the same.
        """
        whole = txn_request(
            {self._first + key.encode(): revision for key, revision in compares.items()},
            [(self._first + key.encode(), value, lease) for key, value, lease in puts],
        )
        return decode(self._post("/v3/kv/txn", whole), Txn).succeeded

    def grant(self, seconds: int) -> Lease:
        """Return a new lease, of so many `seconds` or what etcd makes of them; raise `PodnetError`."""
        return decode(self._post("/v3/lease/grant", encode({"TTL": str(seconds)})), Lease)

    def keep_alive(self, lease: int) -> int:
        """Return for how many seconds the `lease` is there from now on, 0 where it is not; raise `PodnetError`."""
        path = "/v3/lease/keepalive"
        for line in self._post(path, encode({"ID": str(lease)})).splitlines():
            told = decode_line(line, Lease)
            if isinstance(told, Failed):
                raise self._ended(path, told.message)
            return told.seconds
        raise IOFailure(f"POST {self.url}{path}: no answer; see etcd's log")

    def watch(self, revision: int) -> Iterator[Told | None]:
        """Yield what happens from `revision` on; raise `PodnetError`.  None says that the server is there."""
        told = None
        try:
            for told in self._watch(revision):
                yield told
        except RefusedError as error:
            if not self._may_be_the_token(error) or told is not None:
                raise
            yield from self._watch(revision)

    def key(self, whole: bytes) -> str:
        """Return a key without the prefix; bytes that are no UTF-8 are such as :meth:`list` takes them back."""
        return whole.removeprefix(self._first).decode(errors="surrogateescape")

    def release(self) -> None:
        """Close the connections that are kept for the next request: there will be none for a while."""
        for client in self._clients:
            client.release()

    def cut(self) -> None:
        """End all connections, as those of an address that is gone: what is asked next is on others."""
        for client in self._clients:
            client.cut()

    def close(self) -> None:
        """End all requests, also those that another thread waits for."""
        for client, access in zip(self._clients, self._accesses, strict=True):
            client.close()
            if isinstance(access.credentials, Login):
                access.credentials.close()

    @property
    def _end(self) -> bytes:
        return after(self._first)

    def _watch(self, revision: int) -> Iterator[Told | None]:
        path, client = "/v3/watch", self._clients[self._at]
        lines = Lines()
        try:
            for data in client.stream(path, body=watch_request(self._first, self._end, revision=revision)):
                yield None
                for line in lines.feed(data):
                    told = decode_line(line, Told)
                    if isinstance(told, Failed) or told.canceled:
                        raise self._ended(path, told.message if isinstance(told, Failed) else _reason(told))
                    yield told
        except IOFailure as error:
            self._next(client, error)
            raise

    def _may_be_the_token(self, error: RefusedError) -> bool:
        """Tell whether another token may help: that one is over shows when it is used.

        Of a watch whose token is over some servers say that permission is denied.
        """
        return self._users and error.status in {UNAUTHENTICATED, FORBIDDEN}

    def _post(self, path: str, body: bytes) -> bytes:
        """Return the answer of the first server that gives one, beginning with the last that did."""
        left = len(self._clients)
        renewed = False
        while True:
            client = self._clients[self._at]
            try:
                return client.post(path, body)
            except IOFailure as error:
                if isinstance(error, RefusedError) and self._may_be_the_token(error) and not renewed:
                    renewed = True
                    continue
                left -= 1
                if not self._next(client, error) or not left:
                    raise

    def _next(self, client: Client, error: IOFailure) -> bool:
        """Ask another server from now on, where `client` is at fault; tell whether it is."""
        if isinstance(error, RefusedError) and error.status < SERVERS_FAULT:
            return False
        client.release()
        if self._clients[self._at] is client:
            self._at = (self._at + 1) % len(self._clients)
        return True

    def _ended(self, path: str, message: str) -> RefusedError:
        """Return what a stream that the server ended comes to."""
        status = meaning(SERVERS_FAULT, message)
        if status in {UNAUTHENTICATED, FORBIDDEN}:
            self._accesses[self._at].credentials.refused()
        remedy = REMEDIES.get(status, "see etcd's log")
        return RefusedError(f"POST {self.url}{path}: {message or 'the stream was ended'}; {remedy}", status=status)


def _reason(told: Told) -> str:
    if told.compact_revision:
        return f"required revision has been compacted at {told.compact_revision}"
    return told.cancel_reason
