"""The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, in a network of their own."""

import json
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from podnet.kernel.namespace import entered
from podnet.testing.waiting import PATIENCE
from tests.cluster.api import Api, waited
from tests.cluster.certificates import Certificates
from tests.cluster.configuration import Configuration
from tests.cluster.lan import CONTROL
from tests.cluster.machine import Machine, Network

SERVICE_CIDRS = {4: "10.96.0.0/16", 6: "fd96::/108"}
POD_CIDRS = {4: "10.244.0.0/16", 6: "fd44::/48"}
API_SERVICE = "10.96.0.1"
PORT = 6443
FOLDER = "/run/control"


def cidrs(of: dict[int, str], families: Sequence[int]) -> str:
    """Return ranges as Kubernetes' options have them."""
    return ",".join(of[family] for family in families)


class ControlPlane:
    """The control plane of a cluster, started by :meth:`start`; the machine ends it."""

    def __init__(self, machine: Machine, place: Network, programs: Path, configuration: Configuration) -> None:
        self._machine = machine
        self._place = place
        self._programs = programs
        self._configuration = configuration
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = machine.root / FOLDER.lstrip("/")
        self._certificates = Certificates(self._folder, [
            f"IP:{CONTROL.ipv4}", f"IP:{API_SERVICE}", "IP:127.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc",
        ])  # fmt: skip
        self.kubeconfig = f"{FOLDER}/kubeconfig"
        """Where who is on the machine, but not on a host of it, finds the administrator's."""
        self.kubeconfig_text = json.dumps(self._access())
        (self._folder / "kubeconfig").write_text(self.kubeconfig_text)
        self.api = Api(self._context(), str(CONTROL.ipv4), PORT, self._connect)

    def start(self) -> None:
        """Start all of it, and wait until it answers."""
        self._run(
            "etcd", f"{self._programs}/etcd", "--data-dir", f"{FOLDER}/etcd", "--unsafe-no-fsync", "--log-level=warn"
        )
        self.start_server()
        families, secret = self._configuration.families, self._inside
        self._run(
            "kube-controller-manager", f"{self._programs}/kube-controller-manager", f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={secret('accounts.key')}", f"--root-ca-file={secret('ca.crt')}",
            "--allocate-node-cidrs=true", f"--cluster-cidr={cidrs(POD_CIDRS, families)}",
            f"--service-cluster-ip-range={cidrs(SERVICE_CIDRS, families)}", "--leader-elect=false",
            "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip
        self._run(
            "kube-scheduler", f"{self._programs}/kube-scheduler", f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip

    def start_server(self) -> None:
        """Start the API server, and wait until it is ready."""
        secret = self._inside
        self._run(
            "kube-apiserver", f"{self._programs}/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={CONTROL.ipv4}", f"--secure-port={PORT}",
            "--kubelet-preferred-address-types=InternalIP",  # nobody resolves the nodes' names
            f"--tls-cert-file={secret('server.crt')}", f"--tls-private-key-file={secret('server.key')}",
            f"--client-ca-file={secret('ca.crt')}", "--authorization-mode=RBAC", "--allow-privileged=true",
            f"--service-cluster-ip-range={cidrs(SERVICE_CIDRS, self._configuration.families)}",
            f"--service-account-key-file={secret('accounts.pub')}",
            f"--service-account-signing-key-file={secret('accounts.key')}",
            "--service-account-issuer=https://kubernetes.default.svc", "--cert-dir=/run",
        )  # fmt: skip
        waited(self._ready, f"kube-apiserver: {self.log('kube-apiserver')}")

    def close(self) -> None:
        """Let go of the connection to it."""
        self.api.close()

    def kill_server(self) -> None:
        """Kill the API server; what it kept is in etcd."""
        process = self._processes["kube-apiserver"]
        process.kill()
        process.wait(PATIENCE)
        self.api.close()

    def log(self, name: str) -> str:
        """Return the end of what a program logged."""
        path = self._machine.root / f"run/log/{name}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _ready(self) -> bool:
        process = self._processes["kube-apiserver"]
        if process.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended: {self.log('kube-apiserver')}")
        return bool(self.api.request("GET", "/readyz") == "ok")

    def _run(self, name: str, *argv: str) -> None:
        with (self._machine.root / f"run/log/{name}.log").open("ab") as log:
            self._processes[name] = self._place.start(log, *argv)

    def _inside(self, name: str) -> str:
        return f"{FOLDER}/{name}"

    def _access(self) -> dict[str, Any]:
        """Return a kubeconfig that holds all it needs."""
        read = {name: self._certificates.base64(name) for name in ("ca.crt", "admin.crt", "admin.key")}
        cluster = {"server": f"https://{CONTROL.ipv4}:{PORT}", "certificate-authority-data": read["ca.crt"]}
        user = {"client-certificate-data": read["admin.crt"], "client-key-data": read["admin.key"]}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "podnet.test",
            "clusters": [{"name": "podnet.test", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "podnet.test", "context": {"cluster": "podnet.test", "user": "admin"}}],
        }

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._certificates.path("ca.crt"))
        context.load_cert_chain(self._certificates.path("admin.crt"), self._certificates.path("admin.key"))
        return context

    def _connect(self) -> socket.socket:
        with entered(self._machine.network, self._machine.home):
            made = socket.socket()
        try:
            made.settimeout(PATIENCE)
            made.connect((str(CONTROL.ipv4), PORT))
        except OSError:
            made.close()
            raise
        return made
