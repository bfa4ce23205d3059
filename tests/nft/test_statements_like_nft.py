"""Every statement: nft(8), given its text, makes the expressions that podnet makes, and lists podnet's rule alike."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest

from podnet.nft import ACCEPT, CONTINUE, DROP, RETURN, Base, Chain, Interval, Rule, Set, Table, Verdict, goto, jump
from podnet.nft.selector import SELECTORS
from podnet.nft.statement import (
    Assign,
    Counter,
    Dnat,
    Limit,
    Log,
    Masked,
    Masquerade,
    Match,
    Notrack,
    Redirect,
    Reject,
    Snat,
    Statement,
    Vmap,
)

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

pytestmark = pytest.mark.live

V4, V6 = IPv4Address("192.0.2.7"), IPv6Address("2001:db8::7")
INET = Table("inet", "t")
PODS = Set(table=INET, name="pods", key=("ifname", "ipv4_addr"))
NETS = Set(table=INET, name="nets", key=("ipv4_addr",), interval=True)
VERDICTS = Set(table=INET, name="verdicts", key=("ifname",), data=("verdict",))
PAIRS = Set(table=INET, name="pairs", key=("ipv4_addr", "inet_service"), data=("ipv4_addr", "inet_service"))
PAIRS6 = Set(table=INET, name="pairs6", key=("ipv6_addr", "inet_service"), data=("ipv6_addr", "inet_service"))
ADDRESSES = Set(table=INET, name="addresses", key=("ipv4_addr",), data=("ipv4_addr",))
PORTS = Set(table=INET, name="ports", key=("inet_proto", "inet_service"))
SETS = (PODS, NETS, VERDICTS, PAIRS, PAIRS6, ADDRESSES, PORTS)

# What goes into a chain of each type: nat statements need the right hook, notrack an early priority.
FILTER = Chain(INET, "filter", Base("filter", "forward", 0, "drop"), comment="what passes through")
RAW = Chain(INET, "raw", Base("filter", "prerouting", -300))
OUT = Chain(INET, "out", Base("nat", "postrouting", 100))
IN = Chain(INET, "in", Base("nat", "prerouting", -100))
OTHER = Chain(INET, "other")
CHAINS = (OTHER, FILTER, RAW, OUT, IN)

TCP = Match("meta l4proto", "tcp")
INET_RULES: tuple[tuple[Chain, tuple[Statement, ...]], ...] = (
    (FILTER, (ACCEPT,)),
    (FILTER, (DROP,)),
    (FILTER, (RETURN,)),
    (FILTER, (CONTINUE,)),
    (FILTER, (jump("other"),)),
    (FILTER, (goto("other"),)),
    (FILTER, (Counter(), ACCEPT)),
    (FILTER, (Log(), Log(prefix="podnet: ", level="info"), Log(prefix="x", group=3))),
    (FILTER, (Limit(10, "minute"), Limit(5, burst=9, over=True), DROP)),
    (FILTER, (Match("iifname", "eth0"), Match("oifname", "veth*"), Match("iifname", "lo", "!="))),
    (FILTER, (Match("iifgroup", 28782), Match("oifgroup", 28782, "!="))),
    (FILTER, (Match("iifname . ip saddr", PODS, "!="), DROP)),
    (FILTER, (Match("meta nfproto", "ipv4"), Match("iifname . ip saddr", PODS), ACCEPT)),
    (FILTER, (Match("ip saddr", NETS), Match("ip daddr", NETS, "!="))),
    (FILTER, (Match("ip saddr", IPv4Network("10.0.0.0/8")), Match("ip daddr", IPv4Network("10.96.0.0/12"), "!="))),
    (FILTER, (Match("ip saddr", IPv4Network("10.1.2.0/24")), Match("ip daddr", IPv4Network("10.1.2.3/32")))),
    (FILTER, (Match("ip6 saddr", IPv6Network("fd00::/8")), Match("ip6 daddr", IPv6Network("fe80::/10")))),
    (FILTER, (Match("ip saddr", Interval(V4, IPv4Address("192.0.2.99"))),)),
    (FILTER, (Match("ip saddr", Interval(V4, IPv4Address("192.0.2.99")), "!="),)),
    (FILTER, (Match("ip saddr", (V4, IPv4Address("192.0.2.1"))), DROP)),
    (FILTER, (Match("ip saddr", (IPv4Network("10.0.0.0/8"), V4), "!="), DROP)),
    (FILTER, (Match("ip6 saddr", (V6, IPv6Network("fe80::/10"))),)),
    (FILTER, (Match("meta l4proto", ("tcp", "udp")), Match("th dport", 53))),
    (FILTER, (Match("tcp dport", (22, Interval(80, 90))), ACCEPT)),
    (FILTER, (Match("ip saddr . tcp dport", ((V4, 80), (V4, 443))), ACCEPT)),
    (FILTER, (Match("tcp dport", 80), Match("tcp sport", Interval(1024, 65535)))),
    (FILTER, (Match("udp dport", 1024, ">="), Match("udp sport", 53, "<"))),
    (FILTER, (Match("sctp dport", 80), Match("sctp sport", 1, "!="))),
    (FILTER, (TCP, Match("th sport", 53))),
    (FILTER, (Match("ip protocol", "tcp"), Match("tcp dport", 80))),
    (FILTER, (Match("meta l4proto . th dport", PORTS), ACCEPT)),
    (FILTER, (Match("ip saddr", V4), Match("ip daddr", V4), Match("tcp dport", 1))),
    (FILTER, (Match("ct state", "established,related"), ACCEPT)),
    (FILTER, (Match("ct state", "new"), Match("ct status", "dnat"), Match("ct direction", "original"))),
    (FILTER, (Match("ct mark", 7), Match("meta mark", 16), Match("meta mark", Masked(0xFF, 7)))),
    (FILTER, (Match("ct mark", Masked(1, 0), "!="),)),
    (RAW, (Match("fib daddr type", "local"), Match("fib saddr type", "unicast", "!="))),
    (RAW, (Match("fib saddr . iif oif", "missing"), DROP)),
    (RAW, (Match("fib daddr . iif type", "local"), ACCEPT)),
    (RAW, (Notrack(),)),
    (FILTER, (Match("icmp type", "echo-request"), Match("ip daddr", V4))),
    (FILTER, (Match("icmpv6 type", "nd-neighbor-solicit"), ACCEPT)),
    (FILTER, (Match("icmpv6 type", ("nd-neighbor-solicit", "nd-neighbor-advert")), ACCEPT)),
    (
        FILTER,
        (Match("icmpv6 type", ("mld-listener-query", "mld-listener-done", "mld2-listener-report")), goto("other")),
    ),
    (FILTER, (Match("meta nfproto", "ipv6"), DROP)),
    (FILTER, (Match("meta pkttype", "broadcast"), DROP)),
    (FILTER, (Match("meta protocol", "arp"),)),
    (FILTER, (Match("ether saddr", "02:00:00:00:00:01"),)),
    (FILTER, (Match("ether type", "ip"),)),
    (FILTER, (Vmap("iifname", VERDICTS),)),
    (FILTER, (Assign("meta mark", 16), Assign("ct mark", 7), Assign("meta mark", 0x4000, "|"))),
    (FILTER, (Assign("ct mark", "meta mark"), Assign("meta mark", "ct mark"))),
    (FILTER, (Reject(),)),
    (FILTER, (Reject("icmpx", "admin-prohibited"),)),
    (FILTER, (Reject("icmp", "host-unreachable"),)),
    (FILTER, (Reject("icmpv6", "admin-prohibited"),)),
    (FILTER, (Reject("tcp"),)),
    (FILTER, (Match("ip saddr", V4), Reject("icmp", "admin-prohibited"))),
    (OUT, (Masquerade(),)),
    (OUT, (Masquerade(random=True, persistent=True),)),
    (OUT, (Match("oifname", "eth0"), Masquerade(fully_random=True))),
    (OUT, (Snat(V4),)),
    (OUT, (Snat(V6, fully_random=True),)),
    (IN, (Dnat(V4),)),
    (IN, (Dnat(V6),)),
    (IN, (TCP, Dnat(V4, 80))),
    (IN, (Match("tcp dport", 80), Dnat(V6, 8080))),
    (IN, (Dnat(selector="ip daddr", map=ADDRESSES),)),
    (IN, (Dnat(selector="ip daddr . tcp dport", map=PAIRS),)),
    (IN, (Match("fib daddr type", "local"), Dnat(selector="ip6 daddr . tcp dport", map=PAIRS6))),
    (IN, (Redirect(),)),
    (IN, (TCP, Redirect(8080))),
)

BRIDGE = Table("bridge", "t")
BRIDGED = Chain(BRIDGE, "bridged", Base("filter", "prerouting", -300))
BRIDGE_PORTS = Set(table=BRIDGE, name="ports", key=("ifname", "ether_addr", "ipv4_addr"))
BRIDGE_RULES: tuple[tuple[Statement, ...], ...] = (
    (Match("iifname . ether saddr . ip saddr", BRIDGE_PORTS, "!="), DROP),
    (Match("iifname . arp saddr ether . arp saddr ip", BRIDGE_PORTS, "!="), DROP),
    (Match("ether saddr", "02:00:00:00:00:01"), Match("ether daddr", "02:00:00:00:00:02", "!=")),
    (Match("ether type", "arp"), Match("arp operation", "request"), Match("arp daddr ip", V4)),
    (Match("arp daddr ether", "02:00:00:00:00:01"),),
    (Match("ether type", ("ip", "ip6")), ACCEPT),
    (Match("ether type", "ip"), Match("iifname . ether saddr . ip saddr", BRIDGE_PORTS), ACCEPT),
    (Match("ether type", "ip6"), Match("icmpv6 type", "nd-neighbor-advert"), DROP),
    (Match("meta protocol", "ip"), Match("ip saddr", IPv4Network("10.0.0.0/8"))),
    (Match("ip6 saddr", V6),),
    (Match("icmpv6 type", "nd-neighbor-advert"),),
    (Match("icmp type", "echo-reply"),),
    (Match("tcp dport", 80),),
    (Match("ip saddr", V4), Match("udp dport", 53)),
)

IP = Table("ip", "t")
IP_CHAIN = Chain(IP, "c", Base("filter", "input", 0))
IP_RULES: tuple[tuple[Statement, ...], ...] = (
    (Match("ip saddr", V4),),
    (Match("icmp type", "echo-request"), Match("ip daddr", V4)),
    (Match("ether saddr", "02:00:00:00:00:01"),),
    (Match("tcp dport", 80), Reject("tcp")),
    (Reject("icmp", "port-unreachable"),),
)
IP6 = Table("ip6", "t")
IP6_CHAIN = Chain(IP6, "c", Base("filter", "output", 0))
IP6_RULES: tuple[tuple[Statement, ...], ...] = (
    (Match("ip6 saddr", V6), Match("ip6 nexthdr", "udp"), Match("udp dport", 53)),
    (Match("icmpv6 type", "echo-request"),),
)
NETDEV = Table("netdev", "t")
NETDEV_CHAIN = Chain(NETDEV, "c", Base("filter", "ingress", -5, device="lo"))
NETDEV_RULES: tuple[tuple[Statement, ...], ...] = (
    (Match("ip saddr", V4), Match("tcp dport", 80)),
    (Match("ether saddr", "02:00:00:00:00:01"),),
    (Match("arp saddr ip", V4),),
    (Match("ip6 saddr", V6), Match("icmpv6 type", "echo-request")),
)

TABLES: dict[str, tuple[tuple[Table | Chain | Set, ...], tuple[Rule, ...]]] = {
    "inet": ((INET, *SETS, *CHAINS), tuple(Rule.new(chain, *words) for chain, words in INET_RULES)),
    "bridge": ((BRIDGE, BRIDGE_PORTS, BRIDGED), tuple(Rule.new(BRIDGED, *words) for words in BRIDGE_RULES)),
    "ip": ((IP, IP_CHAIN), tuple(Rule.new(IP_CHAIN, *words) for words in IP_RULES)),
    "ip6": ((IP6, IP6_CHAIN), tuple(Rule.new(IP6_CHAIN, *words) for words in IP6_RULES)),
    "netdev": ((NETDEV, NETDEV_CHAIN), tuple(Rule.new(NETDEV_CHAIN, *words) for words in NETDEV_RULES)),
}


def _ordered(rules: tuple[Rule, ...]) -> list[Rule]:
    """Return `rules` chain by chain, as a listing has them."""
    return sorted(rules, key=lambda rule: rule.chain.name)


@pytest.mark.parametrize("family", TABLES)
def test_nft_makes_the_same_expressions(oracle: "Namespace", family: str) -> None:
    """Nft reads podnet's text and gives the kernel the expressions that podnet would have given."""
    objects, rules = TABLES[family]
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in (*objects, *rules)))
    table = objects[0]
    assert isinstance(table, Table)
    found = _ordered(oracle.content(table).rules)
    for made, meant in zip(found, _ordered(rules), strict=True):
        assert (str(meant), str(made)) == (str(meant), str(_wordless(meant)))
        assert made == meant


