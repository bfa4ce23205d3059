"""Nodes that decide on what they knew once, beside a model of etcd: whatever the order, no prefix is two nodes'."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.cluster.etcd.claiming import Decision, View, Wish, decide, prefixes_of, whole
from podnet.cluster.etcd.keys import (
    Claim,
    ClusterRange,
    Entry,
    IPNetwork,
    Malformed,
    Record,
    Session,
    alive_key,
    claim_key,
    node_key,
)

NODES = 4
ROOMY = ClusterRange((ip_network("10.244.0.0/21"), ip_network("fd00::/61")), 24, 64)  # 8 of each
TIGHT = ClusterRange((ip_network("10.244.0.0/22"),), 24)  # as many as nodes


class Model:
    """etcd in few words: keys at revisions, transactions that compare these, leases that are over when told."""

    def __init__(self) -> None:
        """Begin empty."""
        self.keys: dict[str, Entry] = {}
        self.revision = 1
        self.taken_over: list[tuple[str, str, str]] = []

    def write(self, decision: Decision) -> bool:
        """Do what a decision says if all is as it says."""
        if any((self.keys[key].mod if key in self.keys else 0) != mod for key, mod in decision.compares.items()):
            return False
        self.revision += 1
        before = dict(self.keys)
        for put in decision.puts:
            old = self.keys.get(put.key)
            created = old.created if old else self.revision
            self.keys[put.key] = Entry(put.value, created, self.revision, put.lease)
            if old and isinstance(old.value, Claim) and isinstance(put.value, Claim):
                assert node_key(old.value.node) not in before, "the claim of a node that is there was taken"
                self.taken_over.append((put.key, old.value.node, put.value.node))
        return True

    def expire(self, key: str) -> None:
        """Have the lease of a key be over."""
        if self.keys.pop(key, None):
            self.revision += 1


@dataclass
class Member:
    """A node: what it knows is what it has seen last."""

    wish: Wish
    view: View = field(default_factory=dict)

    def step(self, model: Model) -> Decision:
        """Decide, and write."""
        decision = decide(self.view, self.wish, "/p")
        if decision.rival is None and not decision.refused and (not decision.puts or model.write(decision)):
            self.wish = _with(self.wish, settled=True)
        return decision

    def look(self, model: Model) -> None:
        """See what there is."""
        self.view = dict(model.keys)


def _with(wish: Wish, **changes: object) -> Wish:
    return msgspec.structs.replace(wish, **changes)


def wish(
    number: int, cluster: ClusterRange, *, boot: str = "", session: str = "s", had: tuple[IPNetwork, ...] = ()
) -> Wish:
    """Return what node `number` wants."""
    return Wish(
        name=f"n{number}",
        session=Session(boot or f"b{number}", session),
        range=cluster,
        record=Record((ip_address(f"10.99.0.{number + 1}"),)),
        had=had,
        alive_lease=number * 2 + 1,
        hold_lease=number * 2 + 2,
    )


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["look", "step", "step", "both", "both", "restart", "nap", "die"]), st.integers(0, NODES - 1)
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(ACTS, st.sampled_from([ROOMY, TIGHT]))
def test_no_prefix_is_ever_two_nodes(acts: list[tuple[str, int]], cluster: ClusterRange) -> None:
    """Steps on old knowledge, restarts and leases that end at any time; at last all have what they need, and it stays.

    `nap` ends the lease of a name, `die` that of the record too: the node was away for longer than the grace.
    """
    model = Model()
    members = [Member(wish(number, cluster)) for number in range(NODES)]
    sessions = 0
    for act, number in acts:
        member = members[number]
        if act in {"look", "both"}:
            member.look(model)
        if act in {"step", "both"}:
            member.step(model)
        if act == "restart":
            sessions += 1
            members[number] = Member(wish(number, cluster, session=f"s{sessions}", had=member.wish.had))
        if act in {"nap", "die"}:
            model.expire(alive_key(member.wish.name))
        if act == "die":
            model.expire(node_key(member.wish.name))
        held = [prefix for n in range(NODES) for prefix in prefixes_of(model.keys, f"n{n}")]
        assert len(held) == len(set(held))
    for _ in range(2 * NODES):
        for member in members:
            member.look(model)
            member.step(model)
    for member in members:
        member.look(model)
        assert decide(member.view, member.wish, "/p").puts == ()
        assert whole(prefixes_of(model.keys, member.wish.name), cluster)


def test_one_claims_at_a_time_where_two_saw_the_same() -> None:
    """Of two that want the same prefix on the same knowledge the second is refused, and then takes another."""
    model = Model()
    one, other = Member(wish(0, TIGHT)), Member(wish(1, TIGHT, had=()))
    first = decide(one.view, one.wish, "/p")
    claimed = next(put.key for put in first.puts if put.key.startswith("claims/"))
    other.wish = _with(other.wish, had=(ip_network(claimed.removeprefix("claims/")),))
    one.step(model)
    assert not model.write(decide(other.view, other.wish, "/p"))
    other.look(model)
    other.step(model)
    assert prefixes_of(model.keys, "n0") != prefixes_of(model.keys, "n1") != ()


def joined(cluster: ClusterRange, *numbers: int) -> tuple[Model, list[Member]]:
    """Return etcd with nodes that have joined."""
    model = Model()
    members = [Member(wish(number, cluster)) for number in numbers]
    for member in members:
        member.look(model)
        member.step(model)
        member.look(model)
    return model, members


def test_a_node_that_comes_back_has_its_old_prefix() -> None:
    """After its name's lease, and after the grace: as long as nobody needed it."""
    model, (_, other) = joined(ROOMY, 0, 1)
    old = prefixes_of(model.keys, "n0")
    for keys in ((alive_key("n0"),), (alive_key("n0"), node_key("n0"))):
        for key in keys:
            model.expire(key)
        other.look(model)
        assert other.step(model).puts == ()
        again = Member(wish(0, ROOMY, boot="another", session="t"))
        again.look(model)
        again.step(model)
        assert prefixes_of(model.keys, "n0") == old


