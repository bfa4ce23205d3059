"""What `kubectl podnet` makes of a cluster's objects."""

from ipaddress import ip_address
from typing import Any

import pytest

from podnet.errors import NodeNotReady
from podnet.kubectl.cluster import ClusterNode, cluster, home, serving


def node(name: str, cidrs: tuple[str, ...] = (), *, ready: str = "True", message: str = "") -> dict[str, Any]:
    """Return a Node."""
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready, "message": message}]
    return {"metadata": {"name": name}, "spec": {"podCIDRs": list(cidrs)}, "status": {"conditions": conditions}}


def pod(name: str, on: str, created: str = "1", *, state: dict[str, Any] | None = None, **meta: str) -> dict[str, Any]:
    """Return podnet's pod on a node."""
    container = {"ready": state is None, "restartCount": 2, "state": state or {"running": {}}}
    return {
        "metadata": {"name": name, "creationTimestamp": created, **meta},
        "spec": {"nodeName": on, "containers": [{"image": "i:1"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def drift(name: str, message: str, when: str) -> dict[str, Any]:
    """Return an event."""
    return {"involvedObject": {"name": name}, "message": message, "lastTimestamp": when}


def test_nodes_with_their_daemons() -> None:
    """A node is told by name, with podnet's pod and the latest event; one without either says so."""
    nodes = cluster(
        [node("n2", ready="False", message="cni plugin not initialized"), node("n1", ("10.244.1.0/24", "fd00:1::/64"))],
        [pod("p1", "n1")],
        [drift("n1", "new", "2026-01-02T00:00:00Z"), drift("n1", "old", "2026-01-01T00:00:00Z")],
    )
    first, second = nodes
    assert (first.name, first.ready, first.pod_cidrs) == ("n1", "Ready", ("10.244.1.0/24", "fd00:1::/64"))
    assert first.daemon is not None
    assert (first.daemon.name, first.daemon.image, first.daemon.restarts) == ("p1", "i:1", 2)
    assert first.drift == "2026-01-02T00:00:00Z new"
    assert second == ClusterNode("n2", "NotReady: cni plugin not initialized", (), None, "")


def test_while_one_pod_replaces_another_the_younger_is_asked() -> None:
    """Whatever order they are listed in."""
    pods = [pod("new", "n1", "2"), pod("old", "n1", "1", deletionTimestamp="3")]
    for order in (pods, pods[::-1]):
        assert serving(cluster([node("n1")], order, []), "n1").name == "new"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"terminated": {"reason": "Error", "exitCode": 1}}, "Error"),
    ],
)
def test_a_daemon_that_does_not_run_is_not_asked(state: dict[str, Any], told: str) -> None:
    """The error says what its container is in, and where its log is."""
    nodes = cluster([node("n1")], [pod("p1", "n1", state=state)], [])
    with pytest.raises(NodeNotReady, match=f"p1 is {told}; see `kubectl -n kube-system logs p1`"):
        serving(nodes, "n1")


def test_who_cannot_be_asked_is_named() -> None:
    """A node that is none, with those that are; one without podnet."""
    nodes = cluster([node("n1"), node("n2")], [], [])
    with pytest.raises(NodeNotReady, match="no Node n3; there are n1, n2"):
        serving(nodes, "n3")
    with pytest.raises(NodeNotReady, match="n1: no podnet runs there"):
        serving(nodes, "n1")


def test_an_address_is_at_home_where_its_pod_cidr_is() -> None:
    """Of either family; and at none where it is of none."""
    nodes = cluster([node("n1", ("10.244.1.0/24",)), node("n2", ("10.244.2.0/24", "fd00:2::/64"))], [], [])
    at = {text: home(nodes, ip_address(text)) for text in ("10.244.2.9", "fd00:2::9", "10.244.3.9")}
    assert [found and found.name for found in at.values()] == ["n2", "n2", None]
