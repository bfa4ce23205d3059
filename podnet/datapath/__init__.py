"""Datapaths: what a pod's attachment and the node's part amount to, as plans.  Pure: values in, a plan out.

``ptp`` routes each pod over its own veth; ``bridge`` joins pods to a bridge whose ports are isolated, so that there
too every packet between pods passes the IP hooks.  What both share stands in ``attachment`` (the pod's side and what
DEL takes away), ``ruleset`` (the nftables table) and ``node``.
"""

from podnet.datapath.attachment import attach, cut, gateway_of, host_mac, loopback, mtu_of, pod_routes
from podnet.datapath.hardware import bridge_mac, pod_mac
from podnet.datapath.node import node_plan

__all__ = [
    "attach",
    "bridge_mac",
    "cut",
    "gateway_of",
    "host_mac",
    "loopback",
    "mtu_of",
    "node_plan",
    "pod_mac",
    "pod_routes",
]
