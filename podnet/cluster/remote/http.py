"""A server over HTTP/1.1: one request at a time on a connection, and a stream on one of its own.

http.client and ssl do it: a node daemon has one stream, a handful of small requests, and no event loop.  Every socket
has a timeout, and the kernel asks a peer that is silent whether it is still there, so that a server that died is
noticed within half a minute on a stream as well.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode

from podnet.cluster.remote.access import Access, tls_context
from podnet.errors import IOFailure

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""How long an answer is waited for: servers themselves give up a request after a minute or less, most take
milliseconds."""
SILENT_SECONDS = 100.0
"""How long a stream may say nothing: an API server sends bookmarks every minute or so, but does not promise it."""
KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 4),
    (socket.TCP_USER_TIMEOUT, 30_000),
)
CHUNK = 1 << 16
JSON = {"Content-Type": "application/json"}

Query = Mapping[str, str]
NOTHING: Query = {}


class Dialect(NamedTuple):
    """How a kind of server says no.

    `understand` makes of an HTTP status and the body what status that is to be taken for, and the server's words, ""
    for none; `remedies` are by that status, and `otherwise` is the remedy of all others.
    `headers` go with every request.
    """

    understand: Callable[[int, bytes], tuple[int, str]]
    remedies: Mapping[int, str]
    otherwise: str
    headers: Mapping[str, str] = {}


class RefusedError(IOFailure):
    """The server said no: its HTTP `status`, and how many seconds it wants to be left in peace."""

    def __init__(self, msg: str, details: str = "", *, status: int = 0, retry_after: float = 0.0) -> None:
        """Take the words and the numbers."""
        super().__init__(msg, details)
        self.status = status
        self.retry_after = retry_after


class _Connection(http.client.HTTPConnection):
    """A connection as `access` has it; its certificate is checked against the name that this gives."""

    def __init__(self, access: Access) -> None:
        super().__init__(access.server.host, access.server.port, timeout=CONNECT_SECONDS)
        self._access = access

    def connect(self) -> None:
        """Connect, by TLS where that is the scheme."""
        context = tls_context(self._access)
        super().connect()
        for option, value in KEEPALIVE:
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if context is not None:
            name = self._access.server.name or self._access.server.host
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.sock.settimeout(ANSWER_SECONDS)


