"""Random verbs, deaths of pods, refusals and crashes: what is left is what live leases ask for."""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from podnet.cni import Attached
from podnet.errors import InterfaceExists, NotAsAdded, PodnetError, StateError
from podnet.model import Network, Range
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
)
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

    @rule(names=st.lists(containers, min_size=1, max_size=3, unique=True), network=networks)
    def add(self, names: list[str], network: Network) -> None:
        """ADD, several at once; who is told of success has what CHECK looks for."""
        jobs = [self.node.job(name, network) for name in names]
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

    @rule(method=st.sampled_from(["reap", "dismantle", "observe", "forget_connections", "apply", "owned"]))
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
        node.engine.reap()
        node.reconcile()
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
    def bystanders_are_as_they_were(self) -> None:
        """Whatever happens to podnet's own."""
        state = self.node.state()
        assert all(state.get(key) == thing for key, thing in self.node.strangers.items())


def test_random_lives_of_pods_leave_what_live_leases_ask_for() -> None:
    """Verbs in batches, deaths, refusals before and after the effect, crashes anywhere, changes of configuration."""
    run_state_machine_as_test(LivesOfPods, settings=settings(max_examples=100, stateful_step_count=25, deadline=None))
