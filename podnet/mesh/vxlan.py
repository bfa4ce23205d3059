"""VXLAN (RFC 7348): packets to other nodes' pods go inside UDP from node address to node address.

Whatever lies between the nodes sees their addresses alone.  One device per family of node addresses carries pods'
IPv4 and IPv6 alike; nothing is asked and nothing learned::

    10.244.2.0/24 via 10.244.2.0 dev podnet-vx4 onlink src 10.244.1.0     a route per CIDR of the other node
    10.244.2.0 lladdr 02:… dev podnet-vx4 permanent                       its tunnel end, a neighbour per family
    02:… dev podnet-vx4 dst 192.0.2.12 permanent                          the node behind that MAC, one entry

So a node that comes, goes or moves is some four objects here, however many there are, and all of it follows from its
name, addresses and CIDRs.  A tunnel end's address is its CIDR's own, which no pod is ever given: what the node itself
sends to other nodes' pods has a source that is answered by the same way, so that strict rp_filter lets both pass.
IPv6 routes lead to the tunnel end's link-local address, as routers' do: a global one the kernel would look up, and
refuse where an older route leads there by another link.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from podnet.mesh.end import IPV4, IPV6, own_end, vtep_address
from podnet.model import Node, NodeFacts, Tunnel
from podnet.model.digest import blake2s
from podnet.model.node import IPNetwork
from podnet.plan import GROUP_MESH, PROTOCOL, Fdb, Link, Neighbour, Route, Step, Vxlan

IPAddress = IPv4Address | IPv6Address

OVERHEAD = {IPV4: 50, IPV6: 70}
"""Bytes around a packet: the outer IP header, UDP (8), VXLAN (8) and the inner Ethernet header (14)."""

DEVICES = {IPV4: "podnet-vx4", IPV6: "podnet-vx6"}
ALIAS = "podnet:mesh:vxlan"


def vtep_mac(node: str) -> str:
    """Return the MAC of the tunnel end of the node of that name."""
    return (b"\x02" + blake2s(node.encode(errors="surrogateescape"), digest_size=5, person=b"vtep").digest()).hex(":")


def vtep_link_local(node: str) -> IPv6Address:
    """Return the link-local address at which the tunnel end of the node of that name is a neighbour."""
    octets = bytes.fromhex(vtep_mac(node).replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])


def underlay(node: Node, facts: NodeFacts) -> int:
    """Return the IP version in which this node and `node` send each other VXLAN, 0 where they share none.

    IPv4 where both have it, for its headers are shorter; it follows from both nodes' addresses, so both say the same.
    """
    return next((v for v in (IPV4, IPV6) if node.address(v) is not None and facts.address(v) is not None), 0)


def device(own: Node, version: int, facts: NodeFacts, tunnel: Tunnel) -> Iterator[Step]:
    """Yield the device of this node, which the list has as `own`, that speaks VXLAN over IP `version`."""
    name, local = DEVICES[version], facts.address(version)
    assert local is not None  # noqa: S101 - underlay() has asked
    mtu, uplink = facts.mtu - OVERHEAD[version], facts.uplink or "Ethernet"
    yield Step(
        Link(
            at="node",
            name=name,
            kind="vxlan",
            mac=vtep_mac(own.name),
            mtu=mtu,
            group=GROUP_MESH,
            alias=ALIAS,
            ipv6_autoconf=False,
            vxlan=Vxlan(vni=tunnel.vni, local=local, port=tunnel.port, dev=facts.uplink),
        ),
        f"backend: VXLAN over IPv{version}; MTU {mtu}: {uplink}'s {facts.mtu} less {OVERHEAD[version]}",
    )
    reason = "the tunnel's end, an address of no pod: what the node itself sends is answered by the tunnel too"
    yield from own_end(own, name, reason)


def ends(own: Node, node: Node, version: int, cidrs: Sequence[IPNetwork]) -> Iterator[Step]:
    """Yield what leads to `cidrs` of another `node`, from tunnel end to tunnel end, over IP `version`.

    A CIDR of a family in which this node has no pods has no way: nobody here could be answered.
    """
    dev, mac, behind = DEVICES[version], vtep_mac(node.name), node.address(version)
    assert behind is not None  # noqa: S101 - underlay() has asked
    steps = []
    gateways: dict[int, IPAddress] = {}
    for cidr in cidrs:
        source, there = vtep_address(own, cidr.version), vtep_address(node, cidr.version)
        if source is None or there is None:
            continue
        via = gateways.setdefault(cidr.version, there if cidr.version == IPV4 else vtep_link_local(node.name))
        route = Route(at="node", dst=cidr, dev=dev, via=via, onlink=True, src=source, protocol=PROTOCOL)
        steps.append(Step(route, f"nodes.yaml: the pods of node {node.name} are in the tunnel to {behind}"))
    if not steps:
        return
    reason = f"the tunnel's end at node {node.name}: known by its name, so nothing has to be asked"
    for via in gateways.values():
        yield Step(Neighbour(at="node", dev=dev, address=via, mac=mac), reason)
    yield Step(Fdb(at="node", dev=dev, mac=mac, dst=behind), f"nodes.yaml: node {node.name} is at {behind}")
    yield from steps
