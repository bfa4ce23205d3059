"""The way back: all that a plan adds and podnet made, last first."""

from ipaddress import ip_address, ip_network

import pytest

from podnet import datapath
from podnet.nft import DROP, Chain, Rule, Table
from podnet.plan import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Plan,
    Redirect,
    Route,
    Step,
    Sysctl,
    Tbf,
    Vxlan,
    WireGuard,
    WireGuardPeer,
    diff,
    inverse,
    key_of,
    state_of,
)
from podnet.testing.values import FACTS, a_lease, a_network

CHAIN = Chain(Table("inet", "podnet"), "prerouting")
BRIDGE = Link(at="node", name="br0", kind="bridge")
HOST_END = Link(at="node", name="veth-a", kind="veth", peer="eth0")
POD_END = Link(at="pod", name="eth0", kind="veth")
ADDRESS = Address(at="pod", dev="eth0", address=ip_address("10.0.0.2"), prefixlen=32)
ROUTE = Route(at="node", dst=ip_network("10.0.0.2/32"), dev="veth-a")
NEIGHBOUR = Neighbour(at="node", dev="veth-a", address=ip_address("10.0.0.2"), mac="02:00:00:00:00:01")


def test_it_goes_last_first() -> None:
    """Every object is deleted before what was there before it."""
    plan = Plan(tuple(Step(thing, "r") for thing in (BRIDGE, HOST_END, ROUTE, NEIGHBOUR)))
    assert [(s.object, s.verb) for s in inverse(plan).steps] == [
        (thing, "delete") for thing in (NEIGHBOUR, ROUTE, HOST_END, BRIDGE)
    ]


def test_qdiscs_go_before_the_links_they_are_on() -> None:
    """A redirect goes before the ifb it leads to, and each by a step of its own."""
    ifb = Link(at="node", name="ifb-a", kind="ifb")
    tbf = Tbf(at="node", dev="ifb-a", rate=1, burst=1, limit=1)
    redirect = Redirect(at="node", dev="veth-a", to="ifb-a")
    plan = Plan(tuple(Step(thing, "r") for thing in (HOST_END, ifb, tbf, redirect)))
    assert [(s.object, s.verb) for s in inverse(plan).steps] == [
        (thing, "delete") for thing in (redirect, tbf, ifb, HOST_END)
    ]


def test_a_tunnel_goes_after_what_is_in_it() -> None:
    """Each by a step of its own, so that what was there before is not taken along."""
    vxlan = Vxlan(vni=7, local=ip_address("192.0.2.1"), port=4789, dev="eth0")
    tunnel = Link(at="node", name="podnet-vx4", kind="vxlan", vxlan=vxlan)
    entry = Fdb(at="node", dev="podnet-vx4", mac="02:00:00:00:00:01", dst=ip_address("192.0.2.2"))
    plan = Plan((Step(tunnel, "r"), Step(entry, "r")))
    assert [(s.object, s.verb) for s in inverse(plan).steps] == [(entry, "delete"), (tunnel, "delete")]


def test_an_encrypted_tunnel_goes_after_its_peers() -> None:
    """What the device itself is goes with it; its peers by steps of their own."""
    tunnel = Link(at="node", name="wg0", kind="wireguard")
    own = WireGuard(at="node", dev="wg0", private_key="/key", public_key="", port=51820)
    peer = WireGuardPeer(at="node", dev="wg0", public_key="k", endpoint=None, port=0, allowed_ips=())
    plan = Plan((Step(tunnel, "r"), Step(own, "r"), Step(peer, "r")))
    assert [(s.object, s.verb) for s in inverse(plan).steps] == [(peer, "delete"), (tunnel, "delete")]


def test_a_reason_says_what_is_undone() -> None:
    """The reason of a step is that of the step it takes back."""
    (step,) = inverse(Plan((Step(BRIDGE, "network podnet has its pods on br0"),))).steps
    assert step.reason == "undo: network podnet has its pods on br0"


def test_a_sysctl_has_no_inverse() -> None:
    """What it was before is not known."""
    assert not inverse(Plan((Step(Sysctl(at="node", name="net/ipv4/ip_forward", value="1"), "r"),)))


def test_a_link_that_podnet_did_not_make_stays() -> None:
    """`lo` is set up and not taken down, let alone deleted."""
    assert not inverse(Plan((Step(Link(at="pod", name="lo"), "r"),)))


def test_the_pods_end_goes_with_the_hosts() -> None:
    """A veth is deleted once: by its host end where the plan has that, else by the end it has."""
    pair = Plan((Step(HOST_END, "r"), Step(POD_END, "r")))
    assert [s.object for s in inverse(pair).steps] == [HOST_END]
    assert [s.object for s in inverse(Plan((Step(POD_END, "r"),))).steps] == [POD_END]


@pytest.mark.parametrize("verb", ["set", "delete", "flush"])
def test_only_what_was_added_is_undone(verb: str) -> None:
    """What a plan sets was there before; what it deletes is not made again."""
    assert not inverse(Plan((Step(BRIDGE, "r", verb),)))  # type: ignore[arg-type]  # a str that is one of the verbs
    rule = Rule.new(CHAIN, DROP)
    assert not inverse(Plan((Step(rule, "r", verb),)))  # type: ignore[arg-type]


def test_rules_go_by_one_flush_of_each_chain() -> None:
    """Rules have no key: their chains are flushed, each once, before the chains themselves go."""
    other = Chain(CHAIN.table, "postrouting")
    rules = [Rule.new(chain, DROP, comment=text) for chain in (CHAIN, other) for text in ("a", "b")]
    plan = Plan((Step(CHAIN, "r"), Step(other, "r"), *(Step(rule, "r") for rule in rules)))
    assert [(s.object, s.verb) for s in inverse(plan).steps] == [
        (other, "flush"),
        (CHAIN, "flush"),
        (other, "delete"),
        (CHAIN, "delete"),
    ]


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)])
@pytest.mark.parametrize("kind", ["ptp", "bridge"])
def test_what_is_undone_is_what_the_plan_made(kind: str, versions: tuple[int, ...]) -> None:
    """The inverse of an attachment deletes each of its objects once, less sysctls, `lo` and the pod's end."""
    network = a_network(kind, versions)
    plan = datapath.attach(network, FACTS, a_lease(network))
    keys = [key_of(step.object) for step in inverse(plan).steps]
    made = [
        key_of(o) for o in plan.objects() if not isinstance(o, Sysctl) and not (isinstance(o, Link) and o.at == "pod")
    ]
    assert keys == made[::-1]
    assert {step.verb for step in inverse(plan).steps} == {"delete"}


def test_undone_and_done_again_is_the_plan() -> None:
    """After the inverse of the node's part, the difference to it is all of it."""
    plan = datapath.node_plan([a_network("bridge")], FACTS)
    left = state_of(o for o in plan.objects() if isinstance(o, Sysctl))
    again = diff(left, plan)
    undone = {key_of(s.object) for s in inverse(plan).steps if s.verb == "delete"}
    assert undone == {key_of(s.object) for s in again.steps if s.verb == "add" and not isinstance(s.object, Rule)}
