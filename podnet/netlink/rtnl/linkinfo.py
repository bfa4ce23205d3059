"""IFLA_LINKINFO: what kind of link it is and that kind's own options; likewise the options of a bridge's port.

::

    IFLA_LINKINFO
    ├── IFLA_INFO_KIND        "bridge"             decides how IFLA_INFO_DATA is read
    ├── IFLA_INFO_DATA        IFLA_BR_*
    ├── IFLA_INFO_SLAVE_KIND  "bridge"             of the link that this one is a port of
    └── IFLA_INFO_SLAVE_DATA  IFLA_BRPORT_*

Options are integers as the kernel has them (0 and 1 where ip(8) says off and on); None is left as it is.  A kind that
is not in `LINK_DATA` keeps its data as bytes.
"""

from struct import Struct
from typing import Any, ClassVar

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import (
    NLA_F_NESTED,
    Field,
    IPAddress,
    Kind,
    Layout,
    attribute,
    attributes,
    be16,
    be32,
    flag,
    ip,
    raw,
    string,
    u8,
    u16,
    u32,
)
from podnet.netlink.rtnl.object import Options, decode_options, encode_options

IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 4, 5
_NUMBERS = (IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA)

VXLAN_DF_UNSET, VXLAN_DF_SET, VXLAN_DF_INHERIT = 0, 1, 2

BR_STATE_DISABLED, BR_STATE_LISTENING, BR_STATE_LEARNING, BR_STATE_FORWARDING, BR_STATE_BLOCKING = range(5)

# Text without its final NUL, as iproute2 sends it: an empty one then clears the alias.
text: Kind[str] = Kind("string", lambda s: s.encode("utf-8", "surrogateescape"), string.decode)


class Bridge(Options, frozen=True, kw_only=True, gc=False):
    """Options of a bridge (IFLA_BR_*); times are in 1/100 s, `multi_boolopt` made by :func:`boolopt`."""

    forward_delay: int | None = None
    hello_time: int | None = None
    max_age: int | None = None
    ageing_time: int | None = None
    stp_state: int | None = None
    priority: int | None = None
    vlan_filtering: int | None = None
    vlan_protocol: int | None = None
    group_fwd_mask: int | None = None
    mcast_router: int | None = None
    mcast_snooping: int | None = None
    mcast_querier: int | None = None
    nf_call_iptables: int | None = None
    nf_call_ip6tables: int | None = None
    nf_call_arptables: int | None = None
    vlan_default_pvid: int | None = None
    multi_boolopt: bytes | None = None
    fdb_max_learned: int | None = None

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("forward_delay", 1, u32),
        Field("hello_time", 2, u32),
        Field("max_age", 3, u32),
        Field("ageing_time", 4, u32),
        Field("stp_state", 5, u32),
        Field("priority", 6, u16),
        Field("vlan_filtering", 7, u8),
        Field("vlan_protocol", 8, be16),
        Field("group_fwd_mask", 9, u16),
        Field("mcast_router", 22, u8),
        Field("mcast_snooping", 23, u8),
        Field("mcast_querier", 25, u8),
        Field("nf_call_iptables", 36, u8),
        Field("nf_call_ip6tables", 37, u8),
        Field("nf_call_arptables", 38, u8),
        Field("vlan_default_pvid", 39, u16),
        Field("multi_boolopt", 46, raw),
        Field("fdb_max_learned", 49, u32),
    )


BR_BOOLOPT_NO_LL_LEARN = 0
_BOOLOPT = Struct("=II")


def boolopt(bit: int, *, on: bool) -> bytes:
    """Return a struct br_boolopt_multi that sets one of BR_BOOLOPT_* and leaves the others (kernel 5.0)."""
    return _BOOLOPT.pack(on << bit, 1 << bit)


class Vxlan(Options, frozen=True, kw_only=True, gc=False):
    """Options of a VXLAN device (IFLA_VXLAN_*): `link` is the underlay's ifindex, `ageing` in seconds."""

    id: int | None = None
    group: IPAddress | None = None
    link: int | None = None
    local: IPAddress | None = None
    ttl: int | None = None
    tos: int | None = None
    learning: int | None = None
    ageing: int | None = None
    limit: int | None = None
    port_range: tuple[int, int] | None = None
    proxy: int | None = None
    rsc: int | None = None
    l2miss: int | None = None
    l3miss: int | None = None
    port: int | None = None
    group6: IPAddress | None = None
    local6: IPAddress | None = None
    udp_csum: int | None = None
    udp_zero_csum6_tx: int | None = None
    udp_zero_csum6_rx: int | None = None
    gbp: bool = False
    collect_metadata: int | None = None
    label: int | None = None
    df: int | None = None
    vnifilter: int | None = None


def _decode_range(payload: bytes) -> tuple[int, int]:
    if len(payload) != _RANGE.size:
        raise DecodeError(f"port range of {len(payload)} bytes, not {_RANGE.size}")
    low, high = _RANGE.unpack(payload)
    return low, high


