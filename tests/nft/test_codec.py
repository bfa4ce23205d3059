"""Every message, expression and value: what is encoded decodes to itself, and any bytes decode or raise DecodeError."""

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.errors import DecodeError
from podnet.netlink.attributes import Layout
from podnet.netlink.message import MESSAGES, Request
from podnet.nft import Base, Chain, Element, Interval, Rule, Set, Table, userdata
from podnet.nft import message as wire
from podnet.nft.chain import HOOKS, POLICIES
from podnet.nft.datatype import DATATYPES, concatenated, parts
from podnet.nft.element import elements_of, message_elements
from podnet.nft.expr import EXPRESSION, EXPRESSIONS, Expression, Unknown
from podnet.nft.verdict import CODES, DATA, Verdict

Strategy = st.SearchStrategy[Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,14}", fullmatch=True)
COMMENTS = st.just("") | st.text(st.characters(codec="utf-8", exclude_characters='\0\n"'), max_size=30)
VERDICTS = st.one_of(
    st.sampled_from([Verdict(name) for name in CODES if name not in {"jump", "goto"}]),
    st.builds(Verdict, st.sampled_from(["jump", "goto"]), NAMES),
)


def unsigned(bits: int) -> Strategy:
    """Return integers of so many bits."""
    return st.integers(0, 2**bits - 1)


def of_layout(cls: Any, layout: Layout[Any], **header: Strategy) -> Strategy:
    """Return values of `cls` with any of the layout's fields, all that are needed among them."""
    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    defaults = (msgspec.NODEFAULT,) * (len(names) - len(defaults)) + defaults
    needed = {name for name, default in zip(names, defaults, strict=True) if default is msgspec.NODEFAULT}
    known = {f.name: of_kind(f.kind) for f in layout.fields}
    required = {name: known[name] for name in known if name in needed}
    optional = {name: known[name] for name in known if name not in needed}
    return st.fixed_dictionaries({**required, **header}, optional=optional).map(lambda fields: cls(**fields))


KINDS: dict[str, Callable[[Any], Strategy]] = {
    "u8": lambda _: unsigned(8),
    "be16": lambda _: unsigned(16),
    "be32": lambda _: unsigned(32),
    "be64": lambda _: unsigned(64),
    "sbe32": lambda _: st.integers(-(2**31), 2**31 - 1),
    "string": lambda _: TEXT,
    "bytes": lambda _: st.binary(max_size=30),
    "bytes-list": lambda _: st.lists(unsigned(32), max_size=4).map(tuple),
    "data": lambda _: st.binary(max_size=20) | VERDICTS,
    "expression": lambda _: st.deferred(expressions),
    "nested": lambda layout: of_layout(layout.cls, layout),
    "list": lambda element: st.lists(of_kind(element), max_size=3).map(tuple),
}


def of_kind(kind: Any) -> Strategy:
    """Return values of an attribute kind; a kind without a strategy fails, so that no new one goes untested."""
    return KINDS[kind.name](kind.inner)


def expressions() -> Strategy:
    """Return any expression, one that podnet does not speak among them."""
    foreign = st.builds(Unknown, name=TEXT.filter(lambda name: name not in EXPRESSIONS), data=st.binary(max_size=20))
    return st.one_of(foreign, *(of_layout(cls, cls.LAYOUT) for cls in EXPRESSIONS.values()))


every_expression = pytest.mark.parametrize("cls", EXPRESSIONS.values(), ids=EXPRESSIONS)
MESSAGE_CLASSES = sorted({c for c in MESSAGES.values() if c.__module__ == wire.__name__}, key=lambda c: c.__name__)
every_message = pytest.mark.parametrize("cls", MESSAGE_CLASSES, ids=lambda c: c.__name__)


@every_expression
@settings(max_examples=40)
@given(data=st.data())
def test_expressions_come_back(cls: type[Expression], data: st.DataObject) -> None:
    """An expression encodes to bytes that decode to it; its listing is text."""
    value = data.draw(of_layout(cls, cls.LAYOUT))
    assert EXPRESSION.decode(EXPRESSION.encode(value)) == value
    assert cls.NAME in value.listing


@every_message
@settings(max_examples=40)
@given(data=st.data())
def test_messages_come_back(cls: type[wire.NfTablesMessage], data: st.DataObject) -> None:
    """A message encodes to bytes that decode to it."""
    value = data.draw(of_layout(cls, cls.LAYOUT, family=unsigned(8), version=unsigned(8), resource=unsigned(16)))
    assert cls.decode(value.encode()) == value


@every_message
@settings(max_examples=40)
@given(data=st.data(), noise=st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(cls: type[wire.NfTablesMessage], data: st.DataObject, noise: bytes) -> None:
    """Noise, and messages cut short or with a byte changed, decode or raise DecodeError, nothing else."""
    whole = data.draw(of_layout(cls, cls.LAYOUT, family=unsigned(8))).encode()
    index = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:index] + bytes((whole[index] ^ data.draw(st.integers(1, 255)),)) + whole[index + 1 :]
    for payload in (noise, whole[:index], changed):
        with contextlib.suppress(DecodeError):
            _interpret(cls.decode(payload))


@given(noise=st.binary(max_size=60))
def test_any_bytes_are_an_expression_data_or_user_data_or_refused(noise: bytes) -> None:
    """The decoders of parts raise nothing but DecodeError either."""
    for decode in (EXPRESSION.decode, DATA.decode, userdata.decode, wire.FIELD_LENGTHS.decode):
        with contextlib.suppress(DecodeError):
            decode(noise)


