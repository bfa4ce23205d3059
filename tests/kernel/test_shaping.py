"""Shaping: what is observed of it, which indexes it needs, and that the kernel holds both directions to their rate."""

import errno
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from podnet.errors import KernelError
from podnet.kernel.socket import NetlinkSocket
from podnet.model import Namespace
from podnet.netlink.message import Envelope, Request
from podnet.netlink.rtnl.filter import RTM_GETTFILTER
from podnet.netlink.rtnl.qdisc import RTM_GETQDISC
from podnet.plan import (
    GROUP_PODS,
    Address,
    Link,
    Object,
    Plan,
    Redirect,
    Step,
    Sysctl,
    Tbf,
    diff,
    inverse,
    key_of,
    state_of,
)
from podnet.plan.plan import Verb
from podnet.testing.namespaces import NodeNamespace, shaping_of
from podnet.testing.waiting import PATIENCE

pytestmark = pytest.mark.live

ALIAS = "podnet:red:eth0"
RATE = 2_500_000  # 20 Mbit/s
HOST_END = Link(at="node", name="veth-a", kind="veth", peer="eth0", group=GROUP_PODS, alias=ALIAS)
POD_END = Link(at="pod", name="eth0", kind="veth")
IFB = Link(at="node", name="ifb-a", kind="ifb", queues=1, group=GROUP_PODS, alias=ALIAS, ipv6_autoconf=False)
TO_POD = Tbf(at="node", dev="veth-a", rate=RATE, burst=25_000, limit=100_000)
FROM_POD = Tbf(at="node", dev="ifb-a", rate=RATE, burst=25_000, limit=100_000)
REDIRECT = Redirect(at="node", dev="veth-a", to="ifb-a")
SHAPED = (HOST_END, POD_END, IFB, TO_POD, FROM_POD, REDIRECT)


def asked(*things: Object, verb: Verb = "add") -> Plan:
    """Return the plan that does `verb` to `things`."""
    return Plan(tuple(Step(thing, "a test asks", verb) for thing in things))


@pytest.fixture
def pod(space: NodeNamespace) -> Namespace:
    """Give a pod joined to the node by a veth, shaped in both directions."""
    made = space.pod(f"{space.name}-p")
    with space.inside():
        space.kernel.apply(asked(*SHAPED), made)
    return made


@contextmanager
def requests_noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Give the types of all dumps that are asked for meanwhile."""
    asked_for: list[int] = []
    dump = NetlinkSocket.dump

    def noted(self: NetlinkSocket, request: Request) -> list[Envelope]:
        asked_for.append(request.type)
        return dump(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(NetlinkSocket, "dump", noted)
        yield asked_for


ELSEWHERE = "u32 match u32 0 0 action mirred egress redirect dev up0"
CHANGES = {
    "rate": ("tc qdisc replace dev veth-a root tbf rate 21mbit burst 25000b limit 100000b", "set", [TO_POD]),
    "burst": ("tc qdisc replace dev veth-a root tbf rate 20mbit burst 25100b limit 100000b", "set", [TO_POD]),
    "root qdisc": ("tc qdisc del dev ifb-a root", "add", [FROM_POD]),
    "ingress qdisc": ("tc qdisc del dev veth-a ingress", "add", [REDIRECT]),
    "filter": ("tc filter del dev veth-a ingress", "set", [REDIRECT]),
    "second filter": (
        f"tc filter add dev veth-a ingress protocol ip prio 2 {ELSEWHERE}",
        "set",
        [REDIRECT],
    ),
    "target": (
        f"tc filter replace dev veth-a ingress protocol all prio 1 handle 800::800 {ELSEWHERE}",
        "set",
        [REDIRECT],
    ),
    "ifb": ("ip link del ifb-a", "", [IFB, FROM_POD, REDIRECT]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_changed_is_seen_and_repaired(space: NodeNamespace, pod: Namespace, change: str) -> None:
    """The difference is what was changed and no more; after it is applied there is none, and the ifb is led to."""
    command, verb, expected = CHANGES[change]
    plan = asked(*SHAPED)
    with space.inside():
        assert diff(space.kernel.observe(plan, pod), plan) == Plan()
        space.sh(command)
        difference = diff(space.kernel.observe(plan, pod), plan)
        assert [step.object for step in difference.steps] == expected
        assert not verb or {step.verb for step in difference.steps} == {verb}
        space.kernel.apply(difference, pod)
        assert diff(space.kernel.observe(plan, pod), plan) == Plan()
        (*_, filter_) = json.loads(space.sh("tc -j filter show dev veth-a ingress"))
        assert [action["to_dev"] for action in filter_["options"]["actions"]] == ["ifb-a"]


def test_localnet_is_observed_from_the_link(space: NodeNamespace) -> None:
    """route_localnet is set before the link is up, in /proc/sys as in the link's own message, and set again if lost."""
    end = Link(at="node", name="ifb-l", kind="ifb", route_localnet=True)
    name = Sysctl(at="node", name="net/ipv4/conf/ifb-l/route_localnet", value="1")
    with space.inside():
        space.kernel.apply(asked(end))
        assert diff(space.kernel.observe(asked(end, name)), asked(end, name)) == Plan()
        space.sh("sysctl -qw net/ipv4/conf/ifb-l/route_localnet=0")
        difference = diff(space.kernel.observe(asked(end)), asked(end))
        assert [step.verb for step in difference.steps] == ["set"]
        space.kernel.apply(difference)
    assert space.sh("cat /proc/sys/net/ipv4/conf/ifb-l/route_localnet") == "1\n"