_RANGE = Struct(">HH")  # struct ifla_vxlan_port_range
port_range: Kind[tuple[int, int]] = Kind("port range", lambda ends: _RANGE.pack(*ends), _decode_range)

Vxlan.LAYOUT = Layout(
    dict,
    Field("id", 1, u32),
    Field("group", 2, ip),
    Field("link", 3, u32),
    Field("local", 4, ip),
    Field("ttl", 5, u8),
    Field("tos", 6, u8),
    Field("learning", 7, u8),
    Field("ageing", 8, u32),
    Field("limit", 9, u32),
    Field("port_range", 10, port_range),
    Field("proxy", 11, u8),
    Field("rsc", 12, u8),
    Field("l2miss", 13, u8),
    Field("l3miss", 14, u8),
    Field("port", 15, be16),
    Field("group6", 16, ip),
    Field("local6", 17, ip),
    Field("udp_csum", 18, u8),
    Field("udp_zero_csum6_tx", 19, u8),
    Field("udp_zero_csum6_rx", 20, u8),
    Field("gbp", 23, flag),
    Field("collect_metadata", 25, u8),
    Field("label", 26, be32),
    Field("df", 29, u8),
    Field("vnifilter", 30, u8),
)


class BridgePort(Options, frozen=True, kw_only=True, gc=False):
    """Options of a bridge's port (IFLA_BRPORT_*); `mode` is hairpin, `state` one of BR_STATE_*."""

    state: int | None = None
    priority: int | None = None
    cost: int | None = None
    mode: int | None = None
    guard: int | None = None
    protect: int | None = None
    fast_leave: int | None = None
    learning: int | None = None
    unicast_flood: int | None = None
    proxyarp: int | None = None
    proxyarp_wifi: int | None = None
    mcast_router: int | None = None
    mcast_flood: int | None = None
    mcast_to_ucast: int | None = None
    vlan_tunnel: int | None = None
    bcast_flood: int | None = None
    neigh_suppress: int | None = None
    isolated: int | None = None
    locked: int | None = None

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("state", 1, u8),
        Field("priority", 2, u16),
        Field("cost", 3, u32),
        Field("mode", 4, u8),
        Field("guard", 5, u8),
        Field("protect", 6, u8),
        Field("fast_leave", 7, u8),
        Field("learning", 8, u8),
        Field("unicast_flood", 9, u8),
        Field("proxyarp", 10, u8),
        Field("proxyarp_wifi", 12, u8),
        Field("mcast_router", 25, u8),
        Field("mcast_flood", 27, u8),
        Field("mcast_to_ucast", 28, u8),
        Field("vlan_tunnel", 29, u8),
        Field("bcast_flood", 30, u8),
        Field("neigh_suppress", 32, u8),
        Field("isolated", 33, u8),
        Field("locked", 39, u8),
    )


LINK_DATA: dict[str, type[Options]] = {"bridge": Bridge, "vxlan": Vxlan}  # `link` adds veth
SLAVE_DATA: dict[str, type[Options]] = {"bridge": BridgePort}


class LinkInfo(msgspec.Struct, frozen=True, gc=False):
    """The kind of a link with its options, and the kind of its master with the options of that port."""

    kind: str | None = None
    data: Options | bytes | None = None
    slave_kind: str | None = None
    slave_data: Options | bytes | None = None


_kind = string.writer(IFLA_INFO_KIND)
_slave_kind = string.writer(IFLA_INFO_SLAVE_KIND)


def _encode(info: LinkInfo) -> bytes:
    parts = b"" if info.kind is None else _kind(info.kind)
    if info.data is not None:
        parts += attribute(IFLA_INFO_DATA | NLA_F_NESTED, encode_options(info.data))
    if info.slave_kind is not None:
        parts += _slave_kind(info.slave_kind)
    if info.slave_data is not None:
        parts += attribute(IFLA_INFO_SLAVE_DATA | NLA_F_NESTED, encode_options(info.slave_data))
    return parts


def _decode(payload: bytes) -> LinkInfo:
    found = dict(attributes(payload))
    kind, data, slave_kind, slave_data = map(found.get, _NUMBERS)
    name = None if kind is None else string.decode(kind)
    slave_name = None if slave_kind is None else string.decode(slave_kind)
    return LinkInfo(
        name,
        None if data is None else decode_options(LINK_DATA, name, data),
        slave_name,
        None if slave_data is None else decode_options(SLAVE_DATA, slave_name, slave_data),
    )


linkinfo: Kind[LinkInfo] = Kind("linkinfo", _encode, _decode, nested=True)


def _encode_port(port: BridgePort) -> bytes:
    return BridgePort.LAYOUT.encode(port)


def _decode_port(payload: bytes) -> BridgePort:
    return BridgePort(**BridgePort.LAYOUT.fields_of(payload))


bridge_port: Kind[BridgePort] = Kind("struct", _encode_port, _decode_port, nested=True, inner=BridgePort)