def _wordless(rule: Rule) -> Rule:
    """Return `rule` without its words, so that it prints its expressions as a decoded rule does."""
    return Rule(chain=rule.chain, expressions=rule.expressions, sets=rule.sets, comment=rule.comment)


@pytest.mark.parametrize("family", TABLES)
def test_sent_rules_are_listed_alike(namespace: "Namespace", oracle: "Namespace", family: str) -> None:
    """Nft lists what podnet sent as it lists what it made itself, and podnet decodes it to what it sent."""
    objects, rules = TABLES[family]
    refused = namespace.apply(r for o in (*objects, *rules) for r in o.requests())
    assert refused == []
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in (*objects, *rules)))
    assert namespace.nft("list", "ruleset") == oracle.nft("list", "ruleset")
    assert namespace.ruleset() == oracle.ruleset()
    table = objects[0]
    assert isinstance(table, Table)
    found = namespace.content(table)
    assert _ordered(found.rules) == _ordered(rules)
    assert set(found.chains) == {o for o in objects if isinstance(o, Chain)}
    assert set(found.sets) == {o for o in objects if isinstance(o, Set)}


def test_listing_prints_as_nft_debug_does(oracle: "Namespace") -> None:
    """Expressions print as ``nft --debug=netlink`` prints them."""
    objects, rules = TABLES["inet"]
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in (*objects, *rules)))
    printed = oracle.nft("--debug=netlink", "list", "table", "inet", "t").splitlines()
    theirs = [line.strip().removeprefix("[ ").removesuffix(" ]").strip() for line in printed if line.startswith("  [ ")]
    ours = [e.listing for rule in oracle.content(INET).rules for e in rule.expressions]
    names = {name for s in oracle.sets(INET) if (name := s.name) is not None and name.startswith("__")}
    assert [_generic(line, names) for line in theirs] == [_generic(line, set()) for line in ours]


def _generic(line: str, names: set[str]) -> str:
    """Return a listing's line without the numbers of anonymous sets and without counts."""
    words = ["__set%d" if word in names else word for word in line.split()]
    if words[0] == "lookup" and words[-1] == "0x0":  # the tool shows flags that the kernel tells, even none
        words.pop()
    return "counter" if words[0] == "counter" else " ".join(words)


def test_every_selector_is_tried() -> None:
    """No selector is left out of the comparison with nft."""
    tried = {part for _, rules in TABLES.values() for rule in rules for part in SELECTORS if part in rule.text}
    assert tried == set(SELECTORS)


@pytest.mark.parametrize("name", ["drop", "accept", "return", "continue"])
def test_verdicts_print_as_their_names(name: str) -> None:
    """A verdict without a chain is its name."""
    assert Verdict(name).text == name
