"""Whether packets as wide as pods send them get through to other nodes, and whether pods are told where they do not."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import msgspec

from podnet.diagnosis.finding import Finding

CHECK = "path_mtu"
NAMED = 4

Outcome = Literal["whole", "narrower", "vanished", "silent"]
"""It arrived · a router told of a narrower MTU · it did not arrive, and a small one did · neither was answered."""


class Probe(msgspec.Struct, frozen=True, gc=False):
    """A packet of `size` bytes, not to be fragmented, to another `node` at `address`.

    `mtu` is the widest that is known to pass, 0 where none is.
    """

    node: str
    address: IPv4Address | IPv6Address
    size: int
    outcome: Outcome
    mtu: int = 0


def path_mtu(probes: Sequence[Probe], overhead: int, port: int) -> Iterator[Finding]:
    """Yield what is to be said of the ways to other nodes, where around a pod's packet go `overhead` bytes.

    `port` is the UDP port that was asked.
    """
    for probe in probes:
        where = f"{probe.size} bytes without fragmenting to {probe.address}, UDP port {port}"
        fits = f"; {probe.mtu} bytes arrive" if probe.mtu else ""
        if probe.outcome == "vanished":
            what = (
                f"packets of {probe.size} bytes to node {probe.node} vanish, and nobody tells: connections stand still"
            )
            yield Finding(
                CHECK, "broken", what, f"{where}: no answer, to a small one there is{fits}", _remedy(probe, overhead)
            )
        elif probe.outcome == "narrower":
            what = (
                f"the way to node {probe.node} is narrower, {probe.mtu} bytes, than this node's link, {probe.size}: "
                "packets are cut on the way, or each connection has to find out"
            )
            yield Finding(CHECK, "note", what, f"{where}: a router tells {probe.mtu}", _remedy(probe, overhead))
    if silent := [probe for probe in probes if probe.outcome == "silent"]:
        names = ", ".join(probe.node for probe in silent[:NAMED])
        more = f" and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
        what = f"how wide the way is to {names}{more} cannot be told: no answer"
        evidence = f"a datagram to UDP port {port}, on which nobody listens, brings no word by ICMP"
        remedy = f"see that the node is there, and that ICMP is let through: ping {silent[0].address}"
        yield Finding(CHECK, "note", what, evidence, remedy)


def width(mtu: int, overhead: int, uplink: str, uplink_mtu: int) -> Iterator[Finding]:
    """Yield a finding where podnet.yaml has pods' links wider (`mtu`) than the uplink has room for."""
    if mtu + overhead > uplink_mtu:
        what = (
            f"pods' links are wider than their way: {mtu} bytes and {overhead} around them do not fit into {uplink}'s "
            f"{uplink_mtu}, so that each connection has to find out"
        )
        remedy = f"write `mtu: 0` into podnet.yaml, or `mtu: {uplink_mtu - overhead}`"
        yield Finding(CHECK, "note", what, f"podnet.yaml: mtu: {mtu}", remedy)


def _remedy(probe: Probe, overhead: int) -> str:
    if not probe.mtu:
        return "make the links between the nodes as wide as this one's, or this one narrower (ip link set dev … mtu …)"
    mtu = probe.mtu - overhead
    return f"write `mtu: {mtu}` into podnet.yaml of every node, or make what is between them {probe.size} bytes wide"
