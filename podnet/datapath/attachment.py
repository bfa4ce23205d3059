"""An attachment's plan: a veth pair, its addresses, routes and neighbours, and the pod's elements.

Order matters to the kernel in three places: elements come before the link, so that the rules hold from the first
packet; a sysctl before the address it must admit; a link up before its routes.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from podnet.datapath.bandwidth import egress_link, shaping
from podnet.datapath.hardware import GATEWAY_MAC, bridge_mac, link_local, pod_mac, port_mac
from podnet.datapath.ports import port_elements
from podnet.datapath.ruleset import PTP_GATEWAY4, PTP_GATEWAY6, pod_elements
from podnet.model import Lease, Network, NodeFacts, PodAddress
from podnet.model.network import IPAddress, IPNetwork
from podnet.plan import GROUP_DOOMED, GROUP_PODS, PROTOCOL, Address, Link, Neighbour, Plan, Route, Step, Sysctl

IPV4, IPV6 = 4, 6
DEFAULTS = {IPV4: ip_network("0.0.0.0/0"), IPV6: ip_network("::/0")}
LINK_LOCAL_PREFIX = 64
_LEAST_MTU = {IPV4: 68, IPV6: 1280}


def attach(network: Network, facts: NodeFacts, lease: Lease) -> Plan:
    """Return the plan that attaches the holder of `lease` to `network` on the node of `facts`."""
    if network.datapath == "none":
        return Plan()
    return Plan.of(
        _elements(network, lease),
        _NODE_SIDE[network.datapath](network, facts, lease),
        shaping(lease),
        _pod_side(network, facts, lease),
    )


def loopback() -> Plan:
    """Return the plan of a runtime's loopback network: `lo` up in the pod."""
    return Plan((Step(Link(at="pod", name="lo"), "CNI loopback: a pod reaches itself at 127.0.0.1 and ::1"),))


def cut(network: Network, lease: Lease) -> Plan:
    """Return the plan that cuts the holder of `lease` off at once, leaving its link to be reaped.

    With the host end down no packet passes in either direction, and the kernel drops its routes and neighbours.
    """
    if network.datapath == "none":
        return Plan()
    elements = [s._replace(verb="delete") for s in _elements(network, lease)]
    names = (lease.link, egress_link(lease)) if lease.terms.bandwidth.egress else (lease.link,)
    reason = "DEL: no packet passes a link that is down; the doomed group is deleted as one"
    doomed = [Step(Link(at="node", name=name, group=GROUP_DOOMED, up=False), reason, "set") for name in names]
    return Plan.of(elements, doomed)


def _elements(network: Network, lease: Lease) -> Iterator[Step]:
    """Yield a pod's elements of both tables; they go in one batch."""
    if network.datapath == "ptp":
        yield from pod_elements(network, lease, lease.link)
    else:
        yield from pod_elements(network, lease, network.bridge)
        yield from port_elements(lease)


def gateway_of(network: Network, leased: PodAddress) -> IPAddress:
    """Return where a pod's routes of that address's family point: the bridge's address, or ptp's signpost."""
    if network.datapath == "bridge":
        return leased.gateway
    return PTP_GATEWAY4 if leased.address.version == IPV4 else PTP_GATEWAY6


def mtu_of(network: Network, facts: NodeFacts) -> int:
    """Return the MTU of the network's links in bytes: its own, or the node's less what goes around packets.

    Not below the least of its families (RFC 8200, section 5; RFC 791): the kernel takes a link's addresses from it.
    """
    least = _LEAST_MTU[IPV6 if IPV6 in network.families else IPV4]
    return network.mtu or max(facts.mtu - network.overhead, least)


def why_mtu(network: Network, facts: NodeFacts) -> str:
    """Return the end of a link's reason: why its MTU is not the uplink's, where the way to other nodes takes some."""
    if network.mtu or not network.overhead:
        return ""
    uplink = facts.uplink or "Ethernet"
    mtu = mtu_of(network, facts)
    least = ", and not below IPv6's least" if mtu > facts.mtu - network.overhead else ""
    return f"; MTU {mtu}: {uplink}'s {facts.mtu} less {network.overhead} for the tunnel's headers{least}"


def host_mac(network: Network, lease: Lease) -> str:
    """Return the MAC of the host's end: the one that every ptp pod knows as its gateway's, or a port's own."""
    return GATEWAY_MAC if network.datapath == "ptp" else port_mac(lease.link)


# The node's side


def _ptp(network: Network, facts: NodeFacts, lease: Lease) -> Iterator[Step]:
    yield Step(
        _host_end(network, facts, lease), f"datapath ptp: a veth pair, one end in the pod{why_mtu(network, facts)}"
    )
    yield from _to_the_pod(facts, lease)


def _bridge(network: Network, facts: NodeFacts, lease: Lease) -> Iterator[Step]:
    yield Step(
        _host_end(network, facts, lease, master=network.bridge),
        f"datapath bridge: a veth pair, one end in the pod, the other a port of {network.bridge}, isolated from others"
        f"{why_mtu(network, facts)}",
    )
    yield from _to_the_pod(facts, lease)


def _to_the_pod(facts: NodeFacts, lease: Lease) -> Iterator[Step]:
    """Yield a route to each address by the host's end itself, also where that is a bridge's port.

    Through the bridge it would be one link in and out: the node would tell pods of a shorter way that isolation
    closes (ICMP redirect), and br_netfilter, where it is on, would forward a DNATed packet from port to port.
    """
    mac = pod_mac(lease)
    for leased in lease.addresses:
        address = leased.address
        source = facts.address(address.version)
        yield Step(
            Route(at="node", dst=_alone(address), dev=lease.link, src=source, protocol=PROTOCOL),
            f"{address} is behind {lease.link}",
        )
        yield Step(
            Neighbour(at="node", dev=lease.link, address=address, mac=mac),
            "the only neighbour on the link, so nothing has to be asked",
        )


