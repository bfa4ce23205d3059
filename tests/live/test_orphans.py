"""Pods that the cluster has deleted, of which no DEL came, and whose namespace stays, pinned by its file."""

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.kubernetes.api import Api
from tests.live.test_kubernetes import api as api  # noqa: PLC0414 - a fixture of theirs
from tests.live.test_kubernetes import put
from tests.live.test_pod_annotations import add, configure

pytestmark = pytest.mark.live


def test_an_address_comes_back_without_a_del(bare: Node, api: Api) -> None:
    """Where nothing runs in the pod: its link and its lease go, the log says why, and the address can be had again."""
    configure(bare, "gc: {interval: 0.1, grace: 0.3}")
    put(api, 1)
    daemon = bare.start()
    before = bare.state()
    first = api.put_pod("db-0", ip="10.244.1.50")
    assert add(bare, "old", first).addresses == ["10.244.1.50"]
    api.delete_pod("db-0")
    assert "pod default/old" in daemon.wait_log("its pod was deleted and nothing has run in it for 0.3 s")
    eventually(lambda: bare.state() == before, "the node as it was")
    assert bare.leases() == []
    assert add(bare, "new", api.put_pod("db-0", ip="10.244.1.50")).addresses == ["10.244.1.50"]
    assert bare.cni("DEL", "old").status == 0


def test_what_runs_keeps_its_address_whatever_the_cluster_says(bare: Node, api: Api) -> None:
    """A process in the namespace is a container that runs; when it has ended the address comes back."""
    configure(bare, "gc: {interval: 0.1, grace: 0.3}")
    put(api, 1)
    daemon = bare.start()
    running, gone = api.put_pod("running"), api.put_pod("gone")
    address = add(bare, "running", running).addresses[0]
    assert add(bare, "gone", gone).addresses
    with bare.background("ip", "netns", "exec", "running", "sh", "-c", "echo here; read line"):
        api.delete_pod("running")
        api.delete_pod("gone")
        daemon.wait_log("pod default/gone, container gone (eth0) is collected")
        assert bare.exchange("", "running", address)
    daemon.wait_log("pod default/running, container running (eth0) is collected")
