"""An API server to test with: real HTTP, Nodes and Pods with versions and a history, and every way to be in trouble.

What it sends has the shapes of Kubernetes 1.34: lists in pages, watches in chunks, Status objects for refusals.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

PATIENCE = 20.0


class Asked(NamedTuple):
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of these tests end as they like."""


class Api:
    """The server.  Whatever is changed is told to whoever watches; `asked` has every request."""

    def __init__(
        self, make: Callable[[], socket.socket], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        """Serve at `host` with a socket that `make` makes; it may be of another network namespace."""
        self.asked: list[Asked] = []
        self.tokens: set[str] | None = None
        self.page = 500
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.forbidden: set[str] = set()
        self.hang = False
        self.mute = False
        self.version = 100
        self._oldest = 0
        self._generation = 0
        self._cut = b""
        self._objects: dict[Key, dict[str, Any]] = {}
        self._history: list[tuple[int, str, dict[str, Any]]] = []
        self._changed = threading.Condition()
        self._make, self._tls = make, tls
        self._server: _Server | None = None
        self._connections: set[socket.socket] = set()
        self.address = (host, 0)
        self.up()

    # The server's life

    def up(self) -> None:
        """Listen, at the address it had before if it had one."""
        made = self._make()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(self.address)
        server = _Server(("", 0), self._handler(), bind_and_activate=False)
        server.socket.close()
        server.socket = made
        self.address = made.getsockname()[:2]
        server.server_activate()
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Listen no more, and end all connections."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self.end_watches(b"")
            for connection in list(self._connections):
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    # Nodes

    def put(
        self, name: str, cidrs: tuple[str, ...] = (), address: str = "", *, unavailable: bool | None = None, **more: Any
    ) -> None:
        """Create or change a Node."""
        with self._changed:
            found = self._objects.get(("Node", name)) or {
                "metadata": {"name": name, "uid": f"uid-{name}-{self.version}"}
            }
            metadata = {"creationTimestamp": f"2026-01-01T00:00:{len(self._objects):02}Z", **found["metadata"], **more}
            conditions = [{"type": "Ready", "status": "True"}]
            if unavailable is not None:
                conditions.append({"type": "NetworkUnavailable", "status": str(unavailable), "reason": "NoRoute"})
            node = {
                "kind": "Node",
                "apiVersion": "v1",
                "metadata": metadata,
                "spec": {"podCIDR": cidrs[0], "podCIDRs": list(cidrs)} if cidrs else {},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": a} for a in address.split()]
                    + [{"type": "Hostname", "address": name}],
                    "conditions": conditions,
                },
            }
            self._note("", node)

    def delete(self, name: str) -> None:
        """Delete a Node."""
        with self._changed:
            self._note("DELETED", self._objects["Node", name])

    def put_pod(
        self, name: str, node: str = "n1", *, uid: str = "", namespace: str = "default", **annotations: str
    ) -> str:
        """Create or change a Pod that is bound to `node`; return its uid.

        Annotations are podnet's (``ip="10.1.2.3"``), or given whole in a mapping.
        """
        with self._changed:
            uid = uid or f"uid-{namespace}-{name}-{self.version}"
            keys = {key if "/" in key else f"podnet.dev/{key}": value for key, value in annotations.items()}
            metadata = {"name": name, "namespace": namespace, "uid": uid, "annotations": keys}
            spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
            self._note("", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}})
            return uid

    def delete_pod(self, name: str, namespace: str = "default") -> None:
        """Delete a Pod."""
        with self._changed:
            self._note("DELETED", self._objects["Pod", f"{namespace}/{name}"])

    def bookmark(self) -> None:
        """Send a bookmark to all who watch, at a version that nothing else has."""
        with self._changed:
            self.version += 1
            self._history.append((self.version, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))
            self._changed.notify_all()

    def node(self, name: str) -> dict[str, Any]:
        """Return a Node."""
        with self._changed:
            return self._objects["Node", name]

    def compact(self) -> None:
        """Forget what happened until now: older versions and tokens of lists are Gone."""
        with self._changed:
            self._oldest = self.version
            self._history.clear()

    def end_watches(self, cut: bytes = b"") -> None:
        """End all watches; with `cut` by these bytes and a connection that breaks."""
        with self._changed:
            self._generation += 1
            self._cut = cut
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Asked]], object]) -> None:
        """Wait until what was asked fulfils `condition`."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.asked), PATIENCE), self.asked

    def watches(self) -> list[Asked]:
        """Return the watches that were asked for."""
        return [asked for asked in self.asked if "watch" in asked.query]

    def _note(self, kind: str, node: dict[str, Any]) -> None:
        self.version += 1
        node = {**node, "metadata": {**node["metadata"], "resourceVersion": str(self.version)}}
        key = _key(node)
        kind = kind or ("MODIFIED" if key in self._objects else "ADDED")
        if kind == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = node
        self._history.append((self.version, kind, node))
        self._changed.notify_all()

    # Requests

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE

            def setup(self) -> None:
                if api._tls is not None:
                    self.request = api._tls.wrap_socket(self.request, server_side=True)
                api._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                super().finish()
                api._connections.discard(self.request)
                self.request.close()

            def do_GET(self) -> None:
                api._answer(self)

            def do_PATCH(self) -> None:
                api._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        url = urlsplit(to.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        length = int(to.headers.get("Content-Length") or 0)
        body = json.loads(to.rfile.read(length)) if length else None
        with self._changed:
            self.asked.append(Asked(to.command, url.path, query, dict(to.headers), body))
            generation = self._generation
            self._changed.notify_all()
            while self.hang:
                self._changed.wait(PATIENCE)
            token = to.headers.get("Authorization", "").removeprefix("Bearer ")
            if self.tokens is not None and token not in self.tokens:
                return _refuse(to, 401, "Unauthorized")
            if self.refusal is not None:
                return _refuse(to, self.refusal[0], "refused on purpose", self.refusal[1])
            if url.path in self.forbidden:
                return _refuse(to, 403, f"cannot list {url.path}")
        if to.command == "PATCH":
            return self._patch(to, url.path, body)
        if "watch" in query:
            return self._watch(to, Wanted.of(url.path, query), int(query["resourceVersion"]), generation)
        return self._list(to, query)

    def _patch(self, to: BaseHTTPRequestHandler, path: str, body: Any) -> None:
        name, _, sub = path.removeprefix("/api/v1/nodes/").partition("/")
        with self._changed:
            node = json.loads(json.dumps(self._objects["Node", name]))
            if sub == "status":
                for condition in body["status"]["conditions"]:
                    others = [c for c in node["status"]["conditions"] if c["type"] != condition["type"]]
                    node["status"]["conditions"] = [*others, condition]
            else:
                kept = {**node["metadata"].get("annotations", {}), **body["metadata"]["annotations"]}
                node["metadata"]["annotations"] = {key: value for key, value in kept.items() if value is not None}
            self._note("MODIFIED", node)
        _send(to, 200, node)

    def _list(self, to: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        with self._changed:
            version, start = self.version, 0
            if "continue" in query:
                version, start = map(int, query["continue"].split("."))
                if version < self._oldest:
                    return _refuse(to, 410, "The provided continue parameter is too old")
            wanted = Wanted.of(urlsplit(to.path).path, query)
            nodes = [node for _, node in sorted(self._at(version).items()) if wanted.matches(node)]
        size = min(self.page, int(query.get("limit", "500")))
        metadata = {"resourceVersion": str(version)}
        if start + size < len(nodes):
            metadata["continue"] = f"{version}.{start + size}"
        items = [{key: part for key, part in node.items() if key not in {"kind", "apiVersion"}} for node in nodes]
        return _send(
            to,
            200,
            {
                "kind": f"{wanted.kind}List",
                "apiVersion": "v1",
                "metadata": metadata,
                "items": items[start : start + size],
            },
        )

    def _at(self, version: int) -> "dict[Key, dict[str, Any]]":
        """Return the objects as they were at `version`, by undoing what came later."""
        nodes = dict(self._objects)
        later = {_key(node) for at, kind, node in self._history if at > version and kind != "BOOKMARK"}
        for name in later:
            nodes.pop(name, None)
            for at, kind, node in self._history:
                if at <= version and kind != "BOOKMARK" and _key(node) == name:
                    nodes.pop(name, None)
                    if kind != "DELETED":
                        nodes[name] = node
        return nodes

    def _watch(self, to: BaseHTTPRequestHandler, wanted: "Wanted", version: int, generation: int) -> None:
        to.send_response(200)
        to.send_header("Content-Type", "application/json")
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        if version < self._oldest:
            _chunk(to, {"type": "ERROR", "object": {**_status(410, "too old resource version"), "reason": "Expired"}})
            to.wfile.write(b"0\r\n\r\n")
            return
        while True:
            with self._changed:
                while not self._events(version) and generation == self._generation:
                    self._changed.wait(PATIENCE)
                events = self._events(version)
                ended, cut = generation != self._generation, self._cut
            for at, kind, node in events:
                if not self.mute and (kind == "BOOKMARK" or wanted.matches(node)):
                    _chunk(to, {"type": kind, "object": {"kind": wanted.kind, "apiVersion": "v1", **node}})
                version = at
            if ended:
                if cut:
                    to.wfile.write(b"%x\r\n%b" % (len(cut) + 100, cut))
                elif self._server is not None:
                    to.wfile.write(b"0\r\n\r\n")
                to.close_connection = True
                return

    def _events(self, version: int) -> list[tuple[int, str, dict[str, Any]]]:
        return [event for event in self._history if event[0] > version]


Key = tuple[str, str]


class Wanted(NamedTuple):
    """What a request is about: a kind of object, and of Pods those of a node if one is named."""

    kind: str
    node: str = ""

    @classmethod
    def of(cls, path: str, query: dict[str, str]) -> "Wanted":
        """Return what is asked for."""
        kind = {"/api/v1/nodes": "Node", "/api/v1/pods": "Pod"}[path]
        return cls(kind, query.get("fieldSelector", "").removeprefix("spec.nodeName="))

    def matches(self, found: dict[str, Any]) -> bool:
        """Tell whether an object is wanted."""
        return found["kind"] == self.kind and self.node in {"", found["spec"].get("nodeName", "")}


def _key(found: dict[str, Any]) -> Key:
    metadata = found["metadata"]
    return found["kind"], f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def _status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code}


def _refuse(to: BaseHTTPRequestHandler, code: int, message: str, headers: dict[str, str] | None = None) -> None:
    _send(to, code, _status(code, message), headers)


def _send(to: BaseHTTPRequestHandler, code: int, document: Any, headers: dict[str, str] | None = None) -> None:
    body = json.dumps(document).encode()
    to.send_response(code)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


def _chunk(to: BaseHTTPRequestHandler, document: Any) -> None:
    line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    to.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
    to.wfile.flush()


@contextmanager
def serving(
    make: Callable[[], socket.socket], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Api]:
    """Give a server for the block."""
    api = Api(make, tls, host)
    try:
        yield api
    finally:
        api.hang = False
        api.down()
