"""Qdiscs, filters and ifbs of a plan as messages: what holds a pod to its bandwidth."""

import pytest

from podnet.netlink.rtnl import (
    U32,
    Action,
    Filter,
    LinkInfo,
    Qdisc,
    Selector,
)
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Tbf as TbfOptions
from podnet.netlink.rtnl.filter import RTM_DELTFILTER, RTM_NEWTFILTER
from podnet.netlink.rtnl.filter import info as filter_info
from podnet.netlink.rtnl.link import IFF_UP
from podnet.netlink.rtnl.qdisc import RTM_DELQDISC, RTM_NEWQDISC
from podnet.netlink.rtnl.tc import CLSACT_INGRESS, TC_H_CLSACT, TC_H_ROOT
from podnet.plan import (
    Link,
    Object,
    Plan,
    Redirect,
    Step,
    Tbf,
    encode,
)
from tests.plan.said import CREATE, REPLACE, links, read, requests_of


def test_an_ifb_is_born_without_a_peer_and_set_up() -> None:
    """`ip link add type ifb` with one queue, then IFF_UP."""
    first, up = links(Link(at="node", name="ifb-a", kind="ifb", queues=1))
    assert first == LinkMessage(index=9, ifname="ifb-a", num_tx_queues=1, num_rx_queues=1, linkinfo=LinkInfo("ifb"))
    assert up == LinkMessage(index=9, flags=IFF_UP, change=IFF_UP)


@pytest.mark.parametrize("verb", ["add", "set"])
@pytest.mark.parametrize("rate", [2_500_000, 5_000_000_000])
def test_a_token_bucket_takes_the_place_of_the_root_qdisc(rate: int, verb: str) -> None:
    """One RTM_NEWQDISC that replaces, in either verb."""
    (request,) = requests_of(Tbf(at="node", dev="veth-a", rate=rate, burst=25_000, limit=50_000), verb=verb)
    assert (request.type, request.flags) == (RTM_NEWQDISC, REPLACE)
    options = TbfOptions.of(rate, 25_000, 50_000)
    assert read(request) == Qdisc(ifindex=8, parent=TC_H_ROOT, kind="tbf", options=options)


REDIRECT = Redirect(at="node", dev="veth-a", to="ifb-a")


REDIRECTION = Filter(
    ifindex=8,
    handle=0x80000800,
    parent=CLSACT_INGRESS,
    info=filter_info(1),
    kind="u32",
    options=U32(sel=Selector(), act=(Action.redirect(9),)),
)


def test_a_redirect_is_an_ingress_qdisc_and_a_filter() -> None:
    """Added, both are exclusive; set, the qdisc is kept or made and the filters on it go first."""
    added, kept = requests_of(REDIRECT), requests_of(REDIRECT, verb="set")
    assert [(r.type, r.flags) for r in added] == [(RTM_NEWQDISC, CREATE), (RTM_NEWTFILTER, CREATE)]
    assert [read(r) for r in added] == [Qdisc.ingress(8), REDIRECTION]
    assert [(r.type, r.flags) for r in kept] == [(RTM_NEWQDISC, REPLACE), (RTM_DELTFILTER, 0), (RTM_NEWTFILTER, CREATE)]
    assert [read(r) for r in kept] == [Qdisc.ingress(8), Filter(ifindex=8, parent=CLSACT_INGRESS), REDIRECTION]


@pytest.mark.parametrize(
    ("thing", "parent"), [(Tbf(at="node", dev="veth-a", rate=1, burst=1, limit=1), TC_H_ROOT), (REDIRECT, TC_H_CLSACT)]
)
def test_a_qdisc_is_deleted_by_its_parent(thing: Object, parent: int) -> None:
    """The filter goes with its qdisc; where it led need not be there any more."""
    plan = Plan((Step(thing, "r", "delete"),))
    (request,) = encode(plan, {("node", "veth-a"): 8})[0].requests
    assert request.type == RTM_DELQDISC
    assert read(request) == Qdisc(ifindex=8, parent=parent)
