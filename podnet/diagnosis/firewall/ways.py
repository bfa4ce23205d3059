"""Which packets a pod network is made of, as the node's firewall sees them: from where to where, hook by hook.

For what pods say to each other, to the world and to nodes stand some connections each: TCP and UDP, the first packet
and an answer.  Addresses stand for whole pod CIDRs, a pod's link for every pod's.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, collapse_addresses
from typing import NamedTuple

import msgspec

from podnet.diagnosis.firewall.packet import Ends, IPAddress, IPNetwork, Link, Packet, packet
from podnet.plan import GROUP_PODS

SERVER, CLIENT = 8080, 40000
"""Ports of a pod that serves and of one that asks: of no protocol that firewalls treat of its own."""
OUTSIDE: dict[int, IPAddress] = {4: IPv4Address("1.1.1.1"), 6: IPv6Address("2606:4700:4700::1111")}
"""Stands for the world: an address of nobody's private network.  Nothing is sent there."""
WEB, DNS, KUBELET = 443, 53, 10250
PEERS = 8
"""More CIDRs of other nodes are one packet, to any address in what they have in common."""

POD = Link("veth-", index=0x7FFFFFFF, group=GROUP_PODS, kind="veth", whole=False)
"""A pod's link, whichever; its index is one that no link has, since a rule by index means one link, hardly a pod's."""


