"""rtnetlink's objects, one file each: link, addr, route, neigh, rule, qdisc, filter.

What belongs here: a frozen message class per object with its kernel constants, its encoding and its decoding, and the
requests that ip(8), bridge(8) and tc(8) would make of it.  What does not: names of links (these messages have
ifindexes), sockets, and any decision about what a pod needs.

The values are named here; constants (IFF_*, NUD_*, RTN_*, ...) are in the file of their object.
"""

from podnet.netlink.rtnl.addr import Addr
from podnet.netlink.rtnl.afspec import IPV4_DEVCONF, IPV6_DEVCONF, AfSpec, Inet6
from podnet.netlink.rtnl.filter import U32, Action, Filter, Matchall, Mirred, Selector
from podnet.netlink.rtnl.link import Link, Veth
from podnet.netlink.rtnl.linkinfo import Bridge, BridgePort, LinkInfo, Vxlan
from podnet.netlink.rtnl.neigh import Neigh
from podnet.netlink.rtnl.object import AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC, Options, RtnlObject
from podnet.netlink.rtnl.qdisc import Qdisc, Tbf
from podnet.netlink.rtnl.route import Metrics, NextHop, Route
from podnet.netlink.rtnl.rule import Rule

__all__ = [
    "AF_BRIDGE",
    "AF_INET",
    "AF_INET6",
    "AF_UNSPEC",
    "IPV4_DEVCONF",
    "IPV6_DEVCONF",
    "U32",
    "Action",
    "Addr",
    "AfSpec",
    "Bridge",
    "BridgePort",
    "Filter",
    "Inet6",
    "Link",
    "LinkInfo",
    "Matchall",
    "Metrics",
    "Mirred",
    "Neigh",
    "NextHop",
    "Options",
    "Qdisc",
    "Route",
    "RtnlObject",
    "Rule",
    "Selector",
    "Tbf",
    "Veth",
    "Vxlan",
]
