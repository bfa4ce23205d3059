"""What tests of Kubernetes as the cluster source share: a server, certificates, kubeconfigs."""

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from podnet.cluster.kubernetes import Backoff, KubernetesNodes, read_kubeconfig
from podnet.model import Node
from tests.cluster_sources.kubernetes.api import Api, serving
from tests.cluster_sources.kubernetes.following import Follow
from tests.cluster_sources.kubernetes.pki import Pki, make_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make certificates."""
    return make_pki(tmp_path_factory.mktemp("pki"))


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


@pytest.fixture
def follow(api: Api, write_kubeconfig: Callable[..., str]) -> Iterator[Follow]:
    """Give a function that follows the server's Nodes as n1."""
    made: list[KubernetesNodes] = []

    def begin(
        known: tuple[Node, ...] = (), user: dict[str, str] | None = None, annotations: dict[str, str] | None = None
    ) -> KubernetesNodes:
        access = read_kubeconfig(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"}, user))
        made.append(KubernetesNodes(access, "n1", known, annotations=annotations or {}, down=Backoff(random.random)))
        return made[-1]

    yield begin
    for nodes in made:
        nodes.close()
