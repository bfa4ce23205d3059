"""Who beyond this node sees its pods' own addresses: other nodes' pods, and nodes from which packets come back alike.

Elements of sets that the rule for masquerade asks (:mod:`podnet.datapath.ruleset`), some for each node.
"""

from collections.abc import Collection, Iterator

from podnet.model import Node
from podnet.nft import Element
from podnet.plan import NODES, REMOTE, TABLE, Step


def remote_sets(own: Node) -> Iterator[Step]:
    """Yield the table and the sets, for the families in which the node `own` has pods."""
    if own.pod_cidrs:
        yield Step(TABLE, "everything of podnet's is in one table of its own")
    for version in _versions(own):
        yield Step(REMOTE[version], f"IPv{version} addresses of other nodes' pods, which see a pod's own address")
        yield Step(NODES[version], f"IPv{version} addresses of nodes, which do so too")


def own_addresses(own: Node) -> Iterator[Step]:
    """Yield this node's addresses as elements: its pods are on the way back from there."""
    for address in own.addresses:
        if address.version in _versions(own):
            yield Step(Element(NODES[address.version], (address,)), f"node {own.name}, this one, is at {address}")


def remote(own: Node, node: Node, sees: Collection[int]) -> Iterator[Step]:
    """Yield the pod CIDRs of the other `node` as elements, and its addresses of the IP versions that it `sees` pods in.

    Those that are this node's too are left to :func:`own_addresses`.
    """
    versions = _versions(own)
    for cidr in node.cidrs:
        if cidr.version in versions:
            yield Step(Element(REMOTE[cidr.version], (cidr,)), f"nodes.yaml: the pods of node {node.name}")
    for address in dict.fromkeys(node.addresses):
        if address.version in versions and address.version in sees and address not in own.addresses:
            yield Step(Element(NODES[address.version], (address,)), f"nodes.yaml: node {node.name} is at {address}")


def _versions(own: Node) -> list[int]:
    """Return the IP versions in which the node has pods, so that the table has rules for them."""
    return sorted({cidr.version for cidr in own.pod_cidrs})
