"""Which nodes etcd's keys make: claims say what is whose, and who contradicts another is left out everywhere alike."""

import re
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.etcd.keys import Claim, Entry, IPNetwork, Malformed, Record, Value, claimed_prefix
from podnet.cluster.etcd.listing import Candidates
from podnet.cluster.remote.listing import Candidate, Listing, listed
from podnet.model import Node

RANGE = (ip_network("10.244.0.0/16"), ip_network("fd00:244::/48"))
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


View = dict[str, Entry]


def view(**values: tuple[int, Value]) -> dict[str, Entry]:
    """Return keys (with two underscores for a slash) with the revision at which they were created."""
    return {key.replace("__", "/"): Entry(value, made, made, 0) for key, (made, value) in values.items()}


def record(*addresses: str, **more: object) -> Record:
    """Return a record."""
    return Record(tuple(map(ip_address, addresses)), **more)  # type: ignore[arg-type] # as tests give it


def found(known: View, own: Record | None = None, cidrs: tuple[IPNetwork, ...] = ()) -> Listing:
    """Return the nodes that n1 finds."""
    candidates = Candidates("n1", RANGE)
    candidates.update(known)
    candidates.changed(own or record("10.99.0.1"), cidrs)
    return listed(candidates.all())


def test_a_node_is_its_record_and_its_claims() -> None:
    """In whatever order they come; a claim without a record is no node, a record without a claim one without pods."""
    known = view(nodes__n2=(5, record("10.99.0.2", "fd99::2", wireguard=KEY)), nodes__n3=(6, record("10.99.0.3")))
    for made, (prefix, name) in enumerate(
        (("fd00:244:0:7::/64", "n2"), ("10.244.7.0/24", "n2"), ("10.244.9.0/24", "n9"))
    ):
        known[f"claims/{prefix}"] = Entry(Claim(name), made, made, 0)
    cidr = ip_network("10.244.1.0/24")
    assert found(known, cidrs=(cidr,)).nodes == (
        Node("n1", (ip_address("10.99.0.1"),), (cidr,)),
        Node(
            "n2",
            (ip_address("10.99.0.2"), ip_address("fd99::2")),
            (ip_network("10.244.7.0/24"), ip_network("fd00:244:0:7::/64")),
            KEY,
        ),
        Node("n3", (ip_address("10.99.0.3"),), ()),
    )


def test_of_two_addresses_of_a_family_the_first_counts() -> None:
    """A record that others wrote may have more than a node of the model."""
    known = view(nodes__n2=(5, record("10.99.0.2", "10.99.0.3", "fd99::2")))
    assert [str(a) for a in found(known).nodes[1].addresses] == ["10.99.0.2", "fd99::2"]


def test_what_cannot_be_meant_is_left_out_with_its_reason() -> None:
    """A claim outside of the range, an address that is none to send to, and one in the pods' range of who was first."""
    known = view(
        nodes__n2=(5, record("10.99.0.2")), nodes__n3=(6, record("127.0.0.1")), nodes__n4=(7, record("10.244.7.9")),
        nodes__n5=(8, record("10.99.0.5")), nodes__n6=(8, record("10.99.0.6", wireguard="x")),
    )  # fmt: skip
    known["claims/192.168.0.0/24"] = Entry(Claim("n2"), 1, 1, 0)
    known["claims/10.244.7.0/24"] = Entry(Claim("n5"), 2, 2, 0)
    known["claims/10.244.8.0/24"] = Entry(Claim("n4"), 3, 3, 0)
    listing = found(known)
    assert [node.name for node in listing.nodes] == ["n1", "n5", "n6"]
    assert [re.split("; |, such", reason)[0] for reason in listing.ignored] == [
        "Node n2 is ignored: its prefix 192.168.0.0/24 is outside the cluster-cidrs (10.244.0.0/16, fd00:244::/48)",
        "Node n3 is ignored: its address 127.0.0.1 cannot be reached from other nodes",
        "Node n4 is ignored: 10.244.7.9/32 overlaps 10.244.7.0/24 of n5",
        "the WireGuard key of node n6 is not a key of WireGuard: 32 bytes in base64",
    ]


