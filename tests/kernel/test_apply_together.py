"""Several plans at once: the state is that of one after the other, and what is refused of one disturbs no other."""

import errno
from contextlib import ExitStack
from uuid import uuid4

import pytest

from podnet import datapath
from podnet.datapath.ruleset import PODS
from podnet.errors import KernelError
from podnet.model import Namespace
from podnet.nft import Element, Set, Table
from podnet.plan import Plan, Step, diff, inverse
from podnet.testing.namespaces import NodeNamespace, state_of
from podnet.testing.values import FACTS, a_lease, a_network

pytestmark = pytest.mark.live

NAMES = ("red", "blue", "green")
NOWHERE = Element(
    Set(table=Table("inet", "elsewhere"), name="pods4", key=PODS[4].key), ("a", a_network().subnets[0][9])
)


def plans_of(datapath_name: str, versions: tuple[int, ...]) -> tuple[Plan, list[Plan]]:
    """Return the node's plan and one for each of NAMES."""
    network = a_network(datapath_name, versions)
    leases = [a_lease(network, name, number) for number, name in enumerate(NAMES, 2)]
    return datapath.node_plan([network], FACTS), [datapath.attach(network, FACTS, lease) for lease in leases]


def pods_of(node: NodeNamespace) -> list[Namespace]:
    """Make a pod's namespace for each of NAMES."""
    return [node.pod(f"{node.name}-{name}") for name in NAMES]


@pytest.mark.parametrize("versions", [(4,), (4, 6)])
@pytest.mark.parametrize("datapath_name", ["ptp", "bridge"])
def test_together_is_one_after_the_other(
    stack: ExitStack, space: NodeNamespace, datapath_name: str, versions: tuple[int, ...]
) -> None:
    """Node and pods end in the same state either way."""
    node_plan, plans = plans_of(datapath_name, versions)
    other = NodeNamespace(f"kernel-{uuid4().hex[:8]}", stack)
    pods, others = pods_of(space), pods_of(other)
    with space.inside():
        space.kernel.apply(node_plan)
        assert space.kernel.apply_together(list(zip(plans, pods, strict=True))) == [None, None, None]
    with other.inside():
        other.kernel.apply(node_plan)
        for plan, pod in zip(plans, others, strict=True):
            other.kernel.apply(plan, pod)
    assert space.state() == other.state()
    for ours, theirs in zip(pods, others, strict=True):
        assert state_of(ours.path) == state_of(theirs.path)


@pytest.mark.parametrize("place", ["the pod's link is there", "an element of no table"])
def test_the_refusal_of_one_is_its_own(space: NodeNamespace, place: str) -> None:
    """The first and the third plan are carried out; the second's error names its step, and its `done` undoes it."""
    node_plan, plans = plans_of("ptp", (4,))
    pods = pods_of(space)
    if place == "the pod's link is there":
        space.sh(f"ip link add far9 type veth peer name eth0 netns {pods[1].path}")
    else:
        plans[1] = Plan.of([Step(NOWHERE, "a test asks")], plans[1])
    with space.inside():
        space.kernel.apply(node_plan)
        first, second, third = space.kernel.apply_together(list(zip(plans, pods, strict=True)))
        assert (first, third) == (None, None)
        assert isinstance(second, KernelError)
        assert second.errno == (errno.EEXIST if place == "the pod's link is there" else errno.ENOENT)
        space.kernel.dismantle(inverse(Plan(second.done)))
        for index in (0, 2):
            assert diff(space.kernel.observe(plans[index], pods[index]), plans[index]) == Plan()
        assert "veth-" not in space.sh("ip -br link show up").replace("veth-", "", 2)
        assert "10.244.1.3" not in space.sh("nft list ruleset; ip route")