def _interpret(message: object) -> None:
    """Decode a message to its value: what it says may be no value, which is a DecodeError too."""
    if isinstance(message, wire.TableMessage):
        Table.of(message)
    if isinstance(message, wire.ChainMessage):
        Chain.of(message)
    if isinstance(message, wire.SetMessage):
        Set.of(message)
    if isinstance(message, wire.RuleMessage):
        str(Rule.of(message, {}))
    if isinstance(message, wire.ElementsMessage):
        for owner in OWNERS:
            with contextlib.suppress(DecodeError):
                list(elements_of(owner, message.elements or ()))


TABLES = st.builds(Table, st.sampled_from(["inet", "ip", "ip6", "bridge"]), NAMES)
BASES = st.builds(
    Base,
    st.sampled_from(["filter", "nat", "route"]),
    st.sampled_from(sorted(HOOKS)),
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from(sorted(POLICIES)),
)
CHAINS = st.builds(Chain, TABLES, NAMES, st.none() | BASES, COMMENTS)
KEY_TYPES = sorted(set(DATATYPES) - {"verdict"})
ORDERED = ["ipv4_addr", "ipv6_addr", "inet_service", "inet_proto", "ether_addr"]
SETS = st.builds(
    Set,
    table=TABLES,
    name=NAMES,
    key=st.lists(st.sampled_from(ORDERED), min_size=1, max_size=4).map(tuple),
    data=st.just(()) | st.just(("verdict",)) | st.lists(st.sampled_from(KEY_TYPES), min_size=1, max_size=3).map(tuple),
    interval=st.booleans(),
    constant=st.booleans(),
    timeout=st.booleans(),
    size=st.integers(0, 2**31),
    comment=COMMENTS,
)
OWNERS = (
    Set(table=Table("inet", "t"), name="plain", key=("ifname", "ipv4_addr")),
    Set(table=Table("inet", "t"), name="interval", key=("ipv6_addr",), data=("verdict",), interval=True),
    Set(table=Table("ip", "t"), name="both", key=("ipv4_addr", "inet_service"), data=("mark",), interval=True),
)

VALUES: dict[str, Strategy] = {
    "ipv4_addr": unsigned(32).map(IPv4Address),
    "ipv6_addr": unsigned(128).map(IPv6Address),
    "ether_addr": st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":")),
    "ifname": st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True),
    "verdict": VERDICTS,
}


def value_of(name: str) -> Strategy:
    """Return values of the named type."""
    return VALUES.get(name, unsigned(8 * DATATYPES[name].size))


def range_of(name: str) -> Strategy:
    """Return single values, prefixes and ranges of the named type."""
    single = value_of(name)
    if name in {"ether_addr", "ifname"}:
        return single
    ranges = st.tuples(single, single).map(sorted).map(lambda pair: Interval(*pair))
    if name == "ipv4_addr":
        nets = st.tuples(unsigned(32), st.integers(1, 32)).map(lambda t: IPv4Network(t, strict=False))
        return single | ranges | nets
    if name == "ipv6_addr":
        nets6 = st.tuples(unsigned(128), st.integers(1, 128)).map(lambda t: IPv6Network(t, strict=False))
        return single | ranges | nets6
    return single | ranges


@st.composite
def elements(draw: st.DrawFn) -> Element:
    """Return an element of some set."""
    owner = draw(SETS)
    part = range_of if owner.interval else value_of
    key = tuple(draw(part(name)) for name in owner.key)
    data = tuple(draw(value_of(name)) for name in owner.data)
    return Element(owner, key, data, draw(COMMENTS), draw(st.integers(0, 2**40)))


def _only(requests: tuple[Request, ...]) -> Request:
    (request,) = requests
    return request


@given(TABLES)
def test_tables_come_back(table: Table) -> None:
    """A table's message decodes to it."""
    assert Table.of(wire.TableMessage.decode(_only(table.requests()).payload)) == table


@given(CHAINS)
def test_chains_come_back(chain: Chain) -> None:
    """A chain's message decodes to it."""
    assert Chain.of(wire.ChainMessage.decode(_only(chain.requests()).payload)) == chain


@given(SETS)
def test_sets_come_back(owner: Set) -> None:
    """A set's message decodes to it."""
    assert Set.of(wire.SetMessage.decode(_only(owner.requests()).payload)) == owner


@given(elements())
def test_elements_come_back(element: Element) -> None:
    """An element's message decodes to it, ranges and open ends too."""
    message = wire.ElementsMessage.decode(_only(element.requests()).payload)
    assert message_elements(element.set, [message]) == (element,)
    asked = wire.ElementsMessage.decode(element.get().payload)
    assert [e.key for e in asked.elements or ()] == [e.key for e in message.elements or ()]


@given(CHAINS, st.lists(expressions(), max_size=6).map(tuple), COMMENTS)
def test_rules_come_back(chain: Chain, found: tuple[Expression, ...], comment: str) -> None:
    """A rule's message decodes to a rule that equals it, whatever its words and its number."""
    rule = Rule(chain=chain, expressions=found, comment=comment, text="some words", handle=9)
    again = Rule.of(wire.RuleMessage.decode(_only(rule.requests()).payload), {})
    assert again == rule
    assert hash(again) == hash(rule)


@given(st.lists(st.sampled_from(KEY_TYPES), min_size=1, max_size=5).map(tuple))
def test_concatenated_types_have_a_number_of_their_own(types: tuple[str, ...]) -> None:
    """A concatenation's number takes apart into its types."""
    assert parts(concatenated(types)) == types
