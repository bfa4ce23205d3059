"""The result of ADD in every version's shape, and the `prevResult` that runtimes send back.

=============== ============================================================================================
0.1.0, 0.2.0    ``ip4`` and ``ip6``: the first address of each family, its gateway, the routes of that family
0.3.0 to 0.4.0 ``interfaces``, ``ips`` with ``version``, ``routes``, ``dns``
1.0.0           the same without ``version``
1.1.0           and ``mtu`` of interfaces; an empty ``dns`` is left out
=============== ============================================================================================

`Attached` is the one value behind all of them.  RENDERERS maps versions to functions of it, READERS to functions that
give it back: of a `prevResult` in a chain, and of what a delegated IPAM plugin answers.
Keys stand in the reference plugins' order.
Until 1.0.0 the reference plugins always write ``dns``, be it empty, and so does podnet.
"""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

import msgspec
from msgspec import structs

from podnet.errors import InvalidConfiguration
from podnet.model import DNS, PodAddress, PodRoute

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Interface(msgspec.Struct, frozen=True, gc=False):
    """A link of the attachment; `sandbox` is CNI_NETNS for the pod's, empty for the host's; `mtu` 0 is left out."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int = 0


class IPConfig(msgspec.Struct, frozen=True, gc=False):
    """An address with its subnet's prefix length and gateway, and the index of its link in `Attached.interfaces`."""

    address: IPAddress
    prefixlen: int
    gateway: IPAddress | None = None
    interface: int | None = None

    @classmethod
    def of(cls, leased: PodAddress, interface: int) -> Self:
        """Return the result's form of a `leased` address, on the interface with that index."""
        return cls(leased.address, leased.prefixlen, leased.gateway, interface)


class Attached(msgspec.Struct, frozen=True, gc=False):
    """What an ADD made.  Interfaces in the order of the reference plugins: bridge (if one), host's veth, pod's link."""

    interfaces: tuple[Interface, ...]
    ips: tuple[IPConfig, ...]
    routes: tuple[PodRoute, ...] = ()
    dns: DNS = DNS()

    def after(self, previous: "Attached | None") -> "Attached":
        """Return `previous`, what the plugins before made, with this behind it (SPEC.md, "ADD": prevResult)."""
        if previous is None:
            return self
        offset = len(previous.interfaces)
        ips = tuple(
            [ip if ip.interface is None else structs.replace(ip, interface=ip.interface + offset) for ip in self.ips]
        )
        return Attached(
            interfaces=previous.interfaces + self.interfaces,
            ips=previous.ips + ips,
            routes=previous.routes + tuple([route for route in self.routes if route not in previous.routes]),
            dns=previous.dns if self.dns == DNS() else self.dns,
        )


def render(version: str, attached: Attached) -> bytes:
    """Return the JSON object that answers an ADD at a supported `version`."""
    return RENDERERS[version](version, attached)


def read(version: str, document: bytes) -> Attached:
    """Return the value of a `prevResult` written at `version`, ignoring keys that other plugins of a chain may add.

    Raise InvalidConfiguration for a version without a reader and where the document is no result of that version.
    """
    reader = READERS.get(version)
    if reader is None:
        raise InvalidConfiguration(
            f"prevResult of cniVersion {version} cannot be read: use one of {', '.join(READERS)}"
        )
    try:
        return reader(document)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidConfiguration(f"prevResult is not a result of cniVersion {version}: {error}") from None


# Shapes, as written and as read.  Keys are the specification's; defaults are what "left out" means.


