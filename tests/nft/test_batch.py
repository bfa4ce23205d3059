"""Batches: all or nothing, whose fault it was, generations, and owners."""

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from podnet.netlink.message import Request
from podnet.nft import DROP, Base, Chain, Element, Object, Rule, Set, Table, Verdict, batch, dump, jump
from podnet.nft import message as wire
from podnet.nft.batch import get_generation
from podnet.nft.expr import Immediate, Lookup
from podnet.nft.statement import Match
from podnet.nft.table import OWNER, PERSIST

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

TABLE = Table("inet", "t")
PODS = Set(table=TABLE, name="pods", key=("ifname", "ipv4_addr"))
CHAIN = Chain(TABLE, "c", Base("filter", "forward", 0))
POD = Element(PODS, ("veth0", IPv4Address("192.0.2.1")))
ENOENT, EPERM, EEXIST, ERESTART = 2, 1, 17, 85


def requests_of(*objects: Object) -> list[Request]:
    """Return the messages that add `objects`."""
    return [r for o in objects for r in o.requests()]


def test_batch_is_enveloped_and_asks_nothing_itself() -> None:
    """Begin and end stand around the requests, which stay as they were."""
    requests = (*TABLE.requests(), *PODS.requests())
    begin, *middle, end = batch(requests)
    assert tuple(middle) == requests
    assert begin == Request(wire.NFNL_MSG_BATCH_BEGIN, 0, b"\0\0\0\x0a")
    assert end == Request(wire.NFNL_MSG_BATCH_END, 0, b"\0\0\0\x0a")


BAD: dict[str, Object] = {
    "an element of no set": Element(Set(table=TABLE, name="none", key=("mark",)), (1,)),
    "a lookup in no set": Rule(chain=CHAIN, expressions=(Lookup(set="none", sreg=1),)),
    "a jump to nowhere": Rule(chain=CHAIN, expressions=(Immediate(dreg=0, data=jump("nowhere")),)),
    "a rule of no chain": Rule(chain=Chain(TABLE, "none"), expressions=(Immediate(dreg=0, data=DROP),)),
}


@pytest.mark.live
@pytest.mark.parametrize("position", ["first", "in the middle", "last"])
@pytest.mark.parametrize("bad", BAD)
def test_one_refused_message_leaves_nothing_of_its_batch(namespace: "Namespace", bad: str, position: str) -> None:
    """The kernel names the refused message and changes nothing, wherever in the batch it stands."""
    assert namespace.apply(TABLE.requests()) == []
    before = namespace.ruleset()
    good = requests_of(PODS, CHAIN, POD)
    (refused,) = BAD[bad].requests()
    index = {"first": 0, "in the middle": 2, "last": len(good)}[position]
    failures = namespace.apply([*good[:index], refused, *good[index:]])
    assert failures == [(index, ENOENT)]
    assert namespace.ruleset() == before


@pytest.mark.live
def test_every_refused_message_is_named(namespace: "Namespace") -> None:
    """The kernel goes on after the first refusal, so that all are told at once."""
    bad = [rule.requests()[0] for rule in BAD.values()]
    good = requests_of(TABLE, PODS, CHAIN)
    failures = namespace.apply([*good, *bad])
    assert failures == [(len(good) + i, ENOENT) for i in range(len(bad))]
    assert namespace.ruleset() == []


@pytest.mark.live
def test_deletions_in_an_aborted_batch_did_not_happen(namespace: "Namespace") -> None:
    """What an aborted batch would have deleted is still there."""
    rule = Rule.new(CHAIN, Match("iifname . ip saddr", PODS, "!="), DROP)
    assert namespace.apply(requests_of(TABLE, PODS, CHAIN, POD, rule)) == []
    before = namespace.ruleset()
    failures = namespace.apply(
        [*POD.requests("delete"), *CHAIN.requests("flush"), *BAD["a rule of no chain"].requests()]
    )
    assert failures == [(2, ENOENT)]
    assert namespace.ruleset() == before


@pytest.mark.live
def test_a_batch_for_an_old_generation_is_refused(namespace: "Namespace") -> None:
    """With a generation the batch is made only if nobody changed the ruleset since."""
    (answer,) = namespace.ask(get_generation(), wire.GenerationMessage)
    assert answer.generation is not None
    assert namespace.answers(batch(TABLE.requests(), generation=answer.generation)).failures == []
    (refusal,) = namespace.answers(batch(PODS.requests(), generation=answer.generation)).failures
    assert (refusal.index, refusal.errno) == (0, ERESTART)
    assert namespace.content(TABLE).sets == ()
    (later,) = namespace.ask(get_generation(), wire.GenerationMessage)
    assert later.generation == answer.generation + 1


