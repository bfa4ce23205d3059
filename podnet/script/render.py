"""The script: the frame `net-script.sh` with the node's part and a pod's part put in as functions.

The pod's part is the plan for a placeholder lease, explained, its values replaced by variables.  Where a set of ranges
has several ranges (their gateways and prefix lengths differ), there is one pair of functions for each combination:
`attach_0_1` is for a pod with an address of range 0 of the first set and of range 1 of the second.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from shlex import quote
from typing import Literal

from podnet.errors import InvalidConfiguration
from podnet.model import Attachment, Lease, Network, PodAddress, Range
from podnet.plan import Address, Link, Neighbour, Plan, Route, explain, inverse
from podnet.script import nftables
from podnet.script.words import NAMESPACE, Variables

Firewall = Literal["nft", "iptables"]
Spans = Callable[[Range], Sequence[tuple[int, int]]]
Attach = Callable[[Lease], Plan]

CONTAINER = "placeholder-of-podnet"
LINK = "veth-0placehold"
COMBINATIONS = 16  # of ranges; each makes the script two functions longer
_LOW = 0xFFFFFFFF
_PROGRAMS = ("ip", "nsenter", "sysctl", "od", "find", "grep", "readlink")


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
    the configuration came from.  Raises InvalidConfiguration when the ranges have too many combinations.
    """
    combinations = list(product(*(range(len(ranges)) for ranges in network.ranges)))
    if len(combinations) > COMBINATIONS:
        raise InvalidConfiguration(
            f"network {network.name!r}: {len(combinations)} combinations of ranges; a script is printed for at most "
            f"{COMBINATIONS}: give it a configuration with fewer ranges in a set"
        )
    names = " ".join(f"ip_{index}" for index in range(len(network.ranges)))
    words = " ".join(f"$ip_{index}" for index in range(len(network.ranges)))
    parts = {
        "header": _header(network, firewall, origin),
        "node": _node(node, firewall),
        "attach": "\n".join(text for chosen in combinations for text in _pod(network, spans, attach, chosen, firewall)),
        "take": "".join(_take(index, ranges, spans) for index, ranges in enumerate(network.ranges)),
    }
    inline = {
        "network": quote(network.name),
        "database": database,
        "names": names and f" {names}",
        "words": words and f" {words}",
        "told": words and f" {words}",
        "programs": " ".join((*_PROGRAMS, *_firewall_programs(network, firewall))),
    }
    text = files("podnet.script").joinpath("net-script.sh").read_text()
    for name, value in inline.items():
        text = text.replace(f"@{name}@", value)
    lines = text.splitlines(keepends=True)
    return "".join(parts[line[2:].strip()] if line.startswith("#@") else line for line in lines)


def placeholder(network: Network, spans: Spans, chosen: Sequence[int], nth: int = 0) -> tuple[Lease, dict[str, str]]:
    """Return a lease for the `nth` address from the end of each range `chosen`, and its values' variables."""
    addresses = []
    names = {LINK: "link", CONTAINER: "container"}
    for index, (ranges, number) in enumerate(zip(network.ranges, chosen, strict=True)):
        one = ranges[number]
        last = spans(one)[-1][1] - nth
        address = IPv4Address(last) if one.subnet.version == 4 else IPv6Address(last)  # noqa: PLR2004 - IP version
        addresses.append(PodAddress(address, one.subnet.prefixlen, one.gateway))
        names[str(address)] = f"ip_{index}"
        if isinstance(address, IPv4Address):
            names[":".join(f"{byte:02x}" for byte in (0x0A, 0x58, *address.packed))] = f"mac_{index}"
    lease = Lease(
        attachment=Attachment(network.name, CONTAINER, "eth0"),
        addresses=tuple(addresses),
        link=LINK,
        netns=None,
        netns_path=NAMESPACE,
        boot_id="",
        created=0.0,
    )
    return lease, names


def _firewall_programs(network: Network, firewall: Firewall) -> tuple[str, ...]:
    if firewall == "nft":
        return ("nft",)
    return tuple({4: "iptables", 6: "ip6tables"}[family] for family in sorted(network.families))


