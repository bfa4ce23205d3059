"""Ranges: defaults, every refusal, and agreement with a naive model that lists the addresses."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cni.document import RangeEntry
from podnet.cni.ranges import NamedSet, one_range, range_sets
from podnet.errors import InvalidConfiguration
from podnet.model import Range


def named(sets: list[list[RangeEntry]]) -> list[NamedSet]:
    """Give each set the path it would have under a key ``r``."""
    return [(f"r[{index}]", entries) for index, entries in enumerate(sets)]


def addresses(entry: Range) -> set[str]:
    """List what a range gives out, one by one."""
    base = int(entry.subnet[0])
    every = {str(entry.subnet[n - base]) for n in range(int(entry.first), int(entry.last) + 1)}
    taken = {str(address) for net in entry.exclude for address in net}
    return every - taken - {str(entry.gateway)}


def test_an_ipv4_range_leaves_out_network_gateway_and_broadcast() -> None:
    """A /29 gives five addresses."""
    entry = one_range(RangeEntry("10.1.0.0/29"), "r")
    assert entry.gateway == ip_address("10.1.0.1")
    assert addresses(entry) == {f"10.1.0.{n}" for n in range(2, 7)}


def test_an_ipv6_range_gives_its_last_address_too() -> None:
    """IPv6 has no broadcast; its first address is the routers' anycast (RFC 4291, 2.6.1)."""
    entry = one_range(RangeEntry("fd00::/125"), "r")
    assert entry.gateway == ip_address("fd00::1")
    assert addresses(entry) == {f"fd00::{n}" for n in range(2, 8)}


def test_the_widest_pools_are_not_enumerated() -> None:
    """From /8 and /48 to the smallest that can give an address."""
    for subnet in ("10.0.0.0/8", "10.0.0.0/30", "fd00::/48", "fd00::/126"):
        assert one_range(RangeEntry(subnet), "r").subnet == ip_network(subnet)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (RangeEntry("10.1.0.0/31"), "r.subnet: 10.1.0.0/31 is too small to allocate from: give at least a /30"),
        (RangeEntry("10.1.0.1"), "r.subnet: 10.1.0.1/32 is too small"),
        (RangeEntry("fd00::/127"), "fd00::/127 is too small to allocate from: give at least a /126"),
        (RangeEntry("fd00::1/128"), "fd00::1/128 is too small"),
        (RangeEntry("0.0.0.0/0"), "r.subnet: 0.0.0.0/0 is too wide"),
        (RangeEntry("10.1.2.3/16"), "r.subnet: 10.1.2.3/16 has host bits set: the network's address is 10.1.0.0/16"),
        (RangeEntry("10.1.0/16"), "r.subnet: '10.1.0/16' is no IP network"),
        (RangeEntry(""), "r.subnet: '' is no IP network"),
        (RangeEntry("127.0.0.0/8"), "r.subnet: 127.0.0.0/8 is no range for pods"),
        (RangeEntry("169.254.0.0/16"), "is no range for pods"),
        (RangeEntry("ff02::/64"), "is no range for pods"),
        (RangeEntry("10.1.0.0/24", gateway="10.1.1.1"), "r.gateway: 10.1.1.1 is no host address of 10.1.0.0/24"),
        (RangeEntry("10.1.0.0/24", gateway="10.1.0.255"), "give one of 10.1.0.1 to 10.1.0.254"),
        (RangeEntry("10.1.0.0/24", gateway="fd00::1"), "r.gateway"),
        (RangeEntry("10.1.0.0/24", range_start="10.1.0.0"), "r.rangeStart: 10.1.0.0 is no host address"),
        (RangeEntry("10.1.0.0/24", range_end="10.1.0.255"), "r.rangeEnd: 10.1.0.255 is no host address"),
        (RangeEntry("10.1.0.0/24", range_end="x"), "r.rangeEnd: 'x' is no IP address"),
        (RangeEntry("10.1.0.0/24", "10.1.0.9", "10.1.0.8"), "rangeStart 10.1.0.9 comes after rangeEnd 10.1.0.8"),
        (RangeEntry("10.1.0.0/24", exclude=["10.2.0.0/24"]), "r.exclude[0]: 10.2.0.0/24 is not within 10.1.0.0/24"),
        (RangeEntry("10.1.0.0/24", exclude=["10.1.0.4", "10.0.0.0/8"]), "r.exclude[1]: 10.0.0.0/8 is not within"),
        (RangeEntry("10.1.0.0/24", exclude=["fd00::/64"]), "is not within"),
        (RangeEntry("10.1.0.0/30", exclude=["10.1.0.2"]), "gateway and exclude leave no address"),
        (RangeEntry("10.1.0.0/24", "10.1.0.1", "10.1.0.1"), "gateway and exclude leave no address"),
    ],
)
def test_a_range_that_cannot_be_meant_is_told(entry: RangeEntry, told: str) -> None:
    """With the path of the key and what would do."""
    with pytest.raises(InvalidConfiguration) as raised:
        one_range(entry, "r")
    assert told in raised.value.msg


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ([[]], "r[0] is an empty range set"),
        ([[RangeEntry("10.1.0.0/24"), RangeEntry("fd00::/64")]], "r[0] mixes IPv4 and IPv6"),
        (
            [[RangeEntry("10.1.0.0/24"), RangeEntry("10.1.0.0/25")]],
            "r[0][1] (10.1.0.1 to 10.1.0.126) and r[0][0] (10.1.0.1 to 10.1.0.254) overlap",
        ),
        ([[RangeEntry("10.1.0.0/24")], [RangeEntry("10.1.0.0/16")]], "overlap: give each address to one range"),
    ],
)
def test_sets_that_cannot_be_meant_are_told(sets: list[list[RangeEntry]], told: str) -> None:
    """Of one family each, and no address in two ranges."""
    with pytest.raises(InvalidConfiguration) as raised:
        range_sets(named(sets))
    assert told in raised.value.msg