@pytest.mark.live
def test_rules_are_inserted_placed_and_deleted_by_handle(namespace: "Namespace") -> None:
    """Add appends, insert puts in front, a position puts beside; a listed rule is deleted by its handle."""
    rules = [Rule.new(CHAIN, Match("meta mark", number), DROP) for number in range(5)]
    assert namespace.apply(requests_of(TABLE, CHAIN, rules[1], rules[3])) == []
    assert namespace.apply(rules[0].requests("insert")) == []
    third = namespace.content(TABLE).rules[2]
    assert namespace.apply(rules[2].requests("insert", position=third.handle)) == []
    assert namespace.apply(rules[4].requests("add", position=third.handle)) == []
    found = namespace.content(TABLE).rules
    assert found == tuple(rules)
    assert namespace.apply(found[0].requests("delete")) == []
    namespace.nft(*found[4].nft("delete").split())
    assert namespace.content(TABLE).rules == tuple(rules[1:4])
    assert namespace.apply(TABLE.requests("flush")) == []
    assert namespace.content(TABLE).rules == ()
    assert namespace.content(TABLE).chains == (CHAIN,)


@pytest.mark.live
def test_equal_rules_with_sets_of_their_own_fit_in_one_batch(namespace: "Namespace") -> None:
    """The same rule twice in a batch gets an anonymous set each."""
    twice = Rule.new(CHAIN, Match("tcp dport", (80, 443)), DROP)
    assert namespace.apply(requests_of(TABLE, CHAIN, twice, twice)) == []
    assert namespace.content(TABLE).rules == (twice, twice)
    assert len(namespace.sets(TABLE)) == 2


@pytest.mark.live
def test_only_one_chain_s_rules_are_asked_for(namespace: "Namespace") -> None:
    """A dump of rules can be of one chain."""
    other = Chain(TABLE, "other")
    rules = [Rule.new(chain, Verdict("return"), comment=chain.name) for chain in (CHAIN, other)]
    assert namespace.apply(requests_of(TABLE, CHAIN, other, *rules)) == []
    (found,) = namespace.ask(dump.list_rules(TABLE, "other"), wire.RuleMessage)
    assert Rule.of(found, {}) == rules[1]


@pytest.mark.live
def test_a_table_of_two_is_told_from_its_neighbour(namespace: "Namespace") -> None:
    """Tables of the same name in other families, and others of the family, stay out of a table's content."""
    neighbours = (Table("ip", "t"), Table("inet", "u"))
    for table in (TABLE, *neighbours):
        chain, owner = Chain(table, "c"), Set(table=table, name="s", key=("mark",))
        objects: tuple[Object, ...] = (
            table, chain, owner, Element(owner, (1,)), Rule.new(chain, DROP),
        )  # fmt: skip
        assert namespace.apply(r for o in objects for r in o.requests()) == []
    for table in (TABLE, *neighbours):
        found = namespace.content(table)
        assert [c.table for c in found.chains] == [table]
        assert [s.table for s in found.sets] == [table]
        assert [e.set.table for e in found.elements] == [table]
        assert [r.chain.table for r in found.rules] == [table]


@pytest.mark.live
def test_an_owned_table_refuses_strangers_and_outlives_its_owner(namespace: "Namespace") -> None:
    """With OWNER only the socket that made the table changes it; with PERSIST it stays when that socket closes."""
    failures = namespace.apply([*TABLE.requests(flags=OWNER | PERSIST), *PODS.requests()])
    if failures:
        pytest.skip("the kernel has no table flag PERSIST (6.9)")
    stranger = type(namespace)(namespace.name)
    try:
        assert stranger.apply(POD.requests()) == [(0, EPERM)]
        assert namespace.apply(POD.requests()) == []
        assert stranger.content(TABLE).elements == (POD,)
        (told,) = stranger.ask(dump.get_table(TABLE), wire.TableMessage)
        assert Table.of(told) == TABLE
        assert told.flags == OWNER | PERSIST
        namespace.socket.close()
        assert stranger.content(TABLE).elements == (POD,)
    finally:
        stranger.socket.close()


@pytest.mark.live
def test_create_refuses_what_is_there(namespace: "Namespace") -> None:
    """``create`` is ``add`` with EXCL: EEXIST for each object that is there."""
    objects = (TABLE, PODS, CHAIN, POD)
    assert namespace.apply(r for o in objects for r in o.requests("create")) == []
    for thing in objects:
        assert namespace.apply(thing.requests("create")) == [(0, EEXIST)]
        namespace.nft("-f", "-", script=thing.nft("add"))
    for thing in reversed(objects):
        assert namespace.apply(thing.requests("delete")) == []
        assert namespace.apply(thing.requests("delete")) == [(0, ENOENT)]
