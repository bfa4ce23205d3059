"""Who the nodes are: one that the list does not have, or of which it lacks something, has pods that nobody reaches."""

from collections.abc import Iterator, Sequence

from podnet.diagnosis.finding import Finding
from podnet.model import Node

CHECK = "nodes"


def nodes(listed: Sequence[Node], name: str, source: str, remarks: Sequence[str]) -> Iterator[Finding]:
    """Yield what is amiss with the nodes that are `listed`, of which this one is called `name`.

    `source` is the file that lists them, or who tells them: "kubernetes" or "etcd"; `remarks` are on other nodes.
    """
    own = next((node for node in listed if node.name == name), None)
    names = ", ".join(node.name for node in listed[:8]) or "none"
    if own is None:
        if source == "etcd":
            remedy = "its daemon claims a prefix for it: see in its log why it has not (`journalctl -u podnet`)"
        elif source != "kubernetes":
            remedy = f"add it to {source}, or write `node: NAME` as it is called there into podnet.yaml"
        else:
            remedy = (
                f"see that `kubectl get node {name}` has it, and why the daemon left it out in `kubectl -n kube-system "
                "logs` of its podnet: mostly its podCIDR overlaps another Node's"
            )
        what = f"this node, {name}, is not among the nodes: its pods have no addresses, and other nodes no way to them"
        yield Finding(CHECK, "broken", what, f"{source} has {names}", remedy)
    elif not own.pod_cidrs:
        what = f"this node, {name}, has no pod CIDR: no pod gets an address"
        remedy = "kube-controller-manager takes --allocate-node-cidrs=true and --cluster-cidr, kubeadm podSubnet"
        evidence = f"`kubectl get node {name} -o jsonpath={{.spec.podCIDRs}}`"
        if source == "etcd":
            evidence = "etcd has no claim of this node's"
            remedy = "its daemon's log says why (`journalctl -u podnet`): mostly the cluster's range is used up"
        yield Finding(CHECK, "broken", what, evidence, remedy)
    for remark in remarks:
        what, _, remedy = remark.partition("; ")
        told = f"the nodes as {source} told them last" if source in {"kubernetes", "etcd"} else source
        yield Finding(CHECK, "broken", what, told, remedy)
