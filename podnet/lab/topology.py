"""What a lab consists of: its nodes, pods, LAN, router and outside, and every name and address in it.

::

    n1  10.99.0.11 ─┐                          the LAN is a bridge in the namespace podnet-NAME-lan, which is
    n2  10.99.0.12 ─┼─ LAN 10.99.0.1 ── outside    the nodes' router as well; neither it nor the outside
    n3  10.99.0.13 ─┘   MTU 1500    MTU 1400       knows a route to any pod

With a backend that does without a common subnet there are two LANs, and every second node (n2, n4, …) is on 10.99.1.0,
which the same router joins.  With `bgp` the router hears the ways to pods from the first node on each LAN, n1 and n2,
which are route reflectors.

Addresses are drawn from ranges set aside for documentation (RFC 5737, RFC 3849) and for private use.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal, Self

import msgspec

from podnet.errors import InvalidConfiguration
from podnet.mesh import OVERHEAD
from podnet.model import Backend
from podnet.model.bgp import Profile

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Datapath = Literal["ptp", "bridge"]
Role = Literal["pod", "node", "outside"]
Source = Literal["nodes.yaml", "etcd"]
"""Who tells the nodes of each other."""

DATAPATHS = ("ptp", "bridge")
BACKENDS: tuple[Backend, ...] = ("direct", "vxlan", "auto", "wireguard", "bgp")
SOURCES: tuple[Source, ...] = ("nodes.yaml", "etcd")
ETCD_PORT = 2379
PROFILES: tuple[Profile, ...] = ("fast", "graceful")
UPLINK_MTU = 1500
OUTSIDE_MTU = 1400
MOST_NODES = 100
MOST_PODS = 100
LANS: tuple[dict[int, IPNetwork], ...] = (
    {4: IPv4Network("10.99.0.0/24"), 6: IPv6Network("fd99::/64")},
    {4: IPv4Network("10.99.1.0/24"), 6: IPv6Network("fd99:0:0:1::/64")},
)
ROUTER = 1  # the number of the router's address on each LAN
ROUTER_NAME = "router"
REFLECTORS = len(LANS)  # with `bgp` the first nodes, one on each LAN
OUTSIDE_LAN: dict[int, IPNetwork] = {4: IPv4Network("198.51.100.0/24"), 6: IPv6Network("2001:db8:51:100::/64")}
OUTSIDE_ROUTER: dict[int, IPAddress] = {4: IPv4Address("198.51.100.1"), 6: IPv6Address("2001:db8:51:100::1")}
OUTSIDE: dict[int, IPAddress] = {4: IPv4Address("198.51.100.10"), 6: IPv6Address("2001:db8:51:100::10")}
CLUSTER_CIDRS: dict[int, IPNetwork] = {4: IPv4Network("10.244.0.0/16"), 6: IPv6Network("fd00:10:244::/56")}
SERVICES: dict[int, IPNetwork] = {4: IPv4Network("10.96.0.0/24"), 6: IPv6Network("fd00:10:96::/112")}
COLOURS = (
    *("red", "blue", "green", "yellow", "orange", "purple", "pink", "brown"),
    *("black", "white", "grey", "cyan", "magenta", "olive", "navy", "teal"),
)


class LabNode(msgspec.Struct, frozen=True, kw_only=True):
    """One lab node: `name` (its host name too), its number from 1, its addresses, pod CIDRs and its pods' colours.

    `lan` is the number of the LAN that it is on.
    """

    name: str
    number: int
    addresses: tuple[IPAddress, ...]
    pod_cidrs: tuple[IPNetwork, ...]
    pods: tuple[str, ...]
    lan: int = 0


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be a source or target of a probe: where it is (`namespace`) and its `addresses`.

    `node` is the name of the node it is on, empty for the outside.  Between nodes of one `segment` packets go as they
    are, to others in a tunnel, for which a node itself has the addresses `tunnel`.
    """

    name: str
    role: Role
    namespace: str
    node: str
    addresses: tuple[IPAddress, ...]
    segment: str = ""
    tunnel: tuple[IPAddress, ...] = ()

    def address(self, version: int) -> IPAddress | None:
        """Return the address of IP `version` 4 or 6."""
        return next((a for a in self.addresses if a.version == version), None)

    def tunnel_address(self, version: int) -> IPAddress | None:
        """Return the address of IP `version` by which a node itself is known at the other end of a tunnel."""
        return next((a for a in self.tunnel if a.version == version), None)


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A whole lab; `families` are IP versions, in the order in which a pod gets its addresses."""

    name: str
    datapath: Datapath
    families: tuple[int, ...]
    backend: Backend
    nodes: tuple[LabNode, ...]
    profile: Profile = "graceful"
    source: Source = "nodes.yaml"

    @property
    def pod_mtu(self) -> int:
        """The MTU of a pod's link: the uplink's less what the backend takes."""
        return UPLINK_MTU - OVERHEAD[self.backend][min(self.families)]

    @property
    def lans(self) -> tuple[dict[int, IPNetwork], ...]:
        """The subnets of the nodes by IP version, one or two."""
        return LANS[: lans_of(self.backend)]

    def segment(self, node: LabNode) -> str:
        """Return what the nodes that `node` reaches without a tunnel have in common."""
        if self.backend in {"direct", "bgp"}:
            return "all"
        return f"lan {node.lan}" if self.backend == "auto" else node.name

    @property
    def lan_namespace(self) -> str:
        """The namespace of the LAN's bridge, which is the router too."""
        return f"podnet-{self.name}-lan"

    @property
    def outside_namespace(self) -> str:
        """The namespace of the one host beyond the router."""
        return f"podnet-{self.name}-outside"

    def namespace(self, node: LabNode | str, pod: str = "") -> str:
        """Return the name of the network namespace of `node` (the router is one too), or of `pod` on it."""
        if node == ROUTER_NAME:
            return self.lan_namespace
        return "-".join(("podnet", self.name, node if isinstance(node, str) else node.name, *([pod] if pod else [])))

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Every network namespace of the lab: LAN, outside, nodes, pods."""
        return (
            self.lan_namespace,
            self.outside_namespace,
            *(self.namespace(n) for n in self.nodes),
            *(self.namespace(n, p) for n in self.nodes for p in n.pods),
        )

    def grown(self, pods: int) -> Self:
        """Return this lab with one more node of `pods` pods."""
        number = max((n.number for n in self.nodes), default=0) + 1
        return msgspec.structs.replace(self, nodes=(*self.nodes, node(number, pods, self.families, self.backend)))


def topology(
    *,
    name: str = "lab",
    nodes: int = 3,
    pods: int = 2,
    datapath: Datapath = "ptp",
    families: tuple[int, ...] = (4,),
    backend: Backend = "direct",
    profile: Profile = "graceful",
    source: Source = "nodes.yaml",
) -> Topology:
    """Return the lab of `nodes` nodes with `pods` pods each; raise `InvalidConfiguration` for what cannot be built."""
    if not valid_name(name):
        raise InvalidConfiguration(f"lab name {name!r}: at most 16 lower-case letters and digits, no hyphen")
    if datapath not in DATAPATHS:
        raise InvalidConfiguration(f"datapath {datapath!r}: one of {', '.join(DATAPATHS)}")
    if backend not in BACKENDS:
        raise InvalidConfiguration(f"backend {backend!r}: one of {', '.join(BACKENDS)}")
    if not 1 <= nodes <= MOST_NODES:
        raise InvalidConfiguration(f"{nodes} nodes: a lab has 1 to {MOST_NODES}")
    if not families or not set(families) <= {4, 6}:
        raise InvalidConfiguration(f"families {families}: 4, 6 or both")
    made = tuple(node(number, pods, families, backend) for number in range(1, nodes + 1))
    return Topology(
        name=name, datapath=datapath, families=families, backend=backend, nodes=made, profile=profile, source=source
    )


def valid_name(name: str) -> bool:
    """Tell whether `name` may name a lab: part of namespaces' names and of a path, it has no hyphen and no slash."""
    return re.fullmatch(r"[a-z0-9]{1,16}", name) is not None


