"""Waiting until nodes have the routes that they are told by BGP: it takes as long as sessions take to come up."""

import time
from collections.abc import Callable
from ipaddress import ip_network

from podnet.bird import PROTOCOL_BIRD
from podnet.errors import NodeNotReady
from podnet.kernel.facts import main_routes
from podnet.kernel.socket import NetlinkSocket
from podnet.lab import namespaces
from podnet.lab.nodes import log_tail
from podnet.lab.topology import ROUTER_NAME, IPNetwork, Topology
from podnet.netlink.message import NETLINK_ROUTE

WITHIN = 30.0
"""Seconds; sessions come up in some three, for the first attempt may find the other end not there yet."""


def wait(lab: Topology, report: Callable[[str, int, int], None]) -> None:
    """Wait until each node and the router have the ways to all pods of others; raise `NodeNotReady`."""
    deadline = time.monotonic() + WITHIN
    lacking = {name: set[IPNetwork]() for name in (ROUTER_NAME, *(node.name for node in lab.nodes))}
    of = len(lacking)
    while lacking:
        lacking = {name: left for name in lacking if (left := wanted(lab, name) - learned(lab, name))}
        report("routes", of - len(lacking), of)
        if lacking and time.monotonic() > deadline:
            name, left = next(iter(lacking.items()))
            raise NodeNotReady(
                f"lab node {name} has no route to {', '.join(map(str, left))} after {WITHIN:.0f} s: `podnet lab exec "
                f"{name} -- podnet router status`",
                log_tail(lab, name),
            )
        time.sleep(0.02)


def wanted(lab: Topology, name: str) -> set[IPNetwork]:
    """Return the pod CIDRs of all nodes but the one called `name`."""
    return {cidr for node in lab.nodes if node.name != name for cidr in node.pod_cidrs}


def learned(lab: Topology, name: str) -> set[IPNetwork]:
    """Return what a node, or the router, has routes to by BIRD."""
    with namespaces.inside(lab.namespace(name)):
        socket = NetlinkSocket(NETLINK_ROUTE)
    try:
        routes = main_routes(socket)
    finally:
        socket.close()
    return {
        ip_network(f"{route.dst}/{route.dst_len}")
        for route in routes
        if route.protocol == PROTOCOL_BIRD and route.dst is not None
    }
