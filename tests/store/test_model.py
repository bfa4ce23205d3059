"""The store beside a model made of dicts and lists, through random lives of leases and restarts."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from podnet.errors import AddressUnavailable, InterfaceExists
from podnet.model import Attachment, Lease, Network, Range, link_name
from podnet.store import Store

IPAddress = IPv4Address | IPv6Address


def whole(subnet: str) -> Range:
    """Return the range of a whole subnet, its first host the gateway."""
    network = ip_network(subnet)
    return Range(subnet=network, first=network[1], last=network[-1], gateway=network[1])


SETS = (
    (whole("10.0.0.0/29"), whole("10.0.1.0/29")),
    (Range(ip_network("fd00::/124"), IPv6Address("fd00::2"), IPv6Address("fd00::c"), IPv6Address("fd00::1"),
           (ip_network("fd00::4/127"),)),),
)  # fmt: skip
NETWORKS = (
    Network(name="one", ranges=SETS, quarantine=60),
    Network(name="two", ranges=((whole("10.0.2.0/29"),),), quarantine=5, datapath="bridge"),
)
ATTACHMENTS = [Attachment(n.name, f"{c:02x}" * 32, "eth0") for n in NETWORKS for c in range(11)]
ANYWHERE: Sequence[IPAddress] = [
    address for n in NETWORKS for s in n.ranges for r in s for address in ip_network(f"{r.subnet}")
]


class Held(NamedTuple):
    """A lease as the model knows it."""

    attachment: Attachment
    addresses: tuple[IPAddress, ...]
    link: str
    created: float


def hosts(of: Range) -> list[IPAddress]:
    """Return what a range can give, by looking at each address."""
    ends = {of.subnet[0], of.gateway} | ({of.subnet[-1]} if of.subnet.version == 4 else set())
    inside = [a for a in of.subnet if int(of.first) <= int(a) <= int(of.last)]
    return [a for a in inside if a not in ends and not any(a in e for e in of.exclude)]


class LivesOfLeases(RuleBasedStateMachine):
    """Every answer of the store is what the model expects, and its questions agree after every step."""

    def __init__(self) -> None:
        """Begin with a new database and an empty model."""
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.now, self.boot = 1000.0, 1
        self.store = self.reopened()
        self.live: dict[Attachment, Held] = {}
        self.pending: list[Held] = []
        self.cut_times: dict[str, float] = {}
        self.released: dict[IPAddress, float] = {}
        self.history: list[tuple[IPAddress, float]] = []

    def reopened(self) -> Store:
        """Open the database in the boot of now."""
        return Store.open(Path(self.folder, "podnet.db"), f"boot-{self.boot}", self.now)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close_database()
        shutil.rmtree(self.folder)

    def holders(self) -> set[IPAddress]:
        """Return every address that is held."""
        return {a for held in (*self.live.values(), *self.pending) for a in held.addresses}

    def longest_free(self, ranges: tuple[Range, ...], quarantine: float) -> IPAddress | None:
        """Return what a range set gives next."""
        held = self.holders()
        last_resort: list[tuple[float, int, IPAddress]] = []
        for order, of in enumerate(ranges):
            usable = hosts(of)
            free = [a for a in usable if a not in held]
            for address in free:
                if address not in self.released:
                    return address
            rested = sorted((self.released[a], int(a), a) for a in free)
            if rested and self.now - rested[0][0] >= quarantine * (len(free) / len(usable)):
                return rested[0][2]
            last_resort += [(at, order, a) for at, _, a in rested[:1]]
        return min(last_resort)[2] if last_resort else None

    def expected(self, network: Network, requested: IPAddress | None) -> tuple[IPAddress, ...] | None:
        """Return the addresses that the store should give, None for a refusal."""
        given: list[IPAddress] = []
        if requested is not None and not any(requested in hosts(of) for s in network.ranges for of in s):
            return None
        for ranges in network.ranges:
            if requested is not None and any(requested in hosts(of) for of in ranges):
                chosen = None if requested in self.holders() else requested
            else:
                chosen = self.longest_free(ranges, network.quarantine)
            if chosen is None:
                return None
            given.append(chosen)
        return tuple(given)

    def reserve(self, attachment: Attachment, requested: IPAddress | None) -> Lease | None:
        """Reserve in both worlds, compare; return the lease."""
        network = next(n for n in NETWORKS if n.name == attachment.network)
        wanted = () if requested is None else (requested,)
        if attachment in self.live:
            with pytest.raises(InterfaceExists):
                self.store.reserve(attachment, network, wanted, None, "", self.now)
            return None
        expected = self.expected(network, requested)
        if expected is None:
            with pytest.raises(AddressUnavailable):
                self.store.reserve(attachment, network, wanted, None, "", self.now)
            return None
        lease = self.store.reserve(attachment, network, wanted, None, "", self.now)
        assert tuple(a.address for a in lease.addresses) == expected
        suffix = "-br" if network.datapath == "bridge" else ""
        taken = {held.link for held in (*self.live.values(), *self.pending)}
        names = (link_name(attachment, suffix, attempt) for attempt in range(99))
        assert lease.link == next(name for name in names if name not in taken)
        self.live[attachment] = Held(attachment, expected, lease.link, self.now)
        for address in expected:
            self.released.pop(address, None)
            self.history.append((address, self.now))
        return lease

    def free(self, held: Held, released: float) -> None:
        """Let the model's addresses rest."""
        self.released |= dict.fromkeys(held.addresses, released)

    @rule(attachment=st.sampled_from(ATTACHMENTS))
    def add(self, attachment: Attachment) -> None:
        """ADD without a wish."""
        self.reserve(attachment, None)

    @rule(attachment=st.sampled_from(ATTACHMENTS), address=st.sampled_from(ANYWHERE))
    def add_requested(self, attachment: Attachment, address: IPAddress) -> None:
        """ADD with an address that may be taken, excluded, reserved or elsewhere."""
        self.reserve(attachment, address)

    @rule(attachment=st.sampled_from(ATTACHMENTS))
    def add_fails(self, attachment: Attachment) -> None:
        """ADD that the kernel refuses."""
        lease = self.reserve(attachment, None)
        if lease is not None:
            self.store.undo(lease, self.now)
            self.free(self.live.pop(attachment), self.now)

    @rule(several=st.lists(st.sampled_from(ATTACHMENTS), max_size=9), seconds=st.sampled_from([0.0, 1.0]))
    def churn(self, several: list[Attachment], seconds: float) -> None:
        """Short jobs: each is added and removed before the next, so that everything free comes to rest."""
        for attachment in several:
            lease = self.reserve(attachment, None)
            if lease is not None:
                self.now += seconds
                assert self.store.close([lease], self.now) == 1
                self.free(self.live.pop(attachment), self.now)

    @rule(several=st.lists(st.sampled_from(ATTACHMENTS), max_size=6), keep=st.booleans())
    def add_together(self, several: list[Attachment], *, keep: bool) -> None:
        """Many in one transaction, which is kept or undone whole."""
        before = dict(self.live), dict(self.released), list(self.history)
        with suppress(ZeroDivisionError), self.store.transaction():
            for attachment in several:
                self.reserve(attachment, None)
            if not keep:
                raise ZeroDivisionError
        if not keep:
            self.live, self.released, self.history = before

    @rule(several=st.lists(st.sampled_from(ATTACHMENTS), max_size=4, unique=True))
    def cut(self, several: list[Attachment]) -> None:
        """DEL, of known and unknown ones."""
        found = self.store.cut(several, self.now)
        assert [lease.attachment for lease in found] == [a for a in several if a in self.live]
        self.pending += [self.live.pop(lease.attachment) for lease in found]
        self.cut_times |= {lease.link: self.now for lease in found}

    @precondition(lambda self: self.pending)
    @rule(most=st.integers(1, 4))
    def reap(self, most: int) -> None:
        """Close what was cut first."""
        some = self.store.pending()[:most]
        assert self.store.close(some, self.now) == len(some)
        for lease in some:
            held = next(h for h in self.pending if h.link == lease.link)
            self.pending.remove(held)
            self.free(held, self.cut_times[held.link])

    @rule(seconds=st.sampled_from([0.25, 1.0, 7.0, 40.0, 100.0]))
    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds

    @rule(restart=st.booleans())
    def reopen(self, *, restart: bool) -> None:
        """End the process, or the machine."""
        self.store.close_database()
        self.boot += restart
        self.store = self.reopened()
        if restart:
            for held in self.live.values():
                self.free(held, self.now)
            for held in self.pending:
                self.free(held, self.cut_times[held.link])
            self.live, self.pending = {}, []

    @rule()
    def tend(self) -> None:
        """Idle work changes nothing that is asked."""
        assert self.store.tend(self.now) == 0

    @invariant()
    def the_questions_agree(self) -> None:
        """Live, pending and counted are the model's."""
        live = {lease.attachment: lease for lease in self.store.live()}
        assert {k: Held(k, tuple(a.address for a in v.addresses), v.link, v.created) for k, v in live.items()} == (
            self.live
        )
        assert {lease.link for lease in self.store.pending()} == {held.link for held in self.pending}
        pods = {a for held in self.live.values() for a in held.addresses}
        for network in NETWORKS:
            counts = iter(self.store.counts(network, self.now))
            for of in (of for ranges in network.ranges for of in ranges):
                counted, usable = next(counts), hosts(of)
                free = [a for a in usable if a not in self.holders()]
                rest = network.quarantine * (len(free) / len(usable))
                resting = sum(a in self.released and self.now - self.released[a] < rest for a in free)
                assert counted.size == len(usable)
                assert counted.live == len(pods & set(usable))
                assert (counted.live + counted.cut, counted.resting) == (len(usable) - len(free), resting)
                assert counted.ready == len(free) - resting

    @invariant()
    def the_history_agrees(self) -> None:
        """Every lease there was is in the history of its addresses."""
        for address in ANYWHERE:
            known = [at for a, at in self.history if a == address]
            assert [h.lease.created for h in self.store.holders(address)] == sorted(known, reverse=True)


def test_random_lives_of_leases_go_as_the_model_has_them() -> None:
    """Reserve, request, undo, cut, reap, batches kept and undone, waiting, restarts of process and machine."""
    run_state_machine_as_test(LivesOfLeases, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
