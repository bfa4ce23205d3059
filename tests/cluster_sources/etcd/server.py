"""A real etcd on loopback, in a network namespace of the test's own, and etcdctl(1) beside it as who else reads it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

PATIENCE = 30.0
CLIENTS, PEERS = 2379, 2380


class Etcd:
    """One server, number `number` of its cluster; it runs from :meth:`start` on, and its data outlive it."""

    def __init__(
        self,
        folder: Path,
        number: int = 1,
        members: int = 1,
        arguments: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        """Choose ports and folder; with `arguments` for TLS it is asked by https.

        It listens at `host`, and is run by the command `inside`, as in another namespace.
        """
        for program in ("etcd", "etcdctl"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is missing: Debian's packages etcd-server and etcd-client have both")
        self.scheme = "https" if any("cert" in word for word in arguments) else "http"
        self.port = CLIENTS + 10 * number
        self.url = f"{self.scheme}://{host}:{self.port}"
        self._inside = tuple(inside)
        peers = {f"m{i}": f"http://127.0.0.1:{PEERS + 10 * i}" for i in range(1, members + 1)}
        own = peers[f"m{number}"]
        self._data = folder / f"etcd{number}"
        self._argv = [
            *inside, "etcd", "--name", f"m{number}", "--data-dir", str(self._data),
            "--log-level", "error",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", own, "--initial-advertise-peer-urls", own,
            "--initial-cluster", ",".join(f"{name}={url}" for name, url in peers.items()),
            "--heartbeat-interval", "50", "--election-timeout", "500", *arguments,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Wait until it listens for clients, which it does when its cluster has a leader."""
        limit = time.monotonic() + PATIENCE
        while not self._listens():
            assert self._process is not None
            assert self._process.poll() is None, "etcd ended"
            assert time.monotonic() < limit, "etcd does not listen"
            time.sleep(0.02)

    def _listens(self) -> bool:
        if self._inside:
            return self._ctl("endpoint", "health").returncode == 0
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def end(self, how: int = signal.SIGKILL) -> None:
        """End it by a signal."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(PATIENCE)

    def forget(self) -> None:
        """Remove its data."""
        shutil.rmtree(self._data)

    def suspend(self) -> None:
        """Have it hang: it is there, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ctl(self, *words: str) -> str:
        """Run etcdctl; return what it prints."""
        done = self._ctl(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def _ctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {"ETCDCTL_API": "3", "PATH": os.environ["PATH"]}
        argv = [*self._inside, "etcdctl", "--endpoints", self.url, *words]
        return subprocess.run(argv, text=True, capture_output=True, check=False, timeout=PATIENCE, env=environment)

    def keys(self, prefix: str = "/podnet/podnet/", revision: int = 0) -> dict[str, Any]:
        """Return values by key without the prefix."""
        found = json.loads(self.ctl("get", "--prefix", prefix, "-w", "json", f"--rev={revision}"))
        return {
            b64decode(kv["key"]).decode().removeprefix(prefix): json.loads(b64decode(kv["value"]))
            for kv in found.get("kvs", ())
        }

    def holders(self) -> dict[str, str]:
        """Return who claims which prefix."""
        found = self.keys("/podnet/podnet/claims/")
        return {prefix: claim["node"] for prefix, claim in found.items()}

    def lease(self, key: str, prefix: str = "/podnet/podnet/") -> int:
        """Return the lease of a key."""
        (found,) = json.loads(self.ctl("get", prefix + key, "-w", "json"))["kvs"]
        return int(found.get("lease", 0))

    def revision(self) -> int:
        """Return the store's revision."""
        return int(json.loads(self.ctl("get", "nothing", "-w", "json"))["header"]["revision"])

    def curl(self, path: str, body: str, header: str) -> str:
        """Return what a request with a header of its own is answered, whatever that is."""
        name, _, value = header.partition(": ")
        asked = Request(f"{self.url}{path}", body.encode(), {name: value})  # noqa: S310 - http, on loopback
        try:
            with urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - likewise
                return str(answer.read().decode())
        except HTTPError as error:
            return error.read().decode()
