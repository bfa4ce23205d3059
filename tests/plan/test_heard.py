"""What was heard of many links comes in parts: all of it, and no part of more links than asked for."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from podnet.plan import PROTOCOL, Heard, Route

NAMES = st.sampled_from([f"veth-{letter}" for letter in "abcdefgh"])
ROUTES = st.builds(
    lambda dev, number: Route(at="node", dst=ip_network(f"10.244.1.{number}/32"), dev=dev, protocol=PROTOCOL),
    NAMES,
    st.integers(2, 9),
)


@given(
    st.lists(ROUTES, max_size=12),
    st.frozensets(NAMES),
    st.sampled_from([(), ("nft (pid 7)",)]),
    st.integers(1, 9),
)
def test_nothing_is_lost_nor_told_twice(
    objects: list[Route], links: frozenset[str], writers: tuple[str, ...], size: int
) -> None:
    """Objects stay together with the link that they are on, in their order; writers come first."""
    heard = Heard(tuple(objects), links, writers)
    parts = list(heard.parts(size))
    assert sorted(map(repr, (thing for part in parts for thing in part.objects))) == sorted(map(repr, objects))
    places = [part.links | {thing.dev for thing in part.objects if isinstance(thing, Route)} for part in parts]
    assert sum(map(len, places)) == len(frozenset().union(*places)), "no link is in two parts"
    assert frozenset().union(*(part.links for part in parts)) == links
    assert all(len(place) <= size for place in places)
    assert [part.writers for part in parts] == [writers, *[()] * (len(parts) - 1)]
    for part in parts:
        for name in {thing.dev for thing in part.objects if isinstance(thing, Route)}:
            assert [t for t in part.objects if getattr(t, "dev", "") == name] == [t for t in objects if t.dev == name]


def test_what_was_lost_is_one_part() -> None:
    """Anything may have changed: whoever sees to that asks for pods by their links."""
    assert list(Heard(lost=True).parts(3)) == [Heard(lost=True)]
