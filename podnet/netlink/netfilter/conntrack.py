"""Tracked connections: IPCTNL_MSG_CT_NEW, _GET, _DELETE (linux/netfilter/nfnetlink_conntrack.h, conntrack(8)).

::

    struct nfgenmsg: family u8 | version u8 | res_id be16, then CTA_* attributes; scalars in network order

    CTA_TUPLE_ORIG, CTA_TUPLE_REPLY
    ├── CTA_TUPLE_IP       CTA_IP_V4_SRC, _V4_DST | CTA_IP_V6_SRC, _V6_DST
    └── CTA_TUPLE_PROTO    CTA_PROTO_NUM, _SRC_PORT, _DST_PORT, ICMP id, type, code
    CTA_FILTER             which parts of the tuples are to be compared (host order)

A delete without CTA_FILTER names one entry by its whole tuple.  With CTA_FILTER it removes every entry that matches,
inside the kernel, without a dump; entries that are offloaded to a flowtable stay.  Kernels from before late 2024 take
such a message for one with an incomplete tuple and answer EINVAL, so nothing is lost by mistake; there, dump by the
same filter (5.8 and later) and delete what comes one by one.  Several attributes of one filter must all match, so the
four places in which an address may stand need four messages: :func:`forget`.

Not so for IPv6.  ctnetlink_filter_match_tuple() tests IPv6 addresses the wrong way round, from 5.8 to 6.18 at least: a
filter matches every entry that does *not* have the address.  There the family is dumped and what is found deleted by
its tuple: :func:`forget_among`.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Any, ClassVar

import msgspec

from podnet.netlink.attributes import Field, IPAddress, Layout, be16, be32, be64, ip, nested, u8, u32
from podnet.netlink.message import NETLINK_NETFILTER, NLM_F_DUMP, Envelope, Message, Request, register

NFNL_SUBSYS_CTNETLINK = 1
IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE = 0x100, 0x101, 0x102  # subsystem << 8 | message

NFPROTO_UNSPEC, NFPROTO_IPV4, NFPROTO_IPV6 = 0, 2, 10

IPPROTO_UDP = 17

CTA_FILTER_F_CTA_IP_SRC = 1 << 0
CTA_FILTER_F_CTA_IP_DST = 1 << 1
CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3
CTA_FILTER_F_CTA_PROTO_SRC_PORT = 1 << 4
CTA_FILTER_F_CTA_PROTO_DST_PORT = 1 << 5

IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED, IPS_SRC_NAT, IPS_DST_NAT = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5


class Addresses(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """CTA_TUPLE_IP; :class:`Tuple` gives both families the same names."""

    src4: IPAddress | None = None
    dst4: IPAddress | None = None
    src6: IPAddress | None = None
    dst6: IPAddress | None = None


class Protocol(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """CTA_TUPLE_PROTO: `number` is IPPROTO_*."""

    number: int | None = None
    sport: int | None = None
    dport: int | None = None
    icmp_id: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmpv6_id: int | None = None
    icmpv6_type: int | None = None
    icmpv6_code: int | None = None


class Tuple(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One direction of a connection."""

    addresses: Addresses | None = None
    protocol: Protocol | None = None
    zone: int | None = None

    @classmethod
    def of(cls, src: IPAddress | None = None, dst: IPAddress | None = None) -> "Tuple":
        """Return the tuple of these addresses alone (of one family), for a filter."""
        if isinstance(src if src is not None else dst, IPv6Address):
            return cls(addresses=Addresses(src6=src, dst6=dst))
        return cls(addresses=Addresses(src4=src, dst4=dst))

    @property
    def src(self) -> IPAddress | None:
        """The source, of either family."""
        return None if self.addresses is None else self.addresses.src4 or self.addresses.src6

    @property
    def dst(self) -> IPAddress | None:
        """The destination, of either family."""
        return None if self.addresses is None else self.addresses.dst4 or self.addresses.dst6


class Filter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """CTA_FILTER: which parts (CTA_FILTER_F_*) of the message's two tuples an entry must equal."""

    orig_flags: int | None = None
    reply_flags: int | None = None


