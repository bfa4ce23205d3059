"""What the machine knows of itself: the facts from which the node's plan is made."""

import os
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from podnet.errors import NodeNotReady
from podnet.kernel.socket import NetlinkSocket
from podnet.model import NodeFacts
from podnet.model.node import IPNetwork
from podnet.netlink.attributes import IPAddress
from podnet.netlink.message import NETLINK_ROUTE
from podnet.netlink.rtnl import AF_INET, AF_INET6, Addr, Link, Route
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.netlink.rtnl.route import RT_SCOPE_UNIVERSE, RT_TABLE_MAIN, RTN_UNICAST

BOOT_ID = "/proc/sys/kernel/random/boot_id"
DEFAULT_MTU = 1500
LOOPBACK_INDEX = 1
"""An address on `lo` is reached by routing protocols over any link: it does not tell the uplink."""


def boot_id() -> str:
    """Return this boot's id: leases of another boot are void (random(4))."""
    with open(BOOT_ID, encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms to import
        return file.read().strip()


def node_facts(name: str, *, uplink: str = "", addresses: Sequence[IPAddress] = ()) -> NodeFacts:
    """Observe the node `name` in the calling thread's namespace.

    The uplink is `uplink` where that is given, else the link that has one of `addresses`, else that of the default
    route; without any the node stands alone. Of `addresses` those count that the machine has. Raise `NodeNotReady`
    for an uplink that is not there.
    """
    route = NetlinkSocket(NETLINK_ROUTE)
    try:
        links = [Link.decode(e.payload) for e in route.dump(Link(ext_mask=RTEXT_FILTER_SKIP_STATS).dump())]
        found = [Addr.decode(e.payload) for e in route.dump(Addr().dump())]
        routes = main_routes(route)
    finally:
        route.close()
    index = _uplink(uplink, addresses, links, found, routes)
    link = next((link for link in links if link.index == index), None)
    here = {address for one in found for address in (one.local, one.address)}
    own = tuple(address for address in addresses if address in here) or tuple(_first_of_each_family(found, index))
    return NodeFacts(
        name=name,
        boot_id=boot_id(),
        uplink=(link.ifname or "") if link else "",
        mtu=(link.mtu or DEFAULT_MTU) if link else DEFAULT_MTU,
        addresses=own,
        subnets=tuple(_without_gateway(routes, index)) if index else (),
        ra_links=tuple(sorted(ra for one in links if (ra := one.ifname) and _listens_to_routers(ra))),
    )


def connected_subnets() -> tuple[IPNetwork, ...]:
    """Return what this machine reaches without a gateway, by whatever link."""
    route = NetlinkSocket(NETLINK_ROUTE)
    try:
        return tuple(_without_gateway(main_routes(route)))
    finally:
        route.close()


def main_routes(route: NetlinkSocket) -> list[Route]:
    """Return the routes of the main table in the namespace of the socket `route`, both families'."""
    return [
        Route.decode(e.payload)
        for family in (AF_INET, AF_INET6)
        for e in route.dump(Route.matching(family, table=RT_TABLE_MAIN).dump())
    ]


def _uplink(
    name: str, addresses: Sequence[IPAddress], links: Iterable[Link], found: Iterable[Addr], routes: Iterable[Route]
) -> int:
    """Return the ifindex of the uplink, 0 if there is none."""
    if name:
        for link in links:
            if link.ifname == name:
                return link.index
        raise NodeNotReady(f"uplink {name}: no such link; `ip link` shows those there are, podnet.yaml names it")
    for address in addresses:
        for one in found:
            if address in {one.local, one.address} and one.index != LOOPBACK_INDEX:
                return one.index
    defaults = [r for r in routes if not r.dst_len and r.dst is None and r.type == RTN_UNICAST and r.oif]
    return min(defaults, key=lambda r: r.priority or 0).oif or 0 if defaults else 0


def _first_of_each_family(found: Iterable[Addr], index: int) -> Iterable[IPAddress]:
    """Yield the first global address of each family on the link, as the kernel lists them."""
    seen = set()
    for one in found:
        address = one.local or one.address
        if address is None or one.index != index or one.scope != RT_SCOPE_UNIVERSE or address.version in seen:
            continue
        seen.add(address.version)
        yield address


def _without_gateway(routes: Iterable[Route], index: int = 0) -> Iterable[IPNetwork]:
    """Yield the destinations that the link reaches by itself, each once: its subnets, however they came to be routed.

    `index` 0 is any link.

    Routes tell it, not prefix lengths: an address may be /24 without its subnet being on the link (noprefixroute).
    """
    seen = set()
    for route in routes:
        if (
            (index and route.oif != index)
            or route.gateway is not None
            or route.dst is None
            or route.type != RTN_UNICAST
        ):
            continue
        subnet = ip_network(f"{route.dst}/{route.dst_len}")
        if subnet.is_link_local or subnet in seen:
            continue
        seen.add(subnet)
        yield subnet


def _listens_to_routers(link: str) -> bool:
    """Tell whether `link` takes router advertisements: accept_ra 1 without forwarding, or 2 (ip-sysctl.rst)."""
    if link == "lo" or link.startswith("veth-"):
        return False
    accept = _sysctl(link, "accept_ra")
    return accept == "2" or (accept == "1" and _sysctl(link, "forwarding") == "0")


def _sysctl(link: str, name: str) -> str:
    try:
        with open(os.path.join("/proc/sys/net/ipv6/conf", link, name), encoding="ascii") as file:  # noqa: PTH118, PTH123
            return file.read().strip()
    except OSError:
        return ""
