"""FakeKernel beside the real kernel: random plans applied to both leave both in one state, with the same refusals."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network
from uuid import uuid4

import pytest
from msgspec.structs import replace

from podnet import datapath
from podnet.datapath.ruleset import HOSTPORTS
from podnet.engine.ports import Namespace
from podnet.errors import KernelError
from podnet.model import Lease, Network
from podnet.nft import Element, Rule
from podnet.plan import (
    GROUP_DOOMED,
    GROUP_PODS,
    PROTOCOL,
    Address,
    Link,
    Object,
    Plan,
    Redirect,
    Route,
    State,
    Step,
    Sysctl,
    Tbf,
    diff,
    inverse,
)
from podnet.plan.plan import Verb
from podnet.testing import FakeKernel
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.values import FACTS, a_lease, a_network

pytestmark = pytest.mark.live
PODS = ("red", "blue")
KERNEL_MADE = 2  # RTPROT_KERNEL


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End the namespaces of a test."""
    with ExitStack() as ends:
        yield ends


Outcome = tuple[int, object, tuple[Step, ...]] | None
"""A refusal's errno, object and steps that took effect; None for success."""


class Both:
    """The two kernels, a node of each with pods."""

    def __init__(self, network: Network, stack: ExitStack) -> None:
        """Make a node and its pods in both worlds."""
        prefix = f"fake-{uuid4().hex[:8]}"
        self.network = network
        self.fake = FakeKernel()
        self.node = NodeNamespace(prefix, stack)
        self.real = self.node.kernel
        self.pods = {}
        for name in PODS:
            made = self.node.pod(f"{prefix}-{name}")
            self.pods[name] = (self.fake.pod(name), Namespace(made.descriptor, made.id, made.path))

    def do(self, verb: str, plan: Plan, pod: str = "") -> None:
        """Carry out `plan` in both worlds, and check that they say the same of it."""
        outcomes: list[Outcome] = []
        for kernel, number in ((self.fake, 0), (self.real, 1)):
            namespace = self.pods[pod][number] if pod else None
            try:
                with self.node.inside():
                    kernel.apply(plan, namespace) if verb == "apply" else kernel.dismantle(plan)
                outcomes.append(None)
            except KernelError as error:
                outcomes.append((error.errno, error.at, error.done))
        assert outcomes[0] == outcomes[1] or all(map(found_out_late, outcomes)), f"{verb} of {len(plan.steps)} steps"

    def compare(self, plans: dict[str, Plan]) -> None:
        """Check that both list the same, of podnet's own and of what `plans` speak of."""
        with self.node.inside():
            assert seen(self.fake.owned()) == seen(self.real.owned())
            for name, plan in plans.items():
                fake, real = self.pods[name]
                assert seen(self.fake.observe(plan, fake)) == seen(self.real.observe(plan, real))
                desired_of_both = [diff(k.observe(plan, p), plan) for k, p in ((self.fake, fake), (self.real, real))]
                assert desired_of_both[0] == desired_of_both[1]

    def reap(self) -> None:
        """Reap in both worlds."""
        with self.node.inside():
            fake, real = self.fake.reap(), self.real.reap()
        assert set(fake.links) == set(real.links)
        assert set(fake.strangers) == set(real.strangers)


def found_out_late(outcome: Outcome) -> bool:
    """Tell whether a plan was refused without effect.

    A missing link is found before anything is sent or, where its index is remembered, by the first batch refused.
    """
    return outcome is not None and not outcome[2]


def seen(state: State) -> set[object]:
    """Return `state` without what the kernel makes of itself, rules without their words."""
    return {repr((t.chain.name, t.comment)) if isinstance(t, Rule) else t for t in state.values() if not made_so(t)}


def made_so(thing: Object) -> bool:
    """Tell whether the kernel makes `thing` unasked: prefix routes, the addresses of `lo`, sysctls of new links."""
    if isinstance(thing, Route):
        return thing.protocol == KERNEL_MADE
    if isinstance(thing, Address):
        return thing.dev == "lo"
    return isinstance(thing, Sysctl) or (isinstance(thing, Link) and not thing.kind)


