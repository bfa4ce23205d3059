"""Selectors: nft's words for what a rule looks at, their types, the expressions that load them, what they imply.

``ip saddr`` is four bytes of the network header and means an address only in an IPv4 packet: the protocol it
`requires` becomes a match of its own in families that see more than one (statement.py, `Linearizer`).
"""

from collections.abc import Callable
from typing import NamedTuple

from podnet.nft.expr import Ct, Expression, Fib, Meta, Payload
from podnet.nft.expr import ct as ct_expression
from podnet.nft.expr import fib as fib_expression
from podnet.nft.expr import meta as meta_expression
from podnet.nft.expr.payload import LINK, NETWORK, TRANSPORT


class Selector(NamedTuple):
    """One selector: nft `text`, `datatype`, `load` into a register, the protocol it `requires` ("" none)."""

    text: str
    datatype: str
    load: Callable[[int], Expression]
    requires: str = ""


def _meta(text: str, key: str, datatype: str) -> Selector:
    number = meta_expression.KEYS[key]
    return Selector(text, datatype, lambda register: Meta(key=number, dreg=register))


def _ct(key: str, datatype: str) -> Selector:
    number = ct_expression.KEYS[key]
    return Selector(f"ct {key}", datatype, lambda register: Ct(key=number, dreg=register))


def _payload(text: str, datatype: str, place: tuple[int, int, int], requires: str) -> Selector:
    base, offset, length = place
    return Selector(
        text,
        datatype,
        lambda register: Payload(dreg=register, base=base, offset=offset, length=length),
        requires,
    )


def _fib(text: str, datatype: str, result: int, flags: int) -> Selector:
    return Selector(text, datatype, lambda register: Fib(dreg=register, result=result, flags=flags))


_F = fib_expression
_ALL = (
    _meta("iifname", "iifname", "ifname"),
    _meta("oifname", "oifname", "ifname"),
    _meta("iifgroup", "iifgroup", "devgroup"),
    _meta("oifgroup", "oifgroup", "devgroup"),
    _meta("meta mark", "mark", "mark"),
    _meta("meta nfproto", "nfproto", "nf_proto"),
    _meta("meta l4proto", "l4proto", "inet_proto"),
    _meta("meta protocol", "protocol", "ether_type"),
    _meta("meta pkttype", "pkttype", "pkt_type"),
    _ct("state", "ct_state"),
    _ct("status", "ct_status"),
    _ct("direction", "ct_dir"),
    _ct("mark", "mark"),
    _payload("ether daddr", "ether_addr", (LINK, 0, 6), "ether"),
    _payload("ether saddr", "ether_addr", (LINK, 6, 6), "ether"),
    _payload("ether type", "ether_type", (LINK, 12, 2), "ether"),
    _payload("arp operation", "arp_op", (NETWORK, 6, 2), "arp"),
    _payload("arp saddr ether", "ether_addr", (NETWORK, 8, 6), "arp"),
    _payload("arp saddr ip", "ipv4_addr", (NETWORK, 14, 4), "arp"),
    _payload("arp daddr ether", "ether_addr", (NETWORK, 18, 6), "arp"),
    _payload("arp daddr ip", "ipv4_addr", (NETWORK, 24, 4), "arp"),
    _payload("ip protocol", "inet_proto", (NETWORK, 9, 1), "ip"),
    _payload("ip saddr", "ipv4_addr", (NETWORK, 12, 4), "ip"),
    _payload("ip daddr", "ipv4_addr", (NETWORK, 16, 4), "ip"),
    _payload("ip6 nexthdr", "inet_proto", (NETWORK, 6, 1), "ip6"),
    _payload("ip6 saddr", "ipv6_addr", (NETWORK, 8, 16), "ip6"),
    _payload("ip6 daddr", "ipv6_addr", (NETWORK, 24, 16), "ip6"),
    _payload("icmp type", "icmp_type", (TRANSPORT, 0, 1), "icmp"),
    _payload("icmpv6 type", "icmpv6_type", (TRANSPORT, 0, 1), "icmpv6"),
    _payload("tcp sport", "inet_service", (TRANSPORT, 0, 2), "tcp"),
    _payload("tcp dport", "inet_service", (TRANSPORT, 2, 2), "tcp"),
    _payload("udp sport", "inet_service", (TRANSPORT, 0, 2), "udp"),
    _payload("udp dport", "inet_service", (TRANSPORT, 2, 2), "udp"),
    _payload("sctp sport", "inet_service", (TRANSPORT, 0, 2), "sctp"),
    _payload("sctp dport", "inet_service", (TRANSPORT, 2, 2), "sctp"),
    _payload("th sport", "inet_service", (TRANSPORT, 0, 2), ""),
    _payload("th dport", "inet_service", (TRANSPORT, 2, 2), ""),
    _fib("fib daddr type", "fib_addrtype", _F.RESULT_ADDRTYPE, _F.DADDR),
    _fib("fib saddr type", "fib_addrtype", _F.RESULT_ADDRTYPE, _F.SADDR),
    _fib("fib daddr . iif type", "fib_addrtype", _F.RESULT_ADDRTYPE, _F.DADDR | _F.IIF),
    _fib("fib saddr . iif oif", "boolean", _F.RESULT_OIF, _F.SADDR | _F.IIF | _F.PRESENT),
)
SELECTORS = {selector.text: selector for selector in _ALL}


def selectors(text: str) -> tuple[Selector, ...]:
    """Return the selectors of `text`, nft's words joined by ``.`` for a concatenation; ValueError names a wrong one."""
    whole = SELECTORS.get(text)
    if whole is not None:
        return (whole,)
    found = []
    for part in text.split(" . "):
        selector = SELECTORS.get(part)
        if selector is None:
            raise ValueError(f"selector {part!r} is none of {', '.join(SELECTORS)}")
        found.append(selector)
    return tuple(found)
