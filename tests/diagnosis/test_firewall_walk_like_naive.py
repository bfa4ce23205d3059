"""The walk beside a slow and obvious one: predicates in Python, one concrete packet at a time, open rules by coin."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.diagnosis.firewall.packet import Ends, Link, Packet, packet
from podnet.diagnosis.firewall.ruleset import Chain, Lookups, Member, Rule, Ruleset, Rulesets
from podnet.diagnosis.firewall.walk import walk
from podnet.nft import ACCEPT, DROP, RETURN, Base, Set, Table, Verdict, goto, jump
from podnet.nft import Chain as NamedChain
from podnet.nft import Rule as NftRule
from podnet.nft.element import Interval
from podnet.nft.expr import Expression, Unknown
from podnet.nft.statement import Match

TABLE = Table("inet", "theirs")
CHAIN = NamedChain(TABLE, "any")
SPREAD, ADDRESSES = 16, IPv4Network("10.0.0.0/28")
PORTS = range(1, 5)


class Concrete(NamedTuple):
    """A packet of which all is known."""

    source: int
    destination: int
    dport: int
    protocol: str
    iif: str


class Condition(NamedTuple):
    """A condition as podnet reads it, and as a predicate; one that podnet cannot tell has none, and a coin decides."""

    expressions: tuple[Expression, ...]
    holds: Callable[[Concrete], bool] | None


class Drawn(NamedTuple):
    """A rule as it was drawn."""

    conditions: tuple[Condition, ...]
    verdict: Verdict | None


def of(selector: str, value: object, holds: Callable[[Concrete], bool], operator: str = "==") -> Condition:
    """Return a condition; podnet's own compiler writes its expressions, which other tests compare with nft's."""
    return Condition(NftRule.new(CHAIN, Match(selector, value, operator)).expressions, holds)


@st.composite
def prefixes(draw: st.DrawFn) -> IPv4Network:
    """Draw a prefix within or around the addresses that packets have."""
    length = draw(st.integers(27, 32))
    return IPv4Network((int(ADDRESSES[draw(st.integers(0, SPREAD - 1))]), length), strict=False)


def _in(network: IPv4Network, number: int) -> bool:
    return IPv4Address(number) in network


@st.composite
def addresses(draw: st.DrawFn) -> Condition:
    """Draw a condition on an address."""
    network, negative = draw(prefixes()), draw(st.booleans())
    kind = draw(st.sampled_from(["source", "destination"]))
    word = "ip saddr" if kind == "source" else "ip daddr"
    return of(word, network, lambda p: _in(network, getattr(p, kind)) != negative, _operator(negative))


@st.composite
def ports(draw: st.DrawFn) -> Condition:
    """Draw a comparison of the port."""
    port = draw(st.sampled_from(PORTS))
    operator = draw(st.sampled_from(["==", "!=", "<", ">=", "<=", ">"]))
    compare: dict[str, Callable[[int], bool]] = {
        "==": port.__eq__,
        "!=": port.__ne__,
        "<": port.__gt__,
        ">": port.__lt__,
        "<=": port.__ge__,
        ">=": port.__le__,
    }
    return of("th dport", port, lambda p: compare[operator](p.dport), operator)


@st.composite
def ranges(draw: st.DrawFn) -> Condition:
    """Draw a range of ports."""
    first, last = sorted((draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))))
    negative = draw(st.booleans())
    return of("th dport", Interval(first, last), lambda p: (first <= p.dport <= last) != negative, _operator(negative))


@st.composite
def names(draw: st.DrawFn) -> Condition:
    """Draw a condition on the protocol or the link."""
    negative = draw(st.booleans())
    name = draw(st.sampled_from(["tcp", "udp", "veth-*", "veth-a", "eth0", "veth-b"]))
    if name in {"tcp", "udp"}:
        return of("meta l4proto", name, lambda p: (p.protocol == name) != negative, _operator(negative))
    return of("iifname", name, lambda p: _named(p.iif, name) != negative, _operator(negative))


def _operator(negative: bool) -> str:
    return "!=" if negative else "=="


def _named(link: str, pattern: str) -> bool:
    return link.startswith(pattern[:-1]) if pattern.endswith("*") else link == pattern


SETS: dict[str, Lookups] = {}
"""Every set there can be, by a name that says what is in it."""


@st.composite
def looked_up(draw: st.DrawFn) -> Condition:
    """Draw a lookup in a set of single addresses, or of intervals."""
    interval, negative = draw(st.booleans()), draw(st.booleans())
    if interval:
        networks = draw(st.lists(prefixes(), min_size=1, max_size=3))
        bounds = [(network.network_address, network.broadcast_address) for network in networks]
    else:
        single = draw(st.lists(st.integers(0, SPREAD - 1), min_size=1, max_size=6, unique=True))
        bounds = [(ADDRESSES[number], ADDRESSES[number]) for number in single]
    name = f"{interval}-" + "-".join(f"{first}_{last}" for first, last in bounds)
    SETS[name] = Lookups(4, tuple(Member(first.packed, last.packed) for first, last in bounds))
    owner = Set(table=TABLE, name=name, key=("ipv4_addr",), interval=interval)
    covered = {number for first, last in bounds for number in range(int(first), int(last) + 1)}
    return of("ip saddr", owner, lambda p: (p.source in covered) != negative, _operator(negative))


CONDITIONS = st.one_of(
    addresses(),
    ports(),
    ranges(),
    names(),
    looked_up(),
    st.just(of("ct state", "new", lambda _: True)),
    st.just(Condition((Unknown(name="quota"),), None)),
)


@st.composite
def rulesets(draw: st.DrawFn) -> tuple[dict[str, list[Drawn]], str]:
    """Draw chains of which each leads to later ones alone, and the policy of the first."""
    names = ["base", "one", "two", "three"][: draw(st.integers(1, 4))]
    chains: dict[str, list[Drawn]] = {}
    for index, name in enumerate(names):
        later = names[index + 1 :]
        verdicts: list[Verdict | None] = [ACCEPT, DROP, DROP, RETURN, None]
        verdicts += [make(target) for target in later for make in (jump, jump, goto)]
        chains[name] = [
            Drawn(tuple(draw(st.lists(CONDITIONS, max_size=2))), draw(st.sampled_from(verdicts)))
            for _ in range(draw(st.integers(0, 4)))
        ]
    return chains, draw(st.sampled_from(["accept", "drop"]))


def compiled(chains: dict[str, list[Drawn]], policy: str) -> Rulesets:
    """Return the ruleset as podnet has it."""
    made = {}
    for name, rules in chains.items():
        expressions = (
            (
                *(e for condition in rule.conditions for e in condition.expressions),
                *(NftRule.new(CHAIN, rule.verdict).expressions if rule.verdict else ()),
            )
            for rule in rules
        )
        base = Base("filter", "forward", 0, policy) if name == "base" else None
        made[name] = Chain(name, base, tuple(Rule(tuple(each)) for each in expressions))
    return Rulesets((Ruleset(TABLE, made, SETS),))


class Ended(Exception):  # noqa: N818 - it is no error
    """The packet was accepted, or dropped at a place."""

    def __init__(self, place: tuple[str, int] | None) -> None:
        """Take where it was dropped; None if it was accepted."""
        super().__init__(place)
        self.place = place


def naive(chains: dict[str, list[Drawn]], policy: str, of: Concrete, coins: Random) -> tuple[str, int] | None:
    """Return where the packet is dropped: chain and number of the rule, 0 the policy; None where it is not."""
    try:
        run(chains, "base", of, coins)
    except Ended as end:
        return end.place
    return ("base", 0) if policy == "drop" else None


def run(chains: dict[str, list[Drawn]], name: str, of: Concrete, coins: Random) -> None:
    """Run a chain to its end, or raise how the packet ended."""
    for number, rule in enumerate(chains[name], 1):
        if not all(c.holds(of) if c.holds else coins.random() < 0.5 for c in rule.conditions) or rule.verdict is None:
            continue
        if rule.verdict == DROP:
            raise Ended((name, number))
        if rule.verdict == ACCEPT:
            raise Ended(None)
        if rule.verdict == RETURN:
            return
        run(chains, rule.verdict.chain, of, coins)
        if rule.verdict.name == "goto":
            return


def abstract(source: IPv4Network, destination: IPv4Network, dport: int | None, protocol: str, link: Link) -> Packet:
    """Return what podnet knows of the packets meant."""
    return packet(Ends(source, destination), protocol, 40000, dport).at(iif=link, oif=Link("up0"))


@settings(deadline=None)
@given(rulesets(), prefixes(), prefixes(), st.sampled_from([None, *PORTS]), st.randoms(use_true_random=False))
def test_each_drop_is_a_hit_and_a_sure_hit_is_a_drop_of_every_packet(
    drawn: tuple[dict[str, list[Drawn]], str],
    source: IPv4Network,
    destination: IPv4Network,
    dport: int | None,
    coins: Random,
) -> None:
    """Of the packets that an abstract one stands for, whatever coins say of rules that podnet cannot tell."""
    protocol = coins.choice(["tcp", "udp"])
    chains, policy = drawn
    meant = abstract(source, destination, dport, protocol, Link("veth-", whole=False))
    hits, _ = walk(compiled(chains, policy), "forward", meant)
    places = {(hit.chain.name, hit.number) for hit in hits}
    for _ in range(20):
        one = Concrete(
            int(source[coins.randrange(source.num_addresses)]),
            int(destination[coins.randrange(destination.num_addresses)]),
            dport or coins.choice(PORTS),
            protocol,
            coins.choice(["veth-a", "veth-b", "veth-c"]),
        )
        place = naive(chains, policy, one, coins)
        assert place is None or place in places
        if any(hit.sure for hit in hits):
            assert place is not None


@settings(deadline=None)
@given(rulesets(), st.integers(0, 15), st.integers(0, 15), st.sampled_from(PORTS), st.sampled_from(["tcp", "udp"]))
def test_a_packet_of_which_all_is_known_has_exactly_its_drop(
    drawn: tuple[dict[str, list[Drawn]], str], source: int, destination: int, dport: int, protocol: str
) -> None:
    """Where no rule is open."""
    chains, policy = drawn
    known = {
        name: [Drawn(tuple(c for c in rule.conditions if c.holds), rule.verdict) for rule in rules]
        for name, rules in chains.items()
    }
    ends = IPv4Network(ADDRESSES[source]), IPv4Network(ADDRESSES[destination])
    meant = abstract(*ends, dport, protocol, Link("veth-a"))
    hits, _ = walk(compiled(known, policy), "forward", meant)
    one = Concrete(int(ADDRESSES[source]), int(ADDRESSES[destination]), dport, protocol, "veth-a")
    place = naive(known, policy, one, Random(0))  # noqa: S311 - no coin is thrown
    assert [(hit.chain.name, hit.number, hit.sure) for hit in hits] == ([(*place, True)] if place else [])
