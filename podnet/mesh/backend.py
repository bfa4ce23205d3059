"""Which way packets go to each node, by `backend`: as they are, or in a tunnel, in clear or encrypted.

The :class:`Mesh` is what stands once for all nodes, and a :class:`Way` for each other one.  A way follows from this
node and that one alone, so a node that comes, goes or changes among thousands is one way that is made anew.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from podnet.mesh import wireguard
from podnet.mesh.direct import on_subnet, route
from podnet.mesh.end import IPV4, IPV6
from podnet.mesh.guard import guarded, guards
from podnet.mesh.remote import own_addresses, remote, remote_sets
from podnet.mesh.vxlan import DEVICES, device, ends, underlay
from podnet.mesh.vxlan import OVERHEAD as VXLAN_OVERHEAD
from podnet.model import Backend, Node, NodeFacts, Tunnel, WireGuardPort
from podnet.nft import Element
from podnet.plan import Object, Plan, Step, WireGuardPeer, merged

IPAddress = IPv4Address | IPv6Address

OVERHEAD: Mapping[Backend, Mapping[int, int]] = {
    "direct": {IPV4: 0, IPV6: 0},
    "vxlan": VXLAN_OVERHEAD,
    "auto": VXLAN_OVERHEAD,
    "wireguard": wireguard.OVERHEAD,
    "bgp": {IPV4: 0, IPV6: 0},
}
"""Bytes around a packet by backend, and by the IP version in which nodes send."""
PORT = WireGuardPort()


class Way(NamedTuple):
    """What leads to the pods of one other node.

    `tunnel` is the IP version of the tunnel that is used, 0 where none is; `remark` what is to be said of the node,
    with the remedy, "" for nothing.
    """

    node: Node
    plan: Plan
    tunnel: int = 0
    remark: str = ""


def together(ways: Iterable[Way]) -> Plan:
    """Return what leads to the pods behind all of `ways`, kind by kind: thousands of nodes are a few sends then.

    Elements come first, so that rules know a node before packets go there, and a peer comes before its routes.
    """
    elements: list[Step] = []
    peers: list[Step] = []
    others: list[Step] = []
    for way in ways:
        for step in way.plan.steps:
            kind = type(step.object)
            (elements if kind is Element else peers if kind is WireGuardPeer else others).append(step)
    return Plan((*elements, *peers, *others))


class Tally(NamedTuple):
    """What ways have together, counted, so that of thousands one that changes is one to count.

    How many are at each of the `addresses` and go by each of the `tunnels`, and what is to be said by the node's name.
    """

    addresses: Mapping[IPAddress, int] = {}
    tunnels: Mapping[int, int] = {}
    remarks: Mapping[str, str] = {}

    def changed(self, gone: Iterable[Way], come: Iterable[Way]) -> "Tally":
        """Return it without ways that are `gone`, and with those that have `come`."""
        addresses, tunnels, remarks = Counter(self.addresses), Counter(self.tunnels), dict(self.remarks)
        for ways, by in ((gone, -1), (come, 1)):
            for way in ways:
                for address in way.node.addresses:
                    addresses[address] += by
                    if not addresses[address]:
                        del addresses[address]
                tunnels[way.tunnel] += by
                remarks.pop(way.node.name, None)
                if way.remark and by > 0:
                    remarks[way.node.name] = way.remark
        return Tally(addresses, +tunnels, remarks)


class Mesh(NamedTuple):
    """What leads from this node to the pods of all others: `base` once, `ways` by the other node's name."""

    base: Plan = Plan()
    ways: Mapping[str, Way] = {}
    tally: Tally = Tally()

    @property
    def plan(self) -> Plan:
        """All of it.

        Tunnels come first: where a way becomes another, its old device is gone before the new route is made.
        """
        return merged(self.base, together(self.ways.values()))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of nodes, such as that their pods are not reached."""
        return tuple(self.tally.remarks.values())

    def holds(self, things: Sequence[Object]) -> list[Object]:
        """Return those of `things`, which belonged to a way, that another way has too.

        Two nodes may have one address, as a machine has that comes back by a new name; all else is one node's alone.
        """
        return [thing for thing in things if getattr(thing, "key", (None,))[0] in self.tally.addresses]


class Wayfinder(NamedTuple):
    """What all ways follow from but the other nodes: this one, as the list has it (None: not at all), and settings."""

    own: Node | None
    facts: NodeFacts
    backend: Backend
    tunnel: Tunnel
    encrypted: WireGuardPort = PORT

    def mesh(self, nodes: Iterable[Node]) -> Mesh:
        """Return the mesh with all `nodes`, of which this one may be one."""
        ways = {node.name: self.way(node) for node in nodes if node.name != self.facts.name}
        tally = Tally().changed((), ways.values())
        return Mesh(self.base(tally.tunnels.keys()), ways, tally)

    def follow(self, mesh: Mesh, changed: Mapping[str, Node | None]) -> Mesh:
        """Return `mesh` with `changed` nodes, None for one that is gone; the other ways stay the values they are."""
        ways, gone, come = dict(mesh.ways), [], []
        for name, node in changed.items():
            if name in ways:
                gone.append(ways.pop(name))
            if node is not None and name != self.facts.name:
                ways[name] = self.way(node)
                come.append(ways[name])
        tally = mesh.tally.changed(gone, come)
        base = self.base(tally.tunnels.keys())
        return Mesh(mesh.base if base == mesh.base else base, ways, tally)

    def base(self, tunnels: Collection[int]) -> Plan:
        """Return what stands once, where some of the others are reached by these `tunnels` (0: by none)."""
        if self.own is None:
            return Plan()
        sets = Plan.of(remote_sets(self.own), own_addresses(self.own))
        if self.backend == "wireguard":
            return merged(
                sets, Plan.of(wireguard.device(self.own, set(tunnels) - {0}, self.facts, self.encrypted.port))
            )
        return merged(
            sets,
            Plan.of(guards(self.own, self.tunnel) if set(tunnels) - {0} else ()),
            *(Plan.of(device(self.own, v, self.facts, self.tunnel)) for v in DEVICES if v in tunnels),
        )

    def way(self, node: Node) -> Way:
        """Return what leads to the pods of `node`.

        There is no tunnel from a node that the list does not have, since nobody would know the way back.
        """
        if self.backend == "wireguard":
            return self._encrypted_way(node)
        if self.backend == "bgp":  # the routes are BIRD's
            return Way(node, Plan.of(remote(self.own, node, DEVICES) if self.own is not None else ()))
        plain = [cidr for cidr in node.cidrs if reached_directly(node, cidr.version, self.facts, self.backend)]
        others = [cidr for cidr in node.cidrs if cidr not in plain]
        version = underlay(node, self.facts) if others and self.own is not None else 0
        steps: list[Step] = []
        if self.own is not None:
            sees = [v for v in DEVICES if sees_pods(node, v, self.facts, self.backend)]
            steps += remote(self.own, node, sees)
            if version:
                steps += guarded(self.own, node, self.tunnel)
                steps += ends(self.own, node, version, others)
        steps += [step for cidr in plain for step in route(node, cidr, self.facts)]
        return Way(node, Plan(tuple(steps)), version, self._remark(node) if self.backend == "direct" else "")

    def _encrypted_way(self, node: Node) -> Way:
        if self.own is None:
            return Way(node, Plan())
        version = underlay(node, self.facts) if node.wireguard and self.facts.wireguard else 0
        ways = wireguard.way(self.own, node, version, self.encrypted.port) if version else ()
        plan = Plan.of(remote(self.own, node, ()), wireguard.closed(self.own, node), ways)
        return Way(node, plan, version, wireguard.remark(node))

    def _remark(self, node: Node) -> str:
        """Return what is to be said where a gateway would be on no subnet."""
        for version in sorted({cidr.version for cidr in node.cidrs}):
            via = node.address(version)
            if via is not None and not on_subnet(via, self.facts):
                return (
                    f"node {node.name} at {via} is on no subnet of {self.facts.uplink}: its pods are not reached; "
                    "`backend: auto` in podnet.yaml reaches nodes that are elsewhere"
                )
        return ""


def between(
    nodes: Sequence[Node], facts: NodeFacts, backend: Backend, tunnel: Tunnel, encrypted: WireGuardPort = PORT
) -> Mesh:
    """Return what leads from the node of `facts` to the pods of every other one of `nodes`."""
    own = next((node for node in nodes if node.name == facts.name), None)
    return Wayfinder(own, facts, backend, tunnel, encrypted).mesh(nodes)


def reached_directly(node: Node, version: int, facts: NodeFacts, backend: Backend) -> bool:
    """Tell whether packets of IP `version` go to `node` as they are: for `auto`, if it is on a subnet of the uplink."""
    if backend != "auto":
        return backend in {"direct", "bgp"}
    address = node.address(version)
    return (
        address is not None
        and facts.address(version) is not None
        and any(address.version == subnet.version and address in subnet for subnet in facts.subnets)
    )


def sees_pods(node: Node, version: int, facts: NodeFacts, backend: Backend) -> bool:
    """Tell whether `node` may be sent packets with a pod's own address as their source, to its own address.

    Not past a tunnel: they would go outside of it, through a network that does not know pods' addresses, and come by
    another link than the way back leads over, which strict rp_filter drops.  They get this node's address instead.
    """
    return node.name == facts.name or reached_directly(node, version, facts, backend)


def overhead(facts: NodeFacts, backend: Backend) -> int:
    """Return the bytes around a packet on the way to other nodes, by which pods' links are narrower than the uplink.

    `auto` reckons with VXLAN from the beginning: a pod keeps its MTU, also when a node joins that needs the tunnel.
    It is that of IPv4 if this node has such an address: a node that joins with IPv6 alone tells by ICMP.
    """
    return OVERHEAD[backend][IPV4 if facts.address(IPV4) is not None else IPV6]