def happenings(both: Both, leases: dict[str, Lease], draw: random.Random) -> list[Callable[[], None]]:
    """Return what may happen to the pods, each with parts drawn at random."""
    network = both.network
    name = draw.choice(PODS)
    lease = leases[name]
    plan = datapath.attach(network, FACTS, lease)
    some = Plan(tuple(step for step in plan.steps if isinstance(step.object, Link) or draw.random() < 0.7))
    link = Link(at="node", name=lease.link, group=GROUP_DOOMED, up=False)
    element = next(step for step in plan.steps if isinstance(step.object, Element))
    node = datapath.node_plan([network], FACTS)
    return [
        lambda: both.do("apply", plan, name),
        lambda: both.do("apply", plan, name),
        lambda: both.do("apply", some, name),
        lambda: both.do("dismantle", inverse(plan)),
        lambda: both.do("dismantle", inverse(some)),
        lambda: both.do("dismantle", datapath.cut(network, lease)),
        lambda: both.do("apply", Plan((Step(link, "cut", "set"),))),
        lambda: both.do("apply", Plan((Step(element.object, "twice"), element._replace(verb="delete")))),
        lambda: both.do("apply", Plan((element._replace(verb="delete"), element))),
        lambda: both.do("dismantle", inverse(node)),
        lambda: both.do("apply", repair(both, node)),
        lambda: both.do("apply", repair(both, node)),
        both.reap,
    ]


def repair(both: Both, node: Plan) -> Plan:
    """Return what the node lacks, of which both worlds must say the same."""
    with both.node.inside():
        lacking = [diff(kernel.observe(node), node) for kernel in (both.fake, both.real)]
    found = [{step for step in plan.steps if not isinstance(step.object, Sysctl)} for plan in lacking]
    assert found[0] == found[1]
    return lacking[1]


@pytest.mark.parametrize("kind", ["ptp", "bridge"])
@pytest.mark.parametrize("seed", range(2))
def test_random_operations_leave_both_kernels_in_one_state(stack: ExitStack, kind: str, seed: int) -> None:
    """Attach, part by part and twice, cut, undo, reap, lose and repair the node's part: outcomes and states agree."""
    draw = random.Random(f"{kind} {seed}")  # noqa: S311 - a test's course, to be had again
    network = a_network(kind, (4, 6))
    both = Both(network, stack)
    leases = {name: a_lease(network, name, number) for number, name in enumerate(PODS, start=2)}
    plans = {name: datapath.attach(network, FACTS, lease) for name, lease in leases.items()}
    both.do("apply", repair(both, datapath.node_plan([network], FACTS)))
    for _ in range(14):
        draw.choice(happenings(both, leases, draw))()
        both.compare(plans)


def test_what_is_refused_is_refused_alike(stack: ExitStack) -> None:
    """Taken routes, addresses and neighbours, sources that are not the node's, links down, tables that are not there.

    Also intervals that overlap, links that may not go, and files that are not there.
    """
    network = a_network("ptp", (4, 6))
    both = Both(network, stack)
    lease = a_lease(network)
    attach = datapath.attach(network, FACTS, lease)
    both.do("apply", attach, "red")
    both.do("apply", repair(both, datapath.node_plan([network], FACTS)))
    both.do("apply", attach, "red")
    for step in attach.steps:
        both.do("apply", Plan((step,)), "red")
    cluster = next(
        step.object
        for step in datapath.node_plan([network], FACTS).steps
        if isinstance(step.object, Element) and step.object.set.name == "cluster4"
    )
    down = Link(at="node", name=lease.link, up=False)
    ports = [Element(HOSTPORTS[4], (6, 8080), (ip_address("10.244.1.2"), port)) for port in (80, 80, 81)]
    things: list[Object] = [
        Element(cluster.set, (ip_network("10.0.0.0/8"),)),
        Element(cluster.set, (ip_network("10.244.1.128/25"),)),
        Element(cluster.set, (ip_network("10.245.0.0/16"),)),
        *ports,
        Route(at="node", dst=ip_network("10.9.0.0/24"), dev=lease.link, src=ip_address("10.1.1.1"), protocol=PROTOCOL),
        Route(at="node", dst=ip_network("10.9.0.0/24"), dev="none", protocol=PROTOCOL),
        Sysctl(at="node", name="net/ipv4/conf/none/rp_filter", value="2"),
        Address(at="node", dev=lease.link, address=IPv6Address("fd77::1"), prefixlen=64),
        Address(at="node", dev=lease.link, address=IPv6Address("fd77::1"), prefixlen=64),
        down,
        Route(at="node", dst=ip_network("10.9.0.0/24"), dev=lease.link, protocol=PROTOCOL),
        Route(at="node", dst=ip_network("fd99:9::/64"), dev=lease.link, protocol=PROTOCOL),
        Address(at="node", dev=lease.link, address=IPv6Address("fd77::1"), prefixlen=64),
    ]
    for thing in things:
        both.do("apply", Plan((Step(thing, "a stranger's wish"),)))
        both.compare({"red": attach})
    verbs: tuple[Verb, ...] = ("set", "delete", "delete")
    for verb in verbs:
        route = Route(at="node", dst=IPv4Network("10.77.0.0/16"), type="unreachable", protocol=PROTOCOL)
        both.do("apply", Plan((Step(route, "", verb),)))
    for thing in (ports[-1], Link(at="node", name="lo"), down, down):
        both.do("apply", Plan((Step(thing, "", "delete"),)))
    both.compare({"red": attach})


