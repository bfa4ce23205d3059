"""ADD: what a pod gets, what it is told, and what happens where it has something already."""

from ipaddress import ip_address, ip_network

import pytest

from podnet import datapath
from podnet.cni import Attached, Interface, IPConfig
from podnet.errors import AddressUnavailable, InterfaceExists, KernelError
from podnet.model import DNS, Network, PodRoute, link_name
from podnet.plan import Link, Plan, diff
from podnet.testing import Crash, FakeNode
from podnet.testing.values import FACTS, a_network

PTP = a_network("ptp", (4, 6))


def test_a_ptp_pod_is_told_its_two_links_its_addresses_alone_and_the_signposts(dual: FakeNode) -> None:
    """The result is exact: MACs, MTUs, prefix lengths, gateways, routes."""
    request = dual.job("red").request
    assert dual.add("red") == Attached(
        interfaces=(
            Interface(link_name(request.attachment), "02:70:6f:64:6e:65", "", 1500),
            Interface("eth0", "0a:58:0a:f4:01:02", "/run/netns/red", 1500),
        ),
        ips=(
            IPConfig(ip_address("10.244.1.2"), 32, ip_address("169.254.1.1"), 1),
            IPConfig(ip_address("fd00:10:244:1::2"), 128, ip_address("fe80::1"), 1),
        ),
        routes=(
            PodRoute(ip_network("0.0.0.0/0"), ip_address("169.254.1.1")),
            PodRoute(ip_network("::/0"), ip_address("fe80::1")),
        ),
    )


def test_a_bridge_pod_is_told_the_bridge_first_and_addresses_with_their_subnet() -> None:
    """The result is exact, with the network's own routes, MTU and DNS."""
    routes = (PodRoute(ip_network("10.0.0.0/8")), PodRoute(ip_network("10.9.0.0/16"), ip_address("10.244.1.9")))
    network = a_network("bridge", routes=routes, mtu=1400, dns=DNS(("10.96.0.10",)), bridge="pods0")
    node = FakeNode(network)
    result = node.add("red")
    assert [interface.name for interface in result.interfaces][::2] == ["pods0", "eth0"]
    assert result.interfaces[1].name.endswith("-br")
    assert {interface.mtu for interface in result.interfaces} == {1400}
    bridge = node.kernel.node.link("pods0")
    assert bridge is not None
    assert result.interfaces[0].mac == bridge.mac
    assert result.ips == (IPConfig(ip_address("10.244.1.2"), 24, ip_address("10.244.1.1"), 2),)
    assert result.routes == (
        PodRoute(ip_network("10.0.0.0/8"), ip_address("10.244.1.1")),
        PodRoute(ip_network("10.9.0.0/16"), ip_address("10.244.1.9")),
    )
    assert result.dns == DNS(("10.96.0.10",))


def test_what_is_told_is_what_is_there(node: FakeNode, network: Network) -> None:
    """The kernel has all that the plan asks for, on the node and in the pod, and CHECK agrees."""
    result = node.add("red")
    assert node.state() == node.desired()
    (lease,) = node.store.live()
    plan = datapath.attach(network, FACTS, lease)
    assert not diff(node.kernel.observe(plan, node.namespace("red")), plan)
    space = node.kernel.inside(node.namespace("red"))
    told = [(space.link(link.name) or node.kernel.node.link(link.name), link) for link in result.interfaces]
    assert all(found and (found.mac, found.mtu, found.up) == (link.mac, link.mtu, True) for found, link in told)
    node.check("red", result)


def test_pods_get_addresses_of_their_own_in_order(node: FakeNode, network: Network) -> None:
    """Each the next free address of every range set."""
    for number in (2, 3, 4):
        result = node.add(f"pod{number}")
        assert [ip.address for ip in result.ips] == [ranges[0].subnet[number] for ranges in network.ranges]
    assert node.state() == node.desired()


def test_an_address_that_is_asked_for_is_given_or_refused(dual: FakeNode) -> None:
    """It is given where nobody holds it; else the pod gets none, and nothing of it stays."""
    wish = [ip_address("10.244.1.77")]
    assert dual.add("red", addresses=wish).ips[0].address == wish[0]
    before = dual.state()
    with pytest.raises(AddressUnavailable, match=r"10\.244\.1\.77"):
        dual.add("blue", addresses=wish)
    assert dual.state() == before
    assert len(dual.store.live()) == 1


