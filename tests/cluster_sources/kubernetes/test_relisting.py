"""A listing kept current is the listing made anew, whatever has changed and however much of it."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.kubernetes.listing import candidate
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY, NodeObject
from podnet.cluster.remote.listing import Candidate, listed
from podnet.cluster.remote.relisting import FEW, Relisting
from podnet.wireguard.key import to_text

KEYS = [to_text(bytes([number]) * 32) for number in range(3)]

# Mostly prefixes and addresses that nobody else has, so that listings are simple for a while; at times those of others.
NUMBERS = st.integers(0, 9)


@st.composite
def objects(draw: st.DrawFn) -> NodeObject:
    """Return a Node, mostly with what its own name stands for."""
    number = draw(NUMBERS)
    own = number if draw(st.integers(0, 5)) else draw(NUMBERS)
    dual = (ip_network(f"fd00:{own}::/64"),) if draw(st.booleans()) else ()
    inside = draw(st.integers(0, 9)) == 0
    address = ip_address(f"10.{own}.0.9") if inside else ip_address(f"192.0.2.{own if draw(st.booleans()) else number}")
    return NodeObject(
        name=f"n{number}",
        created=draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
        addresses=(address, *([ip_address(f"2001:db8::{own + 1}")] if draw(st.booleans()) else [])),
        pod_cidrs=(ip_network(f"10.{own}.0.0/{draw(st.sampled_from([24, 24, 24, 8]))}", strict=False), *dual),
        pools=(ip_network(f"10.{20 + own}.0.0/24"),) if draw(st.integers(0, 9)) == 0 else (),
        annotations=((WIREGUARD_KEY, draw(st.sampled_from(KEYS))),) if draw(st.integers(0, 5)) == 0 else (),
        malformed="podCIDR 'x'" if draw(st.integers(0, 19)) == 0 else "",
    )


Changes = list[tuple[str, Candidate[NodeObject] | None]]
changes = st.lists(
    st.one_of(
        objects().map(lambda one: (one.name, candidate(one))),
        NUMBERS.map(lambda number: (f"n{number}", None)),
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(st.tuples(st.booleans(), changes), max_size=12))
def test_the_same_as_listed_anew(rounds: list[tuple[bool, Changes]]) -> None:
    """Told what has changed, or to see for itself: nodes and what is ignored are what all candidates make together."""
    known: dict[str, Candidate[NodeObject]] = {}
    relisting = Relisting()
    for told, listed_changes in rounds:
        changed = dict(listed_changes)
        for name, one in changed.items():
            if one is None:
                known.pop(name, None)
            else:
                known[name] = one
        found = (relisting.follow(changed) if told else None) or relisting.listed(known.values())
        assert found == listed(known.values())


def test_many_changes_at_once_are_listed_anew() -> None:
    """As after a list: nobody is compared one by one."""
    many = {f"m{i}": candidate(NodeObject(name=f"m{i}", pod_cidrs=(ip_network(f"10.9.{i}.0/24"),))) for i in range(200)}
    relisting = Relisting()
    assert relisting.follow(many) is None
    assert relisting.listed(many.values()) == listed(many.values())
    assert relisting.follow(dict.fromkeys(list(many)[: FEW + 1])) is None


def test_one_that_changes_back_is_as_before() -> None:
    """It claims what it claimed, and who comes for that meanwhile contradicts it as before."""
    one = candidate(NodeObject(name="n1", created="1", pod_cidrs=(ip_network("10.1.0.0/24"),)))
    moved = candidate(NodeObject(name="n1", created="1", pod_cidrs=(ip_network("10.2.0.0/24"),)))
    late = candidate(NodeObject(name="n2", created="2", pod_cidrs=(ip_network("10.1.0.0/24"),)))
    relisting = Relisting()
    relisting.listed([one])
    for state in (moved, one):
        listing = relisting.follow({"n1": state})
        assert listing is not None
        assert listing.nodes == (state.node,)
    assert relisting.follow({"n2": late}) is None
    assert [node.name for node in relisting.listed([one, late]).nodes] == ["n1"]
