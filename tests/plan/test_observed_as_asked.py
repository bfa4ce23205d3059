"""decode takes back what encode says: an object sent to a kernel that keeps it is observed as it was desired."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from podnet.netlink.message import MESSAGES, NETLINK_ROUTE
from podnet.netlink.rtnl import AF_BRIDGE, AF_INET6, U32, Action, Filter, LinkInfo, Mirred, Neigh, Qdisc, Selector
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl import Tbf as TbfOptions
from podnet.netlink.rtnl.addr import Addr
from podnet.netlink.rtnl.filter import TCA_EGRESS_MIRROR, MirredParms
from podnet.netlink.rtnl.filter import info as filter_info
from podnet.netlink.rtnl.neigh import NTF_SELF, NUD_PERMANENT, NUD_REACHABLE
from podnet.netlink.rtnl.route import RTN_LOCAL
from podnet.netlink.rtnl.tc import TC_H_ROOT
from podnet.plan import Address, Fdb, Link, Neighbour, Object, Plan, Redirect, Route, Step, Tbf, Vxlan, decode, encode
from podnet.plan.objects import Place
from podnet.plan.plan import Verb

LIGHT = settings(max_examples=60, deadline=None)
INDEXES: Any = {(at, name): index for at in ("node", "pod") for name, index in (("br0", 7), ("eth0", 8), ("a.b", 9))}
NAMES = {7: "br0", 8: "eth0", 9: "a.b"}

PLACES: st.SearchStrategy[Place] = st.sampled_from(("node", "pod"))
VERSIONS: st.SearchStrategy[Literal[4, 6]] = st.sampled_from((4, 6))
DEVICES = st.sampled_from(sorted(NAMES.values()))
MACS = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
HOSTS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
FIELDS = {
    "mac": st.one_of(st.just(""), MACS),
    "mtu": st.sampled_from([0, 1280, 65535]),
    "group": st.integers(0, 2**32 - 1),
    "alias": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60),
    "ipv6_autoconf": st.booleans(),
    "route_localnet": st.booleans(),
    "up": st.booleans(),
}


@st.composite
def addresses(draw: st.DrawFn) -> Address:
    """Draw an address of either family."""
    host = draw(HOSTS)
    length = draw(st.integers(0, host.max_prefixlen))
    return Address(at=draw(PLACES), dev=draw(DEVICES), address=host, prefixlen=length, prefix_route=draw(st.booleans()))


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Draw a route whose addresses are of one family; metric 1024 of IPv6 is what 0 becomes."""
    version = draw(VERSIONS)
    host = draw(st.ip_addresses(v=version))
    length = draw(st.integers(0, host.max_prefixlen))
    dst = (IPv4Network if version == 4 else IPv6Network)((int(host), length), strict=False)
    common: dict[str, Any] = {
        "at": draw(PLACES),
        "dst": dst,
        "protocol": draw(st.integers(0, 255)),
        "metric": draw(st.integers(0, 2**32 - 1)),
    }
    assume(version == 4 or common["metric"] != 1024)
    if draw(st.booleans()):
        return Route(type="unreachable", **common)
    via = draw(st.none() | st.ip_addresses(v=version))
    src = draw(st.none() | st.ip_addresses(v=version))
    return Route(dev=draw(DEVICES), via=via, onlink=draw(st.booleans()), src=src, **common)


def said(thing: Object, verb: Verb = "add") -> list[Any]:
    """Return the messages that add `thing`, or do `verb` to it."""
    batches = encode(Plan((Step(thing, "r", verb),)), INDEXES)
    return [MESSAGES[NETLINK_ROUTE, r.type].decode(r.payload) for batch in batches for r in batch.requests]


def kept(messages: list[LinkMessage]) -> LinkMessage:
    """Return the link that a kernel shows after `messages`: the last word on each attribute, and its flags."""
    shown: dict[str, Any] = {}
    flags = 0
    for message in messages:
        flags = (flags & ~message.change) | (message.flags & message.change)
        given_fields = {f: getattr(message, f) for f in ("ifname", "address", "mtu", "group", "alias", "master")}
        if message.family == AF_BRIDGE:
            kind = shown["linkinfo"].kind
            given_fields = {"linkinfo": LinkInfo(kind, slave_kind="bridge", slave_data=message.port)}
        else:
            given_fields |= {"linkinfo": message.linkinfo, "af_spec": message.af_spec}
        shown |= {name: value for name, value in given_fields.items() if value is not None}
    return LinkMessage(index=7, flags=flags, **shown)


@LIGHT
@given(thing=addresses())
def test_an_address_is_observed_as_it_was_asked_for(thing: Address) -> None:
    """Decode of encode is the same address."""
    (message,) = said(thing)
    assert decode.address(message, NAMES, thing.at) == thing


