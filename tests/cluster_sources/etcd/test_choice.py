"""Which prefix a node takes, beside the naive way: all prefixes listed, all compared with all."""

from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.etcd.choice import Space, choose

names = st.integers(0, 999).map(lambda i: f"n{i}")


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Draw spaces of 1 to 64 prefixes."""
    length = draw(st.integers(24, 28))
    cidrs = draw(st.lists(st.tuples(st.integers(0, 15), st.integers(22, 24)), min_size=1, max_size=3))
    found: list[IPv4Network] = []
    for number, bits in cidrs:
        cidr = IPv4Network((int(IPv4Network("10.0.0.0/8").network_address) + (number << 10), bits))
        if not any(cidr.overlaps(other) for other in found):
            found.append(cidr)
    return Space(tuple(found), length)


claimed = st.lists(
    st.builds(
        lambda number, bits: ip_network(f"10.0.{number >> 4}.{(number & 15) << 4}/{bits}", strict=False),
        st.integers(0, 1023),
        st.integers(22, 28),
    ),
    max_size=40,
    unique=True,
)


def listed(space: Space) -> list[IPv4Network]:
    """Return all prefixes of a space, the slow way."""
    return [part for cidr in space.cidrs for part in cidr.subnets(new_prefix=space.length)]  # type: ignore[misc] # IPv4


@given(spaces())
def test_a_space_is_its_prefixes_in_order(space: Space) -> None:
    """By number, as ipaddress lists them; and nothing else is one of them."""
    assert [space.prefix(number) for number in range(space.size)] == listed(space)
    assert all(map(space.holds, listed(space)))
    assert not space.holds(ip_network("192.0.2.0/24"))
    assert not space.holds(ip_network("fd00::/64"))
    assert not space.holds(space.cidrs[0].supernet())
    with pytest.raises(IndexError):
        space.prefix(space.size)


@given(names, spaces(), claimed, st.data())
def test_a_prefix_is_free_or_abandoned_or_there_is_none(
    name: str, space: Space, taken: list[IPv4Network], data: st.DataObject
) -> None:
    """Free ones come before abandoned ones, and there is none only where there is neither."""
    abandoned = data.draw(st.lists(st.sampled_from(taken), unique=True) if taken else st.just([]))
    free = [prefix for prefix in listed(space) if not any(prefix.overlaps(claim) for claim in taken)]
    found = choose(name, space, taken, abandoned, ())
    if free:
        assert found in free
    else:
        assert found in {prefix for prefix in abandoned if space.holds(prefix)} or (
            found is None and not any(map(space.holds, abandoned))
        )
    assert choose(name, space, taken[::-1], abandoned[::-1], ()) == found


@given(names, spaces(), claimed, st.data())
def test_what_a_node_had_it_has_again(name: str, space: Space, taken: list[IPv4Network], data: st.DataObject) -> None:
    """Where it is one of the space's and nobody has any of it."""
    had = data.draw(st.sampled_from(listed(space)))
    found = choose(name, space, taken, (), [ip_network("192.0.2.0/24"), had])
    assert (found == had) or any(had.overlaps(claim) for claim in taken)


def test_many_seldom_want_the_same() -> None:
    """Of 64 names in 256 prefixes four fifths at least want one that no other wants."""
    space = Space((ip_network("10.244.0.0/16"),), 24)
    wanted = [choose(f"node-{i}", space, (), (), ()) for i in range(64)]
    assert len(set(wanted)) > 51


def test_a_space_need_not_be_walked() -> None:
    """Of 2^48 prefixes one is found at once, also behind an old claim of half of them."""
    space = Space((ip_network("fd00::/16"),), 64)
    half = [ip_network("fd00::/17"), ip_network("fd00:8000::/18")]
    for name in ("a", "b", "c", "d"):
        found = choose(name, space, half, (), ())
        assert found is not None
        assert space.holds(found)
        assert not any(found.overlaps(claim) for claim in half)
