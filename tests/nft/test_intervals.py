"""Interval sets against nft's own listing: prefixes, ranges, neighbours, the ends of the number line."""

import itertools
import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.nft import Element, Interval, Set, Table

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

pytestmark = pytest.mark.live

TABLE = Table("inet", "t")
NETS4 = Set(table=TABLE, name="nets4", key=("ipv4_addr",), interval=True)
NETS6 = Set(table=TABLE, name="nets6", key=("ipv6_addr",), interval=True)
PAIRS = Set(table=TABLE, name="pairs", key=("ipv4_addr", "inet_service"), interval=True)

live_settings = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # emptied at the start of every example
)


def ranges_of(cls: type[IPv4Address] | type[IPv6Address], bits: int) -> st.SearchStrategy[list[Any]]:
    """Return disjoint ranges, many of them adjacent, some at the first and the last address there is.

    Sorted cuts of the number line; between neighbouring cuts a range is taken or left.  Small numbers are moved apart
    so that prefixes occur: a cut is a multiple of a power of two.
    """
    cut = st.tuples(st.integers(0, 2**bits - 1), st.sampled_from([0, 8, bits // 2, bits - 8])).map(
        lambda t: t[0] >> t[1] << t[1]
    )
    cuts = st.lists(cut, unique=True, min_size=1, max_size=6).map(lambda c: [*sorted({0, *c}), 2**bits])

    def taken(points: list[int]) -> st.SearchStrategy[list[Any]]:
        spans = [Interval(cls(a), cls(b - 1)) for a, b in itertools.pairwise(points)]
        return st.lists(st.sampled_from(spans), unique=True, min_size=1, max_size=len(spans))

    return cuts.flatmap(taken)


def listed(namespace: "Namespace", owner: Set) -> list[Any]:
    """Return the set's elements as the tool lists them in JSON."""
    table = owner.table
    answer = json.loads(namespace.nft("-j", "list", "set", table.family, table.name, owner.name))
    (found,) = (item["set"] for item in answer["nftables"] if "set" in item)
    members: list[Any] = found.get("elem", [])
    return members


def bounds_of(item: Any) -> tuple[int, int]:
    """Return first and last of one element that the tool listed, as numbers."""
    if isinstance(item, dict) and "prefix" in item:
        net: IPv4Network | IPv6Network
        text = f"{item['prefix']['addr']}/{item['prefix']['len']}"
        net = IPv6Network(text) if ":" in text else IPv4Network(text)
        return int(net.network_address), int(net.broadcast_address)
    first, last = item["range"] if isinstance(item, dict) else (item, item)
    cls = IPv6Address if ":" in first else IPv4Address
    return int(cls(first)), int(cls(last))


def check(namespace: "Namespace", owner: Set, spans: list[Any], one_by_one: bool) -> None:
    """Put `spans` into the set and compare the tool's listing, podnet's, and what is left after deleting half."""
    members = [Element(owner, (span,)) for span in spans]
    assert namespace.apply([*TABLE.requests(), *owner.requests(), *owner.requests("flush")]) == []
    batches = [[m] for m in members] if one_by_one else [members]
    for group in batches:
        assert namespace.apply(r for m in group for r in m.requests()) == []
    wanted = sorted((int(a), int(b)) for a, b in spans)
    assert sorted(bounds_of(item) for item in listed(namespace, owner)) == wanted
    assert set(namespace.content(TABLE).elements) == set(members)
    half = members[::2]
    assert namespace.apply(r for m in half for r in m.requests("delete")) == []
    assert set(namespace.content(TABLE).elements) == set(members[1::2])


@live_settings
@given(spans=ranges_of(IPv4Address, 32), one_by_one=st.booleans())
def test_ipv4_ranges(namespace: "Namespace", spans: list[Any], one_by_one: bool) -> None:
    """Any disjoint ranges of IPv4, together or one by one, in any order, are what the tool lists."""
    check(namespace, NETS4, spans, one_by_one)


@live_settings
@given(spans=ranges_of(IPv6Address, 128), one_by_one=st.booleans())
def test_ipv6_ranges(namespace: "Namespace", spans: list[Any], one_by_one: bool) -> None:
    """The same for IPv6."""
    check(namespace, NETS6, spans, one_by_one)


@live_settings
@given(spans=ranges_of(IPv4Address, 32))
def test_text_makes_the_same_set(namespace: "Namespace", oracle: "Namespace", spans: list[Any]) -> None:
    """The tool, given podnet's text, lists what podnet's messages made."""
    members = [Element(NETS4, (span,)) for span in spans]
    for place in (namespace, oracle):
        assert place.apply([*TABLE.requests(), *NETS4.requests(), *NETS4.requests("flush")]) == []
    assert namespace.apply(r for m in members for r in m.requests()) == []
    oracle.nft("-f", "-", script="\n".join(m.nft() for m in members))
    assert listed(namespace, NETS4) == listed(oracle, NETS4)
    oracle.nft("-f", "-", script="\n".join(m.nft("delete") for m in members))
    assert listed(oracle, NETS4) == []


@live_settings
@given(
    nets=st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)).map(lambda t: IPv4Network(t, strict=False)),
        unique_by=lambda n: n.prefixlen,
        min_size=1,
        max_size=6,
    ),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted),
)
def test_concatenated_ranges(
    namespace: "Namespace", oracle: "Namespace", nets: list[IPv4Network], ports: list[int]
) -> None:
    """A prefix beside a range of ports is one element, whose text and messages make the same set."""
    port = Interval(*ports)
    disjoint = [n for i, n in enumerate(nets) if not any(n.overlaps(m) for m in nets[:i])]
    members = [Element(PAIRS, (net, port)) for net in disjoint]
    for place in (namespace, oracle):
        assert place.apply([*TABLE.requests(), *PAIRS.requests(), *PAIRS.requests("flush")]) == []
    assert namespace.apply(r for m in members for r in m.requests()) == []
    oracle.nft("-f", "-", script="\n".join(m.nft() for m in members))
    assert set(namespace.content(TABLE).elements) == set(oracle.content(TABLE).elements) == set(members)
    assert sorted(map(str, listed(namespace, PAIRS))) == sorted(map(str, listed(oracle, PAIRS)))


def test_kubernetes_ranges(namespace: "Namespace") -> None:
    """Neighbouring pod CIDRs stay apart: none is merged, each can be taken out alone."""
    nets = [IPv4Network(f"10.244.{i}.0/24") for i in range(8)]
    members = [Element(NETS4, (net,)) for net in nets]
    assert namespace.apply([*TABLE.requests(), *NETS4.requests()]) == []
    for member in reversed(members):
        assert namespace.apply(member.requests()) == []
    assert namespace.content(TABLE).elements == tuple(members)
    assert namespace.apply(members[3].requests("delete")) == []
    assert namespace.content(TABLE).elements == (*members[:3], *members[4:])
    assert namespace.apply(members[3].requests()) == []
    assert [item["prefix"]["addr"] for item in listed(namespace, NETS4)] == [str(n.network_address) for n in nets]
