"""nodes.yaml: the cluster's machines, each with its addresses and its pods' CIDRs."""

from collections.abc import Sequence
from ipaddress import ip_network
from itertools import pairwise
from typing import NamedTuple

import msgspec

from podnet.cluster.document import Document, IPAddress, IPNetwork, read_text
from podnet.cluster.named import valid_name
from podnet.errors import NodeNotReady
from podnet.model import Node
from podnet.wireguard.key import from_text

# The pools that addresses are given from: enough to be worth it, few enough to count.
_SHORTEST = {4: 8, 6: 48}
_LONGEST = {4: 30, 6: 126}


class _Entry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, gc=False):
    """One node as written."""

    name: str
    addresses: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    wireguard: str = ""
    route_reflector: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """nodes.yaml as written."""

    nodes: tuple[_Entry, ...] = ()


class Claim(NamedTuple):
    """A piece of the address space, first to last address as integers, and who claims it."""

    first: int
    last: int
    network: IPNetwork
    path: str
    owner: str


class Sound(NamedTuple):
    """Nodes that contradict themselves nowhere, and their claims of IPv4 and of IPv6, sorted: none overlaps another."""

    nodes: tuple[Node, ...]
    claims: tuple[tuple[Claim, ...], tuple[Claim, ...]]


def read_nodes(path: str, cluster_cidrs: Sequence[IPNetwork] = ()) -> tuple[Node, ...]:
    """Return the nodes listed in the file at `path`, in its order.

    Raises NodeNotReady when there is no such file, else what parse_nodes raises.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise NodeNotReady(f"{path}: no such file; list the cluster's nodes in it") from None
    return parse_nodes(text, path, cluster_cidrs)


def parse_nodes(text: str, source: str, cluster_cidrs: Sequence[IPNetwork] = ()) -> tuple[Node, ...]:
    """Return the nodes in `text`, the content of the file `source`.

    With `cluster_cidrs`, every pod CIDR must lie in one of them.  Raises DecodingFailure when the text is not YAML,
    and InvalidConfiguration for a wrong key or value, a name or address given twice, and CIDRs that overlap.
    """
    return sound_nodes(Document(text, source), cluster_cidrs).nodes


def sound_nodes(document: Document, cluster_cidrs: Sequence[IPNetwork] = ()) -> Sound:
    """Return the nodes in a document, as :func:`parse_nodes` does; raise InvalidConfiguration."""
    nodes = []
    paths: dict[str, str] = {}
    for index, entry in enumerate(document.convert(_File).nodes):
        path = f".nodes[{index}]"
        if not valid_name(entry.name):
            document.refuse(f"{path}.name", f"{entry.name!r} is not a name; use letters, digits, '-', '_' and '.'")
        if entry.name in paths:
            document.refuse(f"{path}.name", f"{entry.name} is the name of {paths[entry.name][1:]} already; rename one")
        paths[entry.name] = path
        addresses, pod_cidrs = _addresses(document, entry, path), _pod_cidrs(document, entry, path)
        key = _key(document, entry, path)
        nodes.append(Node(entry.name, addresses, pod_cidrs, key, reflector=entry.route_reflector))
    _refuse_shared_addresses(document, nodes)
    _refuse_shared_keys(document, nodes)
    claims = claims_of(nodes, 4), claims_of(nodes, 6)
    for sorted_ in claims:
        _refuse_overlaps(document, sorted_)
    if cluster_cidrs:
        _refuse_outsiders(document, nodes, cluster_cidrs)
    return Sound(tuple(nodes), claims)


def own_node(nodes: Sequence[Node], name: str) -> Node:
    """Return the node called `name`; raise NodeNotReady when it is missing or has nothing to give pods."""
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        listed = ", ".join(node.name for node in nodes[:8]) + (", ..." if len(nodes) > 8 else "")  # noqa: PLR2004
        raise NodeNotReady(
            f"this node is called {name} and the list of nodes has no such name (it has: {listed or 'none'}); "
            "add it to nodes.yaml, or set `node` in podnet.yaml"
        )
    if not node.pod_cidrs:
        raise NodeNotReady(f"node {name} has no pod-cidrs in the list of nodes; give it one, such as 10.244.1.0/24")
    return node


def unreachable(address: IPAddress) -> bool:
    """Tell whether `address` is none that other nodes could send to."""
    return address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local


def pool_fault(network: IPNetwork) -> str:
    """Return why pods cannot be given addresses from `network`, "" where they can."""
    shortest, longest = _SHORTEST[network.version], _LONGEST[network.version]
    if not shortest <= network.prefixlen <= longest:
        return f"has a prefix length outside {shortest} to {longest}; choose one within"
    if network.is_multicast or network.is_loopback or network.is_link_local:
        return "is not unicast space for pods; choose another, such as 10.244.1.0/24"
    return ""


def _addresses(document: Document, entry: _Entry, path: str) -> tuple[IPAddress, ...]:
    """Return the node's own addresses: one of a family at most, and each such that others can send to it."""
    addresses: list[IPAddress] = []
    for index, text in enumerate(entry.addresses):
        place = f"{path}.addresses[{index}]"
        address = document.address(text, place)
        if unreachable(address):
            document.refuse(place, f"{address} cannot be reached from other nodes; give the node's own address")
        if any(address.version == other.version for other in addresses):
            document.refuse(place, f"{address} is the second IPv{address.version} address of {entry.name}; keep one")
        addresses.append(address)
    if not addresses:
        document.refuse(path, f"{entry.name} has no addresses; give it the one that other nodes reach it by")
    return tuple(addresses)


