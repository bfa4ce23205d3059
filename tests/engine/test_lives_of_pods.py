"""Random verbs, deaths of pods, refusals and crashes: what is left is what live leases ask for."""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from itertools import combinations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from podnet.cni import Attached
from podnet.errors import InterfaceExists, NotAsAdded, PodnetError, StateError
from podnet.model import PLAIN, Bandwidth, Delegation, Network, PortMapping, Range, Rate, Terms
from podnet.nft import Chain, Table
from podnet.plan import GROUP_PODS, Link, Object, Route, key_of
from podnet.testing import Crash, FakeNode
from podnet.testing.values import a_network, a_range

CONTAINERS = [f"pod{n}" for n in range(5)]
TIGHT = Range(ip_network("10.77.0.0/29"), ip_address("10.77.0.1"), ip_address("10.77.0.6"), ip_address("10.77.0.1"))
NETWORKS = (
    a_network("ptp", (4, 6)),
    Network(name="tight", datapath="bridge", bridge="br77", ranges=((TIGHT,),), quarantine=5),
    Network(name="podnet", datapath="ptp", ranges=((a_range("10.244.0.0/23"),),), masquerade=False),
    Network(name="alone", datapath="none", ranges=((a_range("10.78.0.0/24"),),)),
)
ANYWHERE, HERE = None, ip_address("10.99.0.11")
PORTS = [(PortMapping("tcp", 80, 8080, where),) for where in (ANYWHERE, HERE)] + [(PortMapping("udp", 53, 53),), ()]
TERMS = [
    PLAIN,
    *(Terms(ports=ports, bandwidth=bandwidth) for ports in PORTS for bandwidth in (
        Bandwidth(), Bandwidth(egress=Rate(125_000, 131_072)), Bandwidth(ingress=Rate(125_000, 131_072)),
    )),
    Terms(delegation=Delegation("host-local", "{}"), ports=PORTS[0], aliases=("a",)),
]  # fmt: skip
GRACE = 30.0
THEIRS = Table("inet", "theirs")
BYSTANDERS: Sequence[Object] = (
    Link(at="node", name="grouped0", kind="veth", group=GROUP_PODS, mac="02:00:00:00:00:98", mtu=1500),
    Link(at="node", name="veth-theirs", kind="veth", alias="other", mac="02:00:00:00:00:97", mtu=1500),
    Route(at="node", dst=ip_network("10.88.0.0/16"), dev="up0", protocol=4),
    THEIRS,
    Chain(THEIRS, "input"),
)

containers = st.sampled_from(CONTAINERS)
networks = st.sampled_from(NETWORKS)
terms = st.sampled_from(TERMS)
errnos = st.sampled_from([errno.ENOMEM, errno.EEXIST, errno.ENODEV, errno.EPERM, errno.ENOENT])


