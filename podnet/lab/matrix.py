"""What a lab must be able to do: every probe, with what must come of it.  Pure; `prober` carries them out.

======== ==================================================================================================
TCP      8 KiB there and back on one connection
UDP      a datagram there and back
ICMP     an echo request and its reply
FULL     a UDP packet as large as the path's MTU, with DF, and its short answer back
TOO BIG  one byte more, with DF: no answer, but the news that it is too big and what the MTU is, from this
         machine's own stack where the first link is the narrow one, and as ICMP from the router where it is not
======== ==================================================================================================

The address that the target sees is part of what is expected: a pod's own within the cluster, its node's outside, and
also at a node past a tunnel; a node is seen by pods past a tunnel with its tunnel end's address.
The outside has no route to pods, as the internet has none, so what it would reach is not asked.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from podnet.lab.topology import OUTSIDE_MTU, SERVICES, UPLINK_MTU, Endpoint, IPAddress


class Kind(StrEnum):
    """What is sent; the value is its name in JSON."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    FULL = "full-mtu"
    TOO_BIG = "too-big"

    @property
    def letter(self) -> str:
        """The letter that stands for it in a cell."""
        return {"tcp": "T", "udp": "U", "icmp": "I", "full-mtu": "F", "too-big": "B"}[self.value]


class Through(StrEnum):
    """Which way a probe takes."""

    DIRECT = "direct"
    DNAT = "dnat"
    HAIRPIN = "hairpin"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to try.

    `to` is where it is sent (None: the target has no address of this IP `version`, which is a failure); `size` the
    bytes of the IP packet, 0 where it does not matter; `mtu` what a too-big packet must be told, by a router if
    `by_router`; `seen` the source addresses the target may see (empty: any).
    """

    source: str
    target: str
    version: int
    kind: Kind
    to: IPAddress | None
    size: int = 0
    mtu: int = 0
    by_router: bool = False
    seen: tuple[IPAddress, ...] = ()
    through: Through = Through.DIRECT


class Outcome(msgspec.Struct, frozen=True):
    """What came of a probe: `found` is in words, empty where it is `ok`."""

    probe: Probe
    ok: bool
    found: str = ""


SMALL = (Kind.TCP, Kind.UDP, Kind.ICMP)


def expected(ends: Sequence[Endpoint], families: Sequence[int], pod_mtu: int) -> list[Probe]:
    """Return every probe between `ends` that must succeed, sources in order; `pod_mtu` is that of pods' links."""
    return [
        probe
        for version in families
        for source in ends
        for target in ends
        if reachable(source, target)
        for probe in _pair(source, target, version, ends, pod_mtu)
    ]


def reachable(source: Endpoint, target: Endpoint) -> bool:
    """Tell whether `source` is to reach `target`: a pod itself too, by its `lo`."""
    if source is target:
        return source.role == "pod"
    return not (source.role == "outside" and target.role == "pod")


def _pair(source: Endpoint, target: Endpoint, version: int, ends: Sequence[Endpoint], pod_mtu: int) -> Iterator[Probe]:
    to = target.address(version)
    small = Probe(
        source=source.name,
        target=target.name,
        version=version,
        kind=Kind.TCP,
        to=to,
        seen=seen_as(source, target, version, ends),
    )
    for kind in SMALL:
        yield msgspec.structs.replace(small, kind=kind)
    if source is target:
        return
    first = first_mtu(source, target, pod_mtu)
    path = min(first, link_mtu(target, pod_mtu))
    yield msgspec.structs.replace(small, kind=Kind.FULL, size=path)
    yield msgspec.structs.replace(small, kind=Kind.TOO_BIG, size=path + 1, mtu=path, by_router=path < first, seen=())


def tunnelled(source: Endpoint, target: Endpoint) -> bool:
    """Tell whether packets between two ends go in a tunnel: to a pod, or from one, of another segment."""
    return "outside" not in {source.role, target.role} and source.segment != target.segment


def first_mtu(source: Endpoint, target: Endpoint, pod_mtu: int) -> int:
    """Return the MTU of the link by which packets to `target` leave `source`."""
    if source.role == "node" and target.role == "pod" and (source.node == target.node or tunnelled(source, target)):
        return pod_mtu  # the host's end of the pod's link, or the tunnel, which is as wide
    return link_mtu(source, pod_mtu)


