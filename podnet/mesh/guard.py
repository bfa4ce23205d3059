"""The tunnel guarded: pods send nothing to the port at which nodes speak VXLAN.

VXLAN has no other credentials than the outer source, and what comes out of a tunnel may have any inner one: a pod that
could send to a node's port would speak as any pod of any node.  Pods' packets to that port of any other address are
theirs.  One rule, and an element per node.
"""

from collections.abc import Iterator

from podnet.model import Node, Tunnel
from podnet.nft import DROP, Base, Chain, Element, Rule, Set
from podnet.nft.statement import Match
from podnet.plan import GROUP_PODS, TABLE, Step

CHAIN = Chain(TABLE, "mesh", Base("filter", "prerouting", -300))
VTEPS = {v: Set(table=TABLE, name=f"vteps{v}", key=(f"ipv{v}_addr", "inet_service")) for v in (4, 6)}
_WORDS = {4: "ip", 6: "ip6"}


def guards(own: Node, tunnel: Tunnel) -> Iterator[Step]:
    """Yield what keeps pods from the VXLAN port of nodes, that of this one, `own`, among them.

    Of a family in which this node has no address nothing is sent to other nodes.
    """
    versions = _versions(own)
    yield Step(TABLE, "everything of podnet's is in one table of its own")
    for version in versions:
        yield Step(VTEPS[version], f"IPv{version} addresses and port at which nodes speak VXLAN")
    yield Step(CHAIN, "what pods send is judged before anything else is done with it")
    for version in versions:
        forged = Match(f"{_WORDS[version]} daddr . udp dport", VTEPS[version])
        rule = Rule.new(CHAIN, Match("iifgroup", GROUP_PODS), forged, DROP, comment=f"VXLAN from a pod, IPv{version}")
        yield Step(rule, "a node would take it for another node's, with whatever source is inside")
    yield from _elements(own, versions, tunnel)


def guarded(own: Node, node: Node, tunnel: Tunnel) -> Iterator[Step]:
    """Yield the addresses of another `node` as elements, less those that this one has too."""
    for step in _elements(node, _versions(own), tunnel):
        if isinstance(step.object, Element) and step.object.key[0] not in own.addresses:
            yield step


def _elements(node: Node, versions: list[int], tunnel: Tunnel) -> Iterator[Step]:
    for address in dict.fromkeys(node.addresses):
        if address.version in versions:
            element = Element(VTEPS[address.version], (address, tunnel.port))
            yield Step(element, f"nodes.yaml: node {node.name} is at {address}")


def _versions(own: Node) -> list[int]:
    return sorted({address.version for address in own.addresses})
