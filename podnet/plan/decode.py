"""Netlink's answers as the plan's objects: the inverse of :mod:`podnet.plan.encode`, pure.

What the kernel adds of itself (a route's default metric, the flags of an address) is brought to the form in which a
plan would have asked for it, so that observed and desired compare.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from podnet.netlink.rtnl import AF_BRIDGE, AF_INET6, IPV4_DEVCONF, U32, Addr, BridgePort, Filter, Mirred, Neigh, Qdisc
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl import Tbf as TbfOptions
from podnet.netlink.rtnl import Vxlan as VxlanOptions
from podnet.netlink.rtnl.addr import IFA_F_NOPREFIXROUTE
from podnet.netlink.rtnl.afspec import IN6_ADDR_GEN_MODE_NONE
from podnet.netlink.rtnl.filter import TCA_EGRESS_REDIR
from podnet.netlink.rtnl.link import IFF_UP
from podnet.netlink.rtnl.neigh import NTF_SELF, NUD_PERMANENT
from podnet.netlink.rtnl.route import RTN_UNICAST, RTN_UNREACHABLE, RTNH_F_ONLINK
from podnet.netlink.rtnl.tc import TC_H_ROOT
from podnet.plan.encode import REDIRECT_INFO
from podnet.plan.objects import Address, Fdb, Link, Neighbour, Place, Redirect, Route, Tbf, Vxlan

Names = Mapping[int, str]
"""Links' names by ifindex, in one namespace."""

IPV6_DEFAULT_METRIC = 1024
_ROUTE_LOCALNET = IPV4_DEVCONF["route_localnet"]


def link(message: LinkMessage, names: Names, at: Place) -> Link:
    """Return the link that `message` shows; its `peer` stays empty, since another namespace names it."""
    info = message.linkinfo
    port = info.slave_data if info else None
    inet = message.af_spec.inet if message.af_spec else None
    inet6 = message.af_spec.inet6 if message.af_spec else None
    return Link(
        at=at,
        name=message.ifname or "",
        kind=(info.kind if info else None) or "",
        mac=message.address or "",
        mtu=message.mtu or 0,
        group=message.group or 0,
        alias=message.alias or "",
        master=names.get(message.master, "") if message.master else "",
        isolated=isinstance(port, BridgePort) and bool(port.isolated),
        ipv6_autoconf=not (inet6 and inet6.addr_gen_mode == IN6_ADDR_GEN_MODE_NONE),
        route_localnet=bool(inet and inet.get(_ROUTE_LOCALNET)),
        vxlan=_vxlan(info.data, names) if info and isinstance(info.data, VxlanOptions) else None,
        up=bool(message.flags & IFF_UP),
    )


def _vxlan(data: VxlanOptions, names: Names) -> Vxlan | None:
    """Return the options of a VXLAN device, or None for one without a VNI or an address of its own."""
    local = data.local or data.local6
    if local is None or data.id is None:
        return None
    return Vxlan(vni=data.id, local=local, port=data.port or 0, dev=names.get(data.link or 0, ""))


def address(message: Addr, names: Names, at: Place) -> Address | None:
    """Return the address that `message` shows, or None for one of a link without a name here."""
    found = message.local or message.address
    if found is None or message.index not in names:
        return None
    return Address(
        at=at,
        dev=names[message.index],
        address=found,
        prefixlen=message.prefixlen,
        prefix_route=not (message.flags or 0) & IFA_F_NOPREFIXROUTE,
    )


def route(message: RouteMessage, names: Names, at: Place) -> Route | None:
    """Return the route that `message` shows, or None for a type that plans do not have."""
    if message.type not in {RTN_UNICAST, RTN_UNREACHABLE}:
        return None
    version6 = message.family == AF_INET6
    base = message.dst or ("::" if version6 else "0.0.0.0")  # noqa: S104 - the default route's destination
    metric = message.priority or 0
    unreachable = message.type == RTN_UNREACHABLE
    return Route(
        at=at,
        dst=ip_network(f"{base}/{message.dst_len}"),
        dev="" if unreachable else names.get(message.oif or 0, ""),
        via=message.gateway,
        onlink=bool(message.flags & RTNH_F_ONLINK),
        src=message.prefsrc,
        protocol=message.protocol,
        type="unreachable" if unreachable else "unicast",
        metric=0 if version6 and metric == IPV6_DEFAULT_METRIC else metric,
    )


def neighbour(message: Neigh, names: Names, at: Place) -> Neighbour | None:
    """Return the permanent neighbour that `message` shows, or None for one that was learned."""
    if not message.state & NUD_PERMANENT or message.dst is None or message.ifindex not in names:
        return None
    return Neighbour(at=at, dev=names[message.ifindex], address=message.dst, mac=message.lladdr or "")


def fdb(message: Neigh, names: Names, at: Place) -> Fdb | None:
    """Return the permanent entry of a VXLAN device that `message` shows, or None for one of a bridge or one learned."""
    if message.family != AF_BRIDGE or not message.flags & NTF_SELF or not message.state & NUD_PERMANENT:
        return None
    if message.dst is None or message.lladdr is None or message.ifindex not in names:
        return None
    return Fdb(at=at, dev=names[message.ifindex], mac=message.lladdr, dst=message.dst)


def tbf(message: Qdisc, names: Names, at: Place) -> Tbf | None:
    """Return the token bucket filter that `message` shows, or None for another qdisc, or one that is not the root."""
    options = message.options
    if message.parent != TC_H_ROOT or not isinstance(options, TbfOptions) or message.ifindex not in names:
        return None
    return Tbf(
        at=at,
        dev=names[message.ifindex],
        rate=options.rate,
        burst=options.size,
        limit=options.parms.limit if options.parms else 0,
    )


def redirect(qdisc: Qdisc, filters: Iterable[Filter], names: Names, targets: Names, at: Place) -> Redirect | None:
    """Return the redirect that an ingress `qdisc` and its `filters` are, or None for a qdisc of another kind.

    Its `to` is empty where the filters are not the one of a redirect, or lead to a link that `targets` does not have.
    """
    if qdisc.kind != "ingress" or qdisc.ifindex not in names:
        return None
    # u32 lists itself, without options, and its hash table before what is in it.
    found = [m for m in filters if m.kind != "u32" or (isinstance(m.options, U32) and m.options.sel)]
    to = _redirected_to(found[0]) if len(found) == 1 else 0
    return Redirect(at=at, dev=names[qdisc.ifindex], to=targets.get(to, ""))


def _redirected_to(message: Filter) -> int:
    """Return the ifindex of the link that a redirect's filter leads to, 0 for another filter."""
    options = message.options
    if message.info != REDIRECT_INFO or not isinstance(options, U32) or not options.sel or len(options.act or ()) != 1:
        return 0
    (action,) = options.act or ()
    parms = action.options.parms if isinstance(action.options, Mirred) else None
    everything = not any(key.mask for key in options.sel.keys)
    return parms.ifindex if parms and everything and parms.eaction == TCA_EGRESS_REDIR else 0
