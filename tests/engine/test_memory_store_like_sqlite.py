"""MemoryStore beside the database: the same course of leases gives the same answers and the same refusals."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from podnet.engine.ports import Store as Port
from podnet.errors import InterfaceExists, PodnetError, StateError
from podnet.model import (
    DNS,
    PLAIN,
    Attachment,
    Bandwidth,
    Delegation,
    KubernetesPod,
    Lease,
    Network,
    PortMapping,
    Range,
    Rate,
    Terms,
)
from podnet.store import Store
from podnet.testing import ManualClock, MemoryStore
from podnet.testing.values import a_network


def small(subnet: str) -> Range:
    """Return a range of few addresses, so that it runs out."""
    network = ip_network(subnet)
    return Range(subnet=network, first=network[1], last=network[-2], gateway=network[1])


NETWORKS = (
    Network(name="one", ranges=((small("10.0.0.0/29"), small("10.0.1.0/29")), (small("fd00::/125"),)), quarantine=60),
    Network(name="two", ranges=((small("10.0.2.0/29"),),), quarantine=5, datapath="bridge"),
)
PLACES = (None, ip_address("0.0.0.0"), ip_address("::"), ip_address("192.0.2.1"), ip_address("2001:db8::1"))  # noqa: S104
ATTACHMENTS = [Attachment(network.name, f"c{n}", "eth0") for network in NETWORKS for n in range(9)]


class Both:
    """The two stores."""

    def __init__(self, path: Path) -> None:
        """Begin empty."""
        self.clock = ManualClock(1000.0)
        self.memory = MemoryStore("b")
        self.sqlite = Store.open(path, "b", self.clock.now())

    def same(self, ask: Callable[[Port], object]) -> object:
        """Ask both, check that they answer alike, and return the answer."""
        answers = []
        for store in (self.memory, self.sqlite):
            try:
                answers.append(ask(store))
            except PodnetError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]
        return answers[0]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """Return the two stores."""
    stores = Both(tmp_path / "podnet.db")
    yield stores
    stores.sqlite.close_database()


def drawn(draw: random.Random) -> Terms:
    """Draw what is asked for besides addresses: often nothing, and few host ports, so that they conflict."""
    if draw.random() < 0.4:
        return PLAIN
    return Terms(
        ports=tuple(
            PortMapping(draw.choice(["tcp", "udp"]), draw.choice([80, 81]), draw.randrange(1, 9), draw.choice(PLACES))
            for _ in range(draw.randrange(3))
        ),
        bandwidth=draw.choice([Bandwidth(), Bandwidth(egress=Rate(125, 131072))]),
        mac=draw.choice(["", "02:00:00:00:00:01"]),
        aliases=draw.choice([(), ("a", "b.c")]),
        dns=draw.choice([None, DNS(("10.0.0.1",))]),
        pod=draw.choice([None, KubernetesPod("ns", "name")]),
        delegation=draw.choice([None, Delegation("static", "{}")]),
    )


def step(both: Both, draw: random.Random) -> None:
    """Let something happen to both, and compare all they say."""
    attachment = draw.choice(ATTACHMENTS)
    network = next(n for n in NETWORKS if n.name == attachment.network)
    now = both.clock.now()
    requested = (ip_address(f"10.0.{draw.randrange(3)}.{draw.randrange(8)}"),) if draw.random() < 0.2 else ()

    terms = drawn(draw)

    def reserve(store: Port) -> object:
        return store.reserve(attachment, network, requested, None, "p", now, terms)

    some = draw.sample(ATTACHMENTS, 3)
    most = draw.randrange(1, 4)
    happening = draw.randrange(8)
    if happening < 4:
        lease = both.same(reserve)
        if isinstance(lease, Lease) and draw.random() < 0.2:
            both.same(lambda store: store.undo(lease, now, "refused"))
    elif happening == 4:
        both.same(lambda store: store.cut(some, now))
    elif happening == 5:
        both.same(lambda store: store.close(store.pending()[:most], now))
    elif happening == 6:
        both.clock.advance(draw.choice([1.0, 30.0, 100.0]))
    else:
        for store in (both.memory, both.sqlite):
            with suppress(ZeroDivisionError), store.transaction():
                with suppress(PodnetError):
                    reserve(store)
                if most == 1:
                    raise ZeroDivisionError
    both.same(lambda store: store.live())
    both.same(lambda store: store.pending())
    both.same(lambda store: store.find(attachment))
    both.same(lambda store: [store.network_of(lease) for lease in (*store.live(), *store.pending())])


@pytest.mark.parametrize("seed", range(6))
def test_random_lives_of_leases_are_the_same_in_both(both: Both, seed: int) -> None:
    """Reserve, request, undo, cut, close in slices, undone transactions, ranges that run out, ports that are taken."""
    draw = random.Random(seed)  # noqa: S311 - a test's course, to be had again
    for _ in range(120):
        step(both, draw)


def test_a_fault_inside_a_transaction_dooms_it_in_both(both: Both) -> None:
    """What is the caller's fault leaves the others standing, any other error undoes all."""
    network = a_network()
    here, there = (Attachment("podnet", name, "eth0") for name in ("red", "blue"))
    for store in (both.memory, both.sqlite):
        with store.transaction():
            store.reserve(here, network, (), None, "", 1000.0)
            with pytest.raises(InterfaceExists):
                store.reserve(here, network, (), None, "", 1000.0)
        with pytest.raises(StateError), store.transaction(), store.transaction():
            pass
    both.memory.fail("reserve", StateError("the disk is full"))

    def swallow() -> None:
        with both.memory.transaction():
            for _ in range(2):
                with suppress(StateError):
                    both.memory.reserve(there, network, (), None, "", 1000.0)

    with pytest.raises(StateError, match="the disk is full"):
        swallow()
    assert [lease.attachment for lease in both.memory.live()] == [here]
    assert both.memory.commits == 1


def test_a_closed_lease_has_no_network_in_both(both: Both) -> None:
    """The question for it is a StateError."""
    attachment = Attachment("podnet", "red", "eth0")
    lease = both.same(lambda store: store.reserve(attachment, a_network(), (), None, "", 1000.0))
    assert isinstance(lease, Lease)
    assert both.same(lambda store: store.close([lease], 1001.0)) == 1
    assert both.same(lambda store: store.close([lease], 1001.0)) == 0
    assert both.same(lambda store: store.network_of(lease)) is StateError


def test_a_manual_clock_goes_forward_only() -> None:
    """It stands still until it is advanced, and is never set back."""
    clock = ManualClock(5.0)
    clock.advance(2.5)
    assert clock.now() == clock.now() == 7.5
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