def link_mtu(end: Endpoint, pod_mtu: int) -> int:
    """Return the MTU of the link by which packets leave `end`, or a node for others."""
    return {"pod": pod_mtu, "node": UPLINK_MTU, "outside": OUTSIDE_MTU}[end.role]


def seen_as(source: Endpoint, target: Endpoint, version: int, ends: Sequence[Endpoint]) -> tuple[IPAddress, ...]:
    """Return the addresses as which `target` may see `source`; empty means any (a node chooses towards its pods)."""
    if source.role == "node" and target.role == "pod" and source.node == target.node:
        return ()
    visible = source
    if source.role == "pod" and (target.role == "outside" or (target.role == "node" and tunnelled(source, target))):
        visible = next(end for end in ends if end.role == "node" and end.name == source.node)
    through_tunnel = source.role == "node" and target.role == "pod" and tunnelled(source, target)
    address = visible.tunnel_address(version) if through_tunnel else visible.address(version)
    return () if address is None else (address,)


class Service(msgspec.Struct, frozen=True):
    """An address of a service that is translated, on `node`, to the address of `pod`."""

    node: str
    pod: Endpoint
    address: IPAddress
    pod_address: IPAddress


def services(ends: Sequence[Endpoint], families: Sequence[int]) -> list[Service]:
    """Return a service for every pod and family: on each node 10.96.0.10, .11 and so on."""
    found = []
    for node in (end for end in ends if end.role == "node"):
        local = [end for end in ends if end.role == "pod" and end.node == node.name]
        for version in families:
            for index, pod in enumerate(local):
                address = pod.address(version)
                if address is not None:
                    found.append(Service(node.name, pod, SERVICES[version][10 + index], address))
    return found


def service_probes(ends: Sequence[Endpoint], offered: Sequence[Service]) -> list[Probe]:
    """Return the probes through `offered`: from every pod of the same node, and from the pod behind it (hairpin).

    The pod behind it must see the caller's own address, but for a hairpin, whose answer would otherwise never pass
    the node that has to translate it back.
    """
    probes = []
    for service in offered:
        version = service.address.version
        for source in (end for end in ends if end.role == "pod" and end.node == service.node):
            own = source.address(version)
            hairpin = source is service.pod
            probes += [
                Probe(
                    source=source.name,
                    target=service.pod.name,
                    version=version,
                    kind=kind,
                    to=service.address,
                    seen=() if hairpin or own is None else (own,),
                    through=Through.HAIRPIN if hairpin else Through.DNAT,
                )
                for kind in (Kind.TCP, Kind.UDP)
            ]
    return probes


TABLE = "inet podnet-lab"


def service_rules(node: str, offered: Sequence[Service]) -> str:
    """Return the ``nft`` script that makes a fresh table of a node's services, as a service proxy would."""
    mine = [(f"ip{'6' if s.address.version == 6 else ''}", s) for s in offered if s.node == node]  # noqa: PLR2004
    there = [f"    {ip} daddr {s.address} dnat {ip} to {s.pod_address}" for ip, s in mine]
    back = [f"    {ip} saddr {s.pod_address} {ip} daddr {s.pod_address} masquerade" for ip, s in mine]
    return "\n".join([
        f"table {TABLE}",
        f"delete table {TABLE}",
        f"table {TABLE} {{",
        "  chain prerouting {", "    type nat hook prerouting priority dstnat - 5", *there, "  }",
        "  chain postrouting {", "    type nat hook postrouting priority srcnat - 5", *back, "  }",
        "}", "",
    ])  # fmt: skip


def look_at(probe: Probe, ends: Sequence[Endpoint], lab: str = "lab") -> str:
    """Return the command to look at first when `probe` fails."""
    by_name = {end.name: end for end in ends}
    source, target = by_name[probe.source], by_name[probe.target]
    own = "" if lab == "lab" else f"--name {lab} "
    start = f"podnet lab exec {own}"
    if probe.to is None:
        return f"podnet lab status {own}".rstrip()
    if probe.through is not Through.DIRECT:
        return f"{start}{source.node} -- nft list ruleset"
    if target.role == "outside" and source.role == "pod":
        return f"{start}{source.node} -- nft list table inet podnet"
    if source.role == "outside":
        return f"{start}{target.name} -- ip -{probe.version} addr"
    return f"{start}{source.name} -- ip route get {probe.to}"