def _alone(address: IPAddress) -> IPNetwork:
    """Return the network of `address` alone; from a pair of integers, since ipaddress parses text otherwise."""
    single = (int(address), address.max_prefixlen)
    return IPv4Network(single) if address.version == IPV4 else IPv6Network(single)


def _host_end(network: Network, facts: NodeFacts, lease: Lease, master: str = "") -> Link:
    return Link(
        at="node",
        name=lease.link,
        kind="veth",
        peer=lease.attachment.ifname,
        mac=host_mac(network, lease),
        mtu=mtu_of(network, facts),
        queues=1,
        group=GROUP_PODS,
        alias=lease.attachment.alias,
        master=master,
        isolated=bool(master),
        ipv6_autoconf=False,
        route_localnet=any(mapping.serves(IPV4) for mapping in lease.terms.ports),
    )


_NODE_SIDE: dict[str, Callable[[Network, NodeFacts, Lease], Iterator[Step]]] = {"ptp": _ptp, "bridge": _bridge}


# The pod's side


def _pod_side(network: Network, facts: NodeFacts, lease: Lease) -> Iterator[Step]:
    name = lease.attachment.ifname
    mac = pod_mac(lease)
    versions = {a.address.version for a in lease.addresses}
    if IPV6 in versions:
        yield from _ipv6_sysctls(name)
    yield Step(Link(at="pod", name="lo"), "CNI: a pod reaches itself at 127.0.0.1 and ::1")
    yield Step(
        Link(at="pod", name=name, kind="veth", mac=mac, mtu=mtu_of(network, facts), queues=1, ipv6_autoconf=False),
        f"CNI_IFNAME {name}: the pod's end; its MAC follows from its address",
    )
    for leased in lease.addresses:
        yield Step(_pod_address(network, name, leased), f"ipam: {leased.address} from {leased.gateway}'s subnet")
    if IPV6 in versions:
        local = Address(at="pod", dev=name, address=link_local(mac), prefixlen=LINK_LOCAL_PREFIX)
        yield Step(local, "IPv6: a link-local address, without waiting for duplicate address detection")
    gateway_mac = GATEWAY_MAC if network.datapath == "ptp" else bridge_mac(network.bridge)
    for gateway in dict.fromkeys(gateway_of(network, leased) for leased in lease.addresses):
        yield Step(
            Neighbour(at="pod", dev=name, address=gateway, mac=gateway_mac),
            "the pod knows the gateway's MAC, so nothing has to be asked",
        )
    yield from _pod_routes(network, lease, name)


def _ipv6_sysctls(name: str) -> Iterator[Step]:
    for key, value, reason in (
        ("disable_ipv6", "0", "ipam: the pod gets an IPv6 address, which a link without IPv6 refuses"),
        ("accept_ra", "0", "routes come from podnet alone, not from whoever sends advertisements"),
    ):
        yield Step(Sysctl(at="pod", name=f"net/ipv6/conf/{name}/{key}", value=value), reason)


def _pod_address(network: Network, name: str, leased: PodAddress) -> Address:
    """Return the address alone for ptp; for a bridge of isolated ports with its subnet, but without a route into it."""
    if network.datapath == "ptp":
        return Address(at="pod", dev=name, address=leased.address, prefixlen=leased.host_prefixlen)
    return Address(at="pod", dev=name, address=leased.address, prefixlen=leased.prefixlen, prefix_route=False)


def pod_routes(network: Network, lease: Lease) -> Iterator[tuple[IPNetwork, IPAddress]]:
    """Yield (destination, gateway) of a pod's routes: the network's own, or a default route per family.

    On ptp every gateway is the node's signpost, since there is no other neighbour.
    """
    by_version = {a.address.version: a for a in reversed(lease.addresses)}
    for version in sorted(by_version):
        gateway = gateway_of(network, by_version[version])
        if not network.routes:
            yield DEFAULTS[version], gateway
        for dst, via in _first_of_each(network, version).items():
            yield dst, via if via and network.datapath == "bridge" else gateway


def _first_of_each(network: Network, version: int) -> dict[IPNetwork, IPAddress | None]:
    """Return the network's routes of IP `version`; of several to one destination the first, as the reference plugins.

    Two would be one object of the kernel, which refuses the second.
    """
    routes: dict[IPNetwork, IPAddress | None] = {}
    for route in network.routes:
        if route.dst.version == version:
            routes.setdefault(route.dst, route.via)
    return routes


def _pod_routes(network: Network, lease: Lease, name: str) -> Iterator[Step]:
    reason = "ipam.routes" if network.routes else "the default route"
    covered = set()
    for dst, via in pod_routes(network, lease):
        covered.add(dst)
        yield Step(Route(at="pod", dst=dst, dev=name, via=via, onlink=True), f"{reason}: it goes by the node")
    for leased in lease.addresses if network.routes else ():
        subnet = ip_network(f"{leased.address}/{leased.prefixlen}", strict=False)
        if not any(subnet.version == dst.version and subnet.subnet_of(dst) for dst in covered):  # type: ignore[arg-type]
            covered.add(subnet)
            yield Step(
                Route(at="pod", dst=subnet, dev=name, via=gateway_of(network, leased), onlink=True),
                "ipam.routes leads nowhere near the pod's own subnet: it goes by the node too",
            )
