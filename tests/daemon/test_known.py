"""The nodes that are kept for a start without the API server: written whole, read as they were, or refused by name."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from podnet.daemon.known import Known, forget_known, keep_known, read_known
from podnet.daemon.node import list_nodes, network_of, node_settings
from podnet.daemon.paths import Paths
from podnet.daemon.source import open_source
from podnet.errors import InvalidConfiguration, IOFailure, NodeNotReady, StateError
from podnet.model import Node, NodeFacts

NODES = (
    Node("n1", (ip_address("10.0.0.1"), ip_address("fd99::1")), (ip_network("10.1.1.0/24"), ip_network("fd00:1::/64"))),
    Node("n2", (), (), "AbC="),
    Node("n3", (), (), pools=(ip_network("10.9.0.0/24"),), reflector=True),
)
FACTS = NodeFacts(name="n2", boot_id="b")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give paths below a folder of the test's own."""
    (tmp_path / "podnet.yaml").touch()
    (tmp_path / "known").mkdir()
    return Paths(config=str(tmp_path / "podnet.yaml"), nodes=str(tmp_path / "known" / "nodes.json"))


def test_what_is_kept_is_read_again(paths: Paths) -> None:
    """Both families, nodes with nothing or everything, and over an older file; nothing is left beside it."""
    assert read_known(paths.nodes) is None
    for known in (Known("https://a:1", "n1", NODES), Known("https://a:1", "n2", ()), Known("a,b", "n1", NODES, "etcd")):
        keep_known(paths.nodes, known)
        assert read_known(paths.nodes) == known
    assert [path.name for path in Path(paths.nodes).parent.iterdir()] == ["nodes.json"]
    forget_known(paths.nodes)
    forget_known(paths.nodes)
    assert read_known(paths.nodes) is None


def test_it_goes_before_the_nodes_list(paths: Paths) -> None:
    """While it is there, name and nodes are those that Kubernetes told; without, the list's."""
    Path(paths.config).write_text("node: file\n", encoding="utf-8")
    assert node_settings(paths).node == "file"
    keep_known(paths.nodes, Known("https://a:1", "n1", NODES))
    settings = node_settings(paths)
    assert (settings.node, list_nodes(settings, paths)) == ("n1", NODES)


def test_who_told_the_nodes_is_known(paths: Paths) -> None:
    """A file of before it was written is of Kubernetes; with etcd pods have no annotations to wait for."""
    keep_known(paths.nodes, Known("https://a:1", "n1", NODES))
    settings = node_settings(paths)
    assert (settings.told_by, settings.nodes, settings.pods.annotations) == ("kubernetes", "", True)
    content = Path(paths.nodes).read_bytes()
    Path(paths.nodes).write_bytes(content.replace(b',"told_by":"kubernetes"', b""))
    assert read_known(paths.nodes) == Known("https://a:1", "n1", NODES)
    keep_known(paths.nodes, Known("https://a:1", "n1", NODES, "etcd"))
    settings = node_settings(paths)
    assert (settings.told_by, settings.nodes, settings.pods.annotations) == ("etcd", "", False)


def test_one_source_tells_the_nodes(paths: Paths) -> None:
    """Two are refused, and etcd without a range to claim of."""
    Path(paths.config).write_text("etcd: {endpoints: ['http://127.0.0.1:1']}\n", encoding="utf-8")
    with pytest.raises(InvalidConfiguration, match="--kubeconfig and etcd both tell the nodes; keep one"):
        open_source(node_settings(paths), paths, kubeconfig="/x")
    with pytest.raises(InvalidConfiguration, match="cluster-cidrs is not there: give the range"):
        open_source(node_settings(paths), paths)


def test_a_node_without_a_pod_cidr_waits_for_one_in_kubernetes_alone(paths: Paths) -> None:
    """There it has a network without addresses; a nodes' list that gives it none is wrong."""
    settings = node_settings(paths)
    with pytest.raises(NodeNotReady, match="n2 has no pod-cidrs"):
        network_of(settings, NODES, FACTS)
    keep_known(paths.nodes, Known("https://a:1", "n2", NODES))
    assert network_of(node_settings(paths), NODES, FACTS).ranges == ()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"source":"","node":"n","nodes":[{"name":"n"}]}', b"\xff"])
def test_a_file_that_is_not_whole_is_named(paths: Paths, content: bytes) -> None:
    """The error has the path and the remedy."""
    Path(paths.nodes).write_bytes(content)
    with pytest.raises(StateError, match="remove it and start the daemon") as caught:
        read_known(paths.nodes)
    assert paths.nodes in caught.value.msg


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """So the daemon can say so, and go on."""
    with pytest.raises(IOFailure, match="cannot be written"):
        keep_known(str(tmp_path / "no" / "nodes.json"), Known("", "n", ()))


def test_a_name_without_kubernetes_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option --node-name says which Node this is; a list's reader says so in podnet.yaml."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidConfiguration, match="--node-name is for Kubernetes"):
        open_source(node_settings(paths), paths, node="n1")