def test_what_is_podnets_has_its_qdiscs(space: NodeNamespace, pod: Namespace) -> None:
    """`owned` has the qdiscs of podnet's links, those of others not."""
    assert pod.path
    space.sh("tc qdisc add dev up0 root tbf rate 1mbit burst 2000b limit 2000b; tc qdisc add dev up0 ingress")
    with space.inside():
        owned = space.kernel.owned()
    mine = {key_of(thing) for thing in (TO_POD, FROM_POD, REDIRECT)}
    assert {key for key in owned if key[0] == "qdisc"} == mine
    assert owned[REDIRECT.key] == REDIRECT


def test_no_qdisc_is_asked_for_where_nothing_is_shaped(space: NodeNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose pods have no limits, and a plan without qdiscs, cost no dump of qdiscs and filters."""
    pod = space.pod(f"{space.name}-p")
    plan = asked(HOST_END, POD_END)
    with space.inside(), requests_noted(monkeypatch) as dumps:
        space.kernel.apply(plan, pod)
        space.kernel.owned()
        space.kernel.observe(plan, pod)
        assert not {RTM_GETQDISC, RTM_GETTFILTER} & set(dumps)
        space.kernel.apply(asked(IFB, TO_POD, FROM_POD))
        space.kernel.observe(asked(TO_POD))
        assert (dumps.count(RTM_GETQDISC), dumps.count(RTM_GETTFILTER)) == (1, 0)
        space.kernel.apply(asked(REDIRECT))
        space.kernel.owned()
        assert (dumps.count(RTM_GETQDISC), dumps.count(RTM_GETTFILTER)) == (2, 1)


def test_a_pod_may_have_an_ifb_of_its_own(space: NodeNamespace) -> None:
    """At the pod too the ifb's index is drawn, and it is not taken for a link of the node's."""
    pod = space.pod(f"{space.name}-p")
    ifb = Link(at="pod", name="ifb-a", kind="ifb")
    redirect = Redirect(at="pod", dev="eth0", to="ifb-a")
    plan = asked(HOST_END, POD_END, ifb, Tbf(at="pod", dev="ifb-a", rate=RATE, burst=9000, limit=9000), redirect)
    with space.inside():
        space.kernel.apply(plan, pod)
        assert diff(space.kernel.observe(plan, pod), plan) == Plan()
        with pytest.raises(KernelError, match="ip link show ifb-a: ENODEV"):
            space.kernel.apply(asked(FROM_POD))


def test_a_redirect_to_no_link_is_refused_before_anything_is_sent(space: NodeNamespace) -> None:
    """ENODEV names the link that is missing; to delete the redirect it need not be there."""
    with space.inside():
        with pytest.raises(KernelError, match="ip link show nowhere0: ENODEV"):
            space.kernel.apply(asked(Redirect(at="node", dev="up0", to="nowhere0")))
        assert "ingress" not in space.sh("tc qdisc")
        space.kernel.apply(asked(IFB, Redirect(at="node", dev="up0", to="ifb-a")))
        space.sh("ip link del ifb-a")
        space.kernel.apply(asked(Redirect(at="node", dev="up0", to="ifb-a"), verb="delete"))
    assert "ingress" not in space.sh("tc qdisc")


def test_a_second_redirect_is_refused_and_changes_nothing(space: NodeNamespace, pod: Namespace) -> None:
    """Adding is exclusive, qdisc and filter both: nothing took effect, so that undoing it takes nothing away."""
    before = space.state(), shaping_of(space.name)
    with space.inside(), pytest.raises(KernelError) as refused:
        space.kernel.apply(asked(REDIRECT), pod)
    assert (refused.value.errno, refused.value.done) == (errno.EEXIST, ())
    assert (space.state(), shaping_of(space.name)) == before


@pytest.mark.parametrize(
    "gone", ["true", "tc qdisc del dev veth-a root; tc qdisc del dev veth-a ingress", "ip link del ifb-a"]
)
def test_the_inverse_takes_shaping_away_also_in_part(space: NodeNamespace, pod: Namespace, gone: str) -> None:
    """What is gone already is no obstacle, and nothing of podnet's is left."""
    assert pod.path
    with space.inside():
        space.sh(gone)
        for _ in range(2):
            space.kernel.dismantle(inverse(asked(*SHAPED)))
        assert space.kernel.owned() == state_of([])
    assert not {"veth-a", "ifb-a"} & {q["dev"] for q in json.loads(space.sh("tc -j qdisc"))}


def throughput(space: NodeNamespace, pod: Namespace, address: str, *arguments: str) -> float:
    """Return the Mbit/s that arrive at the other end in two seconds of TCP between the node and the pod."""
    serve = ["ip", "netns", "exec", pod.path, "iperf3", "--server", "--one-off", "--forceflush"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert any("listening" in line for line in iter(server.stdout.readline, ""))
            told = json.loads(
                space.sh(f"timeout {PATIENCE} iperf3 -J --time 2 --client {address} {' '.join(arguments)}")
            )
        finally:
            server.terminate()
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e6


def test_both_directions_are_held_to_their_rate(space: NodeNamespace, pod: Namespace) -> None:
    """20 Mbit/s to the pod by the veth's root qdisc, 20 Mbit/s from it by way of the ifb.

    No more, and not a rate of another unit: a machine that is busy may pass less.
    """
    addresses = asked(
        Address(at="node", dev="veth-a", address=ip_address("10.88.0.1"), prefixlen=24),
        Address(at="pod", dev="eth0", address=ip_address("10.88.0.2"), prefixlen=24),
    )
    with space.inside():
        space.kernel.apply(addresses, pod)
    to_pod, from_pod = (throughput(space, pod, "10.88.0.2", *reverse) for reverse in ((), ("--reverse",)))
    assert 4 < to_pod < 22
    assert 4 < from_pod < 22


def test_an_ifb_that_was_deleted_is_looked_up_again(space: NodeNamespace) -> None:
    """One made by hand under a deleted one's name is the one that a redirect leads to."""
    with space.inside():
        for take_away in (space.kernel.apply, space.kernel.dismantle):
            space.kernel.apply(asked(IFB))
            take_away(asked(IFB, verb="delete"))
            space.sh("ip link add ifb-a type ifb")
            space.kernel.apply(asked(Redirect(at="node", dev="up0", to="ifb-a"), verb="set"))
            assert '"to_dev":"ifb-a"' in space.sh("tc -j filter show dev up0 ingress")
            space.sh("ip link del ifb-a")


def test_an_ifbs_mac_is_given_at_birth_alone(space: NodeNamespace) -> None:
    """Born with it the ifb has it; setting another is refused by the kernel with EOPNOTSUPP."""
    ifb = Link(at="node", name="ifb-a", kind="ifb", mac="02:00:00:00:00:77")
    with space.inside():
        space.kernel.apply(asked(ifb))
        assert diff(space.kernel.observe(asked(ifb)), asked(ifb)) == Plan()
        with pytest.raises(KernelError, match="Operation not supported"):
            space.kernel.apply(asked(Link(at="node", name="ifb-a", mac="02:00:00:00:00:78"), verb="set"))
