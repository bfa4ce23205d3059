"""IFLA_AF_SPEC: a link's settings per address family, among them the IPv4 sysctls of its `conf` folder.

::

    IFLA_AF_SPEC
    ├── AF_INET
    │   └── IFLA_INET_CONF        set: one attribute (IPV4_DEVCONF_*, s32) per sysctl; read: a bare array of s32
    └── AF_INET6
        ├── IFLA_INET6_CONF       read only: a bare array of s32, in the order of DEVCONF_*
        └── IFLA_INET6_ADDR_GEN_MODE

Sources: linux/if_link.h, linux/ip.h, inet_set_link_af() and inet6_set_link_af() of the kernel.  IPv6 sysctls other
than addr_gen_mode are files.
"""

from collections.abc import Mapping
from struct import Struct

import msgspec

from podnet.netlink.attributes import NLA_F_NESTED, Field, Kind, Layout, attribute, attributes, nested, s32, u8
from podnet.netlink.rtnl.object import AF_INET, AF_INET6

IFLA_INET_CONF = 1

IN6_ADDR_GEN_MODE_EUI64 = 0
IN6_ADDR_GEN_MODE_NONE = 1  # no link-local address is made

# IPV4_DEVCONF_*: /proc/sys/net/ipv4/conf/<link>/<name> -> its number.
IPV4_DEVCONF = {
    name: number
    for number, name in enumerate(
        (  # noqa: SIM905 - 33 quoted words would fill the page
            "forwarding mc_forwarding proxy_arp accept_redirects secure_redirects send_redirects shared_media "
            "rp_filter accept_source_route bootp_relay log_martians tag arp_filter medium_id disable_xfrm "
            "disable_policy force_igmp_version arp_announce arp_ignore promote_secondaries arp_accept arp_notify "
            "accept_local src_valid_mark proxy_arp_pvlan route_localnet igmpv2_unsolicited_report_interval "
            "igmpv3_unsolicited_report_interval ignore_routes_with_linkdown drop_unicast_in_l2_multicast "
            "drop_gratuitous_arp bc_forwarding arp_evict_nocarrier"
        ).split(),
        start=1,
    )
}

# DEVCONF_* of linux/ipv6.h that are worth reading: position in IFLA_INET6_CONF.
IPV6_DEVCONF = {"forwarding": 0, "accept_ra": 3, "autoconf": 5, "dad_transmits": 6, "proxy_ndp": 22, "disable_ipv6": 27}


class Inet6(msgspec.Struct, frozen=True, gc=False):
    """IPv6 settings of a link; `conf` is only read (the kernel refuses to set it)."""

    addr_gen_mode: int | None = None
    conf: tuple[int, ...] | None = None


class AfSpec(msgspec.Struct, frozen=True, gc=False):
    """Settings of a link per family: `inet` maps IPV4_DEVCONF_* numbers to values."""

    inet: Mapping[int, int] | None = None
    inet6: Inet6 | None = None


_write_s32 = Struct("=HHi").pack


def _encode_inet(conf: Mapping[int, int]) -> bytes:
    return attribute(IFLA_INET_CONF | NLA_F_NESTED, b"".join([_write_s32(8, n, conf[n]) for n in conf]))


def _decode_inet(payload: bytes) -> dict[int, int]:
    for number, conf in attributes(payload, mask=0xFFFF):
        if number == IFLA_INET_CONF:
            return dict(enumerate(_decode_array(conf), start=1))
        if number == IFLA_INET_CONF | NLA_F_NESTED:
            return {n: s32.decode(value) for n, value in attributes(conf)}
    return {}


def _encode_array(values: tuple[int, ...]) -> bytes:
    return Struct(f"={len(values)}i").pack(*values)


def _decode_array(payload: bytes) -> tuple[int, ...]:
    return Struct(f"={len(payload) // 4}i").unpack_from(payload)


inet: Kind[Mapping[int, int]] = Kind("inet conf", _encode_inet, _decode_inet, nested=True)
array: Kind[tuple[int, ...]] = Kind("array of s32", _encode_array, _decode_array)

_INET6: Layout[Inet6] = Layout(Inet6, Field("conf", 2, array), Field("addr_gen_mode", 8, u8))
_AF_SPEC: Layout[AfSpec] = Layout(AfSpec, Field("inet", AF_INET, inet), Field("inet6", AF_INET6, nested(_INET6)))

af_spec: Kind[AfSpec] = nested(_AF_SPEC)