class _Interface(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""


class _IP(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    version: str = ""
    interface: int | None = None
    address: str
    gateway: str | None = None


class _Route(msgspec.Struct, gc=False, omit_defaults=True):
    dst: str
    gw: str | None = None


class _DNS(msgspec.Struct, gc=False, omit_defaults=True):
    nameservers: tuple[str, ...] | None = ()
    domain: str | None = ""
    search: tuple[str, ...] | None = ()
    options: tuple[str, ...] | None = ()


class _Result(msgspec.Struct, gc=False, omit_defaults=True):
    cniVersion: str = ""  # noqa: N815 - the specification's spelling
    interfaces: list[_Interface] | None = None
    ips: list[_IP] | None = None
    routes: list[_Route] | None = None
    dns: _DNS | None = None


class _FamilyIP(msgspec.Struct, gc=False, omit_defaults=True):
    ip: str
    gateway: str | None = None
    routes: list[_Route] | None = None


class _FamilyResult(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    cniVersion: str = ""  # noqa: N815
    ip4: _FamilyIP | None = None
    ip6: _FamilyIP | None = None
    dns: _DNS | None = None


def _render_families(version: str, attached: Attached) -> bytes:
    """0.1.0 and 0.2.0: one object per family, which holds one address and the family's routes."""
    families: dict[int, _FamilyIP] = {}
    for ip in attached.ips:
        family = ip.address.version
        if family not in families:
            routes = [_route(route) for route in attached.routes if route.dst.version == family]
            families[family] = _FamilyIP(f"{ip.address}/{ip.prefixlen}", _text(ip.gateway), routes or None)
    return msgspec.json.encode(
        _FamilyResult(cniVersion=version, ip4=families.get(4), ip6=families.get(6), dns=_dns(attached.dns))
    )


def _render_list(
    version: str, attached: Attached, *, ip_version: bool = False, mtu: bool = False, empty_dns: bool = True
) -> bytes:
    """0.3.0 and later, which differ in three details."""
    interfaces = [_Interface(i.name, i.mac, i.mtu if mtu else 0, i.sandbox) for i in attached.interfaces]
    ips = [
        _IP(
            version=str(ip.address.version) if ip_version else "",
            interface=ip.interface,
            address=f"{ip.address}/{ip.prefixlen}",
            gateway=_text(ip.gateway),
        )
        for ip in attached.ips
    ]
    routes = [_route(route) for route in attached.routes]
    dns = _dns(attached.dns) if empty_dns or attached.dns != DNS() else None
    return msgspec.json.encode(_Result(version, interfaces or None, ips or None, routes or None, dns))


def _render_030(version: str, attached: Attached) -> bytes:
    return _render_list(version, attached, ip_version=True)


def _render_110(version: str, attached: Attached) -> bytes:
    return _render_list(version, attached, mtu=True, empty_dns=False)


RENDERERS: dict[str, Callable[[str, Attached], bytes]] = {
    "0.1.0": _render_families,
    "0.2.0": _render_families,
    "0.3.0": _render_030,
    "0.3.1": _render_030,
    "0.4.0": _render_030,
    "1.0.0": _render_list,
    "1.1.0": _render_110,
}


_RESULT = msgspec.json.Decoder(_Result)


def _read_list(document: bytes) -> Attached:
    result = _RESULT.decode(document)
    interfaces = tuple([Interface(i.name, i.mac, i.sandbox, i.mtu) for i in result.interfaces or ()])
    ips = tuple([_read_ip(ip, len(interfaces)) for ip in result.ips or ()])
    return Attached(interfaces, ips, _read_routes(result.routes), _read_dns(result.dns))


_FAMILIES = msgspec.json.Decoder(_FamilyResult)


def _read_families(document: bytes) -> Attached:
    result = _FAMILIES.decode(document)
    families = [family for family in (result.ip4, result.ip6) if family]
    ips = tuple([_read_ip(_IP(address=family.ip, gateway=family.gateway), 0) for family in families])
    routes = [route for family in families for route in family.routes or ()]
    return Attached((), ips, _read_routes(routes), _read_dns(result.dns))


def _read_routes(routes: list[_Route] | None) -> tuple[PodRoute, ...]:
    return tuple([PodRoute(_network(r.dst), address_of(r.gw) if r.gw else None) for r in routes or ()])


def _read_dns(dns: _DNS | None) -> DNS:
    if dns is None:
        return DNS()
    return DNS(dns.nameservers or (), dns.domain or "", dns.search or (), dns.options or ())


def _read_ip(ip: _IP, interfaces: int) -> IPConfig:
    address, slash, prefixlen = ip.address.partition("/")
    if not slash or not prefixlen.isdecimal():
        raise ValueError(f"ips: {ip.address!r} is not an address with its prefix length")
    if ip.interface is not None and not 0 <= ip.interface < interfaces:
        raise ValueError(f"ips: {ip.address} names interface {ip.interface} of {interfaces}")
    value = address_of(address)
    if int(prefixlen) > value.max_prefixlen:
        raise ValueError(f"ips: {ip.address!r} has a prefix length over {value.max_prefixlen}")
    return IPConfig(value, int(prefixlen), address_of(ip.gateway) if ip.gateway else None, ip.interface)


READERS: dict[str, Callable[[bytes], Attached]] = {
    **dict.fromkeys(("0.1.0", "0.2.0"), _read_families),
    **dict.fromkeys(("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), _read_list),
}


def _route(route: PodRoute) -> _Route:
    return _Route(_spelled(route.dst), _text(route.via))


def _dns(dns: DNS) -> _DNS:
    return _DNS(dns.nameservers, dns.domain, dns.search, dns.options)


_spelled = lru_cache(maxsize=64)(str)
"""Gateways and destinations are few and spelled for every pod; IPv6 takes 5 µs each time."""


def _text(address: IPAddress | None) -> str | None:
    return None if address is None else _spelled(address)


def network_of(address: IPAddress, prefixlen: int) -> IPNetwork:
    """Return the network of `prefixlen` in which `address` lies."""
    if isinstance(address, IPv6Address):
        return IPv6Network((int(address), prefixlen), strict=False)
    return IPv4Network((int(address), prefixlen), strict=False)


def address_of(text: str) -> IPAddress:
    """Return the address that `text` says; raise ValueError."""
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def _network(text: str) -> IPNetwork:
    return IPv6Network(text, strict=False) if ":" in text else IPv4Network(text, strict=False)