def test_a_prefix_is_taken_over_when_there_is_no_other_and_its_node_is_gone() -> None:
    """Not while the record is there; the one who lost it takes another when there is one, and does not get it back."""
    model, _ = joined(TIGHT, 0, 1, 2, 3)
    late = Member(wish(4, TIGHT))
    late.look(model)
    decision = late.step(model)
    assert "no prefix /24 left for this node: all 4 are claimed" in decision.fault
    assert [put.key for put in decision.puts] == ["alive/n4", "nodes/n4"]
    model.expire(node_key("n1"))
    old = prefixes_of(model.keys, "n1")
    late.look(model)
    late.step(model)
    assert prefixes_of(model.keys, "n4") == old
    back = Member(wish(1, TIGHT, session="t", had=old))
    back.look(model)
    assert "no prefix /24 left" in back.step(model).fault
    model.expire(node_key("n2"))
    back.look(model)
    back.step(model)
    assert whole(prefixes_of(model.keys, "n1"), TIGHT)
    assert prefixes_of(model.keys, "n1") != old


def test_what_is_taken_over_must_still_be_abandoned() -> None:
    """A node that comes back between another's look and its transaction keeps its prefix."""
    model, members = joined(TIGHT, 0, 1, 2, 3)
    late = Member(wish(4, TIGHT))
    model.expire(node_key("n1"))
    late.look(model)
    members[1].look(model)
    members[1].step(model)
    assert not model.write(decide(late.view, late.wish, "/p"))
    assert prefixes_of(model.keys, "n4") == ()


def test_a_name_is_one_machines() -> None:
    """Another boot waits until the name's lease is over; a daemon of the same boot follows the one before."""
    model, (member,) = joined(ROOMY, 0)
    other = Member(wish(0, ROOMY, boot="clone"))
    other.look(model)
    assert other.step(model).rival == Session("b0", "s")
    assert decide(other.view, other.wish, "/p").puts == ()
    next_daemon = Member(wish(0, ROOMY, session="t"))
    next_daemon.look(model)
    assert next_daemon.step(model).rival is None
    member.look(model)
    assert member.step(model).rival == Session("b0", "t"), "who had the name does not take it back"
    model.expire(alive_key("n0"))
    other.look(model)
    assert other.step(model).rival is None


def test_another_range_is_refused_with_both() -> None:
    """The first node writes it; who was told another, or whose etcd has something else there, writes nothing."""
    model, _ = joined(ROOMY, 0)
    decision = Member(wish(1, TIGHT), dict(model.keys)).step(model)
    assert decision.refused
    assert decision.puts == ()
    assert (
        "configured for the cluster range 10.244.0.0/22 in /24, and etcd has 10.244.0.0/21 in /24, fd00::/61 in /64 "
        in (decision.fault)
    )
    assert "at /p/config" in decision.fault
    model.keys["config"] = Entry(Malformed("no JSON"), 1, 1, 0)
    assert "not to be read" in Member(wish(1, ROOMY), dict(model.keys)).step(model).fault


def test_a_range_that_was_deleted_is_the_next_ones_to_write() -> None:
    """Nodes that have all they want leave it so, and claims of the old length are kept clear of."""
    model, (member,) = joined(ROOMY, 0)
    model.expire("config")
    member.look(model)
    assert member.step(model).puts == ()
    finer = ClusterRange(ROOMY.cidrs, 26, 64)
    late = Member(wish(1, finer), dict(model.keys))
    late.step(model)
    assert model.keys["config"].value == finer
    (old, _), (new, _) = prefixes_of(model.keys, "n0"), prefixes_of(model.keys, "n1")
    assert new.prefixlen == 26
    assert not new.overlaps(old)


def test_a_claim_that_cannot_be_read_is_somebodys() -> None:
    """It is never taken over."""
    model, _ = joined(TIGHT, 0, 1, 2)
    free = next(p for p in TIGHT.cidrs[0].subnets(new_prefix=24) if claim_key(p) not in model.keys)
    model.keys[claim_key(free)] = Entry(Malformed("?"), 9, 9, 0)
    assert "no prefix" in Member(wish(3, TIGHT), dict(model.keys)).step(model).fault


@pytest.mark.parametrize("key", ["nodes/n0", "alive/n0"])
def test_what_others_delete_is_written_anew(key: str) -> None:
    """The record and the name; with the same claims."""
    model, (member,) = joined(ROOMY, 0)
    old = prefixes_of(model.keys, "n0")
    model.expire(key)
    member.look(model)
    assert [put.key for put in member.step(model).puts] == [key]
    assert prefixes_of(model.keys, "n0") == old


def test_a_record_is_written_when_it_changes() -> None:
    """A new address, key or lease is one put; and all that was decided upon is compared."""
    model, (member,) = joined(ROOMY, 0)
    member.wish = _with(member.wish, record=Record((ip_address("10.99.0.77"),), "key"))
    decision = member.step(model)
    assert [put.key for put in decision.puts] == ["nodes/n0"]
    own = {claim_key(prefix) for prefix in prefixes_of(model.keys, "n0")}
    assert decision.compares.keys() == {"config", "alive/n0", "nodes/n0", *own}
    member.look(model)
    member.wish = _with(member.wish, hold_lease=99)
    assert [put.lease for put in member.step(model).puts] == [99]
