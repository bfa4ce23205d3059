"""The script: the frame `net-script.sh` with the node's part and a pod's part put in as functions.

The pod's part is the plan for a placeholder lease, explained, its values replaced by variables.  Where a set of ranges
has several ranges (their gateways and prefix lengths differ), there is one pair of functions for each combination:
`attach_0_1` is for a pod with an address of range 0 of the first set and of range 1 of the second.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from shlex import quote
from typing import Literal

from podnet.errors import InvalidConfiguration
from podnet.model import Lease, Network, PodAddress, Range
from podnet.nft import Element
from podnet.plan import Address, Fdb, Link, Neighbour, Plan, Route, WireGuard, explain, inverse
from podnet.plan.objects import TUN
from podnet.script import iptables, nftables
from podnet.script.words import IPV4, NAMESPACE, Variables, placeholder

Firewall = Literal["nft", "iptables"]
Spans = Callable[[Range], Sequence[tuple[int, int]]]
Attach = Callable[[Lease], Plan]

COMBINATIONS = 16  # of ranges; each makes the script two functions longer
PORT_SUFFIX = "-br"  # what a bridge port's name ends in, as the store names it
_LOW = 0xFFFFFFFF
_PROGRAMS = ("ip", "nsenter", "flock", "sysctl", "od", "find", "grep", "readlink")


def net_script(
    network: Network,
    spans: Spans,
    node: Plan,
    attach: Attach,
    *,
    firewall: Firewall = "nft",
    database: str = "/var/lib/podnet/podnet.db",
    origin: str = "",
) -> str:
    """Return the script for `network`: `node` is the node's plan, `attach` gives a pod's plan for its lease.

    `spans` gives the usable addresses of a range as spans of integers, ascending.  `origin` says in a comment where
    the configuration came from.  Raises InvalidConfiguration when the ranges have too many combinations, or a rule
    has no iptables form.
    """
    if not network.ranges:
        raise InvalidConfiguration(
            f"network {network.name!r} has no ranges: give it `ipam.ranges`, or this node's pod-cidrs in nodes.yaml"
        )
    combinations = list(product(*(range(len(ranges)) for ranges in network.ranges)))
    if len(combinations) > COMBINATIONS:
        raise InvalidConfiguration(
            f"network {network.name!r}: {len(combinations)} combinations of ranges; a script is printed for at most "
            f"{COMBINATIONS}: give it a configuration with fewer ranges in a set"
        )
    numbers = range(len(network.ranges))
    parts = {
        "header": _header(network, firewall, origin),
        "node": _node(node, firewall),
        "attach": "\n".join(_pod(network, spans, attach, chosen, firewall) for chosen in combinations),
        "take": "".join(_take(index, ranges, spans) for index, ranges in enumerate(network.ranges)),
    }
    inline = {
        "network": quote(network.name),
        "database": database,
        "suffix": PORT_SUFFIX if network.datapath == "bridge" else "",
        "of_port": f", and {PORT_SUFFIX}" if network.datapath == "bridge" else "",
        "names": " ".join(f"ip_{number}" for number in numbers),
        "words": " ".join(f"$ip_{number}" for number in numbers),
        "programs": " ".join((*_PROGRAMS, *_programs(network, node, firewall))),
    }
    text = files("podnet.script").joinpath("net-script.sh").read_text()
    for name, value in inline.items():
        text = text.replace(f"@{name}@", value)
    lines = text.splitlines(keepends=True)
    return "".join(parts[line[2:].strip()] if line.startswith("#@") else line for line in lines)


def pod_lease(network: Network, spans: Spans, chosen: Sequence[int]) -> Lease:
    """Return a placeholder lease with the last address of each range `chosen`."""
    addresses = []
    for ranges, number in zip(network.ranges, chosen, strict=True):
        one = ranges[number]
        last = spans(one)[-1][1]
        address = IPv4Address(last) if one.subnet.version == IPV4 else IPv6Address(last)
        addresses.append(PodAddress(address, one.subnet.prefixlen, one.gateway))
    return placeholder(network.name, addresses)


def _programs(network: Network, node: Plan, firewall: Firewall) -> Iterator[str]:
    if network.datapath == "bridge" or any(isinstance(step.object, Fdb) for step in node.steps):
        yield "bridge"
    if any(isinstance(step.object, WireGuard) for step in node.steps):
        yield "wg"
    if any(isinstance(step.object, Link) and step.object.kind == TUN for step in node.steps):
        yield "wireguard-go"
    if firewall == "nft":
        yield "nft"
        return
    for program in iptables.PROGRAMS.values():
        yield from (program, f"{program}-restore")


def _header(network: Network, firewall: Firewall, origin: str) -> str:
    subnets = ", ".join(map(str, network.subnets))
    source = f", configured by {origin if origin.isprintable() else repr(origin)}" if origin else ""
    return (
        f"# Pod network {network.name!r}: {network.datapath}, {subnets}, by ip and {firewall}{source}.\n"
        "# Printed by `podnet script`: these are the commands that podnet's engine amounts to on this node. Print it\n"
        "# anew when the configuration or the list of nodes changes.\n"
    )


def _node(node: Plan, firewall: Firewall) -> str:
    """Return the node's part as a function that may run any number of times."""
    rules = nftables.node(node) if firewall == "nft" else iptables.node(node)
    lines = ["# The node's part; running it again changes nothing.", "node() {"]
    lines += (f"    {line}" for line in _node_lines(node))
    return "\n".join((*lines, *rules, "}")) + "\n\n"


