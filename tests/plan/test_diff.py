"""What separates observed from desired: all that is wrong, nothing that is right, nothing that is another's."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.nft import ACCEPT, DROP, Chain, Element, Rule, Set, Table
from podnet.plan import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Plan,
    Redirect,
    Route,
    State,
    Step,
    Sysctl,
    Tbf,
    Vxlan,
    WireGuard,
    WireGuardPeer,
    diff,
    key_of,
    satisfies,
    state_of,
)

LIGHT = settings(max_examples=50, deadline=None)

TABLE = Table("inet", "podnet")
PODS = Set(table=TABLE, name="pods4", key=("ipv4_addr",))
CHAIN = Chain(TABLE, "prerouting")
RULES = [Rule.new(CHAIN, verdict, comment=comment) for comment in ("one", "two") for verdict in (ACCEPT, DROP)]

PLACES = st.sampled_from(["node", "pod"])
NAMES = st.sampled_from(["br0", "eth0", "veth-a"])
HOSTS = st.integers(1, 4).map(lambda number: IPv4Address(f"10.0.0.{number}"))
MACS = st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02"])
OBJECTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        Link,
        at=PLACES,
        name=NAMES,
        kind=st.sampled_from(["", "veth", "bridge"]),
        mac=MACS,
        mtu=st.sampled_from([0, 1400]),
        group=st.integers(0, 1),
        alias=st.sampled_from(["", "podnet:red:eth0"]),
        master=st.sampled_from(["", "br0"]),
        isolated=st.booleans(),
        ipv6_autoconf=st.booleans(),
        route_localnet=st.booleans(),
        up=st.booleans(),
    ),
    st.builds(
        Address, at=PLACES, dev=NAMES, address=HOSTS, prefixlen=st.sampled_from([24, 32]), prefix_route=st.booleans()
    ),
    st.builds(Route, at=PLACES, dst=st.just(IPv4Network("10.0.0.0/8")), dev=NAMES, metric=st.integers(0, 2)),
    st.builds(Neighbour, at=PLACES, dev=NAMES, address=HOSTS, mac=MACS),
    st.builds(Fdb, at=PLACES, dev=NAMES, mac=MACS, dst=HOSTS),
    st.builds(
        WireGuardPeer,
        at=PLACES,
        dev=NAMES,
        public_key=st.sampled_from(["k1", "k2"]),
        endpoint=HOSTS,
        port=st.just(51820),
        allowed_ips=st.sampled_from([(), (IPv4Network("10.0.0.0/8"),)]),
    ),
    st.builds(
        Tbf,
        at=PLACES,
        dev=NAMES,
        rate=st.sampled_from([1000, 10**9]),
        burst=st.integers(999, 1001),
        limit=st.just(5000),
    ),
    st.builds(Redirect, at=PLACES, dev=NAMES, to=st.sampled_from(["ifb0", "ifb1"])),
    st.builds(Sysctl, at=PLACES, name=st.just("net/ipv4/ip_forward"), value=st.sampled_from(["0", "1"])),
    st.builds(Element, st.just(PODS), HOSTS.map(lambda address: (address,))),
    st.sampled_from([TABLE, PODS, CHAIN]),
)
VXLANS = st.builds(Vxlan, vni=st.integers(1, 2), local=HOSTS, port=st.just(4789), dev=st.just("eth0"))
TUNNELS = st.builds(Link, at=PLACES, name=NAMES, kind=st.just("vxlan"), vxlan=VXLANS, mtu=st.sampled_from([1400, 1450]))
RULE_LISTS = st.lists(st.sampled_from(RULES), unique=True)


@st.composite
def states(draw: st.DrawFn, kinds: st.SearchStrategy[Any] = OBJECTS) -> list[Object]:
    """Draw objects that can be there at once: one per key, rules after their chain."""
    objects = draw(st.lists(kinds, unique_by=key_of))
    rules = draw(RULE_LISTS)
    return [*objects, *([CHAIN] if rules and CHAIN not in objects else []), *rules]


def a_plan(objects: Iterable[Object]) -> Plan:
    """Return the plan that asks for `objects`."""
    return Plan(tuple(Step(thing, "asked for") for thing in objects))


def merged(found: Object, told: Object) -> Object:
    """Return what becomes of `found` when it is set to `told`: what a link is not told stays."""
    if not (isinstance(found, Link) and isinstance(told, Link)):
        return told
    named = ("kind", "mac", "mtu", "group", "alias", "master")
    return msgspec.structs.replace(
        found,
        **{field: getattr(told, field) for field in named if getattr(told, field)},
        isolated=found.isolated or told.isolated,
        ipv6_autoconf=found.ipv6_autoconf and told.ipv6_autoconf,
        route_localnet=found.route_localnet or told.route_localnet,
        up=told.up,
    )


def on(thing: Object) -> str:
    """Return the link that `thing` is on."""
    return getattr(thing, "dev", "")


def applied(state: State, plan: Plan) -> State:
    """Return what a kernel that does as it is told has after `plan`; refuse what one would refuse."""
    found = dict(state)
    for thing, _, verb in plan.steps:
        key = key_of(thing)
        if verb == "delete":
            del found[key]
            if isinstance(thing, Link):
                found = {k: o for k, o in found.items() if (getattr(o, "at", ""), on(o)) != (thing.at, thing.name)}
        elif verb == "flush":
            found = {k: o for k, o in found.items() if not (isinstance(o, Rule) and o.chain == thing)}
        elif verb == "set":
            found[key] = merged(found[key], thing)
        else:
            assert key not in found, f"EEXIST {thing}"
            found[key] = thing
    return found


TUNNELS_TOO = states(st.one_of(OBJECTS, TUNNELS))


@LIGHT
@given(before=TUNNELS_TOO, wanted=TUNNELS_TOO)
def test_after_the_difference_there_is_none(before: list[Object], wanted: list[Object]) -> None:
    """diff(s, p) can be carried out on s as it is, and then nothing separates the two."""
    plan = a_plan(wanted)
    after = applied(state_of(before), diff(state_of(before), plan))
    assert diff(after, plan) == Plan()


@LIGHT
@given(wanted=TUNNELS_TOO)
def test_what_is_as_desired_needs_nothing(wanted: list[Object]) -> None:
    """A state differs from the plan that asks for it in nothing."""
    assert not diff(state_of(wanted), a_plan(wanted))


@LIGHT
@given(wanted=states())
def test_where_there_is_nothing_all_is_added_in_the_plans_order(wanted: list[Object]) -> None:
    """From an empty state, the difference is the plan, but for the flush before a chain's rules."""
    plan = a_plan(wanted)
    steps = [step for step in diff({}, plan).steps if step.verb != "flush"]
    assert steps == list(plan.steps)


