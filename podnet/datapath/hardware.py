"""Hardware addresses: derived, never drawn, so that a plan can be rebuilt from a lease and nothing grows stale.

A pod's address decides its MAC: who gets an address again gets the MAC that neighbours may still remember with it.
All are locally administered unicast addresses (IEEE 802, second bit of the first octet).
"""

from ipaddress import IPv4Address, IPv6Address

from podnet.model import Lease
from podnet.model.digest import blake2s

GATEWAY_MAC = "02:70:6f:64:6e:65"
"""The host end of every ptp veth: "podne" in ASCII.  A pod sees one neighbour, so one MAC serves all."""

_PREFIX = b"\x0a\x58"  # what kubenet and the reference plugins put before a pod's four bytes of IPv4


def mac_of(address: IPv4Address | IPv6Address) -> str:
    """Return the MAC that belongs to `address`: 0a:58 and the IPv4 address, or four bytes of the IPv6 one's hash."""
    packed = address.packed
    return (_PREFIX + (packed if len(packed) == 4 else blake2s(packed, digest_size=4).digest())).hex(":")  # noqa: PLR2004 - IPv4


def pod_mac(lease: Lease) -> str:
    """Return the MAC of the pod's link: the one asked for, or that of its first IPv4 address, or its first."""
    if lease.terms.mac:
        return lease.terms.mac
    addresses = [a.address for a in lease.addresses]
    return mac_of(next((a for a in addresses if a.version == 4), addresses[0]))  # noqa: PLR2004 - IPv4


def port_mac(link: str) -> str:
    """Return the MAC of a bridge port, the host end `link` of a veth; no packet carries it."""
    return _named(link)


def bridge_mac(bridge: str) -> str:
    """Return the MAC of the bridge of that name: fixed, whatever ports come and go and whichever networks share it."""
    return _named(bridge)


def _named(link: str) -> str:
    return (b"\x02" + blake2s(link.encode(errors="surrogateescape"), digest_size=5).digest()).hex(":")


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address of `mac` (RFC 4291, appendix A: modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    suffix = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + suffix)
