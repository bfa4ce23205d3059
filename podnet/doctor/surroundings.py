"""The links, addresses and routes of this node's network, and where the kernel would send what."""

import errno
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple

from podnet.diagnosis.overlap import Beside
from podnet.diagnosis.uplink import State
from podnet.errors import KernelError
from podnet.kernel.facts import main_routes
from podnet.kernel.observe import OWN_GROUPS
from podnet.kernel.reap import ALIAS
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import NETLINK_ROUTE
from podnet.netlink.rtnl import AF_INET, AF_INET6, Addr, Link, Route
from podnet.netlink.rtnl.link import IFF_LOWER_UP, IFF_UP, RTEXT_FILTER_SKIP_STATS
from podnet.netlink.rtnl.route import RT_TABLE_MAIN, RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE

IPAddress = IPv4Address | IPv6Address
FAMILIES = {4: AF_INET, 6: AF_INET6}
RTPROT_RA = 9
KINDS = {RTN_UNICAST: "", RTN_BLACKHOLE: "blackhole", RTN_UNREACHABLE: "unreachable", RTN_PROHIBIT: "prohibit"}
NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL}
DROPPED = {errno.EXDEV, errno.EINVAL}
"""What a lookup with a link that the packet came by is refused with where its source is not believed."""


class Surroundings(NamedTuple):
    """What was listed; links by their names."""

    links: dict[str, Link]
    addresses: tuple[IPAddress, ...]
    routes: tuple[Route, ...]

    def states(self) -> dict[str, State]:
        """Return whether each link is up and has a carrier."""
        return {name: State(bool(m.flags & IFF_UP), bool(m.flags & IFF_LOWER_UP)) for name, m in self.links.items()}

    def own(self) -> dict[str, Link]:
        """Return podnet's links."""
        return {
            name: m for name, m in self.links.items() if m.group in OWN_GROUPS and (m.alias or "").startswith(ALIAS)
        }

    def beside(self, protocols: Collection[int]) -> list[Beside]:
        """Return the routes that are not podnet's, which are of these `protocols`, and lead somewhere in particular."""
        own = {message.index for message in self.own().values()}
        names = {message.index: name for name, message in self.links.items()}
        found = []
        for route in self.routes:
            if route.dst is None or not route.dst_len or route.protocol in protocols or route.type not in KINDS:
                continue
            dst = ip_network(f"{route.dst}/{route.dst_len}")
            if route.oif in own or dst.is_link_local or dst.is_multicast or dst.is_loopback:
                continue
            via = route.gateway or route.via
            found.append(Beside(dst, names.get(route.oif or 0, ""), via, KINDS[route.type]))
        return found

    def learned(self) -> set[str]:
        """Return the links whose IPv6 default route came by router advertisement."""
        names = {message.index: name for name, message in self.links.items()}
        return {names[r.oif] for r in self.routes if r.protocol == RTPROT_RA and not r.dst_len and r.oif in names}


class Router:
    """Asks the kernel; to be closed."""

    def __init__(self) -> None:
        """Open a socket in the calling thread's namespace; raise `IOFailure`."""
        self._route = NetlinkSocket(NETLINK_ROUTE)

    def close(self) -> None:
        """Close it."""
        self._route.close()

    def surroundings(self) -> Surroundings:
        """Return what there is."""
        links = [Link.decode(e.payload) for e in self._route.dump(Link(ext_mask=RTEXT_FILTER_SKIP_STATS).dump())]
        addresses = [Addr.decode(e.payload) for e in self._route.dump(Addr().dump())]
        routes = main_routes(self._route)
        return Surroundings(
            {link.ifname or "": link for link in links},
            tuple(dict.fromkeys(a for one in addresses if (a := one.local or one.address) is not None)),
            tuple(route for route in routes if route.table == RT_TABLE_MAIN),
        )

    def link_to(self, address: IPAddress) -> int:
        """Return the index of the link by which the kernel sends to `address`, 0 where it has no way."""
        asked = Route.matching(FAMILIES[address.version], dst=address, dst_len=address.max_prefixlen)
        found = self._route.transact([asked.get()])
        for refusal in found.failures:
            if refusal.errno in NO_WAY:
                return 0
            raise KernelError(f"ip route get {address}", refusal.errno, refusal.extack)
        return Route.decode(found.replies[0].payload).oif or 0

    def refused(self, source: IPAddress, link: int, own: IPAddress) -> bool:
        """Tell whether a packet from `source` to this node's `own` address that came by `link` would be dropped."""
        length = source.max_prefixlen
        asked = Route.matching(
            FAMILIES[source.version], dst=own, dst_len=length, src=source, src_len=length, iif=link
        )  # fmt: skip
        return any(refusal.errno in DROPPED for refusal in self._route.transact([asked.get()]).failures)