@LIGHT
@given(before=states(), own=st.data())
def test_where_nothing_is_desired_only_what_is_ours_goes_last_first(before: list[Object], own: st.DataObject) -> None:
    """Each of `ours` is deleted once, in reverse; rules go with their chain; the rest is left alone."""
    ours = [thing for thing in before if own.draw(st.booleans())]
    plan = diff(state_of(before), Plan(), ours)
    gone = [thing for thing in reversed(ours) if not isinstance(thing, Rule)]
    assert [(step.object, step.verb) for step in plan.steps] == [(thing, "delete") for thing in gone]


@LIGHT
@given(before=states(), wanted=states())
def test_what_is_not_ours_and_not_desired_is_not_touched(before: list[Object], wanted: list[Object]) -> None:
    """No step speaks of an observed object whose key the plan does not have (a chain's rules are the chain's)."""
    plan = a_plan(wanted)
    asked = {key_of(thing) for thing in wanted}
    assert {key_of(step.object) for step in diff(state_of(before), plan).steps} <= asked


@LIGHT
@given(before=states(), wanted=states(), own=st.data())
def test_ours_that_is_desired_stays(before: list[Object], wanted: list[Object], own: st.DataObject) -> None:
    """An object of ours is deleted if and only if the plan does not have its key."""
    ours = [thing for thing in before if own.draw(st.booleans())]
    asked = {key_of(thing) for thing in wanted}
    deleted = {key_of(s.object) for s in diff(state_of(before), a_plan(wanted), ours).steps if s.verb == "delete"}
    assert deleted == {key_of(thing) for thing in ours if not isinstance(thing, Rule)} - asked


@LIGHT
@given(before=RULE_LISTS, wanted=RULE_LISTS)
def test_a_chains_rules_are_kept_or_made_anew_as_one(before: list[Rule], wanted: list[Rule]) -> None:
    """Out of order, missing or extra: one flush, then all rules in order; equal: nothing."""
    plan = diff(state_of([CHAIN, *before]), a_plan([CHAIN, *wanted]))
    expected: list[tuple[Object, str]] = [(CHAIN, "flush"), *((rule, "add") for rule in wanted)]
    assert [(step.object, step.verb) for step in plan.steps] == ([] if before == wanted else expected)


def test_a_flush_and_its_rules_keep_the_plans_reasons() -> None:
    """The rules come with the reasons of the plan, the flush with its own."""
    plan = diff(state_of([CHAIN]), Plan((Step(CHAIN, "a chain"), Step(RULES[0], "a rule"))))
    assert [step.reason for step in plan.steps][1:] == ["a rule"]
    assert "order" in plan.steps[0].reason