def test_an_address_that_waits_for_reaping_is_given_when_it_is_asked_for(dual: FakeNode) -> None:
    """What a pod that was cut off still holds is free when its link is gone, so that is seen to first."""
    wish = [ip_address("10.244.1.77")]
    dual.add("red", addresses=wish)
    dual.delete("red")
    assert dual.add("blue", addresses=wish).ips[0].address == wish[0]
    assert dual.state() == dual.desired()


def test_a_second_add_is_refused_and_changes_nothing(node: FakeNode) -> None:
    """InterfaceExists, CNI 111, and the pod keeps what it has."""
    result = node.add("red")
    before, inside = node.state(), node.pod_state("red")
    with pytest.raises(InterfaceExists, match=r"red has eth0 in /run/netns/red already, as podnet made it") as refused:
        node.add("red")
    assert refused.value.cni_code == 111
    assert (node.state(), node.pod_state("red")) == (before, inside)
    node.check("red", result)


def test_a_pod_may_have_several_interfaces(dual: FakeNode) -> None:
    """Each CNI_IFNAME is an attachment with addresses and a host link of its own."""
    outcomes = dual.engine.add([dual.job("red", ifname="eth0"), dual.job("red", ifname="net1", network=PTP)])
    first, second = outcomes
    # The second's default routes are taken, so the kernel refuses it; the first does not suffer.
    assert isinstance(first, Attached)
    assert isinstance(second, KernelError)
    assert dual.state() == dual.desired()
    dual.check("red", first)


def test_add_after_the_pod_died_unheard_of_begins_anew(node: FakeNode) -> None:
    """The old namespace took the old link with it: the lease is ended, the pod gets what it asks for."""
    node.add("red")
    node.new_namespace("red")
    result = node.add("red")
    assert node.state() == node.desired()
    assert len(node.store.live()) == 1
    node.check("red", result)


def test_add_while_the_old_interface_awaits_reaping_succeeds(node: FakeNode) -> None:
    """DEL leaves eth0 in the namespace for some milliseconds: an ADD in between reaps first."""
    node.add("red")
    node.delete("red")
    assert node.pod_state("red")
    result = node.add("red")
    assert node.state() == node.desired()
    assert not node.store.pending()
    node.check("red", result)


def crashes(versions: tuple[int, ...], kind: str) -> int:
    """Return how many steps an ADD of such a network has."""
    node = FakeNode(a_network(kind, versions))
    node.add("red")
    (lease,) = node.store.live()
    return len(datapath.attach(node.networks[0], FACTS, lease).steps)


CRASHES = [
    (kind, step, after)
    for kind in ("ptp", "bridge")
    for step in range(crashes((4, 6), kind))
    for after in (False, True)
]


@pytest.mark.parametrize(("kind", "step", "after"), CRASHES)
@pytest.mark.parametrize("restart", [False, True], ids=["resumed", "restarted"])
def test_add_over_the_remains_of_a_crashed_add_succeeds(kind: str, step: int, after: bool, restart: bool) -> None:
    """Wherever the process ended, the runtime's next ADD finds a way, before a reconciliation or after it."""
    node = FakeNode(a_network(kind, (4, 6)))
    node.kernel.crash_at(step, after=after)
    with pytest.raises(Crash):
        node.add("red")
    node.restart()
    if restart:
        node.reconcile()
    last = step == crashes((4, 6), kind) - 1 and after
    if last:
        # All was done and nobody was told: podnet cannot know, so it says that the interface is there.
        with pytest.raises(InterfaceExists):
            node.add("red")
        node.delete("red")
    result = node.add("red")
    node.engine.reap()
    assert node.state() == node.desired()
    assert len(node.store.live()) == 1
    node.check("red", result)


def test_the_pods_loopback_is_up(node: FakeNode) -> None:
    """A pod reaches itself."""
    node.add("red")
    loopback = node.kernel.inside(node.namespace("red")).link("lo")
    assert loopback is not None
    assert loopback.up


def test_add_makes_the_nodes_part_no_second_time(node: FakeNode) -> None:
    """An ADD to a known network is one apply."""
    node.kernel.calls.clear()
    node.add("red")
    assert node.kernel.calls == ["apply"]
    assert isinstance(node.engine.node_plan(), Plan)
    assert any(isinstance(thing, Link) for thing in node.state().values())