def test_parts_of_one_subnet_may_be_ranges_of_their_own() -> None:
    """What counts is the addresses, not the subnets."""
    low = RangeEntry("10.1.0.0/24", range_end="10.1.0.99")
    high = RangeEntry("10.1.0.0/24", range_start="10.1.0.100", gateway="10.1.0.1")
    assert len(range_sets(named([[low, high], [RangeEntry("fd00::/64")]]))) == 2


OFFSETS = st.none() | st.integers(0, 15)
EXCLUDED = st.lists(st.integers(0, 15), max_size=9)


@given(
    st.sampled_from(["10.1.0.0/28", "fd00::/124"]), OFFSETS, OFFSETS, OFFSETS, st.lists(st.integers(0, 15), max_size=9)
)
def test_ranges_agree_with_a_model_that_lists_addresses(
    text: str, start: int | None, end: int | None, gateway: int | None, excluded: list[int]
) -> None:
    """Accepted exactly where bounds are hosts, in order, and an address remains; and then gives exactly those."""
    subnet: IPv4Network | IPv6Network = ip_network(text)
    hosts = range(1, 15 if subnet.version == 4 else 16)
    low, high, via = (hosts[0] if start is None else start), (hosts[-1] if end is None else end), gateway or 1
    left = [n for n in range(low, high + 1) if n != via and n not in excluded]
    possible = low in hosts and high in hosts and via in hosts and gateway != 0 and bool(left)

    def spelled(offset: int | None) -> str | None:
        return None if offset is None else str(subnet[offset])

    entry = RangeEntry(text, spelled(start), spelled(end), spelled(gateway), [str(subnet[n]) for n in excluded])
    try:
        made = one_range(entry, "r")
    except InvalidConfiguration:
        assert not possible
    else:
        assert possible
        assert addresses(made) == {str(subnet[n]) for n in left}


SPANS = st.tuples(st.integers(1, 254), st.integers(1, 254)).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(st.lists(SPANS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_overlap_agrees_with_a_model_that_lists_addresses(spans: list[list[tuple[int, int]]]) -> None:
    """Ranges are refused exactly where some address stands in two of them."""
    # A gateway outside every span, in a subnet four times as wide, leaves every range its addresses.
    sets = [[RangeEntry("10.1.0.0/22", f"10.1.0.{a}", f"10.1.0.{b}", "10.1.3.1") for a, b in part] for part in spans]
    flat = [n for part in spans for a, b in part for n in range(a, b + 1)]
    if len(flat) == len(set(flat)):
        assert len(range_sets(named(sets))) == len(spans)
    else:
        with pytest.raises(InvalidConfiguration, match="overlap"):
            range_sets(named(sets))
