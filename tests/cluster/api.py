"""The API server as its clients see it: objects in, objects out, over a connection from a place of the machine."""

import json
import ssl
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep
from typing import Any

from podnet.testing.waiting import PATIENCE

Object = dict[str, Any]
PLURALS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "Event": "/api/v1/namespaces/{}/events",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
}
MERGE = "application/strategic-merge-patch+json"
POLL = 0.1


class Refused(Exception):  # noqa: N818 - the API server's word
    """The API server says no: `code` is HTTP's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Api:
    """A client of the API server."""

    def __init__(self, context: ssl.SSLContext, host: str, port: int, open_socket: Callable[[], Any]) -> None:
        """Speak to `host` over sockets that `open_socket` opens and connects."""
        self._context = context
        self._address = host, port
        self._open_socket = open_socket
        self._connection: HTTPConnection | None = None

    def _connected(self) -> HTTPConnection:
        if self._connection is None:
            made, plain = HTTPConnection(*self._address), self._open_socket()
            try:
                made.sock = self._context.wrap_socket(plain, server_hostname=self._address[0])
            except OSError:
                plain.close()
                raise
            self._connection = made
        return self._connection

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask once more where a connection that was kept has ended; return the document, or the text if it is none."""
        fresh = self._connection is None
        try:
            connection = self._connected()
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": kind, "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, HTTPException):
            self.close()
            if fresh:
                raise
            return self.request(method, path, body, kind)
        if answer.status >= 400:
            raise Refused(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Objects

    def path(self, kind: str, name: str = "", namespace: str = "default") -> str:
        """Return an object's path, or its kind's."""
        return "/".join(filter(None, (PLURALS[kind].format(namespace), name)))

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """Return an object."""
        found: Object = self.request("GET", self.path(kind, name, namespace))
        return found

    def listed(self, kind: str, namespace: str = "default", selector: str = "") -> list[Object]:
        """Return the objects of a kind, those with the labels of `selector`."""
        query = f"?labelSelector={selector.replace('=', '%3D')}" if selector else ""
        found: list[Object] = self.request("GET", self.path(kind, "", namespace) + query)["items"]
        return found

    def create(self, *objects: Object) -> None:
        """Create objects."""
        for made in objects:
            namespace = made["metadata"].get("namespace", "default")
            self.request("POST", self.path(made["kind"], "", namespace), made)

    def patch(self, kind: str, name: str, body: Object, namespace: str = "default") -> Object:
        """Change an object."""
        changed: Object = self.request("PATCH", self.path(kind, name, namespace), body, MERGE)
        return changed

    def delete(self, kind: str, names: Iterable[str], namespace: str = "default", grace: int = 0) -> None:
        """Delete objects, those that are there."""
        for name in names:
            try:
                self.request("DELETE", self.path(kind, name, namespace), {"gracePeriodSeconds": grace})
            except Refused as error:
                if error.code != 404:
                    raise

    def wait(self, condition: Callable[[], Any], what: str, patience: float = 4 * PATIENCE) -> Any:
        """Ask until `condition` gives something; raise `TimeoutError` when patience is out."""
        return waited(condition, what, patience)


def waited(condition: Callable[[], Any], what: str, patience: float = 4 * PATIENCE) -> Any:
    """Return what `condition` gives as soon as it gives something; raise `TimeoutError` when patience is out."""
    deadline, last = monotonic() + patience, "nothing"
    while True:
        try:
            if found := condition():
                return found
        except (OSError, HTTPException, Refused) as error:
            last = str(error)
        if monotonic() > deadline:
            raise TimeoutError(f"{what} within {patience:.0f} s (last: {last})")
        sleep(POLL)