_BIRTHS = ("ip link add ", "wireguard-go ")
"""How commands begin that are refused where the link is there."""


def _node_lines(node: Plan) -> Iterator[str]:
    variables = Variables()
    said = ""
    for step in node.steps:
        made = step.object
        if isinstance(made, nftables.OBJECTS):
            continue
        # `replace`, so that a second run succeeds
        again = step._replace(verb="set") if isinstance(made, Address | Route | Neighbour | Fdb) else step
        if step.reason != said:
            said = step.reason
            yield variables.comment(said)
        for line in explain(Plan((again,)), NAMESPACE):
            command = variables.command(line.command)
            if line.command.startswith("wireguard-go "):
                command += " 9>&-"  # it goes on, and would hold the script's lock
            if isinstance(made, Link) and made.kind and line.command.startswith(_BIRTHS):
                command = f"ip link show dev {quote(made.name)} >/dev/null 2>&1 ||\n        {command}"
            yield command


def _pod(network: Network, spans: Spans, attach: Attach, chosen: Sequence[int], firewall: Firewall) -> str:
    lease = pod_lease(network, spans, chosen)
    variables = Variables(lease)
    plan = attach(lease)
    suffix = "".join(f"_{number}" for number in chosen)
    body: list[str] = []
    said = ""
    for command, reason in _attach_commands(plan, firewall):
        if reason != said:
            said = reason
            body.append(variables.comment(said))
        body.append(variables.command(command))
    undo = [f"{variables.command(command)} 2>/dev/null || :" for command in _detach_commands(plan, firewall)]
    for index, leased in enumerate(lease.addresses):
        family = "ipv4" if leased.address.version == IPV4 else "ipv6"
        undo.append(f'forget_flows {family} "$ip_{index}"')
    return _function(f"attach{suffix}", body, variables) + "\n" + _function(f"detach{suffix}", undo, variables)


def _function(name: str, body: Iterable[str], variables: Variables) -> str:
    lines = [*variables.assignments("\n".join(body)), *body]
    return "\n".join((f"{name}() {{", *(f"    {line}" for line in lines), "}")) + "\n"


def _attach_commands(plan: Plan, firewall: Firewall) -> Iterator[tuple[str, str]]:
    """Yield (command, reason): the plan as `explain` says it, pods' elements by iptables where that is asked for."""
    if firewall == "iptables":
        for append, reason in _appends(plan):
            yield iptables.command(append, "-A"), reason
        plan = _without_nftables(plan)
    yield from ((line.command, line.reason) for line in explain(plan, NAMESPACE))


def _detach_commands(plan: Plan, firewall: Firewall) -> Iterator[str]:
    """Yield the commands that take the node's side of a pod away; the pod's side goes with its link."""
    said = plan if firewall == "nft" else _without_nftables(plan)
    yield from (line.command for line in explain(inverse(said), NAMESPACE) if line.at == "node")
    if firewall == "iptables":
        yield from (iptables.command(append, "-D") for append, _ in _appends(plan))


def _appends(plan: Plan) -> Iterator[tuple[iptables.Append, str]]:
    for step in plan.steps:
        if isinstance(step.object, Element):
            yield from ((append, step.reason) for append in iptables.elements(step.object))


def _without_nftables(plan: Plan) -> Plan:
    return Plan(tuple(step for step in plan.steps if not isinstance(step.object, nftables.OBJECTS)))


def _take(index: int, ranges: tuple[Range, ...], spans: Spans) -> str:
    words = " ".join(quote(span) for number, one in enumerate(ranges) for span in _spans(number, one, spans))
    subnets = ", ".join(str(one.subnet) for one in ranges)
    return (
        f"    take {index} {words} ||\n"
        f'        die "no address of {subnets} is free: delete a pod, or configure a larger range"\n'
        f"    ip_{index}=$taken choice=${{choice}}_$range\n"
    )


def _spans(number: int, one: Range, spans: Spans) -> Iterator[str]:
    """Yield each span of `one` as RANGE KIND FIRST LAST.

    The shell counts in the last 32 bits of an IPv6 address, so a longer span ends where those of its first address do.
    """
    for first, last in spans(one):
        if one.subnet.version == IPV4:
            yield f"{number} 4 {first} {last}"
        else:
            groups = IPv6Address(first).exploded.split(":")[:6]
            kind = ":".join(f"{int(group, 16):x}" for group in groups)
            yield f"{number} {kind} {first & _LOW} {min(last - (first & ~_LOW), _LOW)}"
