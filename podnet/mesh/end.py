"""This node's end of a tunnel: what it sends itself to other nodes' pods has a source that is answered by the tunnel.

That is its pod CIDR's own address, which no pod is ever given.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from podnet.model import Node
from podnet.plan import Address, Step, Sysctl

IPAddress = IPv4Address | IPv6Address

IPV4, IPV6 = 4, 6


def vtep_address(node: Node, version: int) -> IPAddress | None:
    """Return the address of IP `version` of the node's tunnel end: that of its first pod CIDR itself."""
    return next((cidr.network_address for cidr in node.pod_cidrs if cidr.version == version), None)


def own_end(own: Node, device: str, reason: str) -> Iterator[Step]:
    """Yield the addresses of `own`, this node, on the tunnel's `device`, for that `reason`."""
    if vtep_address(own, IPV6) is not None:
        yield Step(
            Sysctl(at="node", name=f"net/ipv6/conf/{device}/disable_ipv6", value="0"),
            "nodes.yaml: this node has IPv6 pods, whose packets go inside too",
        )
    for address in (vtep_address(own, IPV4), vtep_address(own, IPV6)):
        if address is not None:
            yield Step(Address(at="node", dev=device, address=address, prefixlen=address.max_prefixlen), reason)
