"""What separates observed from desired: all that is wrong, nothing that is right, nothing that is another's."""

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
    WireGuardPeer,
    diff,
    key_of,
    satisfies,
    state_of,
)
from tests.plan.said import a_plan

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


def test_both_qdiscs_of_a_link_are_objects_of_their_own() -> None:
    """The root qdisc and the ingress qdisc of one link do not stand for each other."""
    assert key_of(SHAPED) != key_of(Redirect(at="node", dev="veth-a", to="ifb-a"))
