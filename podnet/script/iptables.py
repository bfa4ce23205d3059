r"""The nftables objects of a plan as iptables rules: one chain for each set that pods' elements go into.

::

    nft                                    iptables
    prerouting: iifgroup G ip daddr A drop raw PODNET-PREROUTING  -m devgroup --src-group G -d A -j DROP
    prerouting: iifname != lo              raw PODNET-PREROUTING  ! -i lo -d 127.0.0.0/8 -j DROP
                ip daddr 127.0.0.0/8 drop
    prerouting: iifgroup G ... != @pods    raw PODNET-PREROUTING  -m devgroup --src-group G -j PODNET-PODS
                drop                                              -m devgroup --src-group G -j DROP
    element of pods: LINK . IP             raw PODNET-PODS        -i LINK -s IP -j ACCEPT
    prerouting: iifgroup != G              raw PODNET-PREROUTING  -m devgroup ! --src-group G ! -i lo -j PODNET-OWN
                ip saddr @own drop
    element of own: IP                     raw PODNET-OWN         -s IP -j DROP
    prerouting: iifgroup G ip6 saddr       raw PODNET-PREROUTING  -m devgroup --src-group G -s A -g PODNET-DISCOVERY
                { A, B } goto discovery
    discovery: icmpv6 type { T, ... }      raw PODNET-DISCOVERY   -p icmpv6 --icmpv6-type T -s A -j ACCEPT
               ip6 saddr A accept
    discovery: icmpv6 type { T, ... }      raw PODNET-DISCOVERY   -p icmpv6 --icmpv6-type T -j PODNET-PODS
               ... @pods accept
    discovery: drop                        raw PODNET-DISCOVERY   -j DROP
    prerouting: iifgroup G                 raw PODNET-PREROUTING  -m devgroup --src-group G -j DROP
                meta nfproto ipv6 drop
    postrouting: ct status dnat @hairpin   nat PODNET-POSTROUTING -m conntrack --ctstate DNAT -j PODNET-HAIRPIN
    element of hairpin: IP . IP            nat PODNET-HAIRPIN     -s IP -d IP -j MASQUERADE --random-fully
    element of masquerade: CIDR            nat PODNET-POSTROUTING -s CIDR -j PODNET-LEAVING
    element of cluster, remote, nodes: D   nat PODNET-LEAVING     -d D -j RETURN
    (the rule that has all)                nat PODNET-LEAVING     -j MASQUERADE --random-fully
    table bridge podnet                    none: iptables has no chain that sees a bridge's ports
    hostport, dstnat, output, and the      none
    postrouting rule for 127.0.0.0/8

The script says in a comment that it lacks the table of ports.  The last serve host ports, which a runtime asks for with
one pod, and the script's pods have none: nothing would ever be in the chains.  The rule that keeps 127.0.0.0/8 to the
machine stays: br0 has route_localnet all the same.

A rule that is not in this table is refused: a script that leaves a rule out would be worse than none.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from podnet.errors import InvalidConfiguration
from podnet.nft import Element, Rule, Table
from podnet.nft.datatype import ICMPV6_TYPES
from podnet.plan import Object, Plan, Step

IPV4, IPV6 = 4, 6
PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}
SNAT = "MASQUERADE --random-fully"

# Chains that hold pods' rules: made once and never flushed.
_KEPT = {"raw": ("PODNET-PODS", "PODNET-OWN"), "nat": ("PODNET-HAIRPIN",)}
_FILLED = {"raw": ("PODNET-DISCOVERY", "PODNET-PREROUTING"), "nat": ("PODNET-LEAVING", "PODNET-POSTROUTING")}
_HOOKS = {"raw": "PREROUTING", "nat": "POSTROUTING"}

_RULES = (
    (r"iifgroup (\d+) ip6? daddr (\S+) drop", "raw", (r"-m devgroup --src-group \1 -d \2 -j DROP",)),
    (r'iifname != "lo" ip daddr (\S+) drop', "raw", (r"! -i lo -d \1 -j DROP",)),
    (
        r"iifgroup (\d+) ip6 saddr \{ (\S+), (\S+) \} goto discovery",
        "raw",
        tuple(rf"-m devgroup --src-group \1 -s \{group} -g PODNET-DISCOVERY" for group in (2, 3)),
    ),
    (
        r"iifgroup (\d+) iifname \. ip6? saddr != @pods[46] drop",
        "raw",
        (r"-m devgroup --src-group \1 -j PODNET-PODS", r"-m devgroup --src-group \1 -j DROP"),
    ),
    (
        r'iifgroup != (\d+) iifname != "lo" ip6? saddr @own[46] drop',
        "raw",
        (r"-m devgroup ! --src-group \1 ! -i lo -j PODNET-OWN",),
    ),
    (r"iifgroup (\d+) meta nfproto ipv[46] drop", "raw", (r"-m devgroup --src-group \1 -j DROP",)),
    (
        r"ct status dnat ip6? saddr \. ip6? daddr @hairpin[46] masquerade fully-random",
        "nat",
        ("-m conntrack --ctstate DNAT -j PODNET-HAIRPIN",),
    ),
    # what leaves is told by the elements of its sets, below
    (r"ip6? saddr @masquerade[46]( ip6? daddr != @(cluster|remote|nodes)[46]){3} masquerade fully-random", "nat", ()),
    # host ports, which no pod of the script has
    (r"ip6 daddr ::1 return", "nat", ()),
    (r"dnat ip6? to (ip6? daddr \. )?meta l4proto \. th dport map @host(ports|ips)[46]", "nat", ()),
    (r"fib daddr type local jump hostport", "nat", ()),
    (r"oifgroup (\d+) ct status dnat ip saddr (\S+) masquerade fully-random", "nat", ()),
)


_DISCOVERY = (
    (r"icmpv6 type \{ (.*) \} ip6 saddr (\S+) accept", r"-s \2 -j ACCEPT"),
    (r"icmpv6 type \{ (.*) \} iifname \. ip6 saddr @pods6 accept", r"-j PODNET-PODS"),
    (r"()drop", "-j DROP"),
)

PORTS_MISSING = (
    "iptables sees the bridge and not its ports: pods are held to pods' addresses, but not each to its own. Printed "
    "without --iptables, this script has a table for that."
)


class Append(NamedTuple):
    """One rule at the end of a chain of ours."""

    version: int
    table: str
    chain: str
    rule: str
    reason: str


def node(plan: Plan) -> Iterator[str]:
    """Yield the shell lines of the node's part; they may run again, and leave pods' rules alone."""
    appends = [append for step in plan.steps for append in _node_rules(step)]
    leaving = "outside the cluster nobody has a route back to a pod"
    versions = sorted({append.version for append in appends if append.table == "nat"})
    appends += [Append(v, "nat", "PODNET-LEAVING", f"-j {SNAT}", leaving) for v in versions]
    if any(_of_ports(step.object) for step in plan.steps):
        yield f"    # {PORTS_MISSING}"
    for version, program in PROGRAMS.items():
        for table, hook in _HOOKS.items():
            if mine := [a for a in appends if a[:2] == (version, table)]:
                yield from _table(program, table, hook, mine)


def elements(made: Element) -> tuple[Append, ...]:
    """Return the rule for a pod's element, none for a port's; raise InvalidConfiguration for one of an unknown set."""
    return () if _of_ports(made) else (_element(made),)


def _of_ports(made: Object) -> bool:
    """Tell whether `made` is an object of the table of bridges' ports."""
    table = made if isinstance(made, Table) else made.set.table if isinstance(made, Element) else None
    return table is not None and table.family == "bridge"


