"""Who reaches whom, and as whom: every source against every target, beside what is expected."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.cluster.cluster import Cluster
from tests.cluster.node import Node
from tests.cluster.probes import outcome
from tests.cluster.workload import HTTP, NODE_HTTP, Pod


class Asker(NamedTuple):
    """Who asks: a pod, or a node itself."""

    name: str
    node: Node
    network: int
    addresses: dict[int, str]


class Target(NamedTuple):
    """Who is asked."""

    name: str
    node: Node
    address: str
    port: int


def pod_askers(pods: Iterable[Pod]) -> list[Asker]:
    """Return pods as those who ask."""
    return [Asker(pod.name, pod.node, pod.network, pod.addresses) for pod in pods]


def node_askers(nodes: Iterable[Node], families: Iterable[int]) -> list[Asker]:
    """Return nodes as those who ask."""
    families = tuple(families)
    return [Asker(n.name, n, n.host.network, {family: n.port.address(family) for family in families}) for n in nodes]


def pod_targets(pods: Iterable[Pod], family: int) -> list[Target]:
    """Return pods as those who are asked."""
    return [Target(pod.name, pod.node, pod.addresses[family], HTTP) for pod in pods]


def node_targets(nodes: Iterable[Node], family: int) -> list[Target]:
    """Return nodes as those who are asked, at what serves on their own network."""
    return [Target(node.name, node, node.port.address(family), NODE_HTTP) for node in nodes]


def astonishing(
    cluster: Cluster,
    askers: Iterable[Asker],
    targets: Iterable[Target],
    allowed: Callable[[Asker, Target], set[str]],
) -> dict[str, str]:
    """Have every asker ask every target; return the answers that are not `allowed`."""
    targets = tuple(targets)
    found: dict[str, str] = {}
    for asker in askers:
        for target in targets:
            seen = outcome(cluster, asker.network, target.address, target.port)
            if seen not in allowed(asker, target):
                found[f"{asker.name} on {asker.node.name} -> {target.name} on {target.node.name}"] = seen
    return found
