"""On a real cluster everything that should reach something does, and is seen as who it is."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.deployment import Deployment
from tests.cluster.lan import OUTSIDE
from tests.cluster.matrix import (
    Asker,
    Target,
    astonishing,
    node_askers,
    node_targets,
    pod_askers,
    pod_targets,
)
from tests.cluster.node import Node
from tests.cluster.paths import tunnelled
from tests.cluster.probes import asked, asked_by_datagram
from tests.cluster.workload import HOST_PORT, HTTP, NODE_HTTP, NODE_PORT, REPLICAS, SERVICE_PORT, Workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def node_addresses(node: Node) -> set[str]:
    """Return a node's addresses on the LAN."""
    return {node.port.address(4), node.port.address(6)}


def all_addresses(cluster: Cluster, node: Node) -> set[str]:
    """Return a node's addresses, those of its tunnel's end too."""
    ranges = cluster.api.get("Node", node.name)["spec"]["podCIDRs"]
    return node_addresses(node) | {cidr.partition("/")[0] for cidr in ranges}


def own(asker: Asker, _: Target) -> set[str]:
    """Return that an asker is seen as itself."""
    return set(asker.addresses.values())


def test_every_node_turns_ready(deployment: Deployment) -> None:
    """Every node is Ready by podnet alone, and none says that its network is unavailable."""
    cluster = deployment.cluster
    for node in cluster.nodes:
        assert cluster.condition(node.name, "Ready")["status"] == "True"
        told = [condition["type"] for condition in cluster.api.get("Node", node.name)["status"]["conditions"]]
        assert "NetworkUnavailable" not in told


def test_pods_are_on_every_node_with_addresses_of_it(cluster: Cluster, workload: Workload) -> None:
    """Twelve pods are spread over the nodes, each with an address of every family from its node's range."""
    assert len(workload.web) == REPLICAS
    assert {pod.node.name for pod in workload.web} == {node.name for node in cluster.nodes}
    addresses = [pod.addresses[family] for pod in workload.web for family in cluster.configuration.families]
    assert len(set(addresses)) == REPLICAS * len(cluster.configuration.families)


def test_every_pod_reaches_every_pod_as_itself(cluster: Cluster, workload: Workload) -> None:
    """Every pod reaches every pod, itself too; each is seen with its own address."""
    for family in cluster.configuration.families:
        askers, targets = pod_askers(workload.web), pod_targets(workload.web, family)
        assert astonishing(cluster, askers, targets, own) == {}


def test_every_pod_reaches_every_node(cluster: Cluster, workload: Workload) -> None:
    """Every pod reaches every node: as itself, or as its node where the answer could not come back else."""

    def allowed(asker: Asker, target: Target) -> set[str]:
        return node_addresses(asker.node) if tunnelled(cluster, asker.node, target.node) else own(asker, target)

    for family in cluster.configuration.families:
        askers, targets = pod_askers(workload.web), node_targets(cluster.nodes, family)
        assert astonishing(cluster, askers, targets, allowed) == {}


def test_every_node_reaches_every_pod(cluster: Cluster, workload: Workload) -> None:
    """Every node reaches every pod by an address of its own, that of its tunnel's end where there is one between."""

    def allowed(asker: Asker, target: Target) -> set[str]:
        every = all_addresses(cluster, asker.node)
        return every - node_addresses(asker.node) if tunnelled(cluster, asker.node, target.node) else every

    for family in cluster.configuration.families:
        askers = node_askers(cluster.nodes, cluster.configuration.families)
        assert astonishing(cluster, askers, pod_targets(workload.web, family), allowed) == {}


def test_pods_on_a_nodes_own_network_reach_pods(cluster: Cluster, workload: Workload) -> None:
    """A pod with hostNetwork is its node: pods reach it there, and from there it reaches pods."""
    host_pod = workload.on_nodes[0]
    assert host_pod.sandbox.netns == ""
    for family in cluster.configuration.families:
        for pod in workload.web:
            assert asked(cluster, host_pod.network, pod.addresses[family], HTTP)
            assert asked(cluster, pod.network, host_pod.addresses[4], NODE_HTTP)


