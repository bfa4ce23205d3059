"""Carrying out plans: what is refused is named, what took effect is told, what is gone is no obstacle."""

import errno
import json
import os
import socket
from ipaddress import ip_address, ip_network

import pytest

from podnet import datapath
from podnet.datapath.ruleset import PODS
from podnet.errors import KernelError
from podnet.kernel.namespace import OWN, entered, open_namespace
from podnet.nft import Element
from podnet.plan import Address, Link, Neighbour, Plan, Route, Step, Sysctl, diff, inverse
from podnet.testing.namespaces import NodeNamespace, state_of
from podnet.testing.values import FACTS, a_lease, a_network

pytestmark = pytest.mark.live

V4 = a_network("ptp", (4,))
BRIDGED = a_network("bridge", (4,))


def address(text: str, dev: str = "up0") -> Step:
    """Return the step that adds an address on the node."""
    return Step(Address(at="node", dev=dev, address=ip_address(text), prefixlen=24), "a test asks")


REFUSED = {
    "an address twice": (address("10.99.0.11"), errno.EEXIST, "ip addr add 10.99.0.11/24"),
    "a gateway that nobody can reach": (
        Step(Route(at="node", dst=ip_network("10.7.0.0/16"), dev="up0", via=ip_address("203.0.113.1")), "a test asks"),
        errno.ENETUNREACH,
        "ip route add 10.7.0.0/16 via 203.0.113.1",
    ),
    "a sysctl that is not there": (
        Step(Sysctl(at="node", name="net/ipv4/conf/up0/no_such_key", value="1"), "a test asks"),
        errno.ENOENT,
        "no_such_key",
    ),
    "a sysctl's impossible value": (
        Step(Sysctl(at="node", name="net/ipv4/ip_forward", value="often"), "a test asks"),
        errno.EINVAL,
        "often",
    ),
    "an element of no set": (
        Step(Element(PODS[4], ("up0", ip_address("10.1.1.1"))), "a test asks"),
        errno.ENOENT,
        "add element inet podnet pods4",
    ),
    "a link of a name that is taken": (
        Step(Link(at="node", name="far0", kind="bridge"), "a test asks"),
        errno.EEXIST,
        "ip link add far0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_step_and_errno_and_what_was_done(space: NodeNamespace, case: str) -> None:
    """The error has the command, the errno's name, the object; `done` has the steps before it, which took effect."""
    step, number, command = REFUSED[case]
    before = address("10.98.0.1"), Step(Sysctl(at="node", name="net/ipv4/conf/up0/forwarding", value="1"), "a test")
    plan = Plan((*before, step))
    with space.inside(), pytest.raises(KernelError) as refused:
        space.kernel.apply(plan)
    error = refused.value
    assert (error.errno, error.at) == (number, step.object)
    assert command in error.step
    assert errno.errorcode[number] in error.msg
    assert error.done == before
    with space.inside():
        assert diff(space.kernel.observe(Plan(error.done)), Plan(error.done)) == Plan()


def test_the_kernels_own_text_is_told(space: NodeNamespace) -> None:
    """An extended acknowledgement is part of the message, and stands alone in `extack`."""
    step = REFUSED["a gateway that nobody can reach"][0]
    with space.inside(), pytest.raises(KernelError) as refused:
        space.kernel.apply(Plan((step,)))
    assert refused.value.extack == "Nexthop has invalid gateway"
    assert "(Nexthop has invalid gateway)" in refused.value.msg


def test_a_link_that_is_not_there_is_named(space: NodeNamespace) -> None:
    """A plan that speaks of a missing link is refused before anything is sent."""
    before = space.state()
    with space.inside(), pytest.raises(KernelError, match="ip link show nowhere0: ENODEV"):
        space.kernel.apply(Plan((address("10.98.0.1"), address("10.98.1.1", dev="nowhere0"))))
    assert space.state() == before


def test_the_inverse_of_what_was_done_undoes_a_failed_attachment(space: NodeNamespace) -> None:
    """Where the pod's side is refused, dismantling the inverse of `done` leaves node and pod as they were."""
    pod = space.pod(f"{space.name}-p")
    lease = a_lease(V4)
    plan = datapath.attach(V4, FACTS, lease)
    spoilt = Plan((*plan.steps, Step(plan.steps[-1].object, "a route that is there")))
    with space.inside():
        space.kernel.apply(datapath.node_plan([V4], FACTS))
        before = space.state(), [e for e in state_of(pod.path)["links"] if e["ifname"] != "lo"]
        with pytest.raises(KernelError) as refused:
            space.kernel.apply(spoilt, pod)
        assert refused.value.errno == errno.EEXIST
        assert space.state() != before[0]
        space.kernel.dismantle(inverse(Plan(refused.value.done)))
        assert (space.state(), [e for e in state_of(pod.path)["links"] if e["ifname"] != "lo"]) == before
        space.kernel.apply(plan, pod)


@pytest.mark.parametrize("network", [V4, BRIDGED], ids=["ptp", "bridge"])
@pytest.mark.parametrize("gone", ["nothing", "link", "elements", "table", "namespace"])
def test_dismantling_tolerates_what_is_gone(space: NodeNamespace, network: object, gone: str) -> None:
    """Whatever part of an attachment somebody removed, cutting it off succeeds twice, and nothing of it is left."""
    assert network in (V4, BRIDGED)
    net = V4 if network is V4 else BRIDGED
    pod = space.pod(f"{space.name}-p")
    lease = a_lease(net)
    with space.inside():
        space.kernel.apply(datapath.node_plan([net], FACTS))
        space.kernel.apply(datapath.attach(net, FACTS, lease), pod)
        space.sh(
            {
                "nothing": "true",
                "link": f"ip link del {lease.link}",
                "elements": "nft flush set inet podnet pods4",
                "table": "nft delete table inet podnet",
                "namespace": f"ip -n {pod.path} link del eth0",
            }[gone]
        )
        for _ in range(2):
            space.kernel.dismantle(datapath.cut(net, lease))
        space.kernel.reap()
        left = space.sh("ip link; nft list ruleset; ip route; ip neigh")
    assert lease.link not in left
    assert str(lease.addresses[0].address) not in left


def test_dismantling_goes_on_after_a_refusal(space: NodeNamespace) -> None:
    """What cannot be taken away is one error at the end; all other steps have been carried out."""
    address_step = address("10.98.0.1")
    neighbour = Step(
        Neighbour(at="node", dev="up0", address=ip_address("10.98.0.2"), mac="02:00:00:00:00:02"), "a test"
    )
    with space.inside():
        space.kernel.apply(Plan((address_step, neighbour)))
        undeletable = Step(Link(at="node", name="lo", kind="bridge"), "not podnet's", "delete")
        steps = inverse(Plan((address_step, neighbour))).steps
        with pytest.raises(KernelError, match=r"ip link del lo: .*Operation not supported"):
            space.kernel.dismantle(Plan((undeletable, *steps)))
    assert "10.98.0" not in space.sh("ip addr; ip neigh")


def test_a_bridge_made_anew_behind_its_back_is_found_again(space: NodeNamespace) -> None:
    """The remembered index of a bridge that is another now is refused once, and looked up again after that."""
    node_plan = datapath.node_plan([BRIDGED], FACTS)
    first, second = a_lease(BRIDGED, "red", 2), a_lease(BRIDGED, "blue", 3)
    with space.inside():
        space.kernel.apply(node_plan)
        space.kernel.apply(datapath.attach(BRIDGED, FACTS, first), space.pod(f"{space.name}-r"))
        space.sh("ip link del br0; ip link add br0 type bridge; ip link set br0 up")
        plan, pod = datapath.attach(BRIDGED, FACTS, second), space.pod(f"{space.name}-b")
        with pytest.raises(KernelError) as refused:
            space.kernel.apply(plan, pod)
        space.kernel.dismantle(inverse(Plan(refused.value.done)))
        assert second.link not in space.sh("ip link")
        space.kernel.apply(diff(space.kernel.observe(node_plan), node_plan))
        space.kernel.apply(plan, pod)
        (link,) = json.loads(space.sh(f"ip -j link show {second.link}"))
    assert link["master"] == "br0"


def test_observing_says_what_differs(space: NodeNamespace) -> None:
    """A link that was down lost its route and its neighbour, and nothing else; the diff brings back just these."""
    pod = space.pod(f"{space.name}-p")
    lease = a_lease(V4)
    plan = datapath.attach(V4, FACTS, lease)
    with space.inside():
        space.kernel.apply(datapath.node_plan([V4], FACTS))
        space.kernel.apply(plan, pod)
        space.sh(f"ip link set {lease.link} down; ip link set {lease.link} up")
        difference = diff(space.kernel.observe(plan, pod), plan)
        assert {type(step.object) for step in difference.steps} == {Route, Neighbour}
        space.kernel.apply(difference, pod)
        assert diff(space.kernel.observe(plan, pod), plan) == Plan()


def test_a_pod_hears_the_node_as_soon_as_it_is_attached(space: NodeNamespace) -> None:
    """The first datagram after apply arrives, also before the kernel's link watch had its turn by itself."""
    with space.inside():
        space.kernel.apply(datapath.node_plan([V4], FACTS))
    for number in range(2, 22):
        lease = a_lease(V4, f"pod{number}", number)
        pod = space.pod(f"{space.name}-{number}")
        target = (str(lease.addresses[0].address), 9)
        with space.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            home = open_namespace(OWN)
            with entered(pod.descriptor, home):
                receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            os.close(home)
            with sender, receiver:
                receiver.settimeout(5)
                receiver.bind(("", target[1]))
                space.kernel.apply(datapath.attach(V4, FACTS, lease), pod)
                sender.sendto(b"first", target)
                assert receiver.recv(64) == b"first"
