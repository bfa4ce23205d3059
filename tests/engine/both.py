"""FakeKernel and the real kernel side by side: what is done to the one is done to the other, and compared."""

from contextlib import ExitStack
from uuid import uuid4

from podnet.engine.ports import Namespace
from podnet.errors import KernelError
from podnet.model import Network
from podnet.nft import Rule
from podnet.plan import (
    Address,
    Link,
    Object,
    Plan,
    Route,
    State,
    Step,
    Sysctl,
    diff,
)
from podnet.testing import FakeKernel
from podnet.testing.namespaces import NodeNamespace

PODS = ("red", "blue")
KERNEL_MADE = 2  # RTPROT_KERNEL

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


def repair(both: Both, node: Plan) -> Plan:
    """Return what the node lacks, of which both worlds must say the same."""
    with both.node.inside():
        lacking = [diff(kernel.observe(node), node) for kernel in (both.fake, both.real)]
    found = [{step for step in plan.steps if not isinstance(step.object, Sysctl)} for plan in lacking]
    assert found[0] == found[1]
    return lacking[1]
