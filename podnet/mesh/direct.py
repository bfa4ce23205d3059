"""Direct routes: a node's pods are behind its address on a subnet that both share.

The study notes' "for a few nodes, add routes by hand", one route per pod CIDR and node.
"""

from collections.abc import Iterable

from podnet.model import Node, NodeFacts
from podnet.plan import PROTOCOL, Plan, Route, Step


def direct(nodes: Iterable[Node], facts: NodeFacts) -> Plan:
    """Return the routes to the pods of every node but this one, through the uplink.

    A CIDR whose family the other node or this one has no address in has no route: there is no way to send it.
    """
    steps = []
    for node in nodes:
        if node.name == facts.name:
            continue
        for cidr in node.pod_cidrs:
            via = node.address(cidr.version)
            if via is None or facts.address(cidr.version) is None:
                continue
            route = Route(at="node", dst=cidr, via=via, dev=facts.uplink, protocol=PROTOCOL)
            steps.append(Step(route, f"nodes.yaml: the pods of node {node.name} are behind {via}"))
    return Plan(tuple(steps))