class Client:
    """Asks the server; used by one thread, but for :meth:`close`."""

    def __init__(self, access: Access, dialect: Dialect) -> None:
        """Take the server, who asks, and how it says no; nothing is connected before somebody asks."""
        self.access = access
        self._dialect = dialect
        self._connections: dict[_Connection, socket.socket | None] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._kept: _Connection | None = None

    @property
    def url(self) -> str:
        """The server as one writes it."""
        return self.access.server.url

    def get(self, path: str, query: Query) -> bytes:
        """Return the answer to a GET; raise `PodnetError`.  The connection is kept for the next."""
        return self._ask("GET", path, query)

    def patch(self, path: str, body: bytes, kind: str) -> bytes:
        """Return the answer to a PATCH of the media type application/`kind`+json; raise `PodnetError`."""
        return self._ask("PATCH", path, {}, body, {"Content-Type": f"application/{kind}+json"})

    def post(self, path: str, body: bytes) -> bytes:
        """Return the answer to a POST of JSON; raise `PodnetError`."""
        return self._ask("POST", path, {}, body, JSON)

    def stream(self, path: str, query: Query = NOTHING, body: bytes = b"") -> Iterator[bytes]:
        """Yield what a GET, or with a `body` a POST of JSON, is answered with, as it comes; raise `PodnetError`.

        It has a connection of its own.  The first that is yielded is empty: the server has agreed to answer.
        """
        method, more = ("POST", JSON) if body else ("GET", {})
        connection = self._open()
        try:
            response = self._answer(connection, method, path, query, body=body, more=more)
            sock = self._connections[connection]
            if sock is not None:
                sock.settimeout(SILENT_SECONDS)
            yield b""
            with response:
                yield from self._chunks(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failure(method, path, error) from error
        finally:
            self._drop(connection)

    @staticmethod
    def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield what comes until the server ends it or says nothing for long.

        Silence is no failure: asked again, the server will show whether it is there.
        """
        with suppress(TimeoutError):
            while data := response.read1(CHUNK):
                yield data

    def release(self) -> None:
        """Close the connection that is kept for the next request: there will be none for a while."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self._drop(kept)

    def cut(self) -> None:
        """End all connections, also those that another thread waits for: whoever asks next is on a new one."""
        with self._lock:
            sockets = [sock for sock in self._connections.values() if sock is not None]
        for sock in sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not ssl's, which the other thread would trip over

    def close(self) -> None:
        """End all requests, also those that another thread waits for."""
        with self._lock:
            self._closed = True
        self.cut()
        self.release()

    def _ask(self, method: str, path: str, query: Query, body: bytes = b"", more: Query | None = None) -> bytes:
        again = self._kept is not None  # a server may end a connection that is kept, and it shows only when asked
        connection = self._kept or self._open()
        self._kept = None
        try:
            data = self._answer(connection, method, path, query, body=body, more=more or {}).read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop(connection)
            if again and isinstance(error, ConnectionError | ssl.SSLEOFError | http.client.RemoteDisconnected):
                return self._ask(method, path, query, body, more)
            raise self._failure(method, path, error) from error
        except BaseException:
            self._drop(connection)
            raise
        self._kept = connection
        if self._closed:
            self.release()
        return data

    def _answer(
        self,
        connection: _Connection,
        method: str,
        path: str,
        query: Query,
        *,
        body: bytes = b"",
        more: Query | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request and return the answer's beginning; raise RefusedError where it is not a 200."""
        credentials = self.access.credentials
        headers = {
            "Accept": "application/json",
            "User-Agent": "podnet",
            **self._dialect.headers,
            **credentials.headers(),
            **(more or {}),
        }
        target = f"{self.access.server.prefix}{path}" + (f"?{urlencode(query)}" if query else "")
        if connection.sock is None:
            connection.connect()
            self._note(connection)
        connection.request(method, target, body or None, headers)
        response = connection.getresponse()
        if response.status == http.client.OK:
            return response
        refusal = self._refusal(method, path, response)
        if refusal.status == http.client.UNAUTHORIZED:
            credentials.refused()
        raise refusal

    def _refusal(self, method: str, path: str, response: http.client.HTTPResponse) -> RefusedError:
        """Return what an answer that is no 200 comes to."""
        status, said = self._dialect.understand(response.status, response.read(CHUNK))
        remedy = self._dialect.remedies.get(status, self._dialect.otherwise)
        retry = response.headers.get("Retry-After") or ""
        return RefusedError(
            f"{method} {self.url}{path}: {response.status} {said or response.reason}; {remedy}",
            status=status,
            retry_after=float(retry) if retry.isdecimal() else 0.0,
        )

    def _failure(self, method: str, path: str, error: Exception) -> IOFailure:
        """Return what a connection that failed comes to."""
        remedy = "see that the server runs and that this node reaches it"
        if isinstance(error, ssl.SSLCertVerificationError):
            reason, remedy = error.verify_message, f"correct the certificate authority in {self.access.server.source}"
        elif isinstance(error, ssl.SSLError):
            ended = isinstance(error, ssl.SSLEOFError)
            reason = "the server ended the connection" if ended else error.reason or str(error)
            remedy = "see that the server speaks TLS, and what certificate it asks for"
        elif isinstance(error, TimeoutError):
            reason = "no answer in time"
        elif isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
            reason = "the server ended the connection"
        else:
            reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        return IOFailure(f"{method} {self.url}{path}: {reason}; {remedy}")

    def _open(self) -> _Connection:
        connection = _Connection(self.access)
        with self._lock:
            if self._closed:
                raise IOFailure(f"{self.url}: the connection is closed: podnet ends")
            self._connections[connection] = None
        return connection

    def _note(self, connection: _Connection) -> None:
        """Remember the socket, for close, which may have come meanwhile."""
        with self._lock:
            self._connections[connection] = connection.sock
            closed = self._closed
        if closed:
            raise ConnectionAbortedError("podnet ends")

    def _drop(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.close()
