"""A Node of Kubernetes for itself: what it would be in the model, what it claims, and what is wrong with it."""

from collections.abc import Sequence
from ipaddress import ip_network

from podnet.cluster.document import IPNetwork
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY, NodeObject
from podnet.cluster.named import POD_CIDRS
from podnet.cluster.nodes import unreachable
from podnet.cluster.remote.listing import Candidate, cidr_fault, claim_of
from podnet.model import Node
from podnet.wireguard.key import from_text, to_text


def candidate(object_: NodeObject, cluster_cidrs: Sequence[IPNetwork] = ()) -> Candidate[NodeObject]:
    """Return a Node for itself; with `cluster_cidrs`, pod CIDRs outside of these are wrong."""
    # A pod CIDR before an address that lies in it.
    networks = [*object_.pod_cidrs, *(ip_network(address) for address in object_.addresses)]
    key, remark = _key(object_)
    node = Node(object_.name, object_.addresses, object_.pod_cidrs, key, object_.pools, object_.reflector)
    faults = {pool: fault for pool in object_.pools if (fault := cidr_fault(pool, cluster_cidrs))}
    amiss = (*(f"{pool} {fault}" for pool, fault in faults.items()), *_misspelt(object_))
    return Candidate(
        object_,
        object_.created,
        node,
        tuple(claim_of(network, object_.name) for network in networks),
        _fault(object_, cluster_cidrs),
        (remark,) if remark else (),
        tuple(claim_of(pool, object_.name) for pool in object_.pools if pool not in faults),
        f"annotation {POD_CIDRS}",
        amiss,
    )


def _misspelt(node: NodeObject) -> tuple[str, ...]:
    return (f"{node.misspelt} cannot be read",) if node.misspelt else ()


def _key(node: NodeObject) -> tuple[str, str]:
    """Return the public key that a Node tells, and what is to be said where it is none."""
    key = dict(node.annotations).get(WIREGUARD_KEY, "")
    try:
        return (to_text(from_text(key)) if key else ""), ""
    except ValueError as error:
        return "", f"annotation {WIREGUARD_KEY} of Node {node.name} is {error}; its daemon writes it anew"


def _fault(node: NodeObject, cluster_cidrs: Sequence[IPNetwork]) -> str:
    """Return what is wrong with a Node for itself, "" where nothing is."""
    if node.malformed:
        return f"{node.malformed} cannot be read; correct it"
    for cidr in node.pod_cidrs:
        fault = cidr_fault(cidr, cluster_cidrs)
        if fault:
            return f"podCIDR {cidr} {fault}"
    for address in node.addresses:
        if unreachable(address):
            return f"InternalIP {address} cannot be reached from other nodes; have its kubelet report another"
    return ""
