"""Every registered message: what is encoded decodes to itself, and any bytes decode or raise DecodeError.

The strategies are derived from the registry: a class by its HEADER_STRUCT and LAYOUT, an attribute by its kind.  A kind
without a strategy here fails these tests, so that no new one goes untested.
"""

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.errors import DecodeError
from podnet.netlink.attributes import NLA_F_NESTED, Field, Kind, Layout, attribute, attributes, listed, u32
from podnet.netlink.generic import controller
from podnet.netlink.generic.wireguard import Device, Endpoint
from podnet.netlink.message import MESSAGES, Message, Request, envelopes, frame
from podnet.netlink.netfilter.conntrack import Conntrack
from podnet.netlink.rtnl import AF_BRIDGE, Action, Link, LinkInfo, NextHop, Options, Selector, Veth, link
from podnet.netlink.rtnl.filter import ACTIONS, Key, MirredParms
from podnet.netlink.rtnl.linkinfo import LINK_DATA, SLAVE_DATA, BridgePort
from podnet.netlink.rtnl.qdisc import TbfParms
from podnet.netlink.rtnl.tc import TcObject
from podnet.netlink.transaction import NLMSG_DONE, NLMSG_ERROR, Transaction

CLASSES = sorted({c for c in MESSAGES.values() if c.__module__.startswith("podnet.netlink.")}, key=lambda c: c.__name__)
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)

# Time is no claim here, and the widest class has thirty fields.
unhurried = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

Strategy = st.SearchStrategy[Any]


def unsigned(bits: int) -> Strategy:
    """Return integers of so many bits."""
    return st.integers(0, 2**bits - 1)


def signed(bits: int) -> Strategy:
    """Return integers of so many bits, with sign."""
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ADDRESS = st.builds(IPv4Address, unsigned(32)) | st.builds(IPv6Address, unsigned(128))
MAC = st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))


def of_struct(cls: Any, *args: Strategy, **kwargs: Strategy) -> Strategy:
    """Return values of `cls` with these fields."""
    return st.builds(cls, *args, **kwargs)


def of_layout(cls: Any, layout: Layout[Any]) -> Strategy:
    """Return values of `cls` in which any of the layout's fields is set."""
    return st.fixed_dictionaries({}, optional={f.name: of_kind(f.kind) for f in layout.fields}).map(lambda f: cls(**f))


def options_of(classes: dict[str, type[Options]]) -> Strategy:
    """Return (kind, options): typed ones of a kind that has a class, bytes of one that has none."""
    known = [st.tuples(st.just(kind), of_layout(cls, cls.LAYOUT)) for kind, cls in sorted(classes.items())]
    return st.one_of(*known, st.tuples(TEXT.filter(lambda kind: kind not in classes), st.binary(max_size=20)))


NEXTHOP = of_struct(
    NextHop,
    flags=unsigned(8),
    hops=unsigned(8),
    ifindex=signed(32),
    gateway=st.none() | ADDRESS,
    via=st.none() | ADDRESS,
)
KEY = of_struct(Key, unsigned(32), unsigned(32), signed(32), signed(32))
ACTION = st.deferred(lambda: options_of(dict(ACTIONS))).map(lambda pair: Action(*pair))


def linkinfo() -> Strategy:
    """Return link kinds with their options."""
    none = st.just((None, None))
    return st.tuples(none | options_of(LINK_DATA), none | options_of(SLAVE_DATA)).map(lambda t: LinkInfo(*t[0], *t[1]))


def peer() -> Strategy:
    """Return the other ends of veth pairs."""
    fixed = header(Link)
    fields = {f.name: of_kind(f.kind) for f in link._PEER_LAYOUT.fields}
    return st.tuples(fixed, st.fixed_dictionaries({}, optional=fields)).map(lambda t: Link(**t[0], **t[1]))


