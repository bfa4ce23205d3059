r"""The nftables objects of a plan as iptables rules: one chain for each set that pods' elements go into.

::

    nft                                    iptables
    prerouting: iifgroup G ip daddr A drop raw PODNET-PREROUTING  -m devgroup --src-group G -d A -j DROP
    prerouting: iifname != lo              raw PODNET-PREROUTING  ! -i lo -d 127.0.0.0/8 -j DROP
                ip daddr 127.0.0.0/8 drop
    prerouting: iifgroup G ... != @pods    raw PODNET-PREROUTING  -m devgroup --src-group G -j PODNET-PODS
                drop                                              -m devgroup --src-group G -j DROP
    element of pods: LINK . IP             raw PODNET-PODS        -i LINK -s IP -j ACCEPT
    postrouting: ct status dnat @hairpin   nat PODNET-POSTROUTING -m conntrack --ctstate DNAT -j PODNET-HAIRPIN
    element of hairpin: IP . IP            nat PODNET-HAIRPIN     -s IP -d IP -j MASQUERADE --random-fully
    element of masquerade: CIDR            nat PODNET-POSTROUTING -s CIDR -j PODNET-LEAVING
    element of cluster, remote, nodes: D   nat PODNET-LEAVING     -d D -j RETURN
    (the rule that has all)                nat PODNET-LEAVING     -j MASQUERADE --random-fully
    hostport, dstnat, output, and the      none
    postrouting rule for 127.0.0.0/8

The last serve host ports, which a runtime asks for with one pod, and the script's pods have none: nothing would ever
be in the chains.  The rule that keeps 127.0.0.0/8 to the machine stays: br0 has route_localnet all the same.

A rule that is not in this table is refused: a script that leaves a rule out would be worse than none.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from podnet.errors import InvalidConfiguration
from podnet.nft import Element, Rule
from podnet.plan import Plan, Step

IPV4, IPV6 = 4, 6
PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}
SNAT = "MASQUERADE --random-fully"

# Chains that hold pods' rules: made once and never flushed.
_KEPT = {"raw": "PODNET-PODS", "nat": "PODNET-HAIRPIN"}
_FILLED = {"raw": ("PODNET-PREROUTING",), "nat": ("PODNET-LEAVING", "PODNET-POSTROUTING")}
_HOOKS = {"raw": "PREROUTING", "nat": "POSTROUTING"}

_RULES = (
    (r"iifgroup (\d+) ip6? daddr (\S+) drop", "raw", (r"-m devgroup --src-group \1 -d \2 -j DROP",)),
    (r'iifname != "lo" ip daddr (\S+) drop', "raw", (r"! -i lo -d \1 -j DROP",)),
    (r"iifgroup (\d+) ip6? saddr (\S+) accept", "raw", (r"-m devgroup --src-group \1 -s \2 -j ACCEPT",)),
    (
        r"iifgroup (\d+) iifname \. ip6? saddr != @pods[46] drop",
        "raw",
        (r"-m devgroup --src-group \1 -j PODNET-PODS", r"-m devgroup --src-group \1 -j DROP"),
    ),
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
    versions = sorted({append.version for append in appends})
    leaving = "outside the cluster nobody has a route back to a pod"
    appends += [Append(v, "nat", "PODNET-LEAVING", f"-j {SNAT}", leaving) for v in versions]
    for version in versions:
        for table, hook in _HOOKS.items():
            yield from _table(PROGRAMS[version], table, hook, [a for a in appends if a[:2] == (version, table)])


def element(made: Element) -> Append:
    """Return the rule for a pod's element; raise InvalidConfiguration for an element of another kind of set."""
    name, version = made.set.name[:-1], int(made.set.name[-1])
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
    kept = _KEPT[table]
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
    if isinstance(made, Rule):
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
            version = IPV6 if re.search(r"\bip6\b", rule.text) else IPV4
            for text in rules:
                yield Append(version, table, f"PODNET-{_HOOKS[table]}", match.expand(text), reason)
            return
    raise _unknown(str(rule))


def _unknown(text: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"no iptables rule is known for `{text}`: print the script without --iptables")
