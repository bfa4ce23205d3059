"""What separates the observed from the desired: the steps that lead there, and nothing for what is right already."""

from collections.abc import Iterable, Mapping

import msgspec

from podnet.netlink.rtnl.qdisc import PSCHED_TICK_NS
from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan.objects import TUN, WIREGUARD, Address, Key, Link, Place, Sysctl, Tbf, WireGuard, WireGuardPeer
from podnet.plan.plan import Object, Plan, Step

State = Mapping[Key, Object]
"""Observed objects by key."""


TUNNELS = frozenset({"vxlan", WIREGUARD, TUN})
"""Kinds of links of which one is made anew where it was born otherwise than it should be."""


def key_of(thing: Object) -> Key:
    """Return which object of the kernel `thing` is; see :attr:`podnet.plan.objects.Link.key`."""
    if isinstance(thing, Table):
        return ("table", thing.family, thing.name)
    if isinstance(thing, Chain):
        return ("chain", thing.table, thing.name)
    if isinstance(thing, Set):
        return ("set", thing.table, thing.name)
    if isinstance(thing, Element):
        return ("element", thing.set.table, thing.set.name, thing.key)
    if isinstance(thing, Rule):
        return ("rule", thing.chain.table, thing.chain.name, thing)
    return thing.key


def state_of(objects: Iterable[Object]) -> State:
    """Return `objects` by key, in their order."""
    return {key_of(thing): thing for thing in objects}


def diff(observed: State, desired: Plan, ours: Iterable[Object] = ()) -> Plan:
    """Return the plan that turns `observed` into `desired`; empty where they agree.

    `ours` are observed objects that are provably podnet's: those that `desired` does not have are deleted, last made
    first.  All that is neither desired nor in `ours` is left alone.  A chain is compared as a whole, so rules that
    others put into a desired chain go.  A link that cannot be given what it was not born with is deleted and made anew,
    and with it what is on it.
    """
    wanted = state_of(desired.objects())
    chains_to_flush = _stale_chains(observed, wanted)
    ruled = {key_of(rule.chain) for rule in wanted.values() if isinstance(rule, Rule)}
    chains_to_empty = {key_of(rule.chain) for rule in observed.values() if isinstance(rule, Rule)} - ruled
    ours = tuple(ours)
    observed, remade = _without_others(observed, wanted, ours)
    gone = {place_of(step.object) for step in remade}
    steps: list[Step] = [
        Step(thing, "not part of the desired state any more", "delete")
        for thing in reversed(ours)
        if key_of(thing) not in wanted and not isinstance(thing, Rule) and place_of(thing) not in gone
    ]
    steps += remade
    flushed: set[Key] = set()
    for step in desired.steps:
        thing = step.object
        key = key_of(thing)
        if isinstance(thing, Rule):
            chain_key = key_of(thing.chain)
            if chain_key in chains_to_flush:
                if chain_key not in flushed:
                    flushed.add(chain_key)
                    steps.append(Step(thing.chain, "its rules are not the desired ones in the desired order", "flush"))
                steps.append(step._replace(verb="add"))
            continue
        found = observed.get(key)
        if found is None:
            steps.append(step)
        elif isinstance(thing, Element) and found != thing:
            # A map's element leads elsewhere; the kernel refuses the one while the other is there.
            steps += (Step(found, "it leads elsewhere than it should", "delete"), step)
        elif not satisfies(found, thing):
            steps.append(step._replace(object=_to_set(thing, found), verb="set"))
        if key in chains_to_empty:
            steps.append(Step(thing, "it is to have no rules", "flush"))
    return Plan(tuple(steps))