FULL = Link(
    at="node",
    name="veth-a",
    kind="veth",
    peer="eth0",
    mac="02:00:00:00:00:01",
    mtu=1500,
    queues=1,
    group=3,
    alias="podnet:red:eth0",
    master="br0",
    isolated=True,
    ipv6_autoconf=False,
    route_localnet=True,
    up=True,
)


@pytest.mark.parametrize(
    "field", ["kind", "mac", "mtu", "group", "alias", "master", "isolated", "ipv6_autoconf", "route_localnet"]
)
def test_a_field_that_is_left_open_may_be_anything(field: str) -> None:
    """Wanting a link without saying a field is satisfied by any value of it; saying another is not."""
    default = {f.name: f.default for f in msgspec.structs.fields(Link)}[field]
    other = {"mtu": 9000, "group": 9, "isolated": False, "ipv6_autoconf": True, "route_localnet": False}.get(
        field, "another"
    )
    assert satisfies(FULL, FULL)
    assert satisfies(FULL, msgspec.structs.replace(FULL, **{field: default}))
    assert not satisfies(msgspec.structs.replace(FULL, **{field: other}), FULL)


def test_what_only_birth_decides_is_not_compared() -> None:
    """A peer is in another namespace and queues cannot be changed: neither makes a link differ."""
    observed = msgspec.structs.replace(FULL, peer="", queues=0)
    assert satisfies(observed, FULL)


@pytest.mark.parametrize("up", [True, False])
def test_up_is_never_open(up: bool) -> None:
    """A link is wanted up or wanted down."""
    assert not satisfies(msgspec.structs.replace(FULL, up=not up), msgspec.structs.replace(FULL, up=up))


@pytest.mark.parametrize(("found", "told"), [(FULL.mac, ""), ("02:00:00:00:00:09", FULL.mac)])
def test_a_link_is_not_given_the_mac_it_has(found: str, told: str) -> None:
    """Setting a MAC, even the same one, ends the link's permanent neighbours: it is said only where it differs."""
    observed = msgspec.structs.replace(FULL, mac=found, up=False)
    (step,) = diff(state_of([observed]), a_plan([FULL])).steps
    assert (step.object, step.verb) == (msgspec.structs.replace(FULL, mac=told), "set")


def test_another_kind_of_object_does_not_satisfy() -> None:
    """A link is no sysctl, and other objects are compared whole."""
    route = Route(at="node", dst=IPv4Network("10.0.0.0/8"), dev="eth0")
    assert not satisfies(Sysctl(at="node", name="a", value="1"), FULL)
    assert satisfies(route, msgspec.structs.replace(route))
    assert not satisfies(route, msgspec.structs.replace(route, dev="eth1"))


SHAPED = Tbf(at="node", dev="veth-a", rate=10**9, burst=100_000, limit=200_000)


@pytest.mark.parametrize(
    ("field", "value", "satisfied"),
    [
        ("burst", 100_065, True),
        ("burst", 99_935, True),
        ("burst", 100_100, False),
        ("rate", 10**9 + 1, False),
        ("limit", 200_001, False),
        ("dev", "veth-b", False),
    ],
)
def test_a_burst_is_right_to_a_tick_and_all_else_exactly(field: str, value: object, satisfied: bool) -> None:
    """A tick of 64 ns is 64 bytes at 1 GB/s: what the kernel rounds is no difference, what somebody changed is one."""
    assert satisfies(msgspec.structs.replace(SHAPED, **{field: value}), SHAPED) is satisfied


def test_a_redirect_that_leads_nowhere_is_set() -> None:
    """An ingress qdisc without the filter is there, so that it is set, not added."""
    redirect = Redirect(at="node", dev="veth-a", to="ifb-a")
    lost = msgspec.structs.replace(redirect, to="")
    (step,) = diff(state_of([lost]), a_plan([redirect])).steps
    assert (step.object, step.verb) == (redirect, "set")


ENCRYPTED = WireGuard(at="node", dev="wg0", private_key="/key", public_key="k1", port=51820)
PEER = WireGuardPeer(
    at="node",
    dev="wg0",
    public_key="k2",
    endpoint=IPv4Address("192.0.2.2"),
    port=51820,
    allowed_ips=(IPv4Network("10.244.2.0/24"), IPv4Network("10.244.9.0/24")),
)
OPTIONS = Vxlan(vni=7, local=IPv4Address("192.0.2.1"), port=4789, dev="eth0")
TUNNEL = Link(at="node", name="podnet-vx4", kind="vxlan", mac="02:00:00:00:00:01", vxlan=OPTIONS)
IN_IT: list[Object] = [
    Sysctl(at="node", name="net/ipv6/conf/podnet-vx4/disable_ipv6", value="0"),
    Address(at="node", dev="podnet-vx4", address=IPv4Address("10.0.1.0"), prefixlen=32),
    Neighbour(at="node", dev="podnet-vx4", address=IPv4Address("10.0.2.0"), mac="02:00:00:00:00:02"),
    Fdb(at="node", dev="podnet-vx4", mac="02:00:00:00:00:02", dst=IPv4Address("192.0.2.2")),
    Route(at="node", dst=IPv4Network("10.0.2.0/24"), dev="podnet-vx4"),
]


