"""A network: what one CNI network configuration, or the node's own default, asks for."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

import msgspec

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

Datapath = Literal["ptp", "bridge", "none"]
"""``none``: addresses alone; another plugin, which names podnet as its ``ipam.type``, attaches the pod."""


class Range(msgspec.Struct, frozen=True, gc=False):
    """Addresses `first` to `last` (inclusive) of `subnet`, less the `exclude`d networks and the `gateway`."""

    subnet: IPNetwork
    first: IPAddress
    last: IPAddress
    gateway: IPAddress
    exclude: tuple[IPNetwork, ...] = ()


class PodRoute(msgspec.Struct, frozen=True, gc=False):
    """A route that pods get; `via` None means the gateway of the address of that family."""

    dst: IPNetwork
    via: IPAddress | None = None


class DNS(msgspec.Struct, frozen=True, gc=False):
    """Name servers and such, passed through to the result (CNI SPEC.md, "DNS")."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Network(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pod network on this node.

    `ranges` is a tuple of range sets: a pod gets one address of each set, the ranges of a set share a family and are
    tried in order.  `mtu` 0 means the node's less `overhead`, the bytes that the way to other nodes puts around a
    packet.  `non_masquerade` are destinations that see the pod's own address.
    `routes` empty means a default route per family.  `quarantine` is in seconds.
    """

    name: str
    datapath: Datapath = "ptp"
    bridge: str = "br0"
    mtu: int = 0
    overhead: int = 0
    masquerade: bool = True
    non_masquerade: tuple[IPNetwork, ...] = ()
    hairpin: bool = True
    ranges: tuple[tuple[Range, ...], ...] = ()
    routes: tuple[PodRoute, ...] = ()
    dns: DNS = DNS()
    quarantine: float = 60.0

    @property
    def subnets(self) -> tuple[IPNetwork, ...]:
        """Every subnet of every range, in order, once."""
        return tuple(dict.fromkeys(r.subnet for ranges in self.ranges for r in ranges))

    @property
    def families(self) -> frozenset[int]:
        """The IP versions in use: a subset of {4, 6}."""
        return frozenset(s.version for s in self.subnets)


class NamedPool(msgspec.Struct, frozen=True, gc=False):
    """A pool of podnet.yaml on this node: its `ranges` here, and why other parts of it give no addresses (`amiss`).

    `pending`: some of these will, once other nodes know of them.
    """

    name: str
    ranges: tuple[Range, ...]
    amiss: tuple[str, ...] = ()
    pending: bool = False
