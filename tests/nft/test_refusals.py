"""What cannot be meant is refused where it is written, with the thing named; what cannot be read, where it is read."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from podnet.errors import DecodeError
from podnet.nft import DROP, Base, Chain, Element, Interval, Rule, Set, Table, Verdict, content, elements, goto
from podnet.nft import message as wire
from podnet.nft.datatype import DATATYPES, parts
from podnet.nft.element import elements_of
from podnet.nft.expr import EXPRESSION, Byteorder, Cmp, Immediate, Lookup, Range, Reject, Unknown
from podnet.nft.statement import Assign, Dnat, Limit, Match, Statement, Vmap
from podnet.nft.verdict import decode_datum, jump, signed_be32

INET, IP, BRIDGE = Table("inet", "t"), Table("ip", "t"), Table("bridge", "t")
CHAIN = Chain(INET, "c")
PODS = Set(table=INET, name="pods", key=("ifname", "ipv4_addr"))
NETS = Set(table=INET, name="nets", key=("ipv4_addr",), interval=True)
MAP = Set(table=INET, name="map", key=("ipv4_addr",), data=("ipv4_addr",))
V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")


def rule(*statements: Statement, table: Table = INET) -> Rule:
    """Return a rule of some chain of `table`."""
    return Rule.new(Chain(table, "c"), *statements)


VALUES: dict[str, tuple[Callable[[], object], str]] = {
    "unknown family": (lambda: Table("inet6", "t"), "family 'inet6' is none of inet"),
    "unknown hook": (lambda: Chain(INET, "c", Base("filter", "egress", 0)).requests(), "hook 'egress' is none of"),
    "unknown type": (lambda: Set(table=INET, name="s", key=("ipv4",)), "type 'ipv4' is none of"),
    "no key": (lambda: Set(table=INET, name="s", key=()), "cannot be meant"),
    "verdict as key": (lambda: Set(table=INET, name="s", key=("verdict",)), "cannot be meant"),
    "ranges of marks": (lambda: Set(table=INET, name="s", key=("mark",), interval=True), "network byte order"),
    "ranges of names": (lambda: Set(table=INET, name="s", key=("ifname",), interval=True), "network byte order"),
    "key too short": (lambda: Element(PODS, ("veth0",)), "1 : 0 values, not 2 : 0"),
    "data missing": (lambda: Element(MAP, (V4,)), "1 : 0 values, not 1 : 1"),
    "elements of two sets": (lambda: elements((Element(PODS, ("a", V4)), Element(NETS, (V4,)))), "in one message"),
    "name too long": (lambda: Element(PODS, ("v" * 16, V4)).requests(), "1 to 15 bytes"),
    "no name": (lambda: Element(PODS, ("", V4)).requests(), "1 to 15 bytes"),
    "address of the other family": (lambda: Element(PODS, ("a", V6)).requests(), "ipv4_addr .* is no IPv4Address"),
    "address as text": (lambda: rule(Match("ip6 saddr", "::1")), "ipv6_addr '::1' is no IPv6Address"),
    "prefix of the other family": (lambda: rule(Match("ip6 saddr", IPv4Network("10.0.0.0/8"))), "is no IPv6Address"),
    "short MAC": (lambda: DATATYPES["ether_addr"].encode("02:00"), "is not six bytes"),
    "unknown symbol": (lambda: DATATYPES["inet_proto"].encode("tpc"), "'tpc' is none of"),
    "quote in a comment": (lambda: Chain(INET, "c", comment='"').requests(), "no quotes"),
    "long comment": (lambda: Chain(INET, "c", comment="c" * 128).requests(), "at most 127"),
    "unknown verdict": (lambda: Verdict("allow"), "verdict 'allow' is none of"),
    "jump without chain": (lambda: Verdict("jump"), "jump needs a chain"),
    "drop with chain": (lambda: Verdict("drop", "c"), "drop takes no chain"),
    "rule without handle": (lambda: rule(DROP).requests("delete"), "needs the handle"),
    "unknown selector": (lambda: rule(Match("ip source", V4)), "selector 'ip source' is none of"),
    "compared concatenation": (lambda: rule(Match("ip saddr . ip daddr", V4)), "looked up in a set"),
    "set of another type": (lambda: rule(Match("ip saddr", PODS)), "has ifname . ipv4_addr"),
    "ordered set": (lambda: rule(Match("ip saddr", NETS, "<")), "matched by == or !="),
    "ordered marks": (lambda: rule(Match("meta mark", 1, "<")), "has no order"),
    "range of marks": (lambda: rule(Match("meta mark", Interval(1, 9))), "has no order"),
    "state is not": (lambda: rule(Match("ct state", "new", "!=")), "only == is meant"),
    "vmap without verdicts": (lambda: rule(Vmap("ip saddr", MAP)), "is no verdict map"),
    "two families": (lambda: rule(Match("ip saddr", V4), Match("ip6 saddr", V6)), "the packet is ip"),
    "foreign family": (lambda: rule(Match("ip6 saddr", V6), table=IP), "the packet is ip"),
    "arp in inet": (lambda: rule(Match("arp saddr ip", V4)), "cannot match arp"),
    "two transports": (lambda: rule(Match("tcp dport", 1), Match("udp dport", 1)), "the packet is tcp"),
    "nat to nowhere": (lambda: rule(Dnat()), "an address or a map is needed"),
    "nat by another key": (lambda: rule(Dnat(selector="ip6 saddr", map=MAP)), "has keys ipv4_addr"),
}


@pytest.mark.parametrize("case", VALUES)
def test_nonsense_is_refused_by_name(case: str) -> None:
    """Each mistake raises ValueError with the place and what would be right."""
    make, text = VALUES[case]
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        make()


def test_verdicts_are_no_key_bytes() -> None:
    """A verdict has no bytes of its own: it is data of its own shape."""
    with pytest.raises(TypeError, match="not bytes"):
        DATATYPES["verdict"].encode(DROP)


BYTES: dict[str, tuple[Callable[[], object], str]] = {
    "unknown hook": (
        lambda: Chain.of(wire.ChainMessage(family=1, table="t", name="c", hook=wire.HookMessage(number=9))),
        "hook 9 is unknown",
    ),
    "unknown family": (lambda: Table.of(wire.TableMessage(family=77, name="t")), "family 77 is unknown"),
    "unknown type": (lambda: parts(63), "0x3f has a part"),
    "data of nothing": (lambda: decode_datum(b""), "without value or verdict"),
    "verdict of no code": (lambda: decode_datum(bytes.fromhex("0400 0280")), "0 bytes, not 4"),
    "verdict of odd code": (lambda: decode_datum(bytes.fromhex("0c00 0280 0800 0100 0000 0009")), "code 9 is unknown"),
    "short number": (lambda: signed_be32.decode(b"\0"), "1 bytes, not 4"),
    "expression without name": (lambda: EXPRESSION.decode(b""), "without a name"),
    "expression without its fields": (lambda: EXPRESSION.decode(b"\x08\0\x01\0cmp\0"), "expression cmp"),
    "address of six bytes": (lambda: DATATYPES["ipv4_addr"].decode(bytes(6)), "IPv4Address of 6 bytes"),
    "MAC of four bytes": (lambda: DATATYPES["ether_addr"].decode(bytes(4)), "of 4 bytes, not 6"),
    "number of three bytes": (lambda: DATATYPES["inet_service"].decode(bytes(3)), "of 3 bytes, not 2"),
    "key of another length": (
        lambda: list(elements_of(PODS, [wire.ElementMessage(key=bytes(24))])),
        "key ifname . ipv4_addr of 24 bytes, not 20",
    ),
    "key that is a verdict": (lambda: list(elements_of(PODS, [wire.ElementMessage(key=DROP)])), "not bytes"),
    "map element without data": (
        lambda: list(elements_of(MAP, [wire.ElementMessage(key=V4.packed)])),
        "1 : 0 values, not 1 : 1",
    ),
}


@pytest.mark.parametrize("case", BYTES)
def test_answers_that_make_no_sense_are_decode_errors(case: str) -> None:
    """Each raises DecodeError that names what was wrong."""
    make, text = BYTES[case]
    with pytest.raises(DecodeError, match=text):
        make()


def test_catch_all_elements_are_passed_over() -> None:
    """An element that stands for all keys has none of its own, and podnet makes none."""
    members = [wire.ElementMessage(flags=2), wire.ElementMessage(key=b"lo".ljust(16, b"\0") + V4.packed)]
    assert list(elements_of(PODS, members)) == [Element(PODS, ("lo", V4))]


def test_content_is_one_table_s() -> None:
    """Objects of other tables in the answers are left out."""
    others = [
        wire.SetMessage(family=2, table="t", name="s", key_type=7),
        wire.SetMessage(family=1, table="u", name="s"),
    ]
    found = content(INET, [wire.ChainMessage(family=1, table="t", name="c")], others, {}, [])
    assert (found.chains, found.sets, found.foreign) == ((CHAIN,), (), ())


def test_ranges_have_one_form() -> None:
    """A range that is a prefix is written as the prefix, a prefix of one as its address."""
    net = IPv4Network("10.0.0.0/8")
    assert Element(NETS, (Interval(net[0], net[-1]),)) == Element(NETS, (net,))
    assert Element(NETS, (IPv4Network("192.0.2.1/32"),)) == Element(NETS, (V4,)) == Element(NETS, (Interval(V4, V4),))
    assert Element(NETS, (Interval(V4, IPv4Address("192.0.2.4")),)).text() == "192.0.2.1-192.0.2.4"


def test_no_elements_are_no_messages() -> None:
    """Nothing to add is nothing to send."""
    assert elements(()) == ()


def test_rules_equal_by_what_they_do() -> None:
    """Words and handle do not count; comment, chain and expressions do."""
    one = rule(Match("meta l4proto", "tcp"), DROP)
    assert one == rule(Match("meta l4proto", 6), DROP)
    assert hash(one) == hash(rule(Match("meta l4proto", 6), DROP))
    assert one != Rule.new(CHAIN, Match("meta l4proto", "tcp"), DROP, comment="c")
    assert one != rule(Match("meta l4proto", "tcp"), DROP, table=IP)
    assert one != rule(Match("meta l4proto", ("tcp",)), DROP)
    assert rule(Match("tcp dport", (80, 443))) == rule(Match("tcp dport", (443, 80)))
    assert one != "a rule"


LISTINGS = (
    (Byteorder(sreg=1, dreg=2, operation=1, length=4, size=2), "byteorder reg 2 = hton(reg 1, 2, 4)"),
    (Byteorder(sreg=1, dreg=2, operation=0, length=4, size=2), "byteorder reg 2 = ntoh(reg 1, 2, 4)"),
    (Cmp(sreg=1, operation=9, data=b"\1"), "cmp 9 reg 1 0x00000001"),
    (Immediate(dreg=0, data=goto("x")), "immediate reg 0 goto -> x"),
    (Lookup(set="s", sreg=1, dreg=0, flags=1), "lookup reg 1 set s dreg 0 0x1"),
    (Range(sreg=1, operation=0, first=b"\1", last=DROP), "range eq reg 1 0x00000001 drop"),
    (Reject(type=1), "reject type 1 code 0"),
    (Unknown(name="synproxy", data=b"1234"), "synproxy (4 bytes)"),
)


@pytest.mark.parametrize(("value", "listing"), LISTINGS, ids=[text for _, text in LISTINGS])
def test_expressions_print(value: Byteorder | Cmp | Unknown, listing: str) -> None:
    """Expressions that no statement makes, or makes rarely, print in the same manner."""
    assert value.listing == listing


def test_a_decoded_rule_prints_its_expressions() -> None:
    """A rule that came from the kernel has no words, so its expressions are shown."""
    made = Rule(chain=CHAIN, expressions=(Immediate(dreg=0, data=jump("x")),), comment="why")
    assert made.nft() == 'add rule inet t c [ immediate reg 0 jump -> x ] comment "why"'
    assert (
        made.nft("insert", position=7) == 'insert rule inet t c position 7 [ immediate reg 0 jump -> x ] comment "why"'
    )


def test_words_of_statements() -> None:
    """Statements print as nft writes them."""
    assert Limit(5, "hour", over=True).text == "limit rate over 5/hour burst 5 packets"
    assert Assign("meta mark", 1, "|").text == "meta mark set meta mark | 0x00000001"
    assert Dnat(V6, 80).text == "dnat ip6 to [2001:db8::1]:80"
    assert Table("inet", "t").nft("flush") == "flush table inet t"