@LIGHT
@given(thing=routes())
def test_a_route_is_observed_as_it_was_asked_for(thing: Route) -> None:
    """Decode of encode is the same route."""
    (message,) = said(thing)
    assert decode.route(message, NAMES, thing.at) == thing


@LIGHT
@given(thing=st.builds(Neighbour, at=PLACES, dev=DEVICES, address=HOSTS, mac=MACS))
def test_a_neighbour_is_observed_as_it_was_asked_for(thing: Neighbour) -> None:
    """Decode of encode is the same neighbour."""
    (message,) = said(thing)
    assert decode.neighbour(message, NAMES, thing.at) == thing


@LIGHT
@given(thing=st.builds(Link, at=PLACES, name=st.just("br0"), kind=st.sampled_from(["bridge", "ifb"]), **FIELDS))
def test_a_bridge_or_ifb_is_observed_as_it_was_asked_for(thing: Link) -> None:
    """Decode of what a kernel keeps of encode is the same link."""
    assert decode.link(kept(said(thing)), NAMES, thing.at) == thing


@LIGHT
@given(
    thing=st.builds(
        Link,
        at=st.just("node"),
        name=st.just("eth0"),
        kind=st.just("veth"),
        peer=st.just("a.b"),
        queues=st.integers(0, 4),
        master=st.sampled_from(["", "br0"]),
        isolated=st.booleans(),
        **FIELDS,
    )
)
def test_a_veth_is_observed_as_it_was_asked_for_less_its_birth(thing: Link) -> None:
    """Its peer, which another namespace names, and its queues, which nobody asks for again, stay open."""
    expected = msgspec.structs.replace(thing, peer="", queues=0)
    assert decode.link(kept(said(thing)), NAMES, thing.at) == expected


@LIGHT
@given(
    thing=st.builds(
        Tbf,
        at=PLACES,
        dev=DEVICES,
        rate=st.integers(10**5, 2**40),
        burst=st.integers(1, 2**24),
        limit=st.integers(1, 2**32 - 1),
    )
)
def test_a_token_bucket_is_observed_as_it_was_asked_for(thing: Tbf) -> None:
    """Decode of encode is the same filter, its rate from whichever field holds it."""
    (message,) = said(thing)
    assert decode.tbf(message, NAMES, thing.at) == thing


@LIGHT
@given(
    thing=st.builds(Redirect, at=PLACES, dev=DEVICES, to=DEVICES),
    verb=st.sampled_from(("add", "set")),
    extra=st.booleans(),
)
def test_a_redirect_is_observed_as_it_was_asked_for(thing: Redirect, verb: Verb, extra: bool) -> None:
    """Decode of the qdisc and the filter, with what u32 lists before it, is the same redirect."""
    qdisc, *_, redirection = said(thing, verb)
    like = Filter(ifindex=qdisc.ifindex, info=redirection.info, kind="u32")
    table = [like, msgspec.structs.replace(like, options=U32())] if extra else []
    assert decode.redirect(qdisc, [*table, redirection], NAMES, NAMES, thing.at) == thing


VXLANS = st.builds(
    Vxlan,
    vni=st.integers(1, 2**24 - 1),
    local=HOSTS,
    port=st.integers(1, 65535),
    dev=st.sampled_from(["eth0", "a.b"]),
)


@LIGHT
@given(thing=st.builds(Link, at=PLACES, name=st.just("br0"), kind=st.just("vxlan"), vxlan=VXLANS, **FIELDS))
def test_a_tunnel_is_observed_as_it_was_asked_for(thing: Link) -> None:
    """Decode of what a kernel keeps of encode is the same link, its options among it."""
    assert decode.link(kept(said(thing)), NAMES, thing.at) == thing


@LIGHT
@given(thing=st.builds(Fdb, at=PLACES, dev=DEVICES, mac=MACS, dst=HOSTS))
def test_a_forwarding_entry_is_observed_as_it_was_asked_for(thing: Fdb) -> None:
    """Decode of encode is the same entry."""
    (message,) = said(thing)
    assert decode.fdb(message, NAMES, thing.at) == thing


ENTRY = Neigh(
    family=AF_BRIDGE,
    ifindex=7,
    state=NUD_PERMANENT,
    flags=NTF_SELF,
    dst=IPv4Address("192.0.2.2"),
    lladdr="02:00:00:00:00:01",
)
REDIRECT = Redirect(at="node", dev="br0", to="eth0")


