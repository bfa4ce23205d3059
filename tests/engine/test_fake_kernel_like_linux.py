"""FakeKernel beside the real kernel: random plans applied to both leave both in one state, with the same refusals."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network

import pytest

from podnet import datapath
from podnet.datapath.ruleset import HOSTPORTS
from podnet.model import Lease
from podnet.nft import Element
from podnet.plan import (
    GROUP_DOOMED,
    PROTOCOL,
    Address,
    Link,
    Object,
    Plan,
    Route,
    Step,
    Sysctl,
    diff,
    inverse,
)
from podnet.plan.plan import Verb
from podnet.testing.values import FACTS, a_lease, a_network
from tests.engine.both import PODS, Both, repair

pytestmark = pytest.mark.live


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
