"""Pods from an API server: how long a list takes and what it does to memory, for a node's own and for all of a cluster.

`python bench/pods.py [PODS]`.  The server is a process of its own; its Pods are of the size of real ones.
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


def pod(i: int) -> dict[str, Any]:
    """Return a Pod of some 5 KB, one in ten with an annotation of podnet's."""
    uid = f"{i:08x}-94a2-4c9f-8f43-1f0b7e3a9a11"
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
            "uid": uid,
            "resourceVersion": "5",
            "labels": {"app": "a" * 30, "pod-template-hash": "7d9f8c6b5d"},
            "annotations": annotations,
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f": "x" * 1500}}],
        },
        "spec": {"nodeName": "n1", "containers": [container]},
        "status": {"phase": "Running", "podIP": "10.1.2.3", "conditions": [{"type": "Ready", "status": "True"}] * 5},
    }


def serve(count: int) -> None:
    """Serve lists in pages, and watches on which a Pod comes each second."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
            self.send_response(200)
            self.end_headers()
            if "watch" in query:
                for i in range(count, count + 1000):
                    time.sleep(1)
                    self.wfile.write(json.dumps({"type": "ADDED", "object": pod(i)}).encode() + b"\n")
            start, limit = int(query.get("continue", "0")), int(query["limit"])
            more = f',"continue":"{start + limit}"' if start + limit < count else ""
            page = ",".join(json.dumps(pod(i)) for i in range(start, min(count, start + limit)))
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
    from podnet.cluster.kubernetes import Backoff, KubernetesPods, read_kubeconfig  # noqa: PLC0415 - after that

    with TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        document = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        }
        kubeconfig.write_text(json.dumps(document), encoding="utf-8")
        access = read_kubeconfig(str(kubeconfig))
    before, began = resident(), time.perf_counter()
    pods = KubernetesPods(access, "n1", down=Backoff(lambda: 1.0))
    assert pods.wait(600)
    listed = time.perf_counter()
    pods.changed()
    print(f"{len(pods)} Pods listed in {listed - began:.2f} s, taken in {time.perf_counter() - listed:.3f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"resident: {before:.1f} MiB before, {resident():.1f} MiB after, {peak:.1f} MiB at most")
    for _ in range(3):
        select.select([pods], [], [])
        began = time.perf_counter()
        pods.changed()
        print(f"one change taken in {(time.perf_counter() - began) * 1000:.2f} ms")
    pods.close()


def main() -> None:
    """Measure, with the server beside."""
    count = sys.argv[1] if len(sys.argv) > 1 else "100000"
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