def _pod_cidrs(document: Document, entry: _Entry, path: str) -> tuple[IPNetwork, ...]:
    """Return the node's pod CIDRs, each of a size that pods can be given addresses from."""
    networks = []
    for index, text in enumerate(entry.pod_cidrs):
        place = f"{path}.pod-cidrs[{index}]"
        network = document.network(text, place)
        fault = pool_fault(network)
        if fault:
            document.refuse(place, f"{network} {fault}")
        networks.append(network)
    return tuple(networks)


def _key(document: Document, entry: _Entry, path: str) -> str:
    """Return the node's public key of WireGuard, "" where it has none."""
    if entry.wireguard:
        try:
            from_text(entry.wireguard)
        except ValueError as error:
            document.refuse(f"{path}.wireguard", f"is {error}; `podnet node key` prints the node's own")
    return entry.wireguard


def _refuse_shared_keys(document: Document, nodes: Sequence[Node]) -> None:
    """Refuse a key that two nodes have."""
    owners: dict[str, str] = {}
    for n, node in enumerate(nodes):
        owner = owners.setdefault(node.wireguard, node.name)
        if node.wireguard and owner != node.name:
            remedy = "each node makes its own, `podnet node key` prints it there"
            document.refuse(f".nodes[{n}].wireguard", f"of {node.name} is {owner}'s key already; {remedy}")


def _refuse_shared_addresses(document: Document, nodes: Sequence[Node]) -> None:
    """Refuse an address that two nodes have."""
    owners: dict[IPAddress, str] = {}
    for n, node in enumerate(nodes):
        for i, address in enumerate(node.addresses):
            owner = owners.setdefault(address, node.name)
            if owner != node.name:
                document.refuse(f".nodes[{n}].addresses[{i}]", f"{address} is {owner}'s address already; correct one")


def _refuse_overlaps(document: Document, claims: Sequence[Claim]) -> None:
    """Refuse pod CIDRs that overlap each other or hold a node's address: each claim beside the one before."""
    for one, other in pairwise(claims):
        if other.first <= one.last:
            _refuse_pair(document, one, other)


def claims_of(nodes: Sequence[Node], version: int) -> tuple[Claim, ...]:
    """Return what nodes have of an IP version's addresses, sorted: their pods' and their own."""
    claims = [
        _claim(network, f".nodes[{n}].pod-cidrs[{i}]", node.name)
        for n, node in enumerate(nodes)
        for i, network in enumerate(node.pod_cidrs)
        if network.version == version
    ]
    claims += [
        _claim(ip_network(address), f".nodes[{n}].addresses[{i}]", node.name)
        for n, node in enumerate(nodes)
        for i, address in enumerate(node.addresses)
        if address.version == version
    ]
    claims.sort(key=lambda claim: claim[:2])
    return tuple(claims)


def _claim(network: IPNetwork, path: str, owner: str) -> Claim:
    """Return `network` as integers."""
    return Claim(int(network.network_address), int(network.broadcast_address), network, path, owner)


def _refuse_pair(document: Document, one: Claim, other: Claim) -> None:
    """Refuse two claims that overlap."""
    if ".addresses" in one.path:
        one, other = other, one
    if ".addresses" in other.path:
        document.refuse(
            other.path,
            f"{other.network.network_address} of {other.owner} lies in {one.owner}'s pod CIDR {one.network};"
            " nodes' and pods' addresses must be apart",
        )
    document.refuse(other.path, f"{other.network} of {other.owner} overlaps {one.network} of {one.owner}; move one")


def _refuse_outsiders(document: Document, nodes: Sequence[Node], cluster_cidrs: Sequence[IPNetwork]) -> None:
    """Refuse pod CIDRs that are not part of the cluster's."""
    for n, node in enumerate(nodes):
        for i, network in enumerate(node.pod_cidrs):
            if not any(within(network, cidr) for cidr in cluster_cidrs):
                listed = ", ".join(map(str, cluster_cidrs))
                document.refuse(
                    f".nodes[{n}].pod-cidrs[{i}]",
                    f"{network} of {node.name} is outside the cluster-cidrs ({listed}); move it, or widen those in"
                    " podnet.yaml",
                )


def within(network: IPNetwork, cidr: IPNetwork) -> bool:
    """Tell whether `network` is part of `cidr`; networks of two families never are."""
    return (
        network.version == cidr.version
        and cidr.prefixlen <= network.prefixlen
        and cidr.network_address <= network.network_address <= cidr.broadcast_address  # type: ignore[operator] # one family, see above
    )
