"""Nodes by the thousand from an API server: how long the first list takes, and what it does to memory.

`python bench/kubernetes.py [NODES]`.  The server is a process of its own; its Nodes are of the size of real ones.
"""

import json
import resource
import select
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

IMAGES = 50
"""What makes most of a Node: the names of images (the kubelet reports 50 at most)."""


def node(i: int) -> dict[str, Any]:
    """Return a Node of some 12 KB."""
    return {
        "metadata": {"name": f"node-{i:05}", "uid": f"uid-{i}", "resourceVersion": "5", "labels": {"a": "b" * 500}},
        "spec": {"podCIDRs": [f"10.{128 + i // 256}.{i % 256}.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": f"10.1.{i // 250}.{i % 250 + 1}"}],
            "conditions": [{"type": "Ready", "status": "True", "message": "m" * 100}] * 5,
            "images": [{"names": [f"registry.test/{'x' * 180}:{n}"], "sizeBytes": 1} for n in range(IMAGES)],
        },
    }


def serve(count: int) -> None:
    """Serve lists in pages, and watches on which a Node changes each second."""
    items = [json.dumps(node(i)) for i in range(count)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
            self.send_response(200)
            self.end_headers()
            if "watch" in query:
                for i in range(1000):
                    time.sleep(1)
                    moved = node(i)
                    moved["status"]["addresses"][0]["address"] = f"10.2.{i // 250}.{i % 250 + 1}"
                    self.wfile.write(json.dumps({"type": "MODIFIED", "object": moved}).encode() + b"\n")
            start, limit = int(query.get("continue", "0")), int(query["limit"])
            more = f',"continue":"{start + limit}"' if start + limit < count else ""
            page = ",".join(items[start : start + limit])
            self.wfile.write(f'{{"metadata":{{"resourceVersion":"5"{more}}},"items":[{page}]}}'.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def resident() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def measure(port: int) -> None:
    """Take the list, and some changes."""
    import podnet.daemon.run  # noqa: F401, PLC0415 - what a daemon has anyway
    from podnet.cluster.kubernetes import Backoff, KubernetesNodes, read_kubeconfig  # noqa: PLC0415 - after the line above

    with TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        kubeconfig.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                }
            ),
            encoding="utf-8",
        )
        access = read_kubeconfig(str(kubeconfig))
    before, began = resident(), time.perf_counter()
    nodes = KubernetesNodes(access, "node-00000", down=Backoff(lambda: 1.0))
    assert nodes.wait(600)
    listed = time.perf_counter()
    nodes.changed()
    print(f"{len(nodes.nodes)} Nodes listed in {listed - began:.2f} s, taken in {time.perf_counter() - listed:.3f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"resident: {before:.1f} MiB before, {resident():.1f} MiB after, {peak:.1f} MiB at most")
    for _ in range(3):
        select.select([nodes], [], [])
        began = time.perf_counter()
        nodes.changed()
        print(f"one change taken in {(time.perf_counter() - began) * 1000:.1f} ms")
    nodes.close()


def main() -> None:
    """Measure, with the server beside."""
    count = sys.argv[1] if len(sys.argv) > 1 else "5000"
    if count == "serve":
        serve(int(sys.argv[2]))
    server = subprocess.Popen([sys.executable, __file__, "serve", count], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        measure(int(server.stdout.readline()))
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    main()
