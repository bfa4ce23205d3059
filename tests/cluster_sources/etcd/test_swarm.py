"""Many nodes at once, killed at random: what etcd has to say of it at every revision that there was."""

import random
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from podnet.cluster.etcd import Endpoints
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import Claim, claimed_prefix, decode_entry
from tests.cluster_sources.etcd.server import Etcd
from tests.cluster_sources.etcd.swarm import PREFIX, Swarm

NODES = 64
KILLS = 96
RANGES = {4: "10.244.0.0/18", 6: "fd00:244::/58"}  # of each family as many prefixes as nodes, not one more

Launch = Callable[..., Swarm]


@pytest.fixture
def swarm(etcd: Etcd, loopback: ExitStack) -> Launch:
    """Give a function that begins a swarm."""

    def begin(grace: int, *cidrs: str) -> Swarm:
        made = Swarm(etcd.url, grace, *cidrs)
        loopback.callback(made.close)
        return made

    return begin


class Change(NamedTuple):
    """What happened to a claim: who had it, who has it, and who had a record just before."""

    prefix: str
    before: str
    after: str
    there: frozenset[str]


def history(etcd: Etcd) -> Iterator[Change]:
    """Yield all that ever happened to claims, from the first revision on, and see that no node has two of a family."""
    client = EtcdClient(Endpoints(source="history", urls=(etcd.url,)), PREFIX)
    last = max(kv.mod_revision for kv in client.list(10_000).kvs)
    holders: dict[str, str] = {}
    records: set[str] = set()
    for told in client.watch(1):
        before, revision = frozenset(records), 0
        for event in told.events if told else ():
            key = client.key(event.kv.key)
            if event.kv.mod_revision != revision:  # what one transaction did is looked at as a whole
                before, revision = frozenset(records), event.kv.mod_revision
            if key.startswith("nodes/"):
                (records.discard if event.type == "DELETE" else records.add)(key.removeprefix("nodes/"))
            prefix = claimed_prefix(key)
            if prefix is not None:
                claim = decode_entry(key, event.kv).value
                after = claim.node if isinstance(claim, Claim) and event.type == "PUT" else ""
                yield Change(str(prefix), holders.get(str(prefix), ""), after, before)
                holders[str(prefix)] = after
                own = [":" in other for other, holder in holders.items() if holder == after]
                assert len(own) == len(set(own)), f"{after} has two prefixes of a family"
        if revision >= last:
            break
    client.close()


def draw_seed() -> random.Random:
    """Return a random source whose seed is printed."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - of a test that failed it is shown
    return random.Random(seed)  # noqa: S311 - no secret


@pytest.mark.parametrize("families", [(4,), (4, 6)], ids=["one family", "both families"])
def test_all_have_their_own_whoever_is_killed(etcd: Etcd, swarm: Launch, families: tuple[int, ...]) -> None:
    """64 nodes claim at the same instant and are killed at random: no duplicate at any time, and all have theirs.

    There are just as many prefixes as nodes, so they meet; and whoever comes back has what it had.
    """
    drawn, pause = draw_seed(), threading.Event()
    names = [f"n{number}" for number in range(NODES)]
    nodes = swarm(3600, *(RANGES[family] for family in families))
    nodes.say("hold")
    for name in names:
        nodes.start(name)
    nodes.say("go")
    for _ in range(KILLS):
        pause.wait(drawn.expovariate(40))
        with nodes.told:
            assert nodes.told.wait_for(lambda: nodes.pids, 60)
            name = drawn.choice(sorted(nodes.pids))
        nodes.kill(name)
        nodes.start(name)
    nodes.wait_for(*names, patience=90)
    holders = etcd.holders()
    assert len(holders) == NODES * len(families)
    for name in names:
        assert {prefix for prefix, holder in holders.items() if holder == name} == set(nodes.has[name])
        assert {prefixes for prefixes in nodes.had[name] if prefixes} == {nodes.has[name]}, "it had another before"
    changes = list(history(etcd))
    assert [change for change in changes if change.before] == [], "a claim changed hands"
    assert {change.prefix: change.after for change in changes} == holders


def test_prefixes_of_the_dead_go_to_who_needs_them_and_never_before(etcd: Etcd, swarm: Launch) -> None:
    """Half of the nodes die for good, as many others come, and more are killed: after the grace all have theirs."""
    drawn, pause = draw_seed(), threading.Event()
    nodes = swarm(5, "10.244.0.0/20")  # 16 prefixes
    first = [f"n{number}" for number in range(16)]
    for name in first:
        nodes.start(name)
    nodes.wait_for(*first)
    dead = drawn.sample(first, 8)
    for name in dead:
        nodes.kill(name)
    alive = [*(name for name in first if name not in dead), *(f"n{number}" for number in range(16, 24))]
    for name in alive[8:]:
        nodes.start(name)
    for _ in range(16):
        pause.wait(drawn.expovariate(10))
        with nodes.told:
            assert nodes.told.wait_for(lambda: set(nodes.pids) & set(alive), 60)
            name = drawn.choice(sorted(set(nodes.pids) & set(alive)))
        nodes.kill(name)
        nodes.start(name)
    nodes.wait_for(*alive)
    holders = etcd.holders()
    assert sorted(holders.values()) == sorted(alive)
    changes = list(history(etcd))
    assert len([change for change in changes if change.before]) >= 8
    for change in changes:
        assert change.before == change.after or change.before not in change.there, f"{change} while its node was there"
    assert {prefix: name for name in alive for prefix in nodes.has[name]} == holders
