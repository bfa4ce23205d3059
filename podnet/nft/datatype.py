"""Data types: what keys, data and selectors hold, in nft's names, numbers, byte orders and words.

The numbers are nft(8)'s own (nftables, include/datatype.h): the kernel stores them unread, and nft reads them back to
print a set.  A concatenation's number is its parts' numbers, six bits each.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Any, NamedTuple

from podnet.errors import DecodeError
from podnet.nft.verdict import Verdict

INVALID, HOST, BIG = 0, 1, 2  # enum byteorder

VERDICT_NUMBER = 0xFFFFFF00  # NFT_DATA_VERDICT: what the kernel calls the data type of a verdict map
TYPE_BITS = 6


class Datatype(NamedTuple):
    """One type: nft `name` and `number`, `size` in bytes, `byteorder`, and its values' three forms."""

    name: str
    number: int
    size: int
    byteorder: int
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    text: Callable[[Any], str]

    @property
    def padded(self) -> int:
        """The bytes it takes in a concatenation."""
        return (self.size + 3) & ~3


def _integer(
    name: str, number: int, layout: str, symbols: Mapping[str, int] | None = None, text: Callable[[int], str] = str
) -> Datatype:
    """Return a type of numbers, some of which have names; its canonical values are int."""
    struct = Struct(layout)
    symbols = symbols or {}
    names = {value: symbol for symbol, value in symbols.items()}

    def encode(value: int | str) -> bytes:
        if isinstance(value, str):
            if value not in symbols:
                raise ValueError(f"{name} {value!r} is none of {', '.join(symbols)}")
            value = symbols[value]
        return struct.pack(value)

    def decode(data: bytes) -> int:
        if len(data) != struct.size:
            raise DecodeError(f"{name} of {len(data)} bytes, not {struct.size}")
        value: int = struct.unpack(data)[0]
        return value

    def write(value: int | str) -> str:
        return value if isinstance(value, str) else names.get(value) or text(value)

    order = INVALID if struct.size == 1 else HOST if layout[0] == "=" else BIG
    return Datatype(name, number, struct.size, order, encode, decode, write)


def _encode_name(value: str) -> bytes:
    data = value.encode()
    if not 0 < len(data) < IFNAMSIZ:
        raise ValueError(f"interface name {value!r}: 1 to {IFNAMSIZ - 1} bytes")
    return data.ljust(IFNAMSIZ, b"\0")


def _decode_name(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _address(cls: type[Any], size: int) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        if len(data) != size:
            raise DecodeError(f"{cls.__name__} of {len(data)} bytes, not {size}")
        return cls(data)

    return decode


def _encode_mac(value: str) -> bytes:
    data = bytes.fromhex(value.replace(":", ""))
    if len(data) != 6:  # noqa: PLR2004 - ETH_ALEN
        raise ValueError(f"ether_addr {value!r} is not six bytes")
    return data


def _decode_mac(data: bytes) -> str:
    if len(data) != 6:  # noqa: PLR2004 - ETH_ALEN
        raise DecodeError(f"ether_addr of {len(data)} bytes, not 6")
    return data.hex(":")


def _no_bytes(value: Any) -> bytes:
    raise TypeError(f"a verdict is not bytes: {value!r}")


def _packed(name: str, cls: type[IPv4Address] | type[IPv6Address]) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        if type(value) is not cls:
            raise ValueError(f"{name} {value!r} is no {cls.__name__}")
        packed: bytes = value.packed
        return packed

    return encode


def _verdict_text(value: Verdict) -> str:
    return value.text


def _hexadecimal(value: int) -> str:
    return f"0x{value:08x}"


def _quoted(value: str) -> str:
    return f'"{value}"'


IFNAMSIZ = 16

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "sctp": 132,
}  # fmt: skip
ETHER_TYPES = {"ip": 0x0800, "arp": 0x0806, "vlan": 0x8100, "ip6": 0x86DD}
CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
CT_STATUSES = {
    "expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512,
}  # fmt: skip
ADDRESS_TYPES = {
    "unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6,
    "unreachable": 7, "prohibit": 8,
}  # fmt: skip
ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "redirect": 5, "echo-request": 8, "time-exceeded": 11,
    "parameter-problem": 12,
}  # fmt: skip
ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128,
    "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
    "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136, "nd-redirect": 137, "mld2-listener-report": 143,
}  # fmt: skip

_ALL = (
    Datatype("verdict", 1, 16, INVALID, _no_bytes, bytes, _verdict_text),
    _integer("nf_proto", 2, "=B", {"ipv4": 2, "ipv6": 10}),
    Datatype("ipv4_addr", 7, 4, BIG, _packed("ipv4_addr", IPv4Address), _address(IPv4Address, 4), str),
    Datatype("ipv6_addr", 8, 16, BIG, _packed("ipv6_addr", IPv6Address), _address(IPv6Address, 16), str),
    Datatype("ether_addr", 9, 6, BIG, _encode_mac, _decode_mac, str),
    _integer("ether_type", 10, ">H", ETHER_TYPES),
    _integer("arp_op", 11, ">H", {"request": 1, "reply": 2}),
    _integer("inet_proto", 12, ">B", PROTOCOLS),
    _integer("inet_service", 13, ">H"),
    _integer("icmp_type", 14, ">B", ICMP_TYPES),
    _integer("mark", 19, "=I", text=_hexadecimal),
    _integer("ct_state", 26, "=I", CT_STATES),
    _integer("ct_dir", 27, "=B", {"original": 0, "reply": 1}),
    _integer("ct_status", 28, "=I", CT_STATUSES),
    _integer("icmpv6_type", 29, ">B", ICMPV6_TYPES),
    _integer("pkt_type", 31, "=B", {"host": 0, "broadcast": 1, "multicast": 2, "other": 3}),
    _integer("devgroup", 35, "=I"),
    _integer("fib_addrtype", 38, "=I", ADDRESS_TYPES),
    _integer("boolean", 39, "=I", {"missing": 0, "exists": 1}),
    Datatype("ifname", 41, IFNAMSIZ, HOST, _encode_name, _decode_name, _quoted),
)
DATATYPES = {t.name: t for t in _ALL}
_BY_NUMBER = {t.number: t for t in _ALL}


def concatenated(types: tuple[str, ...]) -> int:
    """Return the number of the concatenation of `types`, or of the one type."""
    number = 0
    for name in types:
        number = number << TYPE_BITS | DATATYPES[name].number
    return number


def parts(number: int) -> tuple[str, ...]:
    """Return the types whose concatenation `number` is; raise `DecodeError` for one that podnet does not know."""
    names: list[str] = []
    rest = number
    while rest:
        part = _BY_NUMBER.get(rest & ((1 << TYPE_BITS) - 1))
        if part is None:
            raise DecodeError(f"data type {number:#x} has a part podnet does not know")
        names.append(part.name)
        rest >>= TYPE_BITS
    return tuple(reversed(names))
