"""On a real cluster a hundred pods that are created at once on one node all run, each with an address that works."""

from collections.abc import Iterator

import pytest

from tests.cluster.api import Object, waited
from tests.cluster.burst import MANY, burst, ended, running
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAIRS, on
from tests.cluster.deployment import Deployment
from tests.cluster.probes import outcome

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), on(PAIRS[0])]

CLOSED = 9
"""A port at which nobody listens: who refuses is there."""


@pytest.fixture
def pods(cluster: Cluster, deployment: Deployment) -> Iterator[list[Object]]:
    """Give the pods of a burst on the first node, running."""
    node = deployment.cluster.nodes[0]
    cluster.api.create(*burst(node.name))
    yield waited(lambda: running(cluster.api, MANY), f"{MANY} pods running", 180)
    ended(cluster.api)


def test_all_pods_of_a_burst_run(cluster: Cluster, pods: list[Object]) -> None:
    """Each has addresses of its own, and is reached at them from its node and from another."""
    addresses = [entry["ip"] for pod in pods for entry in pod["status"]["podIPs"]]
    assert len(set(addresses)) == MANY * len(cluster.configuration.families)
    silent = {
        f"{address} from {node.name}": told
        for node in cluster.nodes
        for address in addresses
        if "ConnectionRefusedError" not in (told := outcome(cluster, node.host.network, address, CLOSED))
    }
    assert silent == {}
