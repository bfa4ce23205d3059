"""The vocabulary: frozen, validated values that every room above shares.  No I/O, no netlink, no plans."""

from podnet.model.attachment import Attachment, Namespace, NamespaceId, link_name
from podnet.model.bgp import BGP, Router
from podnet.model.lease import Lease, PodAddress
from podnet.model.network import DNS, NamedPool, Network, PodRoute, Range
from podnet.model.node import Backend, Node, NodeFacts, Tunnel, WireGuardEnd, WireGuardPort
from podnet.model.terms import PLAIN, Bandwidth, Delegation, KubernetesPod, PortMapping, Rate, Terms, bracketed

__all__ = [
    "BGP",
    "DNS",
    "PLAIN",
    "Attachment",
    "Backend",
    "Bandwidth",
    "Delegation",
    "KubernetesPod",
    "Lease",
    "NamedPool",
    "Namespace",
    "NamespaceId",
    "Network",
    "Node",
    "NodeFacts",
    "PodAddress",
    "PodRoute",
    "PortMapping",
    "Range",
    "Rate",
    "Router",
    "Terms",
    "Tunnel",
    "WireGuardEnd",
    "WireGuardPort",
    "bracketed",
    "link_name",
]