KINDS: dict[str, Callable[[Any], Strategy]] = {
    "u8": lambda _: unsigned(8),
    "u16": lambda _: unsigned(16),
    "u32": lambda _: unsigned(32),
    "u64": lambda _: unsigned(64),
    "s32": lambda _: signed(32),
    "be16": lambda _: unsigned(16),
    "be32": lambda _: unsigned(32),
    "be64": lambda _: unsigned(64),
    "string": lambda _: TEXT,
    "bytes": lambda _: st.binary(max_size=30),
    "flag": lambda _: st.just(value=True),
    "ip": lambda _: ADDRESS,
    "mac": lambda _: MAC,
    "nested": lambda layout: of_layout(layout.cls, layout),
    "list": lambda element: st.lists(of_kind(element), max_size=3).map(tuple),
    "linkinfo": lambda _: linkinfo(),
    "struct": lambda _: of_layout(BridgePort, BridgePort.LAYOUT),
    "peer": lambda _: peer(),
    "inet conf": lambda _: st.dictionaries(st.integers(1, 33), signed(32), max_size=5),
    "array of s32": lambda _: st.lists(signed(32), max_size=5).map(tuple),
    "port range": lambda _: st.tuples(unsigned(16), unsigned(16)),
    "multipath": lambda _: st.lists(NEXTHOP, max_size=3).map(tuple),
    "tbf parms": lambda _: of_struct(
        TbfParms, *[unsigned(32)] * 4, unsigned(8), unsigned(8), unsigned(16), signed(16), unsigned(16)
    ),
    "u32 selector": lambda _: of_struct(Selector, st.lists(KEY, max_size=3).map(tuple), unsigned(8)),
    "mirred parms": lambda _: of_struct(
        MirredParms, unsigned(32), signed(32), signed(32), unsigned(32), unsigned(32), signed(32), signed(32)
    ),
    "actions": lambda _: st.lists(ACTION, max_size=3).map(tuple),
    "sockaddr": lambda _: of_struct(Endpoint, ADDRESS, unsigned(16)),
}


def of_kind(kind: Kind[Any]) -> Strategy:
    """Return values that an attribute of this kind can carry."""
    return st.deferred(lambda: KINDS[kind.name](kind.inner))


def header(cls: type[Message]) -> Strategy:
    """Return the fields of the fixed header, each within the integer that holds it."""
    widths = {"B": unsigned(8), "H": unsigned(16), "I": unsigned(32), "i": signed(32)}
    letters = [c for c in cls.HEADER_STRUCT.format if c in widths]
    return st.fixed_dictionaries(dict(zip(cls.HEADER_FIELDS, (widths[c] for c in letters), strict=True)))


def messages(cls: type[Message]) -> Strategy:
    """Return values of the message class, options matching their kind and the layout its family."""
    layouts = [cls.LAYOUT]
    if issubclass(cls, TcObject):
        plain = {"chain": unsigned(32)}
        pairs = options_of(dict(cls.OPTIONS)).map(lambda pair: {"kind": pair[0], "options": pair[1]})
        attributes_of = [st.tuples(st.fixed_dictionaries({}, optional=plain), pairs).map(lambda t: t[0] | t[1])]
    else:
        if cls is Link:
            layouts.append(link._BRIDGE_LAYOUT)
        attributes_of = [
            st.fixed_dictionaries({}, optional={f.name: of_kind(f.kind) for f in layout.fields}) for layout in layouts
        ]

    def build(fixed: dict[str, Any], found: dict[str, Any]) -> Message:
        if cls is Link:
            fixed = fixed | {"family": AF_BRIDGE if "port" in found else 0}
        return cls(**fixed, **found)

    return st.builds(build, header(cls), st.one_of(attributes_of))


@every_class
@unhurried
@given(data=st.data())
def test_what_is_encoded_decodes_to_itself(cls: type[Message], data: st.DataObject) -> None:
    """Encoding then decoding a message of any registered class gives the same value."""
    value = data.draw(messages(cls))
    assert cls.decode(value.encode()) == value