def shaped(attach: Plan, lease: Lease, number: int) -> tuple[Plan, list[Object]]:
    """Return `attach` with its host end shaped in both directions in the same batch, and what that adds."""
    ifb = Link(
        at="node",
        name=f"ifb{number}",
        kind="ifb",
        mac=f"02:00:00:00:01:{number:02x}",
        mtu=1500,
        queues=1,
        group=GROUP_PODS,
        alias=lease.attachment.alias,
        ipv6_autoconf=False,
        route_localnet=True,
    )
    things: list[Object] = [
        ifb,
        Tbf(at="node", dev=lease.link, rate=125_000, burst=15_000, limit=30_000),
        Tbf(at="node", dev=ifb.name, rate=1_250_000, burst=15_001, limit=30_000),
        Redirect(at="node", dev=lease.link, to=ifb.name),
    ]
    after = next(n for n, step in enumerate(attach.steps, 1) if step.object.__class__ is Link)
    steps = attach.steps
    return Plan((*steps[:after], *(Step(thing, "a limit") for thing in things), *steps[after:])), things


@pytest.mark.parametrize("seed", range(4))
def test_shaping_leaves_both_kernels_in_one_state(stack: ExitStack, seed: int) -> None:
    """Shaped, part by part and twice, changed, led elsewhere, cut, undone, reaped: outcomes and states agree."""
    draw = random.Random(f"shaping {seed}")  # noqa: S311 - a test's course, to be had again
    network = a_network("ptp", (4,))
    both = Both(network, stack)
    both.do("apply", repair(both, datapath.node_plan([network], FACTS)))
    plans: dict[str, Plan] = {}
    things: list[Object] = []
    for number, name in enumerate(PODS, start=2):
        lease = a_lease(network, name, number)
        plans[name], added = shaped(datapath.attach(network, FACTS, lease), lease, number)
        things += added
    links = [thing for thing in things if isinstance(thing, Link)]
    others: list[Object] = [
        replace(thing, rate=thing.rate + 1) if isinstance(thing, Tbf) else replace(thing, to=draw.choice(links).name)
        for thing in things
        if isinstance(thing, Tbf | Redirect)
    ]
    verbs: tuple[Verb, ...] = ("add", "set", "delete")
    for _ in range(24):
        name = draw.choice(PODS)
        plan = plans[name]
        some = Plan(tuple(step for step in plan.steps if isinstance(step.object, Link) or draw.random() < 0.7))
        one = Step(draw.choice(things + others), "", draw.choice(verbs))
        doomed = Link(at="node", name=draw.choice(links).name, group=GROUP_DOOMED, up=False)
        gone = Plan((Step(draw.choice(links), "", "delete"),))
        draw.choice(
            (
                partial(both.do, "apply", plan, name),
                partial(both.do, "apply", some, name),
                partial(both.do, "apply", Plan((one,)), name),
                partial(both.do, "apply", Plan((one,)), name),
                partial(both.do, "apply", Plan((Step(doomed, "", "set"),))),
                partial(both.do, "dismantle", inverse(some)),
                partial(both.do, "dismantle", gone),
                both.reap,
            )
        )()
        both.compare(plans)


