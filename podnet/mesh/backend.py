"""Which way packets go to each node, by `backend`: as they are, or in a tunnel."""

from collections.abc import Iterator, Sequence

from podnet.mesh.direct import direct, on_subnet, route
from podnet.mesh.guard import guard
from podnet.mesh.vxlan import IPV4, IPV6, OVERHEAD, vxlan
from podnet.model import Backend, Node, NodeFacts, Tunnel
from podnet.plan import Plan


def between(nodes: Sequence[Node], facts: NodeFacts, backend: Backend, tunnel: Tunnel) -> Plan:
    """Return what leads to the pods of every node but this one.

    Tunnels come first: where a way becomes another, its old device is gone before the new route is made.  A node
    that the list does not have has none, since nobody would know the way back.
    """
    if backend == "direct":
        return direct(nodes, facts)
    own = next((node for node in nodes if node.name == facts.name), None)
    others = [node for node in nodes if node.name != facts.name]
    tunnelled = [
        (node, [cidr for cidr in node.pod_cidrs if not reached_directly(node, cidr.version, facts, backend)])
        for node in others
    ]
    plain = (
        step
        for node in others
        for cidr in node.pod_cidrs
        if reached_directly(node, cidr.version, facts, backend)
        for step in route(node, cidr, facts)
    )
    ways = vxlan(own, tunnelled, facts, tunnel) if own else Plan()
    return Plan.of(guard(nodes, tunnel) if ways else (), ways, plain)


def unreached(nodes: Sequence[Node], facts: NodeFacts, backend: Backend) -> Iterator[str]:
    """Yield what is to be said of nodes whose pods this one does not reach, each with the remedy."""
    for node in nodes if backend == "direct" else ():
        for version in sorted({cidr.version for cidr in node.pod_cidrs}):
            via = node.address(version)
            if node.name != facts.name and via is not None and not on_subnet(via, facts):
                yield (
                    f"node {node.name} at {via} is on no subnet of {facts.uplink}: its pods are not reached; "
                    "`backend: auto` in podnet.yaml reaches nodes that are elsewhere"
                )


def reached_directly(node: Node, version: int, facts: NodeFacts, backend: Backend) -> bool:
    """Tell whether packets of IP `version` go to `node` as they are: for `auto`, if it is on a subnet of the uplink."""
    if backend != "auto":
        return backend == "direct"
    address = node.address(version)
    return (
        address is not None
        and facts.address(version) is not None
        and any(address.version == subnet.version and address in subnet for subnet in facts.subnets)
    )


def sees_pods(node: Node, version: int, facts: NodeFacts, backend: Backend) -> bool:
    """Tell whether `node` may be sent packets with a pod's own address as their source, to its own address.

    Not past a tunnel: they would go outside of it, through a network that does not know pods' addresses, and come by
    another link than the way back leads over, which strict rp_filter drops.  They get this node's address instead.
    """
    return node.name == facts.name or reached_directly(node, version, facts, backend)


def overhead(facts: NodeFacts, backend: Backend) -> int:
    """Return the bytes around a packet on the way to other nodes, by which pods' links are narrower than the uplink.

    `auto` reckons with VXLAN from the beginning: a pod keeps its MTU, also when a node joins that needs the tunnel.
    It is that of IPv4 if this node has such an address: a node that joins with IPv6 alone tells by ICMP.
    """
    if backend == "direct":
        return 0
    return OVERHEAD[IPV4 if facts.address(IPV4) is not None else IPV6]