def lans_of(backend: Backend) -> int:
    """Return how many LANs a lab has: one where all nodes must share it."""
    return 1 if backend == "direct" else len(LANS)


def router(lan: dict[int, IPNetwork], family: int) -> IPAddress:
    """Return the router's address of a family on a LAN."""
    return lan[family][ROUTER]


def node(number: int, pods: int, families: tuple[int, ...], backend: Backend = "direct") -> LabNode:
    """Return lab node `number` with `pods` pods, named by colours as the study notes name theirs."""
    if not 0 <= pods <= MOST_PODS:
        raise InvalidConfiguration(f"{pods} pods on a node: 0 to {MOST_PODS}")
    if number > MOST_NODES:
        raise InvalidConfiguration(f"node n{number}: a lab has at most {MOST_NODES} nodes")
    lan = (number - 1) % lans_of(backend)
    hosts = {4: 10 + number, 6: int(f"{10 + number}", 16)}
    cidrs = {4: f"10.244.{number}.0/24", 6: f"fd00:10:244:{number:x}::/64"}
    return LabNode(
        name=f"n{number}",
        number=number,
        addresses=tuple(LANS[lan][f][hosts[f]] for f in families),
        pod_cidrs=tuple(ip_network(cidrs[f]) for f in families),
        pods=tuple(colour(i) for i in range(pods)),
        lan=lan,
    )


