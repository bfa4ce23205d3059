"""Arithmetic on ranges, against enumeration where they are small and against formulas where they are not."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.errors import InvalidConfiguration
from podnet.ipam import pool_of, pools_of
from podnet.model import Network, Range

IPNetwork = IPv4Network | IPv6Network


@st.composite
def small_ranges(draw: st.DrawFn) -> Range:
    """Draw a range of at most 64 addresses with any bounds, gateway and exclusions, sensible or not."""
    subnet: IPNetwork
    if draw(st.booleans()):
        subnet = IPv4Network((draw(st.integers(0, 2**32 - 1)), draw(st.integers(26, 32))), strict=False)
    else:
        subnet = IPv6Network((draw(st.integers(0, 2**128 - 1)), draw(st.integers(122, 128))), strict=False)
    inside = st.integers(0, subnet.num_addresses - 1).map(lambda n: subnet[n])
    exclude = draw(st.lists(st.tuples(inside, st.integers(0, 4)), max_size=4))
    longest = subnet.max_prefixlen
    return Range(
        subnet=subnet,
        first=draw(inside),
        last=draw(inside),
        gateway=draw(inside),
        exclude=tuple(type(subnet)((int(a), max(subnet.prefixlen, longest - n)), strict=False) for a, n in exclude),
    )


@settings(deadline=None)
@given(of=small_ranges())
def test_usable_addresses_are_those_that_enumeration_finds(of: Range, dict_ledger: Callable[..., Any]) -> None:
    """Membership, size, order, position and its inverse agree with a look at every address."""
    ledger = dict_ledger({})
    usable = [int(a) for a in ledger.usable(of)]
    if not usable:
        with pytest.raises(InvalidConfiguration, match="has no usable address"):
            pool_of(of)
        return
    pool = pool_of(of)
    assert pool.size == len(usable)
    assert [a for a in map(int, of.subnet) if a in pool] == usable
    assert [pool.at(i) for i in range(pool.size)] == usable
    assert [pool.position(a) for a in usable] == list(range(pool.size))
    assert (pool.first, pool.last) == (usable[0], usable[-1])
    for address in range(usable[0] - 2, usable[-1] + 3):
        assert pool.after(address) == next((a for a in usable if a > address), None)
        assert (pool.position(address) is None) == (address not in usable)


@pytest.mark.parametrize("prefixlen", range(8, 31))
def test_ipv4_pools_of_every_size_count_their_hosts(prefixlen: int, make_range: Callable[..., Range]) -> None:
    """A subnet of any prefix length has all but its network, broadcast and gateway addresses, in one span."""
    subnet = IPv4Network((10 << 24, prefixlen))
    pool = pool_of(make_range(str(subnet)))
    assert pool.size == subnet.num_addresses - 3
    assert len(pool.spans) == 1
    assert pool.at(0) == int(subnet[2])
    assert pool.position(int(subnet[-2])) == pool.size - 1


@pytest.mark.parametrize("prefixlen", range(48, 127))
def test_ipv6_pools_of_every_size_count_their_hosts(prefixlen: int, make_range: Callable[..., Range]) -> None:
    """A subnet of any prefix length has all but its anycast and gateway addresses, in one span."""
    subnet = IPv6Network((0xFD << 120, prefixlen))
    pool = pool_of(make_range(str(subnet)))
    assert pool.size == subnet.num_addresses - 2
    assert len(pool.spans) == 1
    assert pool.at(pool.size - 1) == int(subnet[-1])


def test_point_to_point_subnets_have_no_reserved_addresses(make_range: Callable[..., Range]) -> None:
    """In a /31 and a /127 both addresses are hosts; the gateway is one of them."""
    assert pool_of(make_range("10.0.0.0/31")).spans == ((10 << 24, 10 << 24),)
    assert pool_of(make_range("fd00::/127")).size == 1


def test_a_position_outside_is_no_position(make_range: Callable[..., Range]) -> None:
    """Positions run from 0 to size - 1."""
    pool = pool_of(make_range("10.0.0.0/29"))
    for position in (-1, pool.size):
        with pytest.raises(IndexError):
            pool.at(position)


def test_a_range_without_a_usable_address_is_refused_with_what_took_them(make_range: Callable[..., Range]) -> None:
    """The error names range, gateway, and what to do."""
    with pytest.raises(InvalidConfiguration, match=r"10\.0\.0\.0/30 .*gateway 10\.0\.0\.1.*widen it or exclude less"):
        pool_of(make_range("10.0.0.0/30", exclude=["10.0.0.2/32"]))


def test_ranges_of_a_network_may_not_overlap(make_range: Callable[..., Range]) -> None:
    """Overlap within or across range sets is refused by both ranges' names; disjoint ones of one subnet are fine."""
    low, high = make_range("10.0.0.0/24", last="10.0.0.99"), make_range("10.0.0.0/24", first="10.0.0.100")
    v6 = make_range("fd00::/64")
    assert [len(s) for s in pools_of(Network(name="n", ranges=((low, high), (v6,))))] == [2, 1]
    over = make_range("10.0.0.0/24", first="10.0.0.50", last="10.0.0.120")
    for ranges in (((low, over),), ((over,), (high,))):
        with pytest.raises(InvalidConfiguration, match=r"network n: ranges 10\.0\.0\.0/24 .* overlap"):
            pools_of(Network(name="n", ranges=ranges))


def test_a_pool_reads_as_its_subnet_and_bounds(make_range: Callable[..., Range]) -> None:
    """What an error calls a pool is what its configuration says."""
    pool = pool_of(make_range("10.0.0.0/24", first="10.0.0.9"))
    assert str(pool) == "10.0.0.0/24 (10.0.0.9 to 10.0.0.255)"
    assert pool.address(pool.first) == ip_address("10.0.0.9")