class Counters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What passed in one direction (only where nf_conntrack_acct is on)."""

    packets: int | None = None
    bytes: int | None = None


_ADDRESSES: Layout[Addresses] = Layout(
    Addresses, Field("src4", 1, ip), Field("dst4", 2, ip), Field("src6", 3, ip), Field("dst6", 4, ip)
)
_PROTOCOL: Layout[Protocol] = Layout(
    Protocol,
    Field("number", 1, u8),
    Field("sport", 2, be16),
    Field("dport", 3, be16),
    Field("icmp_id", 4, be16),
    Field("icmp_type", 5, u8),
    Field("icmp_code", 6, u8),
    Field("icmpv6_id", 7, be16),
    Field("icmpv6_type", 8, u8),
    Field("icmpv6_code", 9, u8),
)
_TUPLE: Layout[Tuple] = Layout(
    Tuple,
    Field("addresses", 1, nested(_ADDRESSES)),
    Field("protocol", 2, nested(_PROTOCOL)),
    Field("zone", 3, be16),
)
_FILTER: Layout[Filter] = Layout(Filter, Field("orig_flags", 1, u32), Field("reply_flags", 2, u32))
_COUNTERS: Layout[Counters] = Layout(Counters, Field("packets", 1, be64), Field("bytes", 2, be64))


@register(NETLINK_NETFILTER, IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE)
class Conntrack(Message, frozen=True, kw_only=True, gc=False):
    """A tracked connection, as dumps and the groups NFNLGRP_CONNTRACK_* give it; or what is asked for or forgotten."""

    HEADER_STRUCT: ClassVar[Struct] = Struct("=BBH")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "version", "res_id")
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("orig", 1, nested(_TUPLE)),
        Field("reply", 2, nested(_TUPLE)),
        Field("status", 3, be32),
        Field("timeout", 7, be32),
        Field("mark", 8, be32),
        Field("counters_orig", 9, nested(_COUNTERS)),
        Field("counters_reply", 10, nested(_COUNTERS)),
        Field("use", 11, be32),
        Field("id", 12, be32),
        Field("zone", 18, be16),
        Field("filter", 25, nested(_FILTER)),
    )

    family: int = NFPROTO_UNSPEC
    version: int = 0
    res_id: int = 0
    orig: Tuple | None = None
    reply: Tuple | None = None
    status: int | None = None
    timeout: int | None = None
    mark: int | None = None
    counters_orig: Counters | None = None
    counters_reply: Counters | None = None
    use: int | None = None
    id: int | None = None
    zone: int | None = None
    filter: Filter | None = None

    def delete(self) -> Request:
        """Return the request that deletes the entry of this tuple, or with a `filter` all that match.

        Without either it would flush the table: that is refused with `ValueError`.
        """
        if self.orig is None and self.reply is None:
            raise ValueError("a conntrack delete without a tuple would delete every entry")
        return Request(IPCTNL_MSG_CT_DELETE, 0, self.encode())

    def dump(self) -> Request:
        """Return the request for all entries of `family`, or with a `filter` those that match."""
        return Request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, self.encode())


def involving(address: IPv4Address) -> tuple[Conntrack, ...]:
    """Return the four filters that together match every entry in which `address` stands.

    In this order: original source, original destination, reply source (a service's endpoint behind DNAT) and reply
    destination (what a source was translated to).  Raise `ValueError` for an IPv6 address (see above).
    """
    if len(address.packed) != 4:  # noqa: PLR2004 - IPv4
        raise ValueError(f"{address}: the kernel's conntrack filter takes IPv6 addresses for their opposite")
    src, dst = Tuple.of(src=address), Tuple.of(dst=address)
    by_src, by_dst = CTA_FILTER_F_CTA_IP_SRC, CTA_FILTER_F_CTA_IP_DST
    return (
        Conntrack(family=NFPROTO_IPV4, orig=src, filter=Filter(orig_flags=by_src)),
        Conntrack(family=NFPROTO_IPV4, orig=dst, filter=Filter(orig_flags=by_dst)),
        Conntrack(family=NFPROTO_IPV4, reply=src, filter=Filter(reply_flags=by_src)),
        Conntrack(family=NFPROTO_IPV4, reply=dst, filter=Filter(reply_flags=by_dst)),
    )


def to_port(family: int, protocol: int, port: int) -> Conntrack:
    """Return the filter of every entry of NFPROTO_* `family` that began towards `port` of IPPROTO_* `protocol`."""
    part = Protocol(number=protocol, dport=port)
    flags = CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT
    return Conntrack(family=family, orig=Tuple(protocol=part), filter=Filter(orig_flags=flags))


def forget(address: IPv4Address) -> tuple[Request, ...]:
    """Return the requests that make the kernel forget every connection of `address`, of either direction, NAT or not.

    Each walks the kernel's table once.  That none was there is no error.
    """
    return tuple(entry.delete() for entry in involving(address))


def forget_among(replies: Iterable[Envelope], address: IPAddress) -> tuple[Request, ...]:
    """Return the requests that delete those of the dumped entries `replies` in which `address` stands.

    One that ended meanwhile is refused with ENOENT; its id keeps a newer one of the same tuple from being taken.  Raise
    `DecodeError`.
    """
    requests = []
    for reply in replies:
        if address.packed not in reply.payload:  # some hundred times cheaper than decoding
            continue
        entry = Conntrack.decode(reply.payload, only=("orig", "reply", "id", "zone"))
        ends = [end for way in (entry.orig, entry.reply) if way is not None for end in (way.src, way.dst)]
        if address in ends:
            requests.append(Conntrack(family=entry.family, orig=entry.orig, id=entry.id, zone=entry.zone).delete())
    return tuple(requests)