class LivesOfPods(RuleBasedStateMachine):
    """An engine over the fakes, started again after each crash as the daemon is."""

    node: FakeNode

    @initialize()
    def begin(self) -> None:
        """Begin on a node that others use too."""
        self.node = FakeNode()
        for thing in BYSTANDERS:
            self.node.kernel.node.put(thing)
            self.node.strangers[key_of(thing)] = thing
        self.node.networks = NETWORKS[:1]
        self.node.reconcile()

    def attempt(self, verb: Callable[[], object]) -> object:
        """Do something that may be refused, or end the process; return its result, None where it has none."""
        try:
            return verb()
        except PodnetError:
            return None
        except Crash:
            self.node.kernel.forget_faults()
            self.node.store.forget_faults()
            self.node.restart()
            self.node.reconcile()
            return None

    @rule(names=st.lists(containers, min_size=1, max_size=3, unique=True), network=networks, asked=terms)
    def add(self, names: list[str], network: Network, asked: Terms) -> None:
        """ADD, several at once; who is told of success has what CHECK looks for."""
        jobs = [self.node.job(name, network, terms=asked) for name in names]
        outcomes = self.attempt(lambda: self.node.engine.add(jobs))
        if isinstance(outcomes, list):
            self.node.kernel.forget_faults()
            for name, outcome in zip(names, outcomes, strict=True):
                if isinstance(outcome, Attached):
                    self.node.check(name, outcome, network)

    @rule(names=st.lists(containers, min_size=1, max_size=3), network=networks)
    def delete(self, names: list[str], network: Network) -> None:
        """DEL, several at once, of known and unknown ones."""
        self.attempt(lambda: self.node.delete(*names, network=network))

    @rule(names=st.lists(containers, max_size=4), network=networks)
    def collect(self, names: list[str], network: Network) -> None:
        """GC, with any containers as valid ones; where it succeeds no other of that network has a lease."""

        def collect() -> bool:
            self.node.gc(*names, network=network)
            return True

        if self.attempt(collect):
            live = {lease.attachment for lease in self.node.store.live()}
            assert {key.container for key in live if key.network == network.name} <= set(names)

    @rule()
    def sweep(self) -> None:
        """Look for pods that have gone; none that lives is collected."""
        self.attempt(lambda: self.node.engine.sweep(GRACE))

    @rule(most=st.integers(1, 3))
    def give_back(self, most: int) -> None:
        """Let the other plugin have its addresses back."""
        for lease in self.node.engine.owed[:most]:
            self.node.engine.returned(lease)

    @rule()
    def audit(self) -> None:
        """Compare every attachment with what ADD made, and the node's part."""
        self.attempt(lambda: self.node.engine.audit(self.node.store.live()))
        self.attempt(self.node.engine.audit_node)

    @rule(name=containers)
    def die(self, name: str) -> None:
        """End a pod's namespace; nobody says so."""
        self.node.namespace(name)
        self.node.new_namespace(name)

    @rule(most=st.none() | st.integers(1, 2))
    def reap(self, most: int | None) -> None:
        """Reap, as the daemon does when it is idle."""
        self.attempt(lambda: self.node.engine.reap(most))

    @rule(configured=st.lists(networks, max_size=2, unique_by=lambda network: network.name))
    def reconfigure(self, configured: list[Network]) -> None:
        """Change the node's own networks, at an hour when nothing fails."""
        self.node.kernel.forget_faults()
        self.node.store.forget_faults()
        self.node.networks = tuple(configured)
        self.node.reconcile()

    @rule(seconds=st.sampled_from([1.0, 100.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.node.clock.advance(seconds)

    @rule(step=st.integers(0, 30), number=errnos, after=st.booleans())
    def refuse(self, step: int, number: int, after: bool) -> None:
        """Let the kernel refuse one of the next steps."""
        self.node.kernel.fail_at(step, number, after=after)

    @rule(step=st.integers(0, 30), after=st.booleans())
    def crash(self, step: int, after: bool) -> None:
        """Let the process end at one of the next steps."""
        self.node.kernel.crash_at(step, after=after)

    @rule(
        method=st.sampled_from(
            ["reap", "dismantle", "observe", "forget_connections", "apply", "owned", "forget_ports", "own_links"]
        )
    )
    def crash_between(self, method: str) -> None:
        """Let the process end before one of the kernel's methods."""
        self.node.kernel.crash_at(method)

    @rule(method=st.sampled_from(["reserve", "cut", "close", "undo", "commit"]))
    def fill_the_disk(self, method: str) -> None:
        """Let the store fail once."""
        self.node.store.fail(method, StateError("the disk is full"))

    @rule()
    def settle(self) -> None:
        """When all is well again, reaping and reconciliation leave what the live leases ask for, exactly."""
        node = self.node
        node.kernel.forget_faults()
        node.store.forget_faults()
        for lease in node.engine.owed:
            node.engine.returned(lease)
        node.engine.reap()
        node.reconcile()
        for lease in node.engine.owed:  # whose pod was gone at the reconciliation
            node.engine.returned(lease)
        node.engine.reap()
        assert node.state() == node.desired()
        assert not node.store.pending()
        assert not node.reconcile()
        for lease in node.store.live():
            name, network = lease.attachment.container, node.store.network_of(lease)
            with suppress(NotAsAdded):  # an ADD that was never answered may have left half a pod
                node.check(name, Attached((), ()), network)
            with suppress(InterfaceExists):
                node.add(name, network)
        assert node.state() == node.desired()

    def teardown(self) -> None:
        """End well."""
        if hasattr(self, "node"):
            self.settle()

    @invariant()
    def no_address_is_held_twice(self) -> None:
        """Of live leases and of those that wait to be reaped."""
        leases = [*self.node.store.live(), *self.node.store.pending()]
        held = [leased.address for lease in leases for leased in lease.addresses]
        assert len(held) == len(set(held))
        assert len({lease.link for lease in leases}) == len(leases)

    @invariant()
    def no_host_port_is_held_twice(self) -> None:
        """Of live leases of one family, none has a port that another has, at the same address or at any."""
        for one, other in combinations(self.node.store.live(), 2):
            both = {a.address.version for a in one.addresses} & {a.address.version for a in other.addresses}
            for mine in one.terms.ports:
                for theirs in other.terms.ports:
                    same = (mine.protocol, mine.host_port) == (theirs.protocol, theirs.host_port)
                    families = {v for v in both if mine.serves(v) and theirs.serves(v)}
                    assert not (
                        same and families and (mine.only_at == theirs.only_at or None in (mine.only_at, theirs.only_at))
                    )

    @invariant()
    def delegated_addresses_wait(self) -> None:
        """Of what is cut, what other plugins gave is not closed unless they have it back."""
        owed = {lease.link for lease in self.node.engine.owed}
        assert owed <= {lease.link for lease in self.node.store.pending()}

    @invariant()
    def bystanders_are_as_they_were(self) -> None:
        """Whatever happens to podnet's own."""
        state = self.node.state()
        assert all(state.get(key) == thing for key, thing in self.node.strangers.items())


def test_random_lives_of_pods_leave_what_live_leases_ask_for() -> None:
    """Verbs in batches, GC, sweeps, deaths, refusals before and after the effect, crashes anywhere, reconfiguration."""
    run_state_machine_as_test(LivesOfPods, settings=settings(max_examples=100, stateful_step_count=25, deadline=None))