def test_a_pool_is_the_first_ones() -> None:
    """Whose claim is older; the other is a node without it."""
    pool = (ip_network("10.244.250.0/28"),)
    known = view(nodes__n2=(5, record("10.99.0.2", pools=pool)), nodes__n3=(6, record("10.99.0.3", pools=pool)))
    known["claims/10.244.3.0/24"] = Entry(Claim("n3"), 1, 1, 0)
    known["claims/10.244.2.0/24"] = Entry(Claim("n2"), 2, 2, 0)
    listing = found(known)
    assert [node.pools for node in listing.nodes] == [(), (), pool]
    assert listing.ignored[0].startswith(
        "Node n2: pools: 10.244.250.0/28 overlaps 10.244.250.0/28 of n3; it is left out"
    )


def test_what_did_not_change_is_not_made_anew() -> None:
    """Of many nodes one that changes is told, and the others stay the values they are."""
    made = Candidates("n1", RANGE)
    own = record("10.99.0.1")
    made.update(view(nodes__n2=(5, record("10.99.0.2")), nodes__n3=(6, record("10.99.0.3"))))
    assert set(made.changed(own)) == {"n1", "n2", "n3"}
    before = {one.node.name: one for one in made.all()}
    made.update(view(nodes__n3=(6, record("10.99.0.33"))))
    changes = made.changed(own)
    assert set(changes) == {"n3"}
    after = {one.node.name: one for one in made.all()}
    assert after["n1"] is before["n1"]
    assert after["n2"] is before["n2"]
    assert after["n3"].node.addresses == (ip_address("10.99.0.33"),)
    made.update({"nodes/n2": None})
    assert made.changed(own) == {"n2": None}
    assert made.changed(own) == {}


NAMES = st.sampled_from(["n1", "n2", "n3", "n4"])
KEYS = st.one_of(
    NAMES.map(lambda name: f"nodes/{name}"),
    st.sampled_from(["claims/10.244.1.0/24", "claims/10.244.2.0/24", "claims/fd00:244:0:1::/64", "claims/no prefix"]),
    st.just("config"),
)
VALUES = st.one_of(
    NAMES.map(Claim),
    st.integers(1, 9).map(lambda number: record(f"10.99.0.{number}")),
    st.just(Malformed("no JSON")),
    st.none(),
)


def naively(known: View) -> dict[str, tuple[Record, tuple[IPNetwork, ...]]]:
    """Return record and prefixes of each node, by going through everything."""
    records = {key.removeprefix("nodes/"): entry.value for key, entry in known.items() if is_record(entry.value)}
    claims = [
        (prefix.version, entry.created, entry.value.node, prefix)
        for key, entry in known.items()
        if isinstance(entry.value, Claim) and (prefix := claimed_prefix(key)) is not None
    ]
    return {
        name: (told, tuple(prefix for _, _, node, prefix in sorted(claims, key=lambda c: c[:2]) if node == name))
        for name, told in records.items()
        if isinstance(told, Record)
    }


def is_record(value: Value) -> bool:
    """Tell whether a value is what others must know of a node."""
    return isinstance(value, Record)


@given(st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=5), max_size=8))
def test_told_of_changes_it_is_as_when_all_is_gone_through(rounds: list[list[tuple[str, Value | None]]]) -> None:
    """Whatever is at which key, and whatever becomes of it; and who is told of what has changed knows the same."""
    candidates, known, heard = Candidates("", ()), dict[str, Entry](), dict[str, Candidate[str]]()
    for revision, changes in enumerate(rounds):
        update: dict[str, Entry | None] = {}
        for number, (key, value) in enumerate(changes):
            fits = (
                value is None or isinstance(value, Record) == key.startswith("nodes/") or isinstance(value, Malformed)
            )
            if fits:
                at = 10 * revision + number
                update[key] = None if value is None else Entry(value, at, at, 0)
        for key, entry in update.items():
            known.pop(key, None)
            if entry is not None:
                known[key] = entry
        candidates.update(update)
        for name, one in candidates.changed().items():
            heard.pop(name, None)
            if one is not None:
                heard[name] = one
        assert {one.node.name: one for one in candidates.all()} == heard
        wanted = naively(known)
        assert {name: (one.node.addresses, one.node.pod_cidrs) for name, one in heard.items()} == {
            name: (told.addresses, prefixes) for name, (told, prefixes) in wanted.items()
        }


def test_values_that_cannot_be_read_are_named() -> None:
    """With their keys, and what to do."""
    candidates = Candidates("n1", RANGE)
    candidates.update(view(nodes__n2=(5, Malformed("no JSON"))))
    assert list(candidates.remarks()) == ["etcd's key nodes/n2 is ignored: no JSON; delete it, its node writes it anew"]