def _header(network: Network, firewall: Firewall, origin: str) -> str:
    subnets = ", ".join(map(str, network.subnets))
    source = f", configured by {origin}" if origin else ""
    return (
        f"# Pod network {network.name!r}: {network.datapath}, {subnets}, by ip and {firewall}{source}.\n"
        "# Printed by `podnet script`: these are the commands that podnet's engine amounts to on this node. Print it\n"
        "# anew when the configuration or the list of nodes changes.\n"
    )


def _node(node: Plan, firewall: Firewall) -> str:
    """Return the node's part as a function that may run any number of times, also at the same time."""
    rules = nftables.transaction(node) if firewall == "nft" else iter(())
    lines = ["# The node's part; running it again changes nothing.", "node() {"]
    lines += [f"    {line}" if line else "" for line in _node_lines(node)]
    return "\n".join((*lines, *rules, "}")) + "\n\n"


def _node_lines(node: Plan) -> Iterator[str]:
    variables = Variables({})
    said = ""
    for step in node.steps:
        made = step.object
        if not isinstance(made, nftables.OTHERS):
            continue
        # `replace`, so that a second run succeeds
        again = step._replace(verb="set") if isinstance(made, Address | Route | Neighbour) else step
        if step.reason != said:
            said = step.reason
            yield f"# {said}"
        for line in explain(Plan((again,)), NAMESPACE):
            command = variables.command(line.command)
            if isinstance(made, Link) and made.kind and " link add " in f" {line.command} ":
                there = f"ip link show dev {quote(made.name)} >/dev/null"
                command = f"{there} 2>&1 || {command} || {there}"
            yield command


def _pod(network: Network, spans: Spans, attach: Attach, chosen: Sequence[int], firewall: Firewall) -> Iterator[str]:
    lease, names = placeholder(network, spans, chosen)
    variables = Variables(names)
    plan = attach(lease)
    if firewall != "nft":
        plan = Plan(tuple(step for step in plan.steps if isinstance(step.object, nftables.OTHERS)))
    suffix = "".join(f"_{number}" for number in chosen)
    macs = [name for name in names.values() if name.startswith("mac_")]
    lines = [f"attach{suffix}() {{"]
    lines += [f'    {mac}=$(mac_of "$ip_{mac[4:]}")' for mac in macs]
    said = ""
    for line in explain(plan, NAMESPACE):
        if line.reason != said:
            said = line.reason
            lines.append(f"    # {said}")
        lines.append(f"    {variables.command(line.command)}")
    lines += ["}", "", f"detach{suffix}() {{"]
    lines += [
        f"    {variables.command(line.command)} 2>/dev/null || :"
        for line in explain(inverse(plan), NAMESPACE)
        if line.at == "node"
    ]
    for index, address in enumerate(lease.addresses):
        family = "ipv4" if address.address.version == 4 else "ipv6"  # noqa: PLR2004 - IP version
        lines.append(f'    forget_flows {family} "$ip_{index}"')
    yield "\n".join((*lines, "}")) + "\n"


def _take(index: int, ranges: tuple[Range, ...], spans: Spans) -> str:
    words = " ".join(quote(span) for number, one in enumerate(ranges) for span in _spans(number, one, spans))
    subnets = ", ".join(str(one.subnet) for one in ranges)
    return (
        f"    take {index} {words} ||\n"
        f'        die "no address of {subnets} is free: delete a pod, or configure a larger range"\n'
        f"    ip_{index}=$taken choice=${{choice}}_$range\n"
    )


def _spans(number: int, one: Range, spans: Spans) -> Iterator[str]:
    """Yield each span of `one` as RANGE KIND FIRST LAST; an IPv6 span ends where the last 32 bits of its first end."""
    for first, last in spans(one):
        if one.subnet.version == 4:  # noqa: PLR2004 - IP version
            yield f"{number} 4 {first} {last}"
        else:
            groups = IPv6Address(first).exploded.split(":")[:6]
            kind = ":".join(f"{int(group, 16):x}" for group in groups)
            yield f"{number} {kind} {first & _LOW} {min(last - (first & ~_LOW), _LOW)}"
