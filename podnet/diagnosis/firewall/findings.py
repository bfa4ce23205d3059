"""Findings of the walk: one for each rule that drops what pods or nodes need, with the rule and the way out."""

from collections.abc import Iterable, Iterator
from ipaddress import collapse_addresses

import msgspec

from podnet.diagnosis.finding import Finding, Severity
from podnet.diagnosis.firewall.owners import Owner, owner
from podnet.diagnosis.firewall.packet import IPNetwork
from podnet.diagnosis.firewall.remedies import POLICIES, remedy
from podnet.diagnosis.firewall.ruleset import Rulesets, Unread
from podnet.diagnosis.firewall.saved import saved
from podnet.diagnosis.firewall.walk import Hit, walk
from podnet.diagnosis.firewall.ways import Facts, Opening, Way, ways
from podnet.diagnosis.firewall.words import nft

CHECK = "firewall"


class Drop(msgspec.Struct, frozen=True, gc=False):
    """A rule or policy, and the ways that it closes, surely or perhaps."""

    hit: Hit
    ways: tuple[Way, ...]


def findings(rulesets: Rulesets, facts: Facts) -> list[Finding]:
    """Return a finding per rule of others that drops what this node's pods, or nodes among themselves, send.

    What is dropped surely is ``broken``, or a ``note`` where pods as such do not need it; what may be dropped, since a
    rule has words that podnet does not know or looks at part of a CIDR alone, is a ``note``.
    """
    found = [_unread(place) for place in rulesets.unread]
    policies: dict[str, list[Drop]] = {}
    for drop in drops(rulesets, facts):
        who = _owner(drop.hit)
        if who.policy and not drop.hit.sure:
            policies.setdefault(who.name, []).append(drop)
        else:
            found.append(_finding(drop, who, facts))
    return found + [_policies(name, several) for name, several in policies.items()]


def drops(rulesets: Rulesets, facts: Facts) -> list[Drop]:
    """Return what drops any of the node's packets, each rule once; ways that it surely closes stand for the others."""
    sure: dict[tuple[object, ...], tuple[Hit, list[Way]]] = {}
    perhaps: dict[tuple[object, ...], tuple[Hit, list[Way]]] = {}
    for way in ways(facts):
        for hit in _hits(rulesets, way):
            kept = sure if hit.sure else perhaps
            kept.setdefault(hit.place, (hit, []))[1].append(way)
    merged = {**perhaps, **sure}
    return [Drop(hit, tuple(several)) for hit, several in merged.values()]


def _hits(rulesets: Rulesets, way: Way) -> Iterator[Hit]:
    """Yield what drops the way's packets at each hook, which see the mark and state that the one before left."""
    before = way.hooks[0][1]
    for hook, packet in way.hooks:
        seen = msgspec.structs.replace(packet, mark=before.mark, ct_mark=before.ct_mark, state=before.state)
        hits, before = walk(rulesets, hook, seen)
        yield from hits


def _owner(hit: Hit) -> Owner:
    return owner(hit.ruleset, hit.chain.name, rule_text(hit) if hit.rule else "")


def rule_text(hit: Hit) -> str:
    """Return the rule as its maker's program prints it, or the policy."""
    rule, table, chain = hit.rule, hit.ruleset.table, hit.chain
    if rule is None:
        return f"-P {chain.name} DROP" if hit.ruleset.iptables else "policy drop"
    if hit.ruleset.iptables:
        return saved(rule, hit.ruleset.sets, table.family, chain.name)
    return nft(rule, hit.ruleset.sets, table.family)


def _evidence(hit: Hit) -> str:
    """Return where the rule is and what it says: what a listing of that table has."""
    table, text = hit.ruleset.table, rule_text(hit)
    if hit.ruleset.iptables:
        handle = f" (handle {hit.rule.handle})" if hit.rule and hit.rule.handle else ""
        return f"{hit.ruleset.iptables} -t {table.name} -S {hit.chain.name}: {text}{handle}"
    handle = f" # handle {hit.rule.handle}" if hit.rule else ""
    return f"nft -a list chain {table} {hit.chain.name}: {text}{handle}"


_VERBS = {"drop": "drops", "reject": "rejects", "queue": "gives to a program, which may drop,"}


def _finding(drop: Drop, who: Owner, facts: Facts) -> Finding:
    hit = drop.hit
    openings = list(dict.fromkeys(way.opening for way in drop.ways))
    what = ", ".join(dict.fromkeys(way.what for way in drop.ways))
    versions = sorted({_version(opening) for opening in openings})
    families = " and ".join(f"IPv{version}" for version in versions)
    verb = _VERBS[hit.word] if hit.sure or hit.word == "queue" else f"may {hit.word}"
    place = f"policy of chain {hit.chain.name}" if hit.rule is None else f"rule in chain {hit.chain.name}"
    severity: Severity = "broken" if hit.sure and any(way.needed for way in drop.ways) else "note"
    return Finding(
        check=CHECK,
        severity=severity,
        what=f"a {place} of {who.name} (table {hit.ruleset.table}) {verb} {families} packets: {what}",
        evidence=_evidence(hit),
        remedy=remedy(hit, who, openings, _pods(facts, versions)),
    )


def _version(opening: Opening) -> int:
    network = opening.source or opening.destination
    return network.version if network else opening.version


def _pods(facts: Facts, versions: Iterable[int]) -> list[IPNetwork]:
    """Return the fewest networks that are all nodes' pods."""
    networks = (*facts.cidrs, *facts.others)
    return [
        cidr
        for version in versions
        for cidr in collapse_addresses([n for n in networks if n.version == version])  # type: ignore[type-var]
    ]


def _unread(place: Unread) -> Finding:
    return Finding(CHECK, "note", f"rules of {place.place} could not be read", place.why, "see to them by hand")


def _policies(name: str, drops: list[Drop]) -> Finding:
    what = f"{len(drops)} rules of {name} drop some of what pods send or get, as network policies ask"
    return Finding(CHECK, "note", what, f"the first: {_evidence(drops[0].hit)}", POLICIES)
