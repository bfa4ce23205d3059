"""The roles of deploy/podnet.yaml, beside what the daemon asks an API server for."""

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from podnet.cluster.kubernetes.identity import Identity
from podnet.cluster.kubernetes.nodes import KubernetesNodes
from podnet.cluster.kubernetes.pods import KubernetesPods
from podnet.cluster.remote.access import Access, Server
from podnet.cluster.remote.backoff import Backoff
from podnet.testing.waiting import eventually

Right = tuple[str, str, str]
"""The namespace ("" for the cluster's), the resource and the verb."""

NODE = {
    "metadata": {"name": "n1", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"podCIDRs": ["10.244.1.0/24"]},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "10.99.0.1"}],
        "conditions": [{"type": "NetworkUnavailable", "status": "True"}],
    },
}


def right(method: str, target: str) -> Right:
    """Return the right that a request takes (Kubernetes documentation, "Authorization", request verbs)."""
    url = urlsplit(target)
    words = url.path.removeprefix("/api/v1/").split("/")
    namespace = ""
    if words[0] == "namespaces" and len(words) > 2:
        namespace, words = words[1], words[2:]
    resource = "/".join(words[::2])  # nodes/NAME/status
    named = len(words) > 1
    verbs = {"POST": "create", "PATCH": "patch", "GET": "get" if named else "list"}
    watching = method == "GET" and parse_qs(url.query).get("watch", ["0"])[0] in {"1", "true"}
    return namespace, resource, "watch" if watching else verbs[method]


@pytest.fixture
def asked() -> Iterator[tuple[Access, set[Right]]]:
    """Give an API server that says yes, and the rights that it has been asked for."""
    rights: set[Right] = set()

    class Handler(BaseHTTPRequestHandler):
        """Answers each request as an API server that allows it."""

        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            """Note the right, and say yes."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = right(self.command, self.path)
            rights.add(asked)
            listing = {"metadata": {"resourceVersion": "1"}, "items": [NODE] if asked[1] == "nodes" else []}
            body = b"" if asked[2] == "watch" else json.dumps(listing if asked[2] == "list" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield (
            Access(Server(source="test", scheme="http", host="127.0.0.1", port=server.server_address[1]), Identity()),
            rights,
        )
        server.shutdown()


def granted(manifest: list[dict[str, Any]]) -> set[Right]:
    """Return the rights that the roles of `manifest` give."""
    found: set[Right] = set()
    for document in manifest:
        for rule in document.get("rules", ()):
            assert rule["apiGroups"] == [""]
            assert rule.keys() == {"apiGroups", "resources", "verbs"}
            namespace = document["metadata"].get("namespace", "")
            found |= {(namespace, resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    return found


def test_roles_give_what_is_asked_for(manifest: list[dict[str, Any]], asked: tuple[Access, set[Right]]) -> None:
    """All that a daemon does with the API server, done once, takes exactly the rights of its roles."""
    access, rights = asked
    down = Backoff(random.random)
    nodes = KubernetesNodes(access, "n1", annotations={"podnet.dev/x": "y"}, down=down)
    pods = KubernetesPods(access, "n1", down=down)
    try:
        assert nodes.wait(20)
        assert pods.wait(20)
        nodes.serving()
        nodes.tell("a drift")
        expected = granted(manifest)
        eventually(lambda: rights == expected, "the rights that are granted")
    finally:
        nodes.close()
        pods.close()
    assert rights == expected


def test_the_roles_are_bound_to_the_daemon(manifest: list[dict[str, Any]], pod: dict[str, Any]) -> None:
    """Each role has a binding beside it, for the daemon's service account alone."""
    roles = {(d["kind"], d["metadata"].get("namespace")) for d in manifest if d["kind"].endswith("Role")}
    bindings = [d for d in manifest if d["kind"].endswith("RoleBinding")]
    assert {(d["roleRef"]["kind"], d["metadata"].get("namespace")) for d in bindings} == roles
    for binding in bindings:
        account = {"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "kube-system"}
        assert binding["subjects"] == [account]
