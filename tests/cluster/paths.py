"""What lies between two nodes of a configuration."""

from tests.cluster.cluster import Cluster
from tests.cluster.node import Node

LAN_MTU = 1500
VXLAN_OVERHEAD = 50
PLAIN = frozenset({"direct", "bgp"})
"""Backends with which packets go as they are."""


def tunnelled(cluster: Cluster, one: Node, other: Node) -> bool:
    """Tell whether what pods of `one` send to pods of `other` goes through a tunnel."""
    if one.name == other.name or cluster.configuration.backend in PLAIN:
        return False
    return cluster.configuration.backend == "vxlan" or one.port.subnet != other.port.subnet


def pod_mtu(cluster: Cluster) -> int:
    """Return the largest packet of a pod: room for the tunnel, also where only some nodes need it."""
    return LAN_MTU - (0 if cluster.configuration.backend in PLAIN else VXLAN_OVERHEAD)
