"""What iptables-nft leaves to the kernel's xtables modules: matches and targets as blobs, the common ones decoded.

::

    NFTA_MATCH_NAME  string      NFTA_TARGET_NAME
    NFTA_MATCH_REV   be32        NFTA_TARGET_REV
    NFTA_MATCH_INFO  the module's struct, in host byte order (linux/netfilter/xt_*.h)

A module that is not known here cannot be told: whether the rule applies is then open.
"""

from collections.abc import Callable
from struct import Struct, error
from typing import NamedTuple

from podnet.diagnosis.firewall.bits import Bits, Truth, both, negated
from podnet.diagnosis.firewall.packet import Packet, in_host_order
from podnet.errors import DecodeError
from podnet.netlink.attributes import attributes, be32, string
from podnet.nft.datatype import ADDRESS_TYPES, PROTOCOLS
from podnet.nft.expr import Unknown

STATES = {"INVALID": 1, "NEW": 8, "RELATED": 4, "ESTABLISHED": 2, "UNTRACKED": 256, "SNAT": 64, "DNAT": 128}
"""Bits of xt_conntrack's state mask, in the order in which iptables prints them (linux/netfilter/xt_conntrack.h)."""
_NFT_UNTRACKED = 64
_STATE, _DIRECTION, _ALIAS = 1 << 0, 1 << 12, 1 << 13
_DECODED = _STATE | _ALIAS
_NAME, _REVISION, _INFO = 1, 2, 3

