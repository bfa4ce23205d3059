"""Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE (linux/rtnetlink.h, rtnetlink(7)).

::

    struct rtmsg: family u8 | dst_len u8 | src_len u8 | tos u8 | table u8 | protocol u8 | scope u8 | type u8 | flags u32
                                                        (unused here: RTA_TABLE has all 32 bits)
    RTA_VIA        u16 family, address              an IPv4 route's IPv6 gateway
    RTA_METRICS    nested RTAX_*
    RTA_MULTIPATH  struct rtnexthop { len u16, flags u8, hops u8, ifindex s32 } + RTA_*, repeated
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from struct import Struct
from typing import Any, ClassVar, Self

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, IPAddress, Kind, Layout, ip, nested, u8, u16, u32
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import AF_INET, AF_INET6, RtnlObject

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

RT_TABLE_UNSPEC, RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL = 0, 253, 254, 255
RTPROT_UNSPEC, RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC = range(5)
RT_SCOPE_UNIVERSE, RT_SCOPE_SITE, RT_SCOPE_LINK, RT_SCOPE_HOST, RT_SCOPE_NOWHERE = 0, 200, 253, 254, 255

RTN_UNSPEC, RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST = range(6)
RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW = 6, 7, 8, 9

RTNH_F_DEAD, RTNH_F_ONLINK, RTNH_F_LINKDOWN = 1, 4, 16
RTM_F_CLONED, RTM_F_FIB_MATCH = 0x200, 0x2000


class Metrics(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """RTA_METRICS (RTAX_*): `mtu` and `advmss` in bytes; `lock` has a bit per metric that may not be changed."""

    lock: int | None = None
    mtu: int | None = None
    window: int | None = None
    advmss: int | None = None
    hoplimit: int | None = None
    initcwnd: int | None = None
    features: int | None = None
    rto_min: int | None = None
    quickack: int | None = None


_METRICS: Layout[Metrics] = Layout(
    Metrics,
    Field("lock", 1, u32),
    Field("mtu", 2, u32),
    Field("window", 3, u32),
    Field("advmss", 8, u32),
    Field("hoplimit", 10, u32),
    Field("initcwnd", 11, u32),
    Field("features", 12, u32),
    Field("rto_min", 13, u32),
    Field("quickack", 15, u32),
)

_FAMILY = Struct("=H")


def _encode_via(gateway: IPAddress) -> bytes:
    return _FAMILY.pack(AF_INET if gateway.version == 4 else AF_INET6) + gateway.packed  # noqa: PLR2004 - IPv4


def _decode_via(payload: bytes) -> IPAddress:
    return ip.decode(payload[_FAMILY.size :])


via: Kind[IPAddress] = Kind("ip", _encode_via, _decode_via)


class NextHop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One way of a multipath route; `hops` is its weight less one."""

    flags: int = 0
    hops: int = 0
    ifindex: int = 0
    gateway: IPAddress | None = None
    via: IPAddress | None = None


_NEXTHOP = Struct("=HBBi")  # struct rtnexthop
_NEXTHOP_LAYOUT: Layout[Any] = Layout(dict, Field("gateway", 5, ip), Field("via", 18, via))


def _encode_multipath(hops: tuple[NextHop, ...]) -> bytes:
    parts = []
    for hop in hops:
        attributes = _NEXTHOP_LAYOUT.encode(hop)
        parts.append(_NEXTHOP.pack(_NEXTHOP.size + len(attributes), hop.flags, hop.hops, hop.ifindex) + attributes)
    return b"".join(parts)


def _decode_multipath(payload: bytes) -> tuple[NextHop, ...]:
    hops, offset, end = [], 0, len(payload)
    while offset + _NEXTHOP.size <= end:
        length, flags, weight, ifindex = _NEXTHOP.unpack_from(payload, offset)
        if length < _NEXTHOP.size or offset + length > end:
            raise DecodeError(f"next hop at offset {offset}: {length} of {end - offset} bytes")
        found = _NEXTHOP_LAYOUT.fields_of(payload[offset + _NEXTHOP.size : offset + length])
        hops.append(NextHop(flags=flags, hops=weight, ifindex=ifindex, **found))
        offset += (length + 3) & ~3
    return tuple(hops)


multipath: Kind[tuple[NextHop, ...]] = Kind("multipath", _encode_multipath, _decode_multipath)


@register(NETLINK_ROUTE, RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE)
class Route(RtnlObject, frozen=True, kw_only=True, gc=False):
    """A route: to `dst`/`dst_len` (None: the default route) by `gateway` or `via` and/or the link `oif`.

    A dump under NETLINK_GET_STRICT_CHK filters by `table` (None or 0: all; one that does not exist is refused with
    ENOENT), `protocol`, `type`, `oif` and flags RTM_F_CLONED; scope and tos must be 0: :meth:`Route.matching`, whose
    defaults match everything.  A delete compares what is given: protocol 0, type 0 and RT_SCOPE_NOWHERE match any.
    """

    NEW: ClassVar[int] = RTM_NEWROUTE
    HEADER_STRUCT: ClassVar[Struct] = Struct("=BBBBxBBBI")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = (
        "family",
        "dst_len",
        "src_len",
        "tos",
        "protocol",
        "scope",
        "type",
        "flags",
    )
    ABSENT: ClassVar[Mapping[str, Any]] = {"table": None}
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("table", 15, u32),
        Field("dst", 1, ip),
        Field("src", 2, ip),
        Field("prefsrc", 7, ip),
        Field("gateway", 5, ip),
        Field("via", 18, via),
        Field("oif", 4, u32),
        Field("priority", 6, u32),
        Field("metrics", 8, nested(_METRICS)),
        Field("multipath", 9, multipath),
        Field("iif", 3, u32),
        Field("mark", 16, u32),
        Field("pref", 20, u8),
        Field("uid", 25, u32),
        Field("sport", 28, u16),
        Field("dport", 29, u16),
        Field("nh_id", 30, u32),
    )

    family: int = 0
    dst_len: int = 0
    src_len: int = 0
    tos: int = 0
    protocol: int = RTPROT_BOOT
    scope: int = RT_SCOPE_UNIVERSE
    type: int = RTN_UNICAST
    flags: int = 0
    table: int | None = RT_TABLE_MAIN
    dst: IPAddress | None = None
    src: IPAddress | None = None
    prefsrc: IPAddress | None = None
    gateway: IPAddress | None = None
    via: IPAddress | None = None
    oif: int | None = None
    priority: int | None = None
    metrics: Metrics | None = None
    multipath: tuple[NextHop, ...] | None = None
    iif: int | None = None
    mark: int | None = None
    pref: int | None = None
    uid: int | None = None
    sport: int | None = None
    dport: int | None = None
    nh_id: int | None = None

    @classmethod
    def to(cls, network: IPv4Network | IPv6Network, **fields: Any) -> Self:
        """Return the route to `network`, with further `fields`; a network of length 0 is the default route."""
        length = network.prefixlen
        return cls(
            family=AF_INET if network.version == 4 else AF_INET6,  # noqa: PLR2004 - IPv4
            dst_len=length,
            dst=network.network_address if length else None,
            **fields,
        )

    @classmethod
    def matching(cls, family: int = 0, **fields: Any) -> Self:
        """Return the filter of a dump that matches every route but for the `fields` given."""
        return cls(**{"family": family, "protocol": 0, "type": 0, "table": None, **fields})
