"""Frames as a pod with a raw socket makes them, whatever it may send: Ethernet, ARP, UDP over IP, ICMPv6."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from podnet.testing.node import Node

IP, ARP, IP6, VLAN, EXPERIMENT = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88B5
BROADCAST = "ff:ff:ff:ff:ff:ff"
LLDP = "01:80:c2:00:00:0e"
REQUEST, REPLY = 1, 2
MLD_REPORT, SOLICIT_ROUTER, ADVERTISE_ROUTER, SOLICIT, ADVERTISE, REDIRECT = 131, 133, 134, 135, 136, 137
PORT = 4000
UDP, ICMPV6 = 17, 58
ALL = 3  # ETH_P_ALL


def mac(text: str) -> bytes:
    """Return the six bytes of a MAC."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(source: str, to: str, kind: int, payload: bytes) -> bytes:
    """Return a frame, as long as Ethernet asks for."""
    return (mac(to) + mac(source) + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def tagged(frame: bytes, vlan: int = 7) -> bytes:
    """Return `frame` with an 802.1Q tag."""
    return frame[:12] + struct.pack("!HH", VLAN, vlan) + frame[12:]


def arp(operation: int, who: tuple[str, str], whom: tuple[str, str]) -> bytes:
    """Return an ARP packet in which `who` and `whom` are (MAC, address)."""
    pairs = b"".join(mac(hardware) + ip_address(address).packed for hardware, address in (who, whom))
    return struct.pack("!HHBBH", 1, IP, 6, 4, operation) + pairs


def udp(source: str, to: str, data: bytes, port: int = PORT) -> bytes:
    """Return a UDP datagram to `port` in an IP packet."""
    length = 8 + len(data)
    header = struct.pack("!HHHH", 1234, port, length, 0)
    checksum = _sum(_pseudo(source, to, UDP, length) + header + data) or 0xFFFF
    return ip(source, to, UDP, struct.pack("!HHHH", 1234, port, length, checksum) + data)


def icmpv6(source: str, to: str, kind: int, body: bytes) -> bytes:
    """Return an ICMPv6 message, `body` what follows type, code and checksum."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    checksum = _sum(_pseudo(source, to, ICMPV6, len(message)) + message)
    return ip(source, to, ICMPV6, message[:2] + struct.pack("!H", checksum) + body)


def advertisement(address: str, hardware: str) -> bytes:
    """Return the body of a neighbour advertisement that overrides what was known: `address` is at `hardware`."""
    return b"\x20\0\0\0" + ip_address(address).packed + b"\x02\x01" + mac(hardware)


def solicitation(address: str, hardware: str = "") -> bytes:
    """Return the body of a neighbour solicitation for `address`, from `hardware` where that is told."""
    return bytes(4) + ip_address(address).packed + (b"\x01\x01" + mac(hardware) if hardware else b"")


def ip(source: str, to: str, protocol: int, payload: bytes) -> bytes:
    """Return an IP packet of the family of its addresses; neighbour discovery needs the hop limit of 255."""
    one, other = ip_address(source), ip_address(to)
    if isinstance(one, IPv4Address):
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + one.packed + other.packed
        return header[:10] + struct.pack("!H", _sum(header)) + header[12:] + payload
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + one.packed + other.packed + payload


def kind_of(address: str) -> int:
    """Return the EtherType of packets with `address`."""
    return IP if isinstance(ip_address(address), IPv4Address) else IP6


def _pseudo(source: str, to: str, protocol: int, length: int) -> bytes:
    one, other = ip_address(source).packed, ip_address(to).packed
    if isinstance(ip_address(source), IPv6Address):
        return one + other + struct.pack("!II", length, protocol)
    return one + other + struct.pack("!BBH", 0, protocol, length)


def _sum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data.ljust((len(data) + 1) // 2 * 2, b"\0")))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Wire:
    """A raw socket on a link of a place: what is sent goes out as it is, what arrives there is heard."""

    def __init__(self, node: Node, place: str, link: str, kind: int = ALL) -> None:
        """Open it for frames of an EtherType."""
        self._socket = node.open_socket(place, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
        self._socket.bind((link, kind))

    def send(self, *frames: bytes) -> None:
        """Send frames."""
        for frame in frames:
            self._socket.send(frame)

    def until(self, last: bytes) -> list[bytes]:
        """Return the frames that arrive from elsewhere, up to the one that ends in `last`; raise `TimeoutError`."""
        heard: list[bytes] = []
        while not heard or not heard[-1].rstrip(b"\0").endswith(last):
            frame, address = self._socket.recvfrom(1 << 16)
            if address[2] != socket.PACKET_OUTGOING:
                heard.append(frame)
        return heard
