"""`podnet explain`: plans of this node, of a lease or of a configuration, as lines.  Changes nothing."""

from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from podnet import cni, datapath
from podnet.cluster import Settings
from podnet.daemon.node import facts_of, list_nodes, network_of, node_plan, node_settings
from podnet.daemon.paths import Paths
from podnet.errors import InvalidConfiguration, UnknownContainer
from podnet.model import Attachment, Lease, Network, NodeFacts, PodAddress, link_name
from podnet.plan import Line, explain
from podnet.store import Reader


class Explanation(NamedTuple):
    """The node's part, then the pod's, each as commands with their reasons."""

    node: list[Line]
    pod: list[Line]


def explain_container(paths: Paths, container: str) -> Explanation:
    """Return what the attachments of `container` (an id or the beginning of one) amount to.

    Raise `UnknownContainer` where it has no live lease.
    """
    settings = node_settings(paths)
    nodes = list_nodes(settings, paths)
    facts = facts_of(settings, nodes, paths)
    with Reader.read(Path(paths.database)) as store:
        leases = store.find_container(container)
        if not leases:
            raise UnknownContainer(
                f"container {container} has no live lease here; `podnet explain --conf FILE` needs none"
            )
        networks = {lease.attachment.network: store.network_of(lease) for lease in leases}
        pods = [line for lease in leases for line in _pod(networks[lease.attachment.network], facts, lease)]
    node = node_plan(settings, nodes, facts, list(networks.values()))
    return Explanation(explain(node), pods)


def explain_configuration(paths: Paths, document: bytes | None, *, container: str = "CONTAINER") -> Explanation:
    """Return what attaching a first pod amounts to under the network configuration `document` (None: the node's own).

    The pod's namespace is called `pod`, its addresses are the first of each range.
    """
    settings = node_settings(paths)
    nodes = list_nodes(settings, paths)
    facts = facts_of(settings, nodes, paths)
    network = network_of(settings, nodes, facts)
    if document is not None:
        network = cni.load(document, network)
    if not network.ranges:
        raise InvalidConfiguration(
            f"network {network.name} has no addresses: {_remedy(settings, facts)}, "
            "or give ipam.ranges in the configuration"
        )
    lease = first_lease(network, container)
    node = node_plan(settings, nodes, facts, [network])
    return Explanation(explain(node), _pod(network, facts, lease))


def _remedy(settings: Settings, facts: NodeFacts) -> str:
    if settings.told_by == "etcd":
        return f"see in podnet's log why node {facts.name} has no prefix of the cluster's range in etcd"
    if not settings.nodes:
        return f"have Kubernetes give node {facts.name} a podCIDR (kube-controller-manager --allocate-node-cidrs)"
    return f"list node {facts.name} with pod-cidrs in {settings.nodes}"


def first_lease(network: Network, container: str) -> Lease:
    """Return the lease that the first pod of an empty `network` would get."""
    attachment = Attachment(network.name, container, "eth0")
    addresses = []
    for ranges in network.ranges:
        first = ranges[0]
        address = first.first if first.first != first.gateway else ip_address(int(first.first) + 1)
        addresses.append(PodAddress(address, first.subnet.prefixlen, first.gateway))
    suffix = "-br" if network.datapath == "bridge" else ""
    return Lease(
        attachment=attachment,
        addresses=tuple(addresses),
        link=link_name(attachment, suffix),
        netns=None,
        netns_path="pod",
        boot_id="",
        created=0.0,
    )


def _pod(network: Network, facts: NodeFacts, lease: Lease) -> list[Line]:
    return explain(datapath.attach(network, facts, lease), lease.netns_path)