def test_a_service_leads_to_all_of_its_pods(cluster: Cluster, workload: Workload) -> None:
    """From every pod and every node a ClusterIP answers, and in time each of its twelve pods does."""
    for family in cluster.configuration.families:
        address = workload.service_address("web", family)
        networks = [*(pod.network for pod in workload.web), *(node.host.network for node in cluster.nodes)]
        names = {asked(cluster, network, address, SERVICE_PORT, "/hostname") for network in networks * 10}
        assert names == {pod.name for pod in workload.web}


def test_a_service_sees_who_asks(cluster: Cluster, workload: Workload) -> None:
    """What a pod asks of a service on any node is seen to come from that pod."""
    for family in cluster.configuration.families:
        address = workload.service_address("alone", family)
        for pod in workload.web:
            assert asked(cluster, pod.network, address, SERVICE_PORT) == pod.addresses[family]


def test_a_pod_reaches_itself_through_its_service(cluster: Cluster, workload: Workload) -> None:
    """The only pod of a service that asks this service is answered by itself."""
    for family in cluster.configuration.families:
        address = workload.service_address("alone", family)
        assert asked(cluster, workload.alone.network, address, SERVICE_PORT, "/hostname") == "alone"


def test_datagrams_to_a_service_are_answered(cluster: Cluster, workload: Workload) -> None:
    """Datagrams to port 53 of a service, as DNS sends them, are answered by its pods, and see who asks."""
    for family in cluster.configuration.families:
        address = workload.service_address("web", family)
        for pod in workload.web:
            assert asked_by_datagram(cluster, pod.network, address, 53) in {
                pod.addresses[family],
                *all_addresses(cluster, pod.node),  # where kube-proxy chose the pod itself
            }


def test_a_node_port_answers_the_lan(cluster: Cluster, workload: Workload) -> None:
    """From the LAN every node's NodePort leads to the service, on whichever nodes its pods are."""
    names = set()
    for family in cluster.configuration.families:
        for node in cluster.nodes:
            for _ in range(10):
                names.add(asked(cluster, cluster.machine.network, node.port.address(family), NODE_PORT, "/hostname"))
    assert names <= {pod.name for pod in workload.web}
    assert len(names) > 1


def test_a_host_port_answers_the_lan_and_pods(cluster: Cluster, workload: Workload) -> None:
    """A pod's hostPort answers at its node's address: the LAN, which it sees as it is, other nodes, and pods."""
    ported = workload.ported
    for family in cluster.configuration.families:
        address = ported.node.port.address(family)
        assert asked(cluster, cluster.machine.network, address, HOST_PORT) == OUTSIDE.address(family)
        for pod in workload.web:
            assert asked(cluster, pod.network, address, HOST_PORT, "/hostname") == "ported"
        for node in cluster.nodes:
            assert asked(cluster, node.host.network, address, HOST_PORT, "/hostname") == "ported"


def test_the_outside_sees_the_nodes_address(cluster: Cluster, workload: Workload) -> None:
    """The LAN's router is reached from every pod, and sees the node's address, not the pod's."""
    for family in cluster.configuration.families:
        for pod in workload.web:
            assert seen_outside(cluster, pod.network, family) == pod.node.port.address(family)


def seen_outside(cluster: Cluster, network: int, family: int) -> str:
    """Return whom the router sees when somebody connects to it."""
    outside = OUTSIDE.address(family)
    with cluster.open_socket(cluster.machine.network, family) as server:
        server.bind((outside, 0))
        server.listen()
        with cluster.open_socket(network, family) as client:
            client.connect((outside, server.getsockname()[1]))
            accepted, peer = server.accept()
            accepted.close()
            return str(peer[0])