class Port(NamedTuple):
    """A port at which nodes speak: transport `protocol`, `number`, what speaks there, and over which IP `versions`."""

    protocol: str
    number: int
    what: str
    versions: tuple[int, ...] = (4, 6)


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What of this node the packets are made of.

    `cidrs` are its pods', `others` those of other nodes' pods; `addresses` its own, `peers` those of other nodes.
    Pods' packets come by `from_pods` (br0, where pods are bridged) and leave by `to_pods`; other nodes' pods are
    reached by any of `ways`, tunnel or uplink.  `ports` are those of the backend.
    """

    cidrs: tuple[IPNetwork, ...]
    uplink: Link
    others: tuple[IPNetwork, ...] = ()
    addresses: tuple[IPAddress, ...] = ()
    peers: tuple[IPAddress, ...] = ()
    from_pods: Link = POD
    to_pods: Link = POD
    ways: tuple[Link, ...] = ()
    ports: tuple[Port, ...] = ()


class Opening(NamedTuple):
    """What a rule must let through: addresses and links as far as it need look at them, and a port or none."""

    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    iif: str = ""
    oif: str = ""
    protocol: str = ""
    sport: int | None = None
    dport: int | None = None
    version: int = 4


class Way(NamedTuple):
    """Packets that go one way: what they are in words, what lets them pass, and each hook with the packet there."""

    what: str
    opening: Opening
    hooks: tuple[tuple[str, Packet], ...]
    needed: bool = True


def ways(facts: Facts) -> Iterator[Way]:
    """Yield the ways that packets of this node go."""
    for cidr in facts.cidrs:
        for other in _peers(facts.others, cidr.version):
            for link in facts.ways or (facts.uplink,):
                yield from _between_pods(facts, cidr, other, link)
        yield from _outside(facts, cidr)
        own = next((address for address in facts.addresses if address.version == cidr.version), None)
        if own is not None:
            yield from _node(facts, cidr, own)
    for port in facts.ports:
        for address in (address for address in facts.addresses if address.version in port.versions):
            yield from _between_nodes(facts, port, address)


def _peers(networks: Sequence[IPNetwork], version: int) -> list[IPNetwork]:
    found: list[IPNetwork] = list(collapse_addresses([n for n in networks if n.version == version]))  # type: ignore[type-var]
    if len(found) <= PEERS:
        return found
    first, last = found[0], found[-1]
    while not (first.network_address <= last.network_address <= first.broadcast_address):  # type: ignore[operator]
        first = first.supernet()
    return [first]


def _between_pods(facts: Facts, cidr: IPNetwork, other: IPNetwork, way: Link) -> Iterator[Way]:
    leaving, arriving = Opening(source=cidr), Opening(destination=cidr)
    for protocol in ("tcp", "udp"):
        for answer in (False, True):
            word = "answers " if answer else ""
            sport, dport = (SERVER, CLIENT) if answer else (CLIENT, SERVER)
            out = packet(Ends(cidr, other), protocol, sport, dport, answer=answer)
            hooks = _forwarded(out, facts.from_pods, way)
            yield Way(f"{word}from pods to pods of other nodes", leaving, hooks)
            back = packet(Ends(other, cidr), protocol, sport, dport, answer=answer)
            hooks = _forwarded(back, way, facts.to_pods)
            yield Way(f"{word}from pods of other nodes to pods", arriving, hooks)


def _outside(facts: Facts, cidr: IPNetwork) -> Iterator[Way]:
    world = OUTSIDE[cidr.version]
    for protocol, port in (("tcp", WEB), ("udp", DNS)):
        asked = packet(Ends(cidr, world), protocol, CLIENT, port)
        hooks = _forwarded(asked, facts.from_pods, facts.uplink)
        yield Way("from pods to the outside", Opening(source=cidr), hooks)
        answer = packet(Ends(world, cidr), protocol, port, CLIENT, answer=True)
        hooks = _forwarded(answer, facts.uplink, facts.to_pods)
        yield Way("answers from the outside to pods", Opening(destination=cidr), hooks)


def _node(facts: Facts, cidr: IPNetwork, own: IPAddress) -> Iterator[Way]:
    to_pods, from_pods = Opening(destination=cidr), Opening(source=cidr)
    for protocol in ("tcp", "udp"):
        probe = packet(Ends(own, cidr), protocol, CLIENT, SERVER)
        yield Way("from this node to its pods", to_pods, _sent(probe, facts.to_pods))
        answer = packet(Ends(cidr, own), protocol, SERVER, CLIENT, answer=True)
        hooks = _received(answer, facts.from_pods)
        yield Way("answers from pods to this node", from_pods, hooks)
    for protocol, port in (("tcp", KUBELET), ("udp", DNS)):
        asked = packet(Ends(cidr, own), protocol, CLIENT, port)
        hooks = _received(asked, facts.from_pods)
        yield Way(f"from pods to this node's {protocol.upper()} port {port}", from_pods, hooks, needed=False)
        answer = packet(Ends(own, cidr), protocol, port, CLIENT, answer=True)
        hooks = _sent(answer, facts.to_pods)
        yield Way("answers from this node to its pods", to_pods, hooks)


def _between_nodes(facts: Facts, port: Port, own: IPAddress) -> Iterator[Way]:
    """Yield what nodes send each other: with UDP each side begins, with TCP answers come back from the port."""
    uplink, protocol = facts.uplink, port.protocol
    name = f"{port.what} ({protocol.upper()} {port.number})"
    for peer in [address for address in facts.peers if address.version == own.version][:PEERS]:
        for answer in (False, True) if protocol == "tcp" else (False,):
            sport, dport = (port.number, None) if answer else (None, port.number)
            into = Opening(iif=uplink.name, protocol=protocol, sport=sport, dport=dport, version=own.version)
            out = into._replace(iif="", oif=uplink.name)
            heard = packet(Ends(peer, own), protocol, sport, dport, answer=answer)
            yield Way(f"{name} from other nodes", into, _received(heard, uplink))
            said = packet(Ends(own, peer), protocol, sport, dport, answer=answer)
            yield Way(f"{name} to other nodes", out, _sent(said, uplink))


_Hooks = tuple[tuple[str, Packet], ...]


def _forwarded(of: Packet, iif: Link, oif: Link) -> _Hooks:
    arriving, leaving = of.at(iif=iif), of.at(iif=iif, oif=oif)
    return (
        ("ingress", arriving),
        ("prerouting", arriving),
        ("forward", leaving),
        ("postrouting", leaving),
        ("egress", leaving),
    )


def _received(of: Packet, iif: Link) -> _Hooks:
    arriving = of.at(iif=iif, destination_type="local")
    return ("ingress", arriving), ("prerouting", arriving), ("input", arriving)


def _sent(of: Packet, oif: Link) -> _Hooks:
    leaving = of.at(oif=oif, source_type="local")
    return ("output", leaving), ("postrouting", leaving), ("egress", leaving)
