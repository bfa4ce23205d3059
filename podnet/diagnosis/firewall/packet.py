"""A packet as it is known beforehand, at one hook: headers, links and what conntrack and routing say of it.

A packet stands for many: the addresses of a pod CIDR, of which the last bits are not known; a pod's link, of which the
name's first letters are.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from sys import byteorder
from typing import NamedTuple, TypeAlias

import msgspec

from podnet.diagnosis.firewall.bits import Bits
from podnet.nft.datatype import CT_STATES, ETHER_TYPES, IFNAMSIZ, PROTOCOLS

IPNetwork: TypeAlias = IPv4Network | IPv6Network
IPAddress: TypeAlias = IPv4Address | IPv6Address

NEW, ESTABLISHED = "new", "established"
SNAT, DNAT, SEEN_REPLY = 16, 32, 2  # IPS_*, linux/netfilter/nf_conntrack_common.h
SYN, ACK = 0x02, 0x10


class Link(msgspec.Struct, frozen=True, gc=False):
    """A link as rules name it; without `whole` the name is only how the names of such links begin.

    `index`, `group` and `kind` are None where they are not known.
    """

    name: str
    index: int | None = None
    group: int | None = None
    kind: str | None = None
    whole: bool = True

    @property
    def name_bits(self) -> Bits:
        """The name as a register holds it."""
        data = self.name.encode()
        return Bits.exactly(data.ljust(IFNAMSIZ, b"\0")) if self.whole else Bits.beginning(data, IFNAMSIZ)


class Packet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a packet at a hook.

    `iif` and `oif` are None where the hook has no such link.  `network` and `transport` are the headers, `state` is
    the bit by which ``ct state`` tells it (0: not known), `answer` whether it goes against the connection's direction;
    `source_type` and `destination_type` are names of routing(7)'s types (``unicast``, ``local``).  `mark` and `ct_mark`
    change on the way.
    """

    version: int
    protocol: str
    network: Bits
    transport: Bits
    iif: Link | None = None
    oif: Link | None = None
    state: int = CT_STATES[NEW]
    answer: bool = False
    source_type: str = "unicast"
    destination_type: str = "unicast"
    mark: Bits = Bits.exactly(bytes(4))
    ct_mark: Bits = Bits.exactly(bytes(4))

    @property
    def protocol_number(self) -> int:
        """The transport protocol's number."""
        return PROTOCOLS[self.protocol]

    @property
    def ether_type(self) -> int:
        """What the packet is to a link."""
        return ETHER_TYPES["ip" if self.version == 4 else "ip6"]  # noqa: PLR2004 - IPv4

    @property
    def source(self) -> Bits:
        """The source address."""
        return self.network.part(12, 4) if self.version == 4 else self.network.part(8, 16)  # noqa: PLR2004 - IPv4

    @property
    def destination(self) -> Bits:
        """The destination address."""
        return self.network.part(16, 4) if self.version == 4 else self.network.part(24, 16)  # noqa: PLR2004 - IPv4

    @property
    def status(self) -> Bits:
        """The bits of ``ct status``: no destination was rewritten, and of a new connection no source."""
        known = SEEN_REPLY | DNAT | (0 if self.state == CT_STATES[ESTABLISHED] else SNAT)
        value = SEEN_REPLY if self.state == CT_STATES[ESTABLISHED] else 0
        return in_host_order(value, 4, known)

    def at(self, *, iif: Link | None = None, oif: Link | None = None, **types: str) -> "Packet":
        """Return the packet at a hook that has these links; `types` are routing's, where they are not ``unicast``."""
        return msgspec.structs.replace(self, iif=iif, oif=oif, **types)

    def joined(self, other: "Packet") -> "Packet":
        """Return what is known of a packet that came by either way through the rules."""
        if self == other:
            return self
        return msgspec.structs.replace(
            self,
            mark=self.mark.joined(other.mark),
            ct_mark=self.ct_mark.joined(other.ct_mark),
            state=self.state if self.state == other.state else 0,
        )


class Ends(NamedTuple):
    """Between whom a packet goes; a network stands for each of its addresses."""

    source: IPNetwork | IPAddress
    destination: IPNetwork | IPAddress


def packet(ends: Ends, protocol: str, sport: int | None, dport: int | None, *, answer: bool = False) -> Packet:
    """Return the first packet of a connection, or an answer to it; a port that is None is not known."""
    version = ends.source.version
    flags = SYN | ACK if answer else SYN
    return Packet(
        version=version,
        protocol=protocol,
        network=_network(ends, PROTOCOLS[protocol]),
        transport=_transport(protocol, sport, dport, flags),
        state=CT_STATES[ESTABLISHED if answer else NEW],
        answer=answer,
        ct_mark=Bits.unknown(4) if answer else Bits.exactly(bytes(4)),
    )


def _network(ends: Ends, protocol: int) -> Bits:
    source, destination = _address(ends.source), _address(ends.destination)
    if ends.source.version == 4:  # noqa: PLR2004 - IPv4
        header = Bits.unknown(20).with_part(0, Bits.exactly(b"\x45")).with_part(6, Bits(2, 0, 0xBFFF))  # no fragment
        header = header.with_part(9, Bits.exactly(bytes([protocol])))
        return header.with_part(12, source).with_part(16, destination)
    header = Bits.unknown(40).with_part(0, Bits(1, 0x60, 0xF0)).with_part(6, Bits.exactly(bytes([protocol])))
    return header.with_part(8, source).with_part(24, destination)


def _address(of: IPNetwork | IPAddress) -> Bits:
    if isinstance(of, IPv4Network | IPv6Network):
        return Bits(of.max_prefixlen // 8, int(of.network_address), int(of.netmask))
    return Bits.exactly(of.packed)


def _transport(protocol: str, sport: int | None, dport: int | None, flags: int) -> Bits:
    header = Bits.unknown(20 if protocol == "tcp" else 8)
    for offset, port in ((0, sport), (2, dport)):
        if port is not None:
            header = header.with_part(offset, Bits.exactly(port.to_bytes(2, "big")))
    return header.with_part(13, Bits.exactly(bytes([flags]))) if protocol == "tcp" else header


def in_host_order(number: int, size: int, known: int | None = None) -> Bits:
    """Return a number as a register of this machine holds it."""
    bits = Bits(size, number, (1 << 8 * size) - 1 if known is None else known)
    return bits.swapped(size) if byteorder == "little" else bits