@pytest.mark.parametrize(
    ("field", "value"), [("vni", 8), ("local", IPv4Address("192.0.2.9")), ("port", 8472), ("dev", "eth1")]
)
def test_a_tunnel_of_other_options_is_made_anew_with_all_that_is_in_it(field: str, value: object) -> None:
    """A living one takes none of them: it is deleted, and what went with it is added, though it was right."""
    other = msgspec.structs.replace(TUNNEL, vxlan=msgspec.structs.replace(OPTIONS, **{field: value}))
    elsewhere = Fdb(at="node", dev="vx9", mac="02:00:00:00:00:02", dst=IPv4Address("192.0.2.2"))
    steps = diff(state_of([other, *IN_IT, elsewhere]), a_plan([TUNNEL, *IN_IT, elsewhere])).steps
    expected: list[tuple[Object, str]] = [(other, "delete"), *((thing, "add") for thing in [TUNNEL, *IN_IT])]
    assert [(step.object, step.verb) for step in steps] == expected


def test_a_tunnel_that_has_another_address_of_ours_is_made_anew() -> None:
    """Nothing is deleted from it one by one; a stranger's address on it is left alone."""
    old = Address(at="node", dev="podnet-vx4", address=IPv4Address("10.0.9.0"), prefixlen=32)
    observed = [TUNNEL, old, *IN_IT]
    steps = diff(state_of(observed), a_plan([TUNNEL, *IN_IT]), [TUNNEL, old]).steps
    expected: list[tuple[Object, str]] = [(TUNNEL, "delete"), *((thing, "add") for thing in [TUNNEL, *IN_IT])]
    assert [(step.object, step.verb) for step in steps] == expected
    assert not diff(state_of(observed), a_plan([TUNNEL, *IN_IT]))


def test_a_tunnel_of_another_mtu_is_set() -> None:
    """What can be changed on a living one is."""
    (step,) = diff(
        state_of([msgspec.structs.replace(TUNNEL, mtu=1400)]), a_plan([msgspec.structs.replace(TUNNEL, mtu=1450)])
    ).steps
    assert step.verb == "set"


def test_a_link_that_speaks_wireguard_is_made_anew_by_the_kernel_that_can_now() -> None:
    """What a program made is deleted, and all that is on it is added again; so it is the other way round."""
    for born, wanted in (("tun", "wireguard"), ("wireguard", "tun")):
        old, new = (Link(at="node", name="wg0", kind=kind, mtu=1440) for kind in (born, wanted))
        steps = diff(state_of([old, ENCRYPTED, PEER]), a_plan([new, ENCRYPTED, PEER])).steps
        assert [(step.object, step.verb) for step in steps] == [
            (old, "delete"),
            (new, "add"),
            (ENCRYPTED, "add"),
            (PEER, "add"),
        ]


def test_a_peers_addresses_are_a_set() -> None:
    """The kernel tells them in an order of its own."""
    turned = msgspec.structs.replace(PEER, allowed_ips=PEER.allowed_ips[::-1])
    assert not diff(state_of([turned]), a_plan([PEER]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowed_ips", (IPv4Network("10.244.2.0/24"),)),
        ("allowed_ips", ()),
        ("endpoint", IPv4Address("192.0.2.9")),
        ("endpoint", None),
        ("port", 1),
    ],
)
def test_a_peer_that_is_otherwise_is_set(field: str, value: object) -> None:
    """By one step."""
    (step,) = diff(state_of([msgspec.structs.replace(PEER, **{field: value})]), a_plan([PEER])).steps
    assert (step.object, step.verb) == (PEER, "set")


def test_a_device_is_known_by_its_public_key() -> None:
    """In which file its private one is cannot be seen; another key or port is set."""
    seen = msgspec.structs.replace(ENCRYPTED, private_key="")
    assert not diff(state_of([seen]), a_plan([ENCRYPTED]))
    for other in (msgspec.structs.replace(seen, public_key=""), msgspec.structs.replace(seen, port=1)):
        (step,) = diff(state_of([other]), a_plan([ENCRYPTED])).steps
        assert (step.object, step.verb) == (ENCRYPTED, "set")


def test_both_qdiscs_of_a_link_are_objects_of_their_own() -> None:
    """The root qdisc and the ingress qdisc of one link do not stand for each other."""
    assert key_of(SHAPED) != key_of(Redirect(at="node", dev="veth-a", to="ifb-a"))