def test_an_ingress_qdisc_that_redirects_otherwise_leads_nowhere() -> None:
    """No filter, several, one of some packets, of another priority, mirroring, or to a link unknown: `to` is empty."""
    qdisc, right = said(REDIRECT)
    some = U32(sel=Selector.source(IPv4Address("10.0.0.1")), act=right.options.act)
    mirror = U32(sel=Selector(), act=(Action("mirred", Mirred(parms=MirredParms(8, eaction=TCA_EGRESS_MIRROR))),))
    dropping = U32(sel=Selector(), act=(Action("gact", b""),))
    lost = U32(sel=Selector(), act=(Action.redirect(99),))
    others = [
        [],
        [right, right],
        [msgspec.structs.replace(right, info=filter_info(7))],
        *([msgspec.structs.replace(right, options=o)] for o in (some, mirror, dropping, lost, U32(sel=Selector()))),
        [right, Filter(ifindex=7, info=filter_info(2), kind="bpf", options=b"")],
        [Filter(ifindex=7, info=filter_info(1), kind="bpf", options=b"")],
    ]
    for filters in others:
        found = decode.redirect(qdisc, filters, NAMES, NAMES, "node")
        assert found == Redirect(at="node", dev="br0", to=""), filters
    assert decode.redirect(qdisc, [right], NAMES, {}, "node") == Redirect(at="node", dev="br0", to="")


def test_the_kernels_default_metric_of_ipv6_is_none() -> None:
    """An IPv6 route without a metric is listed with 1024; an IPv4 one of 1024 was asked for."""
    six = RouteMessage(family=AF_INET6, dst=IPv6Address("fd00::"), dst_len=64, priority=1024, oif=7)
    four = RouteMessage(family=2, dst=IPv4Address("10.0.0.0"), dst_len=8, priority=1024, oif=7)
    found = [decode.route(message, NAMES, "node") for message in (six, four)]
    assert [route and route.metric for route in found] == [0, 1024]


@pytest.mark.parametrize(
    "found",
    [
        decode.route(RouteMessage(family=2, type=RTN_LOCAL, oif=7), NAMES, "node"),
        decode.address(Addr.of(IPv4Address("10.0.0.1"), 8, 99), NAMES, "node"),
        decode.address(Addr(index=7), NAMES, "node"),
        decode.neighbour(
            Neigh(ifindex=7, state=NUD_REACHABLE, dst=IPv4Address("10.0.0.1"), lladdr="02:00:00:00:00:01"),
            NAMES,
            "node",
        ),
        decode.neighbour(Neigh.permanent(IPv4Address("10.0.0.1"), "02:00:00:00:00:01", 99), NAMES, "node"),
        decode.neighbour(Neigh(ifindex=7, state=128), NAMES, "node"),
        decode.tbf(Qdisc(ifindex=7, parent=TC_H_ROOT, kind="noqueue"), NAMES, "node"),
        decode.tbf(Qdisc(ifindex=7, parent=0x10000, kind="tbf", options=TbfOptions()), NAMES, "node"),
        decode.tbf(Qdisc(ifindex=99, parent=TC_H_ROOT, kind="tbf", options=TbfOptions()), NAMES, "node"),
        decode.redirect(Qdisc.clsact(7), [], NAMES, NAMES, "node"),
        decode.redirect(Qdisc.ingress(99), [], NAMES, NAMES, "node"),
        *(
            decode.fdb(msgspec.structs.replace(ENTRY, **other), NAMES, "node")
            for other in ({"family": 2}, {"flags": 0}, {"state": NUD_REACHABLE}, {"dst": None}, {"ifindex": 99})
        ),
    ],
    ids=[
        "local route",
        "address of no link",
        "no address",
        "learned",
        "neighbour of no link",
        "no destination",
        "noqueue",
        "tbf below another",
        "tbf of no link",
        "clsact",
        "ingress of no link",
        "neighbour, not fdb",
        "fdb of a bridge",
        "learned fdb",
        "a link's own MAC",
        "fdb of no link",
    ],
)
def test_what_no_plan_can_ask_for_is_passed_over(found: Object | None) -> None:
    """Other types of routes and qdiscs, learned neighbours, what is on a link without a name here: not observed."""
    assert found is None


def test_an_ipv6_address_is_told_in_one_attribute() -> None:
    """The kernel lists an IPv6 address as IFA_ADDRESS alone, a link without anything as its flags."""
    message = Addr(family=AF_INET6, prefixlen=64, index=7, address=IPv6Address("fd00::1"))
    assert decode.address(message, NAMES, "node") == Address(
        at="node", dev="br0", address=IPv6Address("fd00::1"), prefixlen=64
    )
    assert decode.link(LinkMessage(index=1), NAMES, "pod") == Link(at="pod", name="", up=False)
