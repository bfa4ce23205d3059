"""Which nodes etcd's keys make: claims say what is whose, and who contradicts another is left out everywhere alike."""

import re
from ipaddress import ip_address, ip_network

from podnet.cluster.etcd.keys import Claim, Entry, IPNetwork, Malformed, Record, Value
from podnet.cluster.etcd.listing import Candidates, View, malformed
from podnet.cluster.remote.listing import Listing, listed
from podnet.model import Node

RANGE = (ip_network("10.244.0.0/16"), ip_network("fd00:244::/48"))
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def view(**values: tuple[int, Value]) -> dict[str, Entry]:
    """Return keys (with two underscores for a slash) with the revision at which they were created."""
    return {key.replace("__", "/"): Entry(value, made, made, 0) for key, (made, value) in values.items()}


def record(*addresses: str, **more: object) -> Record:
    """Return a record."""
    return Record(tuple(map(ip_address, addresses)), **more)  # type: ignore[arg-type] # as tests give it


def found(known: View, own: Record | None = None, cidrs: tuple[IPNetwork, ...] = ()) -> Listing:
    """Return the nodes that n1 finds."""
    return listed(Candidates("n1", RANGE).of(known, own or record("10.99.0.1"), cidrs))


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
    """Of many nodes one that changes costs itself."""
    made = Candidates("n1", RANGE)
    known = view(nodes__n2=(5, record("10.99.0.2")), nodes__n3=(6, record("10.99.0.3")))
    before = {one.node.name: one for one in made.of(known, record("10.99.0.1"), ())}
    known["nodes/n3"] = Entry(record("10.99.0.33"), 6, 9, 0)
    after = {one.node.name: one for one in made.of(known, record("10.99.0.1"), ())}
    assert after["n1"] is before["n1"]
    assert after["n2"] is before["n2"]
    assert after["n3"].node.addresses == (ip_address("10.99.0.33"),)
    del known["nodes/n2"]
    assert [one.node.name for one in made.of(known, record("10.99.0.1"), ())] == ["n3", "n1"]


def test_values_that_cannot_be_read_are_named() -> None:
    """With their keys, and what to do."""
    known = view(nodes__n2=(5, Malformed("no JSON")))
    assert list(malformed(known)) == ["etcd's key nodes/n2 is ignored: no JSON; delete it, its node writes it anew"]
