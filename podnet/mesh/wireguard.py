"""WireGuard: packets to other nodes' pods go encrypted inside UDP, and who sends them is proved by a key.

One device, one peer per other node, known by the key that it made for itself::

    podnet-wg peer AbC…= endpoint 192.0.2.12:51820 allowed-ips 10.244.2.0/24    the other node, and what is its
    10.244.2.0/24 dev podnet-wg src 10.244.1.0                                  a route per CIDR of it
    unreachable 10.244.2.0/24 metric 4278198271                                 where the device is gone

Allowed addresses are both ways' rule: to whom a packet goes, and from whom its source is believed.  So no node speaks
for another's pods, and nothing has to be kept from the port, as VXLAN's has to be: what has no node's key is dropped
before it is looked into.  What a node itself sends to other nodes' pods must have a source that is allowed too: its
first CIDR's own address, which no pod is ever given, as with VXLAN.

Nothing goes in clear instead: where the device is gone (its program ended, somebody deleted it), or a node has told no
key, packets to its pods meet the unreachable route and are answered, never sent by the default route.

No keepalives: every node knows where all others are and listens there, so any may speak first.  They are for peers
behind somebody's address translation, whose ports would be forgotten.
"""

from collections.abc import Collection, Iterator

from podnet.mesh.end import IPV4, IPV6, own_end, vtep_address
from podnet.model import Node, NodeFacts
from podnet.plan import (
    GROUP_MESH,
    PROTOCOL,
    Link,
    Route,
    Step,
    WireGuard,
    WireGuardPeer,
)

DEVICE = "podnet-wg"
ALIAS = "podnet:mesh:wireguard"
OVERHEAD = {IPV4: 60, IPV6: 80}
"""Bytes around a packet: the outer IP header, UDP (8), WireGuard's header (16) and its tag (16)."""
CLOSED_METRIC = 4_278_198_271
"""Behind every other route to the prefix, and before the one that a node has for its own: see `datapath.node`."""


def device(own: Node, versions: Collection[int], facts: NodeFacts, port: int) -> Iterator[Step]:
    """Yield the device of this node, which the list has as `own`; others are reached over those IP `versions`."""
    here = facts.wireguard
    if here is None:
        return
    overhead = max((OVERHEAD[version] for version in versions), default=OVERHEAD[IPV4])
    mtu, uplink = facts.mtu - overhead, facts.uplink or "Ethernet"
    link = Link(
        at="node",
        name=DEVICE,
        kind=here.kind,
        mtu=mtu,
        group=GROUP_MESH,
        alias=ALIAS,
        ipv6_autoconf=False,
    )
    by = "" if here.kind == "wireguard" else ", by wireguard-go since this kernel has none"
    yield Step(link, f"backend: WireGuard{by}; MTU {mtu}: {uplink}'s {facts.mtu} less {overhead}")
    yield Step(
        WireGuard(at="node", dev=DEVICE, private_key=here.private_key, public_key=here.public_key, port=port),
        f"this node's key, which it made for itself; others know it as {here.public_key or 'what the daemon makes'}",
    )
    reason = "an address of no pod: what the node itself sends has a source that others allow, and is answered here"
    yield from own_end(own, DEVICE, reason)


def way(own: Node, node: Node, version: int, port: int) -> Iterator[Step]:
    """Yield what leads to the pods of another `node`, over IP `version`.

    A CIDR of a family in which this node has no pods has no way: nobody here could be answered.
    """
    endpoint = node.address(version)
    ways = [(cidr, source) for cidr in node.cidrs if (source := vtep_address(own, cidr.version)) is not None]
    if not ways:
        return
    yield Step(
        WireGuardPeer(
            at="node",
            dev=DEVICE,
            public_key=node.wireguard,
            endpoint=endpoint,
            port=port,
            allowed_ips=tuple(cidr for cidr, _ in ways),
        ),
        f"nodes.yaml: node {node.name} is at {endpoint} and has this key; its pods' addresses are its alone",
    )
    for cidr, source in ways:
        yield Step(
            Route(at="node", dst=cidr, dev=DEVICE, src=source, protocol=PROTOCOL),
            f"nodes.yaml: the pods of node {node.name}, encrypted to {endpoint}",
        )


def closed(own: Node, node: Node) -> Iterator[Step]:
    """Yield what answers packets to the pods of `node` where there is no way to them.

    Of a family in which this node has no pods nothing is sent; its kernel may have been told to be without it.
    """
    for cidr in node.cidrs:
        if vtep_address(own, cidr.version) is not None:
            yield Step(
                Route(at="node", dst=cidr, type="unreachable", protocol=PROTOCOL, metric=CLOSED_METRIC),
                f"the pods of node {node.name} are reached encrypted or not at all",
            )


def remark(node: Node) -> str:
    """Return what is to be said of a node that has told no key, with the remedy; "" of another."""
    if node.wireguard or not node.pod_cidrs:
        return ""
    return (
        f"node {node.name} has told no WireGuard key: its pods are not reached; its own daemon tells it with "
        "`backend: wireguard`, with nodes.yaml write what `podnet node key` prints there as its `wireguard`"
    )