def colour(index: int) -> str:
    """Return the name of a node's pod `index` from 0: red, blue, … and from the second round on red2, blue2, …."""
    round_, at = divmod(index, len(COLOURS))
    return COLOURS[at] + (str(round_ + 1) if round_ else "")


def endpoints(lab: Topology, pod_addresses: dict[str, tuple[IPAddress, ...]]) -> tuple[Endpoint, ...]:
    """Return pods, nodes and the outside, in that order; `pod_addresses` by pod name (n1-red), what ADD answered."""
    pods = [
        Endpoint(
            name=f"{n.name}-{p}",
            role="pod",
            namespace=lab.namespace(n, p),
            node=n.name,
            addresses=pod_addresses[f"{n.name}-{p}"],
            segment=lab.segment(n),
        )
        for n in lab.nodes
        for p in n.pods
        if f"{n.name}-{p}" in pod_addresses
    ]
    nodes = [
        Endpoint(
            name=n.name,
            role="node",
            namespace=lab.namespace(n),
            node=n.name,
            addresses=n.addresses,
            segment=lab.segment(n),
            tunnel=tuple(cidr.network_address for cidr in n.pod_cidrs),
        )
        for n in lab.nodes
    ]
    outside = Endpoint(
        name="outside",
        role="outside",
        namespace=lab.outside_namespace,
        node="",
        addresses=tuple(OUTSIDE[f] for f in lab.families),
    )
    return (*pods, *nodes, outside)


def node_settings(lab: Topology, name: str = "") -> str:
    """Return podnet.yaml: a node's name is its host name, its uplink the default route's.

    It is the same on every node, but where etcd is the source: there a node says of itself, by its `name`, that it is
    a reflector.
    """
    lines = (
        "# The same on every node of this lab: a node's name is its host name.\n"
        f"datapath: {lab.datapath}\n"
        f"backend: {lab.backend}\n"
        f"cluster-cidrs: [{quoted(CLUSTER_CIDRS[f] for f in lab.families)}]\n"
    )
    if lab.source == "etcd":
        reflects = lab.backend == "bgp" and any(n.name == name and n.number <= REFLECTORS for n in lab.nodes)
        lines += f"etcd:\n  endpoints: [{quoted([etcd_url(lab)])}]\n"
        lines += "  route-reflector: true\n" if reflects else ""
    else:
        lines += "nodes: nodes.yaml\n"
    return lines + (_bgp(lab) if lab.backend == "bgp" else "")


def etcd_address(lab: Topology) -> IPAddress:
    """Return where the lab's etcd listens: the router's first address."""
    return router(lab.lans[0], lab.families[0])


def etcd_url(lab: Topology) -> str:
    """Return the endpoint of the lab's etcd."""
    address = etcd_address(lab)
    return f"http://{f'[{address}]' if isinstance(address, IPv6Address) else address}:{ETCD_PORT}"


def _bgp(lab: Topology) -> str:
    """Return how nodes and router speak BGP."""
    addresses = [router(lan, family) for lan in lab.lans for family in lab.families]
    return (
        "bgp:\n"
        "  mode: reflectors\n"
        f"  profile: {lab.profile}\n"
        "  routers:\n"
        f"    - name: {ROUTER_NAME}\n"
        f"      addresses: [{quoted(addresses)}]\n"
        "      role: client\n"
    )


def node_list(lab: Topology, keys: Mapping[str, str]) -> str:
    """Return nodes.yaml, the list of nodes that every daemon watches; `keys` are those of WireGuard by node."""
    lines = ["# Every daemon watches this file: a node added here gets routes on all others.", "nodes:"]
    for n in lab.nodes:
        lines += [
            f"  - name: {n.name}",
            f"    addresses: [{quoted(n.addresses)}]",
            f"    pod-cidrs: [{quoted(n.pod_cidrs)}]",
            *([f"    wireguard: {keys[n.name]}"] if n.name in keys else []),
            *(["    route-reflector: true"] if lab.backend == "bgp" and n.number <= REFLECTORS else []),
        ]
    return "\n".join(lines) + "\n"


def quoted(values: Iterable[object]) -> str:
    """Return `values` as the inside of a YAML flow sequence; an IPv6 address needs the quotes."""
    return ", ".join(f'"{value}"' for value in values)
