"""A node: what the cluster knows of each machine, and what this machine knows of itself."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

import msgspec

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Node(msgspec.Struct, frozen=True, gc=False):
    """One machine of the cluster: its name, its addresses (at most one per family) and its pods' CIDRs.

    `wireguard` is its public key, in base64; empty where it is not known.  `pools` are further CIDRs, whose addresses
    pods get only that ask for them.  `reflector`: it tells other nodes' routes by BGP, see :mod:`podnet.model.bgp`.
    """

    name: str
    addresses: tuple[IPAddress, ...]
    pod_cidrs: tuple[IPNetwork, ...]
    wireguard: str = ""
    pools: tuple[IPNetwork, ...] = ()
    reflector: bool = False

    @property
    def cidrs(self) -> tuple[IPNetwork, ...]:
        """Wherever its pods have their addresses."""
        return (*self.pod_cidrs, *self.pools)

    def address(self, version: int) -> IPAddress | None:
        """Return the node's address of IP `version` 4 or 6."""
        return next((a for a in self.addresses if a.version == version), None)


Backend = Literal["direct", "vxlan", "auto", "wireguard", "bgp"]
"""How packets go from node to node.

As they are, in VXLAN, as they are to nodes on the uplink's own subnets and else in VXLAN, encrypted by WireGuard, or as
they are by routes that nodes and routers tell each other by BGP.
"""


class Tunnel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What all nodes have in common to speak VXLAN: the network's identifier and the UDP port.

    The port is IANA's, which analysers and network cards know.  The identifier ("pn" in ASCII) is none of the peers':
    flannel has 1 and Calico 4096, so that they can be on one node beside podnet, as while a cluster changes over.
    """

    vni: int = 28782
    port: int = 4789


class WireGuardPort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What all nodes have in common to speak WireGuard: the UDP port; it is the one that wg(8)'s examples have."""

    port: int = 51820


class WireGuardEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What this machine speaks WireGuard with: the `kind` of link that does, and the key, of which the file is told."""

    kind: Literal["wireguard", "tun"]
    private_key: str
    public_key: str


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What this machine knows of itself when a plan is made: observed, never configured twice.

    `uplink` is the link towards other nodes, `mtu` that link's; `addresses` the node's own on it; `subnets` what is
    reached over it without a gateway; `boot_id` this boot's (leases of another are void); `ra_links` the links that
    keep a default route learned by router advertisement and so need accept_ra=2 before forwarding; `wireguard` is only
    known where that backend asks for it.
    """

    name: str
    boot_id: str
    uplink: str = ""
    mtu: int = 1500
    addresses: tuple[IPAddress, ...] = ()
    subnets: tuple[IPNetwork, ...] = ()
    ra_links: tuple[str, ...] = ()
    wireguard: WireGuardEnd | None = None

    def address(self, version: int) -> IPAddress | None:
        """Return the node's address of IP `version` 4 or 6."""
        return next((a for a in self.addresses if a.version == version), None)
