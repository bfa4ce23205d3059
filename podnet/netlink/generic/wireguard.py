"""The family `wireguard`: a device, its peers, and the addresses that are each peer's (linux/wireguard.h).

::

    WGDEVICE_A_IFINDEX or WGDEVICE_A_IFNAME, WGDEVICE_A_PRIVATE_KEY, WGDEVICE_A_LISTEN_PORT, …
    WGDEVICE_A_PEERS
    └── 0                                   an element's type says nothing
        ├── WGPEER_A_PUBLIC_KEY             what a peer is known by
        ├── WGPEER_A_ENDPOINT               struct sockaddr_in or sockaddr_in6
        └── WGPEER_A_ALLOWEDIPS
            └── 0: WGALLOWEDIP_A_FAMILY, WGALLOWEDIP_A_IPADDR, WGALLOWEDIP_A_CIDR_MASK

WG_CMD_SET_DEVICE changes what it names and leaves the rest.  WG_CMD_GET_DEVICE is a dump, in as many messages as it
takes: the later ones have further peers, and go on with the addresses of the last one; :func:`whole` joins them.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from struct import Struct
from typing import Any, ClassVar, NamedTuple

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, IPAddress, Kind, Layout, ip, listed, nested, raw, string, u8, u16, u32
from podnet.netlink.generic.controller import GenericMessage
from podnet.netlink.message import NETLINK_GENERIC, NLM_F_DUMP, Request, register

IPNetwork = IPv4Network | IPv6Network

NAME = "wireguard"
"""The family's name (WG_GENL_NAME)."""
WG_GENL_VERSION = 1
WG_CMD_GET_DEVICE, WG_CMD_SET_DEVICE = 0, 1

WGPEER_F_REMOVE_ME = 1
WGPEER_F_REPLACE_ALLOWEDIPS = 2

AF_INET, AF_INET6 = 2, 10
_FAMILIES = {4: AF_INET, 6: AF_INET6}
_FAMILY = Struct("=H")
_SOCKADDR_IN = Struct("!2xH4s8x")
_SOCKADDR_IN6 = Struct("!2xH4x16s4x")


class Endpoint(NamedTuple):
    """Where a peer receives: an address, and a UDP port."""

    address: IPAddress
    port: int


class AllowedIp(msgspec.Struct, frozen=True, gc=False):
    """A prefix in the kernel's parts; it may not be one: :func:`networks` tells."""

    family: int | None = None
    address: IPAddress | None = None
    mask: int | None = None


class Peer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer: to it go packets to its `allowed_ips`, and from it are taken those from these."""

    public_key: bytes | None = None
    flags: int | None = None
    endpoint: Endpoint | None = None
    allowed_ips: tuple[AllowedIp, ...] | None = None


def _encode_sockaddr(endpoint: Endpoint) -> bytes:
    address, port = endpoint
    struct = _SOCKADDR_IN if isinstance(address, IPv4Address) else _SOCKADDR_IN6
    return _FAMILY.pack(_FAMILIES[address.version]) + struct.pack(port, address.packed)[_FAMILY.size :]


def _decode_sockaddr(payload: bytes) -> Endpoint:
    family = _FAMILY.unpack_from(payload)[0] if len(payload) >= _FAMILY.size else 0
    if family == AF_INET and len(payload) == _SOCKADDR_IN.size:
        port, packed = _SOCKADDR_IN.unpack(payload)
        return Endpoint(IPv4Address(packed), port)
    if family == AF_INET6 and len(payload) == _SOCKADDR_IN6.size:
        port, packed = _SOCKADDR_IN6.unpack(payload)
        return Endpoint(IPv6Address(packed), port)
    raise DecodeError(f"socket address of family {family} and {len(payload)} bytes, neither IPv4 nor IPv6")


sockaddr: Kind[Endpoint] = Kind("sockaddr", _encode_sockaddr, _decode_sockaddr)

_ALLOWED_IP: Layout[AllowedIp] = Layout(
    AllowedIp, Field("family", 1, u16), Field("address", 2, ip), Field("mask", 3, u8)
)
_PEER: Layout[Peer] = Layout(
    Peer,
    Field("public_key", 1, raw),
    Field("flags", 3, u32),
    Field("endpoint", 4, sockaddr),
    Field("allowed_ips", 9, listed(nested(_ALLOWED_IP), 0)),
)


@register(NETLINK_GENERIC, 0)  # the kernel numbers the family when it comes; no family ever has the number 0
class Device(GenericMessage, frozen=True, kw_only=True, gc=False):
    """A WireGuard device, named by `ifname`: all there is of it, or what of it is to change."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("ifname", 2, string),
        Field("private_key", 3, raw),
        Field("public_key", 4, raw),
        Field("listen_port", 6, u16),
        Field("peers", 8, listed(nested(_PEER), 0)),
    )

    ifname: str | None = None
    private_key: bytes | None = None
    public_key: bytes | None = None
    listen_port: int | None = None
    peers: tuple[Peer, ...] | None = None

    def get(self, family: int) -> Request:
        """Return the request for all there is of this device; `family` is the number of the family."""
        asked = msgspec.structs.replace(self, command=WG_CMD_GET_DEVICE, version=WG_GENL_VERSION)
        return Request(family, NLM_F_DUMP, asked.encode())

    def set(self, family: int) -> Request:
        """Return the request that changes what this names, and nothing else."""
        told = msgspec.structs.replace(self, command=WG_CMD_SET_DEVICE, version=WG_GENL_VERSION)
        return Request(family, 0, told.encode())


def allowed(networks: Iterable[IPNetwork]) -> tuple[AllowedIp, ...]:
    """Return `networks` in the kernel's parts."""
    return tuple(AllowedIp(_FAMILIES[n.version], n.network_address, n.prefixlen) for n in networks)


def networks(prefixes: Iterable[AllowedIp]) -> tuple[IPNetwork, ...]:
    """Return `prefixes` as networks; raise `DecodeError` for one that is none."""
    found: list[IPNetwork] = []
    for prefix in prefixes:
        if prefix.address is None or prefix.mask is None or prefix.mask > prefix.address.max_prefixlen:
            raise DecodeError(f"allowed IP {prefix.address}/{prefix.mask} is no prefix")
        found.append(ip_network((prefix.address, prefix.mask), strict=False))
    return tuple(found)


def whole(parts: Iterable[Device]) -> Device:
    """Return the one device that the messages of a dump tell of, in order."""
    first, *rest = parts
    peers = list(first.peers or ())
    for peer in (peer for part in rest for peer in part.peers or ()):
        if peers and peer.public_key == peers[-1].public_key:
            joined = (*(peers[-1].allowed_ips or ()), *(peer.allowed_ips or ()))
            peers[-1] = msgspec.structs.replace(peers[-1], allowed_ips=joined)
        else:
            peers.append(peer)
    return msgspec.structs.replace(first, peers=tuple(peers))