PASSING = frozenset(
    {
        *("AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HL", "HMARK", "IDLETIMER"),
        *("LED", "LOG", "MARK", "NFLOG", "NOTRACK", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS"),
        *("TRACE", "TTL", "ULOG"),
    }
)
"""Targets after which the next rule is asked."""
REFUSING = frozenset({"DROP", "REJECT", "TARPIT", "DELUDE"})
GIVING = frozenset({"NFQUEUE", "QUEUE"})

_ALL_BITS = 0xFFFFFFFF
_U16, _U32 = Struct("=H"), Struct("=I")


class Extension(NamedTuple):
    """A match or target of iptables: its name, revision and blob."""

    name: str
    revision: int
    info: bytes

    @classmethod
    def of(cls, expression: Unknown) -> "Extension":
        """Return the extension that an expression `match` or `target` is; one that is cut short has no name."""
        try:
            parts = dict(attributes(expression.data))
            revision = be32.decode(parts[_REVISION]) if _REVISION in parts else 0
            return cls(string.decode(parts.get(_NAME, b"")), revision, parts.get(_INFO, b""))
        except DecodeError:
            return cls("", 0, b"")


def judge(match: Extension, packet: Packet) -> Truth:
    """Return whether the packet matches; None for what is not decoded."""
    reader = _JUDGES.get((match.name, match.revision)) or _JUDGES.get((match.name, -1))
    if reader is None:
        return None
    try:
        return reader(match.info, packet)
    except (error, IndexError):
        return None


def text(match: Extension) -> str:
    """Return the match as iptables-save has it, or the module's name alone where its blob is not decoded."""
    writer = _TEXTS.get((match.name, match.revision)) or _TEXTS.get((match.name, -1))
    try:
        words = f"-m {match.name}{f' {writer(match.info)}' if writer else ''}"
        return words.replace("conntrack --ctstate", "state --state") if _is_alias(match) else words
    except (error, IndexError):
        return f"-m {match.name}"


def _is_alias(match: Extension) -> bool:
    """Tell whether conntrack is what was asked for as the older module state."""
    return match.name == "conntrack" and bool(_conntrack(match.info)[0] & _ALIAS)


def marked(target: Extension, packet: Packet) -> Bits:
    """Return the packet's mark after the target MARK: ``(mark & ~mask) ^ value``; unknown of another revision."""
    if target.revision != 2 or len(target.info) < 8:  # noqa: PLR2004 - struct xt_mark_tginfo2
        return Bits.unknown(4)
    value, mask = (_U32.unpack_from(target.info, at)[0] for at in (0, 4))
    return packet.mark.masked(*(in_host_order(n, 4).value for n in (~mask & 0xFFFFFFFF, value)))


def _comment(_: bytes, __: Packet) -> Truth:
    return True


def _conntrack(info: bytes) -> tuple[int, int, int]:
    """Return match flags, inverted flags and state mask of struct xt_conntrack_mtinfo2 and 3."""
    flags, inverted, states = (_U16.unpack_from(info, at)[0] for at in (146, 148, 150))
    return flags, inverted, states


def _state(states: int, packet: Packet) -> Truth:
    """Return whether the packet's state is one of `states`; SNAT and DNAT are bits of its status."""
    known = packet.state
    if not known:
        return None
    if states & (STATES["UNTRACKED"] if known == _NFT_UNTRACKED else known):
        return True
    return None if states & STATES["SNAT"] and known == STATES["ESTABLISHED"] else False


def _judge_conntrack(info: bytes, packet: Packet) -> Truth:
    flags, inverted, states = _conntrack(info)
    truth: Truth = True if not flags & ~(_DECODED | _DIRECTION) else None
    if flags & _STATE:
        found = _state(states, packet)
        truth = both(truth, negated(found) if inverted & _STATE else found)
    if flags & _DIRECTION:  # set: the original direction is meant, or with the inverted bit the reply's
        truth = both(truth, packet.answer == bool(inverted & _DIRECTION) if packet.state != _NFT_UNTRACKED else False)
    return truth


def _judge_state(info: bytes, packet: Packet) -> Truth:
    return _state(_U32.unpack_from(info)[0], packet)


def _addrtype(info: bytes) -> tuple[int, int, int]:
    source, destination = (_U16.unpack_from(info, at)[0] for at in (0, 2))
    return source, destination, _U32.unpack_from(info, 4)[0]


def _judge_addrtype(info: bytes, packet: Packet) -> Truth:
    source, destination, flags = _addrtype(info)
    truth: Truth = True if not flags & 12 else None  # XT_ADDRTYPE_LIMIT_IFACE_IN and _OUT ask of one link
    for mask, name, invert in ((source, packet.source_type, 1), (destination, packet.destination_type, 2)):
        if mask:
            found = bool(mask >> ADDRESS_TYPES[name] & 1)
            truth = both(truth, found != bool(flags & invert))
    return truth


def _judge_mark(info: bytes, packet: Packet) -> Truth:
    return _marked(info, packet.mark)


def _judge_connmark(info: bytes, packet: Packet) -> Truth:
    return _marked(info, packet.ct_mark)


def _marked(info: bytes, mark: Bits) -> Truth:
    value, mask = (in_host_order(_U32.unpack_from(info, at)[0], 4).value for at in (0, 4))
    found = mark.masked(mask).equals(value)
    return negated(found) if info[8] else found


def _ports(info: bytes) -> tuple[int, list[tuple[int, int]], bool]:
    """Return which ports (0 source, 1 destination, 2 either), ranges and whether inverted: struct xt_multiport_v1."""
    ports = [_U16.unpack_from(info, 2 + 2 * i)[0] for i in range(info[1])]
    ranges: list[tuple[int, int]] = []
    for index, port in enumerate(ports):
        if index and info[32 + index - 1]:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return info[0], ranges, bool(info[47])


def _judge_multiport(info: bytes, packet: Packet) -> Truth:
    which, ranges, inverted = _ports(info)
    offsets = {0: (0,), 1: (2,)}.get(which, (0, 2))
    truths = [packet.transport.part(at, 2).within(first, last) for at in offsets for first, last in ranges]
    found: Truth = True if True in truths else None if None in truths else False
    return negated(found) if inverted else found


def _judge_ports(protocol: str) -> Callable[[bytes, Packet], Truth]:
    """Return what judges struct xt_udp, and the beginning of struct xt_tcp."""

    def judge_ports(info: bytes, packet: Packet) -> Truth:
        if packet.protocol != protocol:
            return False
        bounds = [_U16.unpack_from(info, 2 * i)[0] for i in range(4)]
        truth: Truth = True
        flags = info[11] if protocol == "tcp" else info[8]
        for at, low, high, invert in ((0, bounds[0], bounds[1], 1), (2, bounds[2], bounds[3], 2)):
            found = packet.transport.part(at, 2).within(low, high)
            truth = both(truth, negated(found) if flags & invert else found)
        if protocol == "tcp":
            found = packet.transport.part(13, 1).masked(info[9]).equals(info[10])
            truth = both(truth, negated(found) if flags & 4 else found)
            truth = both(truth, None if info[8] else True)  # an option of the header
        return truth

    return judge_ports


def _judge_icmp(_: bytes, packet: Packet) -> Truth:
    return None if packet.protocol in {"icmp", "icmpv6"} else False


def _judge_rpfilter(info: bytes, _: Packet) -> Truth:
    """Return what reverse path filtering says of packets that come by the link to which their source is routed."""
    return not info[0] & 8  # XT_RPFILTER_INVERT


def _judge_protocol(*numbers: int) -> Callable[[bytes, Packet], Truth]:
    def judge_protocol(_: bytes, packet: Packet) -> Truth:
        return None if packet.protocol_number in numbers else False

    return judge_protocol


_JUDGES: dict[tuple[str, int], Callable[[bytes, Packet], Truth]] = {
    ("comment", -1): _comment,
    ("conntrack", 2): _judge_conntrack,
    ("conntrack", 3): _judge_conntrack,
    ("state", 0): _judge_state,
    ("addrtype", 1): _judge_addrtype,
    ("mark", 1): _judge_mark,
    ("connmark", 1): _judge_connmark,
    ("multiport", 1): _judge_multiport,
    ("tcp", 0): _judge_ports("tcp"),
    ("udp", 0): _judge_ports("udp"),
    ("icmp", 0): _judge_icmp,
    ("icmp6", 0): _judge_icmp,
    ("rpfilter", 0): _judge_rpfilter,
    ("esp", -1): _judge_protocol(PROTOCOLS["esp"]),
    ("ah", -1): _judge_protocol(PROTOCOLS["ah"]),
    ("sctp", -1): _judge_protocol(PROTOCOLS["sctp"]),
    ("tcpmss", -1): _judge_protocol(PROTOCOLS["tcp"]),
}


def _names(states: int) -> str:
    return ",".join(name for name, bit in STATES.items() if states & bit)


def _text_conntrack(info: bytes) -> str:
    flags, inverted, states = _conntrack(info)
    if flags & ~_DECODED:
        return ""
    return f"{'! ' if inverted & _STATE else ''}--ctstate {_names(states)}"


def _text_addrtype(info: bytes) -> str:
    source, destination, flags = _addrtype(info)
    words = []
    for mask, option, invert in ((source, "--src-type", 1), (destination, "--dst-type", 2)):
        if mask:
            names = ",".join(name.upper() for name, number in ADDRESS_TYPES.items() if mask >> number & 1)
            words.append(f"{'! ' if flags & invert else ''}{option} {names}")
    return " ".join(
        [*words, *(["--limit-iface-in"] if flags & 4 else []), *(["--limit-iface-out"] if flags & 8 else [])]
    )


def _text_mark(info: bytes) -> str:
    value, mask = (_U32.unpack_from(info, at)[0] for at in (0, 4))
    return f"{'! ' if info[8] else ''}--mark {value:#x}{'' if mask == _ALL_BITS else f'/{mask:#x}'}"


def _text_multiport(info: bytes) -> str:
    which, ranges, inverted = _ports(info)
    words = ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)
    return f"{'! ' if inverted else ''}--{('sports', 'dports', 'ports')[which]} {words}"


def _text_comment(info: bytes) -> str:
    return f'--comment "{info.split(bytes(1), 1)[0].decode("utf-8", "replace")}"'


_TEXTS: dict[tuple[str, int], Callable[[bytes], str]] = {
    ("comment", -1): _text_comment,
    ("conntrack", 2): _text_conntrack,
    ("conntrack", 3): _text_conntrack,
    ("state", 0): lambda info: f"--state {_names(_U32.unpack_from(info)[0])}",
    ("addrtype", 1): _text_addrtype,
    ("mark", 1): _text_mark,
    ("connmark", 1): _text_mark,
    ("multiport", 1): _text_multiport,
}
