"""Whether the link that podnet takes for the way to other nodes is the one that leads there."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import msgspec

from podnet.diagnosis.finding import Finding
from podnet.model import Node, NodeFacts

IPAddress = IPv4Address | IPv6Address
CHECK = "uplink"


class Reached(msgspec.Struct, frozen=True, gc=False):
    """The link by which the kernel sends to another `node` at `address`; "" where it has no route."""

    node: str
    address: IPAddress
    link: str


class State(msgspec.Struct, frozen=True, gc=False):
    """A link's state: set `up` by its owner, and with a `carrier`."""

    up: bool
    carrier: bool


def uplink(
    facts: NodeFacts,
    own: Node | None,
    links: Mapping[str, State],
    here: Sequence[IPAddress],
    reached: Sequence[Reached],
    *,
    configured: bool,
) -> Iterator[Finding]:
    """Yield what is amiss with the uplink of `facts`, which podnet.yaml names if `configured`.

    `own` is this node as the nodes' list has it, `here` the addresses of this machine, `reached` how the kernel sends
    to other nodes.
    """
    yield from _addresses(own, facts, here)
    if not facts.uplink:
        if reached:
            what = "no link leads to other nodes: none has this node's address, and there is no default route"
            yield Finding(CHECK, "broken", what, "ip route show default", "write `uplink: LINK` into podnet.yaml")
        return
    state = links.get(facts.uplink)
    if state is not None and not state.up:
        what = f"{facts.uplink}, the link to other nodes, is down"
        yield Finding(CHECK, "broken", what, f"ip link show {facts.uplink}", f"ip link set {facts.uplink} up")
    elif state is not None and not state.carrier:
        what = f"{facts.uplink}, the link to other nodes, has no carrier"
        yield Finding(CHECK, "broken", what, f"ip link show {facts.uplink}: NO-CARRIER", "see to its cable or its peer")
    yield from _elsewhere(facts, reached, configured=configured)


def _addresses(own: Node | None, facts: NodeFacts, here: Sequence[IPAddress]) -> Iterator[Finding]:
    """Yield a finding for each address that the list has for this node and the machine has not."""
    for address in own.addresses if own else ():
        if address not in here:
            has = ", ".join(map(str, facts.addresses)) or "none"
            what = f"other nodes send to {address}, which is this node's in their list and no link's here"
            remedy = f"correct it in the list, or `ip addr add {address}/… dev {facts.uplink or 'LINK'}`"
            evidence = f"ip addr; {facts.uplink or 'there is no uplink, which'} has {has}"
            yield Finding(CHECK, "broken", what, evidence, remedy)


def _elsewhere(facts: NodeFacts, reached: Sequence[Reached], *, configured: bool) -> Iterator[Finding]:
    """Yield a finding for each other link by which nodes are reached, or that there is no way."""
    others: dict[str, list[Reached]] = {}
    for way in reached:
        if way.link != facts.uplink:
            others.setdefault(way.link, []).append(way)
    why = "podnet.yaml names it" if configured else "found by this node's address, or by the default route"
    for link, ways in others.items():
        first = ways[0]
        more = f" and {len(ways) - 1} more" if len(ways) > 1 else ""
        if not link:
            what = f"there is no way to node {first.node} at {first.address}{more}: its pods are not reached"
            yield Finding(
                CHECK, "broken", what, f"ip route get {first.address}", f"ip route add {first.address}/… via …"
            )
            continue
        what = (
            f"node {first.node}{more} is reached by {link}, and podnet takes {facts.uplink} for the way there ({why})"
        )
        remedy = f"write `uplink: {link}` into podnet.yaml, and this node's address on it into the nodes' list"
        yield Finding(CHECK, "broken", what, f"ip route get {first.address}: dev {link}", remedy)
