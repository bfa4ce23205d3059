"""BGP: with whom this node, or a router of the cluster, has sessions, and whose routes it takes from whom.

::

    mesh                      reflectors                        routers
    n1 ─ n2                   n1, n2: reflectors                n1 ─┐
     │ X │    every node      n3 ─ n1, n3 ─ n2, n4 ─ n1, …      n2 ─┼─ tor1    each node with the routers
    n3 ─ n4   with every      n1 ─ n2                           n3 ─┘          that podnet.yaml names for it

Everybody knows from the cluster's list which prefixes are whose, and takes nothing else: a neighbour that tells
another's prefix, or a default route, is not believed, whoever it is.  So the list of nodes says who may be where, and
BGP says who is there now, and by which way.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from podnet.bird.configuration import Configuration, Password, Session, Takes, Tells
from podnet.mesh.direct import on_subnet
from podnet.model import BGP, Node, NodeFacts, Router

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

VERSIONS = (4, 6)


def node_configuration(
    own: Node, nodes: Sequence[Node], facts: NodeFacts, bgp: BGP, cluster: Sequence[IPNetwork]
) -> Configuration:
    """Return what the BIRD of the node `own` does among all `nodes`."""
    others, families = [node for node in nodes if node.name != own.name], _families(nodes)
    return Configuration(
        router_id=router_id(own.name, own.addresses),
        profile=bgp.profile,
        families=families,
        links=(facts.uplink,) if facts.uplink else (),
        own=own.cidrs,
        owners=_owners(others, own.addresses),
        cluster=tuple(cluster),
        sessions=tuple(s for s in _node_sessions(own, others, facts, bgp) if s.local.version in families),
        communities=bgp.communities,
        hosted=bool(bgp.socket),
    )


def router_configuration(
    own: Router, nodes: Sequence[Node], facts: NodeFacts, bgp: BGP, cluster: Sequence[IPNetwork]
) -> Configuration:
    """Return what the BIRD of a router, which podnet.yaml names as `own`, does for all `nodes`."""
    families = _families(nodes)
    return Configuration(
        router_id=router_id(own.name, own.addresses),
        profile=bgp.profile,
        families=families,
        links=(),
        own=(),
        owners=_owners(nodes, ()),
        cluster=tuple(cluster),
        sessions=tuple(s for s in _router_sessions(own, nodes, facts, bgp) if s.local.version in families),
        hosted=bool(bgp.socket),
    )


def router_id(name: str, addresses: Sequence[IPAddress]) -> IPv4Address:
    """Return the identifier of a speaker, which no other of its AS has (RFC 6286): its IPv4 address, else a hash."""
    first = next((address for address in addresses if isinstance(address, IPv4Address)), None)
    return first or IPv4Address(int.from_bytes(sha256(name.encode()).digest()[:4]) or 1)


def remarks(nodes: Sequence[Node], facts: NodeFacts, bgp: BGP) -> Iterator[str]:
    """Yield what is to be said of the cluster, with the remedy."""
    reflectors = [node for node in nodes if node.reflector]
    outside = [router for router in bgp.routers if router.role == "reflector"]
    if bgp.mode == "reflectors" and not reflectors and not outside:
        yield (
            "bgp mode `reflectors`, and there is no reflector: no node hears of another; label nodes "
            "podnet.dev/route-reflector=true (in nodes.yaml `route-reflector: true`), or name a router with that role"
        )
    names = {node.name for node in nodes}
    for router in bgp.routers:
        if router.name in names:
            yield f"router {router.name} has a node's name, and is not spoken to; give it another in `bgp.routers`"
    elsewhere = [node for node in nodes if any(not on_subnet(address, facts) for address in node.addresses)]
    if elsewhere and not bgp.routers:
        yield (
            f"node {elsewhere[0].name} is on no subnet of {facts.uplink}, and podnet.yaml names no `routers`: the "
            "router in between must know the ways to pods; have it hear them (`podnet router run` there), name it"
        )


def _families(nodes: Sequence[Node]) -> tuple[int, ...]:
    """Return the IP versions that pods have: of another there is nothing to tell, whatever addresses machines have."""
    return tuple(sorted({cidr.version for node in nodes for cidr in node.cidrs} or {4}))


def _owners(nodes: Sequence[Node], besides: Sequence[IPAddress]) -> dict[IPAddress, tuple[IPNetwork, ...]]:
    """Return the nodes' prefixes by address; of two nodes at one address, both's."""
    owners: dict[IPAddress, tuple[IPNetwork, ...]] = {}
    for node in nodes:
        for address in node.addresses:
            if address not in besides:
                owners[address] = owners.get(address, ()) + node.cidrs
    return owners


def _node_sessions(own: Node, others: Sequence[Node], facts: NodeFacts, bgp: BGP) -> Iterator[Session]:
    for node in others:
        relation = _relation(own, node, bgp)
        if relation is not None:
            takes, tells, client = relation
            asn = (bgp.asn, bgp.asn)
            for local, neighbour in _ends(own.addresses, node.addresses, facts):
                yield Session(
                    node.name, local, neighbour, asn, takes, tells, client,
                    on_subnet(neighbour, facts), Password(bgp.password_file),
                )  # fmt: skip
    names = {own.name, *(node.name for node in others)}
    for router in bgp.routers:
        if router.name in names or not _concerns(router, own, bgp):
            continue
        takes, tells, client = _towards(router, own, bgp)
        for local, neighbour in _ends(own.addresses, router.addresses, facts):
            yield Session(
                router.name, local, neighbour, (bgp.asn, router.asn or bgp.asn), takes, tells, client,
                on_subnet(neighbour, facts), Password(router.password_file),
            )  # fmt: skip


def _relation(own: Node, node: Node, bgp: BGP) -> tuple[Takes, Tells, bool] | None:
    """Return what the node `own` takes from `node`, tells it, and whether that is its client; None for no session."""
    if bgp.mode == "mesh":
        return "own", "own", False
    if bgp.mode == "routers" or not (own.reflector or node.reflector):
        return None
    if own.reflector:
        return ("each", "all", False) if node.reflector else ("own", "all", True)
    return "each", "own", False


def _concerns(router: Router, own: Node, bgp: BGP) -> bool:
    """Tell whether the node `own` speaks to `router`."""
    if router.nodes:
        return own.name in router.nodes
    return own.reflector or not (router.role == "client" and bgp.mode == "reflectors")


def _towards(router: Router, own: Node, bgp: BGP) -> tuple[Takes, Tells, bool]:
    if router.role == "reflector":
        return "each", "own", False
    if router.role == "client":
        reflects = own.reflector and bgp.mode == "reflectors"
        return "nothing", "all" if reflects else "own", reflects and (router.asn or bgp.asn) == bgp.asn
    return "known", "own", False


def _router_sessions(own: Router, nodes: Sequence[Node], facts: NodeFacts, bgp: BGP) -> Iterator[Session]:
    """Yield the sessions of a router: what :func:`_node_sessions` yields, seen from the other end."""
    asn = own.asn or bgp.asn
    reflects = own.role in {"reflector", "peer"}
    if any(node.name == own.name for node in nodes):
        return
    for node in nodes:
        if not _concerns(own, node, bgp):
            continue
        takes: Takes = "own"
        if own.role == "client" and node.reflector and bgp.mode == "reflectors":
            takes = "each"
        for neighbour in node.addresses:
            local = _towards_address(own, neighbour, facts)
            if local is not None:
                yield Session(
                    node.name, local, neighbour, (asn, bgp.asn), takes, "all" if reflects else "nothing",
                    reflects and asn == bgp.asn, on_subnet(neighbour, facts), Password(own.password_file),
                )  # fmt: skip


def _towards_address(own: Router, neighbour: IPAddress, facts: NodeFacts) -> IPAddress | None:
    """Return the router's address towards a neighbour, which chooses alike: on a common subnet, if there is one."""
    ours = [address for address in own.addresses if address.version == neighbour.version]
    common = [subnet for subnet in facts.subnets if subnet.version == neighbour.version and neighbour in subnet]
    return next((a for a in ours if any(a in subnet for subnet in common)), ours[0] if ours else None)


def _ends(
    ours: Sequence[IPAddress], theirs: Sequence[IPAddress], facts: NodeFacts
) -> Iterator[tuple[IPAddress, IPAddress]]:
    """Yield both ends of a session for each family that both sides have: on a common subnet, if there is one."""
    for local in ours:
        family = [address for address in theirs if address.version == local.version]
        if family:
            yield local, next((address for address in family if on_subnet(address, facts)), family[0])