@every_class
@unhurried
@given(data=st.data())
def test_any_subset_of_fields_decodes_alone(cls: type[Message], data: st.DataObject) -> None:
    """Decoding only some fields gives these as the whole decoding does, and leaves the others at their defaults."""
    value = data.draw(messages(cls))
    names = [f.name for f in cls.LAYOUT.fields]
    only = tuple(data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
    some = cls.decode(value.encode(), only=only)
    for name in (*only, *cls.HEADER_FIELDS):
        assert getattr(some, name) == getattr(value, name)


@every_class
@unhurried
@given(data=st.data())
def test_any_bytes_decode_or_raise_decode_error(cls: type[Message], data: st.DataObject) -> None:
    """Random bytes, and valid messages with a byte changed, a tail cut or junk appended, never raise anything else."""
    payload = bytearray(data.draw(messages(cls)).encode())
    match data.draw(st.sampled_from(["random", "change", "cut", "append"])):
        case "random":
            payload = bytearray(data.draw(st.binary(max_size=120)))
        case "change":
            for _ in range(data.draw(st.integers(1, 4))):
                payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(unsigned(8))
        case "cut":
            del payload[data.draw(st.integers(0, len(payload))) :]
        case "append":
            payload += data.draw(st.binary(max_size=12))
    with contextlib.suppress(DecodeError):
        assert isinstance(cls.decode(bytes(payload)), cls)


@every_class
@unhurried
@given(data=st.data())
def test_random_attributes_decode_or_raise_decode_error(cls: type[Message], data: st.DataObject) -> None:
    """Well-formed lists of the class's own attribute numbers with random payloads decode or raise DecodeError."""
    numbers = st.sampled_from([f.number for f in cls.LAYOUT.fields])
    inner = st.binary(max_size=24) | st.builds(attribute, st.integers(0, 40), st.binary(max_size=24))
    parts = data.draw(st.lists(st.builds(attribute, numbers, inner | st.lists(inner).map(b"".join)), max_size=6))
    with contextlib.suppress(DecodeError):
        cls.decode(b"\0" * cls.HEADER_STRUCT.size + b"".join(parts))


@unhurried
@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))), st.binary(max_size=3))
def test_attributes_are_walked_as_written(pairs: list[tuple[int, bytes]], junk: bytes) -> None:
    """The walker finds each attribute as it was written; a tail too short for a header is padding."""
    data = b"".join(attribute(number, payload) for number, payload in pairs)
    assert list(attributes(data + junk)) == pairs


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_walk_or_raise_decode_error(data: bytes) -> None:
    """The attribute walker, the envelope walker and a transaction take any bytes, or raise DecodeError."""
    for walk in (attributes, envelopes):
        with contextlib.suppress(DecodeError):
            list(walk(data))
    with contextlib.suppress(DecodeError):
        Transaction([Request(16, 0, b"")], 1).feed(data)


@unhurried
@given(st.sampled_from([NLMSG_ERROR, NLMSG_DONE]), unsigned(16), st.binary(max_size=120))
def test_any_answer_is_taken_or_raises_decode_error(number: int, flags: int, payload: bytes) -> None:
    """An error or done message with any flags and payload is taken in, or raises DecodeError."""
    transaction = Transaction([Request(16, 0, b"")], 7)
    with contextlib.suppress(DecodeError):
        transaction.feed(frame(Request(number, flags, payload), 7))
        assert transaction.done


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    """A veth peer within a veth peer within ..., a thousand deep, decodes no deeper than one peer."""
    payload = b""
    for _ in range(1000):
        data = attribute(1 | NLA_F_NESTED, b"\0" * 16 + payload)
        payload = attribute(18, attribute(1, b"veth\0") + attribute(2, data))
    decoded = Link.decode(b"\0" * 16 + payload)
    assert decoded.linkinfo == LinkInfo("veth", Veth(peer=Link()))


@unhurried
@given(st.lists(unsigned(32)))
def test_lists_decode_to_themselves(values: list[int]) -> None:
    """A listed attribute holds equal elements in order."""
    layout: Layout[dict[str, Any]] = Layout(dict, Field("values", 1, listed(u32, 1)))
    data = attribute(1, listed(u32, 1).encode(tuple(values)))
    assert layout.decode(data) == {"values": tuple(values)}


def test_every_class_has_a_struct_that_fits_its_fields() -> None:
    """HEADER_STRUCT packs exactly as many values as HEADER_FIELDS names, and no attribute number is used twice."""
    assert {Link, Conntrack, controller.Family, Device} < set(CLASSES)
    for cls in CLASSES:
        size = cls.HEADER_STRUCT.size
        assert len(Struct(cls.HEADER_STRUCT.format).unpack(b"\0" * size)) == len(cls.HEADER_FIELDS)
        numbers = [f.number for f in cls.LAYOUT.fields]
        assert len(numbers) == len(set(numbers))
