"""An API server of a cluster as large as is asked for: `python -m bench.api nodes|pods COUNT`, until it is killed.

It is a process of its own, so that what it costs is nobody else's.  Its objects are of the size of real ones; lists
come in pages, and a watch tells of changes.
"""

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

IMAGES = 50
"""What makes most of a Node: the names of images (the kubelet reports 50 at most)."""
RESTED, REST, SOON = 9, 1.0, 0.02
"""So many changes come with seconds of rest before each, and those after soon one after the other."""
MADE_BEFORE = 10_000
"""Objects that are kept as text; more are made when they are asked for."""


class Kind(NamedTuple):
    """Objects of a kind by number, and the event that a watch tells n-th in a cluster of so many."""

    made: Callable[[int], dict[str, Any]]
    event: Callable[[int, int], dict[str, Any]]


def node(i: int) -> dict[str, Any]:
    """Return a Node of some 12 KB."""
    return {
        "metadata": {
            "name": f"node-{i:05}",
            "uid": f"uid-{i}",
            "resourceVersion": "5",
            "labels": {"a": "b" * 500},
            "annotations": {"podnet.dev/wireguard-public-key": _key(i)},
        },
        "spec": {"podCIDRs": [f"10.{128 + i // 256}.{i % 256}.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"10.1.{i // 250}.{i % 250 + 1}"}],
            "conditions": [{"type": "Ready", "status": "True", "message": "m" * 100}] * 5,
            "images": [{"names": [f"registry.test/{'x' * 180}:{n}"], "sizeBytes": 1} for n in range(IMAGES)],
        },
    }


def _key(i: int) -> str:
    """Return what looks like a public key of X25519."""
    return b64encode(sha256(str(i).encode()).digest()).decode()


def node_moved(n: int, _: int) -> dict[str, Any]:
    """Return that the n-th other Node has another address."""
    moved = node(n + 1)
    moved["status"]["addresses"][0]["address"] = f"10.1.{200 + n // 250}.{n % 250 + 1}"
    return {"type": "MODIFIED", "object": moved}


def pod(i: int) -> dict[str, Any]:
    """Return a Pod of some 5 KB, one in ten with an annotation of podnet's."""
    container = {
        "name": "c",
        "image": f"registry.test/{'x' * 60}:1",
        "env": [{"name": "N" * 20, "value": "v" * 40}] * 20,
    }
    annotations = {"kubernetes.io/config.source": "api", "checksum/config": "c" * 64}
    if i % 10 == 0:
        annotations["podnet.dev/pool"] = "egress"
    return {
        "metadata": {
            "name": f"deployment-{i // 10:05}-{i % 10}-7d9f8c6b5d-x2x4z",
            "namespace": f"namespace-{i % 100}",
            "uid": f"{i:08x}-94a2-4c9f-8f43-1f0b7e3a9a11",
            "resourceVersion": "5",
            "labels": {"app": "a" * 30, "pod-template-hash": "7d9f8c6b5d"},
            "annotations": annotations,
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f": "x" * 1500}}],
        },
        "spec": {"nodeName": "n1", "containers": [container]},
        "status": {"phase": "Running", "podIP": "10.1.2.3", "conditions": [{"type": "Ready", "status": "True"}] * 5},
    }


def pod_added(n: int, count: int) -> dict[str, Any]:
    """Return that one more Pod is there."""
    return {"type": "ADDED", "object": pod(count + n)}


KINDS = {"nodes": Kind(node, node_moved), "pods": Kind(pod, pod_added)}


def serve(kind: Kind, count: int) -> None:
    """Print the port, and serve; what fits is made before, so that nobody waits for its making."""
    made = [json.dumps(kind.made(i)) for i in range(count if count <= MADE_BEFORE else 0)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
            self.send_response(200)
            self.end_headers()
            if "watch" in query:
                with suppress(BrokenPipeError):  # who watched has seen enough
                    for n in range(1000):
                        time.sleep(REST if n < RESTED else SOON)
                        self.wfile.write(json.dumps(kind.event(n, count)).encode() + b"\n")
                return
            start, limit = int(query.get("continue", "0")), int(query["limit"])
            more = f',"continue":"{start + limit}"' if start + limit < count else ""
            page = ",".join(made[start : start + limit] or _made(kind, start, min(count, start + limit)))
            self.wfile.write(f'{{"metadata":{{"resourceVersion":"5"{more}}},"items":[{page}]}}'.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def _made(kind: Kind, start: int, end: int) -> Iterator[str]:
    return (json.dumps(kind.made(i)) for i in range(start, end))


@contextmanager
def serving(kind: str, count: int) -> Iterator[str]:
    """Have a server in the calling thread's network for the block; give its port."""
    words = [sys.executable, "-m", "bench.api", kind, str(count)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    serve(KINDS[sys.argv[1]], int(sys.argv[2]))
