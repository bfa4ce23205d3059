"""The vocabulary: frozen, validated values that every room above shares.  No I/O, no netlink, no plans."""

from podnet.model.attachment import Attachment, NamespaceId, link_name
from podnet.model.lease import Lease, PodAddress
from podnet.model.network import DNS, Network, PodRoute, Range
from podnet.model.node import Node, NodeFacts

__all__ = [
    "DNS",
    "Attachment",
    "Lease",
    "NamespaceId",
    "Network",
    "Node",
    "NodeFacts",
    "PodAddress",
    "PodRoute",
    "Range",
    "link_name",
]
