"""ADD that the kernel refuses: at whichever step, nothing of it stays, and those beside it do not suffer."""

import errno

import pytest

from podnet import datapath
from podnet.cni import Attached
from podnet.engine.ports import Namespace
from podnet.errors import AddressUnavailable, InterfaceExists, IOFailure, KernelError, StateError
from podnet.plan import Address, Link, Plan, Route
from podnet.testing import FakeKernel, FakeNode
from podnet.testing.values import FACTS, a_lease, a_network


class LosesAnAnswer(FakeKernel):
    """A kernel that does what it is asked for a pod, and whose answer is lost the next `to_lose` times."""

    to_lose = 0

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`, and raise `IOFailure` where the answer is lost."""
        super().apply(plan, namespace)
        if namespace is not None and self.to_lose:
            self.to_lose -= 1
            raise IOFailure("netlink: the answer is lost")


SHAPES = [(kind, versions) for kind in ("ptp", "bridge") for versions in ((4,), (6,), (4, 6))]
STEPS = [
    (kind, versions, number)
    for kind, versions in SHAPES
    for network in [a_network(kind, versions)]
    for number in range(len(datapath.attach(network, FACTS, a_lease(network)).steps))
]


@pytest.mark.parametrize("after", [False, True], ids=["without-effect", "with-effect"])
@pytest.mark.parametrize(
    ("kind", "versions", "number"), STEPS, ids=[f"{k}-{''.join(map(str, v))}-{n}" for k, v, n in STEPS]
)
def test_a_refusal_at_any_step_leaves_all_as_it_was(
    kind: str, versions: tuple[int, ...], number: int, after: bool
) -> None:
    """Kernel and leases are as before, the error names the step, and the next ADD succeeds."""
    node = FakeNode(a_network(kind, versions))
    node.add("bystander")
    before, leases = node.state(), node.store.live()
    node.kernel.fail_at(number, errno.ENOMEM, after=after)
    with pytest.raises(KernelError, match="ENOMEM") as refused:
        node.add("red")
    assert refused.value.cni_code == 100
    assert node.state() == before
    assert not node.pod_state("red")
    assert (node.store.live(), node.store.pending()) == (leases, [])
    assert node.store.rows[-1].reason == refused.value.msg
    result = node.add("red")
    assert node.state() == node.desired()
    node.check("red", result)


@pytest.mark.parametrize(("kind", "versions"), SHAPES)
def test_a_strangers_interface_is_named_and_left(kind: str, versions: tuple[int, ...]) -> None:
    """CNI_IFNAME is taken by something that podnet did not make: code 111, nothing left, nothing of theirs touched."""
    node = FakeNode(a_network(kind, versions))
    space = node.kernel.inside(node.namespace("red"))
    space.put(Link(at="pod", name="eth0", kind="macvlan", mac="02:00:00:00:00:77"))
    before, inside = node.state(), node.pod_state("red")
    with pytest.raises(InterfaceExists, match=r"eth0 exists in /run/netns/red, and podnet did not make it") as refused:
        node.add("red")
    assert refused.value.cni_code == 111
    assert (node.state(), node.pod_state("red")) == (before, inside)
    assert not node.store.live()


def test_a_strangers_host_link_is_left(dual: FakeNode) -> None:
    """So it is where the name is taken on the node: the error names that link too."""
    link = a_lease(dual.networks[0]).link
    dual.kernel.node.put(Link(at="node", name=link, kind="veth"))
    before = dual.state()
    with pytest.raises(InterfaceExists, match=f"ip link show {link}"):
        dual.add("red")
    assert dual.state() == before


def test_a_strangers_route_to_the_pods_address_is_named_and_left(dual: FakeNode) -> None:
    """EEXIST of anything but a link is the kernel's error; the route is not podnet's to replace."""
    lease = a_lease(dual.networks[0])
    plan = datapath.attach(dual.networks[0], FACTS, lease)
    route = next(s.object for s in plan.steps if isinstance(s.object, Route) and s.object.at == "node")
    dual.kernel.node.put(Route(at="node", dst=route.dst, dev="up0"))
    before = dual.state()
    with pytest.raises(KernelError, match=r"ip route add 10\.244\.1\.2/32 .*EEXIST"):
        dual.add("red")
    assert dual.state() == before


def test_a_refusal_after_reaping_for_the_name_is_undone_too(dual: FakeNode) -> None:
    """The second try, after the old interface was reaped, is undone like the first."""
    dual.add("red")
    dual.delete("red")
    dual.kernel.fail_at(lambda step: isinstance(step.object, Address), errno.ENOMEM)
    with pytest.raises(KernelError, match="ENOMEM"):
        dual.add("red")
    assert dual.state() == dual.desired()
    assert not dual.store.live()


def test_of_several_adds_the_failing_one_disturbs_no_other(dual: FakeNode) -> None:
    """They are one commit; each has its own outcome."""
    dual.add("taken")
    jobs = [dual.job(name) for name in ("red", "taken", "green", "blue")]
    dual.kernel.fail_at(
        lambda step: isinstance(step.object, Link) and step.object.alias == jobs[2].request.attachment.alias,
        errno.ENOBUFS,
    )
    commits = dual.store.commits
    red, taken, green, blue = dual.engine.add(jobs)
    assert isinstance(red, Attached)
    assert isinstance(taken, InterfaceExists)
    assert isinstance(green, KernelError)
    assert isinstance(blue, Attached)
    assert dual.store.commits == commits + 2  # the leases, and the one that was taken back
    assert {lease.attachment.container for lease in dual.store.live()} == {"taken", "red", "blue"}
    assert dual.state() == dual.desired()
    dual.check("red", red)
    dual.check("blue", blue)


def test_one_attachment_asked_for_twice_in_a_batch_is_made_once(dual: FakeNode) -> None:
    """The first is attached, the second is told that the interface is there."""
    job = dual.job("red")
    first, second = dual.engine.add([job, job])
    assert isinstance(first, Attached)
    assert isinstance(second, InterfaceExists)
    assert dual.state() == dual.desired()
    dual.check("red", first)


def test_a_range_that_runs_out_refuses_those_beyond_it() -> None:
    """The others of the batch are attached."""
    network = a_network()
    node = FakeNode(network)
    outcomes = node.engine.add([node.job(f"pod{n}") for n in range(255)])
    refused = [outcome for outcome in outcomes if isinstance(outcome, AddressUnavailable)]
    assert refused == outcomes[253:]
    assert node.state() == node.desired()


def test_a_store_that_fails_touches_no_kernel(dual: FakeNode) -> None:
    """No lease, no link; the batch ends with the store's error."""
    before = dual.state()
    dual.store.fail("reserve", StateError("the disk is full"))
    with pytest.raises(StateError, match="the disk is full"):
        dual.engine.add([dual.job("red"), dual.job("blue")])
    assert dual.state() == before
    assert not dual.store.live()
    dual.store.fail("commit", StateError("the disk is full"))
    with pytest.raises(StateError, match="the disk is full"):
        dual.engine.add([dual.job("red")])
    assert dual.state() == before
    assert "apply" not in dual.kernel.calls[dual.kernel.calls.index("reap") :]


def test_what_cannot_be_undone_now_is_undone_by_the_next_reconciliation(dual: FakeNode) -> None:
    """The ADD's own error is told, not the undoing's."""
    dual.kernel.fail_at(lambda step: isinstance(step.object, Address), errno.ENOMEM)
    dual.kernel.fail_at("dismantle", errno.EPERM)
    with pytest.raises(KernelError, match="ENOMEM"):
        dual.add("red")
    assert dual.state() != dual.desired()
    dual.reconcile()
    assert dual.state() == dual.desired()


def test_a_bridge_that_vanished_is_restored_by_the_add_that_misses_it() -> None:
    """Whoever deleted br0, the next pod gets it back and is attached to it."""
    node = FakeNode(a_network("bridge", (4,)))
    del node.kernel.node.objects["link", "node", "br0"]
    node.add("red")
    assert node.state() == node.desired()


def test_an_add_whose_answer_is_lost_is_undone_whole(dual: FakeNode) -> None:
    """Where the socket fails, what took effect is not known: all that could have is taken back."""
    dual.kernel = LosesAnAnswer(FACTS)
    dual.restart()
    dual.reconcile()
    before = dual.state()
    dual.kernel.to_lose = 1
    with pytest.raises(IOFailure, match="lost"):
        dual.add("red")
    assert dual.state() == before
    assert not dual.store.live()
    dual.add("red")
    assert dual.state() == dual.desired()