def satisfies(found: Object, wanted: Object) -> bool:
    """Tell whether `found` is as `wanted` asks; what `wanted` leaves open (empty, zero) may be anything."""
    if isinstance(wanted, Link) and isinstance(found, Link):
        return (
            (not wanted.kind or found.kind == wanted.kind)
            and (not wanted.mac or found.mac == wanted.mac)
            and (not wanted.mtu or found.mtu == wanted.mtu)
            and (not wanted.group or found.group == wanted.group)
            and (not wanted.alias or found.alias == wanted.alias)
            and (not wanted.master or found.master == wanted.master)
            and found.isolated >= wanted.isolated
            and found.ipv6_autoconf <= wanted.ipv6_autoconf
            and found.route_localnet >= wanted.route_localnet
            and not _is_other(found, wanted)
            and found.up == wanted.up
        )
    if isinstance(wanted, WireGuard) and isinstance(found, WireGuard):
        return (found.public_key, found.port) == (wanted.public_key, wanted.port)
    if isinstance(wanted, WireGuardPeer) and isinstance(found, WireGuardPeer):
        same = msgspec.structs.replace(found, allowed_ips=wanted.allowed_ips) == wanted
        return same and set(found.allowed_ips) == set(wanted.allowed_ips)
    if isinstance(wanted, Tbf) and isinstance(found, Tbf):
        # The kernel keeps the burst as the time that it takes, and tells that in whole ticks.
        tick = 1 + wanted.rate * PSCHED_TICK_NS // 1_000_000_000
        return abs(found.burst - wanted.burst) <= tick and msgspec.structs.replace(found, burst=wanted.burst) == wanted
    return found == wanted


def _without_others(observed: State, wanted: State, ours: Iterable[Object]) -> tuple[State, list[Step]]:
    """Return `observed` without links that must be made anew and what is on them, and the steps that end those.

    Those are links that were born otherwise, and VXLAN devices with another address of `ours` than they should have:
    with its last address of a family, the kernel ends all of that family on a link, permanent neighbours too.
    """
    strays = {place_of(thing) for thing in ours if isinstance(thing, Address) and thing.key not in wanted}
    others = [
        found
        for key, thing in wanted.items()
        if isinstance(thing, Link) and thing.kind in TUNNELS and isinstance(found := observed.get(key), Link)
        if _is_other(found, thing) or (thing.vxlan and place_of(found) in strays)
    ]
    gone = {place_of(link) for link in others}
    reason = "it has an address or was born with options that it should not have: it is made anew"
    left = {key: thing for key, thing in observed.items() if place_of(thing) not in gone} if gone else observed
    return left, [Step(link, reason, "delete") for link in others]


def _is_other(found: Link, wanted: Link) -> bool:
    """Tell whether `found` would have to be another from birth on to be as `wanted`."""
    if wanted.vxlan is not None:
        return found.vxlan != wanted.vxlan
    return wanted.kind in TUNNELS and found.kind != wanted.kind


def place_of(thing: Object) -> tuple[Place, str]:
    """Return the link that `thing` is or is on, and where that is; an empty name where it is on none."""
    at: Place = getattr(thing, "at", "node")
    if isinstance(thing, Link):
        return at, thing.name
    if isinstance(thing, Sysctl):
        words = thing.name.split("/")
        return at, words[3] if words[2:3] == ["conf"] else ""
    return at, getattr(thing, "dev", "")


def _to_set(wanted: Object, found: Object) -> Object:
    """Return `wanted` without a MAC that the link has already: setting even that one ends the link's neighbours.

    (arp_netdev_event and ndisc_netdev_event flush permanent entries too on NETDEV_CHANGEADDR.)
    """
    if isinstance(wanted, Link) and isinstance(found, Link) and wanted.mac == found.mac:
        return msgspec.structs.replace(wanted, mac="")
    return wanted


def _stale_chains(observed: State, wanted: State) -> set[Key]:
    """Return the chains whose rules must be made anew: rules have no key of their own, their order is their meaning."""
    found_rules: dict[Key, list[object]] = {}
    wanted_rules: dict[Key, list[object]] = {}
    for state, rules in ((observed, found_rules), (wanted, wanted_rules)):
        for thing in state.values():
            if isinstance(thing, Rule):
                rules.setdefault(key_of(thing.chain), []).append(thing)
    return {chain for chain, rules in wanted_rules.items() if found_rules.get(chain) != rules}
