"""What tests of Kubernetes as the cluster source share: a server, certificates, kubeconfigs."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster_sources.kubernetes.api import Api, serving


class Pki(NamedTuple):
    """Files: a CA, a server's certificate for api.test alone, a client's, each with its key."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    def context(self) -> ssl.SSLContext:
        """Return the server's end of TLS; it asks for the client's certificate and does without."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(*self.server)
        return context


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: Debian's package openssl has it")
    folder = tmp_path_factory.mktemp("pki")

    def make(name: str, *more: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate, *more],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key

    ca, ca_key = make("ca")
    signed = ["-CA", str(ca), "-CAkey", str(ca_key)]
    server = make("server", *signed, "-addext", "subjectAltName=DNS:api.test", "-addext", "basicConstraints=CA:FALSE")
    return Pki(ca, server, make("client", *signed, "-addext", "basicConstraints=CA:FALSE"))


def loopback() -> socket.socket:
    """Return a socket."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@pytest.fixture
def api() -> Iterator[Api]:
    """Give a server without TLS."""
    with serving(loopback) as server:
        yield server


@pytest.fixture
def tls_api(pki: Pki) -> Iterator[Api]:
    """Give a server with TLS."""
    with serving(loopback, pki.context()) as server:
        yield server


@pytest.fixture
def write_kubeconfig(tmp_path: Path) -> Callable[..., str]:
    """Give a function that writes a kubeconfig of one cluster, user and context; it returns the path."""

    def write(cluster: dict[str, Any], user: dict[str, Any] | None = None) -> str:
        path = tmp_path / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "current-context": "it",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return str(path)

    return write