def test_shaping_is_refused_alike(stack: ExitStack) -> None:
    """A qdisc on no link, a redirect twice, to no link, or to an ifb that could not be made; a link ends under it."""
    network = a_network("ptp", (4,))
    both = Both(network, stack)
    both.do("apply", repair(both, datapath.node_plan([network], FACTS)))
    lease = a_lease(network)
    plan, things = shaped(datapath.attach(network, FACTS, lease), lease, 2)
    ifb, to_pod, _, redirect = things
    assert isinstance(ifb, Link)
    assert isinstance(to_pod, Tbf)
    assert isinstance(redirect, Redirect)
    taken = replace(ifb, name="up0")
    to_taken = replace(redirect, to="up0")
    courses: list[tuple[Step, ...]] = [
        (Step(to_pod, ""),),
        (Step(redirect, ""),),
        plan.steps,
        (Step(replace(to_pod, rate=1000), ""),),
        (Step(redirect, ""),),
        (Step(redirect, "", "delete"), Step(redirect, "", "delete")),
        (Step(taken, ""), Step(to_taken, "")),
        (Step(taken, ""), Step(to_taken, "", "set")),
        (Step(redirect, "", "set"), Step(redirect, "", "set")),
        (Step(ifb, "", "delete"),),
        (Step(redirect, ""),),
        (Step(redirect, "", "set"),),
        (Step(to_pod, "", "delete"), Step(to_pod, "", "delete")),
        (Step(ifb, ""), Step(redirect, "", "set"), Step(to_pod, "")),
        (Step(Link(at="node", name=lease.link), "", "delete"),),
    ]
    for steps in courses:
        both.do("apply", Plan(steps), "red")
        both.compare({"red": plan})


def test_an_interval_makes_room_for_a_wider_one_alike(stack: ExitStack) -> None:
    """Deleted and added in one batch they do not overlap."""
    both = Both(a_network(), stack)
    node = datapath.node_plan([both.network], FACTS)
    both.do("apply", repair(both, node))
    narrow = [s for s in node.steps if isinstance(s.object, Element) and s.object.set.interval]
    wide = [
        s._replace(object=Element(s.object.set, (ip_network("10.0.0.0/8"),)))
        for s in narrow
        if isinstance(s.object, Element)
    ]
    both.do("apply", Plan(tuple(wide)))
    both.do("apply", Plan((*(step._replace(verb="delete") for step in narrow), *wide)))
    both.compare({})
    both.do("apply", Plan((*(step._replace(verb="delete") for step in wide), *narrow)))
    both.compare({})


def test_strangers_in_the_doomed_group_are_moved_out_alike(stack: ExitStack) -> None:
    """Links without podnet's alias, of whatever kind, lose the group and stay; podnet's own is ended."""
    network = a_network()
    both = Both(network, stack)
    both.do("apply", repair(both, datapath.node_plan([network], FACTS)))
    lease = a_lease(network)
    both.do("apply", datapath.attach(network, FACTS, lease), "red")
    both.do("dismantle", datapath.cut(network, lease))
    bridge = Link(at="node", name="docker0", kind="bridge", mac="02:00:00:00:00:99", mtu=1500, up=False)
    both.do("apply", Plan((Step(bridge, "a stranger's"),)))
    for name in ("up0", "docker0"):
        both.do("apply", Plan((Step(Link(at="node", name=name, group=GROUP_DOOMED), "", "set"),)))
    both.reap()
    strangers = Plan(tuple(Step(Link(at="node", name=name), "") for name in ("up0", "docker0")))
    with both.node.inside():
        for kernel in (both.fake, both.real):
            links = kernel.observe(strangers).values()
            assert [link.group for link in links if isinstance(link, Link)] == [0, 0]
            assert not any(key[0] == "link" for key in kernel.owned())


def test_a_link_that_is_repaired_keeps_its_neighbours(stack: ExitStack) -> None:
    """What differs of a link is set, not its MAC again: the kernel ends a link's permanent neighbours at that."""
    network = a_network()
    both = Both(network, stack)
    lease = a_lease(network)
    plan = datapath.attach(network, FACTS, lease)
    node = Plan(tuple(step for step in plan.steps if getattr(step.object, "at", "") == "node"))
    pod = Plan(tuple(step for step in plan.steps if getattr(step.object, "at", "") == "pod"))
    both.do("apply", Plan.of(node, pod), "red")
    both.do("apply", Plan((Step(Link(at="node", name=lease.link, alias="mine", mtu=1400), "a stranger's", "set"),)))
    with both.node.inside():
        difference = diff(both.real.observe(node), node)
    assert [step.verb for step in difference.steps] == ["set"]
    both.do("apply", difference)
    both.compare({"red": plan})
    with both.node.inside():
        assert not diff(both.real.observe(node), node)