def _element(made: Element) -> Append:
    name, version = made.set.name[:-1], int(made.set.name[-1])
    if name == "own":
        return Append(version, "raw", "PODNET-OWN", f"-s {made.key[0]} -j DROP", "")
    if name == "pods":
        link, address = made.key
        return Append(version, "raw", "PODNET-PODS", f"-i {link} -s {address} -j ACCEPT", "")
    if name == "hairpin":
        source, destination = made.key
        return Append(version, "nat", "PODNET-HAIRPIN", f"-s {source} -d {destination} -j {SNAT}", "")
    raise _unknown(made.nft())


def command(append: Append, verb: str) -> str:
    """Return the command that appends (`verb` -A) or deletes (-D) one rule."""
    return f"{PROGRAMS[append.version]} -w -t {append.table} {verb} {append.chain} {append.rule}"


def _table(program: str, table: str, hook: str, appends: list[Append]) -> Iterator[str]:
    for kept in _KEPT[table]:
        yield f"    {program} -w -t {table} -n -L {kept} >/dev/null 2>&1 || {program} -w -t {table} -N {kept}"
    yield f"    {program}-restore --noflush <<'RULES'"
    yield f"*{table}"
    yield from (f":{chain} - [0:0]" for chain in _FILLED[table])
    said = ""
    for append in appends:
        if append.reason != said:
            said = append.reason
            yield f"# {said}"
        yield f"-A {append.chain} {append.rule}"
    yield "COMMIT"
    yield "RULES"
    jump = f"{hook} -j PODNET-{hook}"
    yield f"    {program} -w -t {table} -C {jump} 2>/dev/null || {program} -w -t {table} -A {jump}"


def _node_rules(step: Step) -> Iterator[Append]:
    made = step.object
    if isinstance(made, Rule) and made.chain.table.family == "bridge":
        return
    if isinstance(made, Rule) and made.chain.name == "discovery":
        yield from _discovery(made, step.reason)
    elif isinstance(made, Rule):
        yield from _rule(made, step.reason)
    elif isinstance(made, Element):
        name, version = made.set.name[:-1], int(made.set.name[-1])
        if name == "masquerade":
            yield Append(version, "nat", "PODNET-POSTROUTING", f"-s {made.key[0]} -j PODNET-LEAVING", step.reason)
        elif name in {"cluster", "remote", "nodes"}:
            yield Append(version, "nat", "PODNET-LEAVING", f"-d {made.key[0]} -j RETURN", step.reason)
        else:
            raise _unknown(made.nft())


def _rule(rule: Rule, reason: str) -> Iterator[Append]:
    for pattern, table, rules in _RULES:
        match = re.fullmatch(pattern, rule.text)
        if match:
            version = IPV6 if re.search(r"\bipv?6\b", rule.text) else IPV4
            for text in rules:
                yield Append(version, table, f"PODNET-{_HOOKS[table]}", match.expand(text), reason)
            return
    raise _unknown(str(rule))


def _discovery(rule: Rule, reason: str) -> Iterator[Append]:
    for pattern, form in _DISCOVERY:
        match = re.fullmatch(pattern, rule.text)
        if match:
            names = match[1].split(", ") if match[1] else []
            types = [f"-p icmpv6 --icmpv6-type {ICMPV6_TYPES[name]} " for name in names] or [""]
            for words in types:
                yield Append(IPV6, "raw", "PODNET-DISCOVERY", words + match.expand(form), reason)
            return
    raise _unknown(str(rule))


def _unknown(text: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"no iptables rule is known for `{text}`: print the script without --iptables")
