"""FakeKernel beside the real kernel: qdiscs, filters and ifbs."""

import random
from contextlib import ExitStack
from functools import partial

import pytest
from msgspec.structs import replace

from podnet import datapath
from podnet.model import Lease
from podnet.plan import (
    GROUP_DOOMED,
    GROUP_PODS,
    Link,
    Object,
    Plan,
    Redirect,
    Step,
    Tbf,
    inverse,
)
from podnet.plan.plan import Verb
from podnet.testing.values import FACTS, a_lease, a_network
from tests.engine.both import PODS, Both, repair

pytestmark = pytest.mark.live


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
