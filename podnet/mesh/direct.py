"""Direct routes: a node's pods are behind its address on a subnet that both share.

The study notes' "for a few nodes, add routes by hand", one route per pod CIDR and node.
"""

from collections.abc import Iterator

from podnet.model import Node, NodeFacts
from podnet.model.node import IPAddress, IPNetwork
from podnet.plan import PROTOCOL, Route, Step


def route(node: Node, cidr: IPNetwork, facts: NodeFacts) -> Iterator[Step]:
    """Yield the route to the pods of `node` in `cidr` by its address, through the uplink, where there is a way.

    A CIDR whose family the other node or this one has no address in has no route: there is no way to send it.
    The kernel refuses a gateway that is on no subnet, and one node that is elsewhere is not to spoil it for the others.
    """
    via = node.address(cidr.version)
    if via is not None and facts.address(cidr.version) is not None and on_subnet(via, facts):
        yield Step(
            Route(at="node", dst=cidr, via=via, dev=facts.uplink, protocol=PROTOCOL),
            f"nodes.yaml: the pods of node {node.name} are behind {via}",
        )


def on_subnet(address: IPAddress, facts: NodeFacts) -> bool:
    """Tell whether the uplink reaches `address` without a gateway, as far as its subnets of that family are known."""
    subnets = [subnet for subnet in facts.subnets if subnet.version == address.version]
    return not subnets or any(address in subnet for subnet in subnets)
