"""A kernel of plan objects in memory: the engine's kernel port without root, namespaces or netlink.

It behaves as Linux does in what decides whether the engine is right:

- a link whose name is taken is refused with EEXIST, whichever end's it is, and then nothing of it is left, and what
  the same batch wanted on it is refused with ENODEV;
- addresses, routes and neighbours end with their link; its routes and neighbours, and its IPv6 addresses, when it goes
  down; its neighbours when its MAC is set, be it the one it has; a bridge's ports lose their master with it;
- qdiscs end with their link; a token bucket filter takes the place of the one that is there; a redirect to a link that
  is gone stays and leads nowhere;
- an ifb's MAC is not set after its birth;
- an element of a map leads where it leads until it is deleted;
- a VXLAN device ends with the link it sends by; of one VNI, port, link and family there is one device; its forwarding
  table stays when it goes down;
- an address is allowed to one peer of a WireGuard device, the last that it was given to;
- a batch of rtnetlink runs on after a refusal, a batch of nftables is carried out whole or not at all, a plan ends
  with the batch in which something was refused;
- taking away what is gone already is tolerated; links of the doomed group go together, strangers in it stay.

What the kernel does of itself is left out: prefix routes, link-local addresses of links that make their own, carriers,
whether a gateway can be reached.  A test runs the same operations on this and on the real kernel and compares.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from msgspec.structs import replace

from podnet.engine.ports import Namespace
from podnet.errors import KernelError, PodnetError
from podnet.model import Lease, NamespaceId, NodeFacts, PortMapping
from podnet.netlink.attributes import IPAddress
from podnet.nft import Table
from podnet.plan import (
    GROUP_DOOMED,
    GROUP_MESH,
    GROUP_PODS,
    PROTOCOL,
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Plan,
    Redirect,
    Route,
    State,
    Step,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
    headline,
    state_of,
)
from podnet.plan.diff import TUNNELS
from podnet.plan.objects import Place
from podnet.plan.plan import peers_made
from podnet.testing.outcomes import Crash, Fault, Reaped, Refusal, Sending, Where
from podnet.testing.space import Space, creates, observed
from podnet.testing.values import FACTS

TOLERATED = frozenset(
    {errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO, errno.EINVAL, errno.ENETDOWN}
)

FIRST_INODE = 4_026_530_000


class FakeKernel:
    """A node's namespace, `node`, and those of pods that :meth:`pod` made.

    `connections` are addresses of which conntrack has entries; `calls` are the names of the port's methods called,
    `flushed` the UDP host ports whose entries were deleted.
    """

    def __init__(self, facts: NodeFacts = FACTS) -> None:
        """Begin with `lo` and the uplink of `facts` with its addresses."""
        self.node = Space("node")
        self.connections: set[IPAddress] = set()
        self.calls: list[str] = []
        self.flushed: list[int] = []
        self._pods: dict[int, Space] = {}
        self._made = 0
        self._faults: list[Fault] = []
        self._steps = 0
        if facts.uplink:
            self.node.put(Link(at="node", name=facts.uplink, mac="02:00:00:00:00:0a", mtu=facts.mtu, kind="veth"))
            for address in facts.addresses:
                prefixlen = 24 if address.version == 4 else 64  # noqa: PLR2004 - IPv4
                self.node.put(Address(at="node", dev=facts.uplink, address=address, prefixlen=prefixlen))

    def pod(self, name: str) -> Namespace:
        """Make a pod's namespace; its `descriptor` means something to this kernel alone."""
        self._made += 1
        number = self._made
        self._pods[number] = Space("pod")
        return Namespace(number, NamespaceId(4, FIRST_INODE + number), f"/run/netns/{name}")

    def know(self, descriptor: int, namespace: Namespace) -> None:
        """Let `descriptor`, say of a file that a test opened, mean a pod's namespace too."""
        self._pods[descriptor] = self.inside(namespace)

    def inside(self, namespace: Namespace) -> Space:
        """Return what is in a pod's namespace."""
        return self._pods[namespace.descriptor]

    def end_pod(self, namespace: Namespace) -> None:
        """End a pod's namespace, and both ends of the links in it."""
        space = self._pods.pop(namespace.descriptor)
        for link in list(space.links()):
            space.remove_link(link.name)

    # Faults

    def fail_at(self, where: Where, error: int, *, after: bool = False, times: int = 1) -> None:
        """Refuse with errno `error`, the next `times`, what is at `where`.

        `where` is a number (steps are counted from this call on, over all plans), a predicate of steps, or the name of
        one of the port's methods.  `after`: the effect takes place all the same, as where a step is several messages
        and the last is refused; within a batch of nftables nothing of the batch does.
        """
        self._steps = 0
        self._faults += [Fault(where, error, after)] * times

    def crash_at(self, where: Where, *, after: bool = False) -> None:
        """Raise :class:`Crash` at `where`, before or after the effect; see :meth:`fail_at`."""
        self._steps = 0
        self._faults.append(Fault(where, Crash(f"at {where}"), after))

    def forget_faults(self) -> None:
        """Drop faults that have not come about."""
        self._faults.clear()

    # The engine's port

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`; raise `KernelError` at the first refusal, with the steps that took effect in `done`."""
        self._enter("apply")
        self._resolve(plan, namespace)
        links = [step.object for step in plan.steps if isinstance(step.object, Link)]
        pod = self.inside(namespace) if namespace else None
        sending = Sending(pod, {link.name: link for link in links if link.at == "pod"}, peers_made(plan), set())
        done: list[Step] = []
        for (channel, _), batch in groupby(plan.steps, _batch_of):
            carried, refused = self._send(channel, list(batch), sending)
            done += carried
            if refused:
                step, number = refused[0]
                where = namespace.path if namespace else "pod"
                raise KernelError(headline(step, where), number, at=step.object, done=tuple(done))

    def apply_together(self, jobs: Sequence[tuple[Plan, Namespace | None]]) -> list[PodnetError | None]:
        """Carry out several plans, one after the other; return for each what :meth:`apply` would raise, or None."""
        outcomes: list[PodnetError | None] = []
        for plan, namespace in jobs:
            try:
                self.apply(plan, namespace)
            except PodnetError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def dismantle(self, plan: Plan) -> None:
        """Carry out a plan that takes away; what is gone already is no refusal, all else is one `KernelError`."""
        self._enter("dismantle")
        sending = Sending(None, {}, frozenset(), set())
        refused: list[Refusal] = []
        for (channel, _), batch in groupby(filter(self._known, plan.steps), _batch_of):
            steps = list(batch)
            failed = self._send(channel, steps, sending)[1]
            while channel == "netfilter" and (gone := [step for step, number in failed if number in TOLERATED]):
                steps = [step for step in steps if step not in gone]
                failed = self._send(channel, steps, sending)[1]
            refused += failed
        for step, number in refused:
            if number not in TOLERATED:
                raise KernelError(headline(step), number)

    def observe(self, plan: Plan, namespace: Namespace | None = None) -> State:
        """Return the state of those objects that `plan` speaks of, and what stands beside them on the same links."""
        self._enter("observe")
        things = [step.object for step in plan.steps]
        found = list(observed(self.node, [thing for thing in things if place_of(thing) == "node"]))
        if namespace is not None:
            found += observed(self.inside(namespace), [thing for thing in things if place_of(thing) == "pod"])
        return state_of(found)

    def owned(self) -> State:
        """Return every object of the node that is provably podnet's: by group and alias, protocol, or table."""
        self._enter("owned")
        objects = self.node.objects.values()
        groups = {GROUP_PODS, GROUP_MESH}
        links = [o for o in self.node.links() if o.group in groups and o.alias.startswith("podnet:")]
        own = {link.name for link in links}
        found: list[Object] = [*links]
        tunnels = {link.name for link in links if link.kind in TUNNELS}
        found += [o for o in objects if isinstance(o, Address | Fdb | WireGuardPeer) and o.dev in tunnels]
        found += [o for o in objects if isinstance(o, Neighbour) and o.dev in own]
        shaping = [o for o in objects if isinstance(o, Tbf | Redirect) and o.dev in own]
        if any(link.kind == "ifb" for link in links) or any(isinstance(o, Tbf) for o in shaping):
            found += shaping
        found += [o for o in objects if isinstance(o, Route) and o.protocol == PROTOCOL]
        for family in ("inet", "bridge"):
            found += self.node.table(Table(family, "podnet"))
        return state_of(found)

    def own_links(self) -> frozenset[str]:
        """Return the names of the node's links that are podnet's."""
        self._enter("own_links")
        return frozenset(o.name for o in self.node.links() if o.group == GROUP_PODS and o.alias.startswith("podnet:"))

    @contextmanager
    def namespace_of(self, lease: Lease) -> Iterator[tuple[Namespace | None, bool]]:
        """Find the pod's namespace that `lease` was made for; that there is none is certain."""
        self._enter("namespace_of")
        number = lease.netns.inode - FIRST_INODE if lease.netns else 0
        there = number in self._pods and lease.netns is not None
        yield (Namespace(number, lease.netns, lease.netns_path) if there and lease.netns else None), True

    def reap(self) -> Reaped:
        """Delete the doomed links that are podnet's; move others out of the group."""
        self._enter("reap")
        group = [link for link in self.node.links() if link.group == GROUP_DOOMED]
        doomed = [link.name for link in group if link.alias.startswith("podnet:")]
        strangers = [link for link in group if link.name not in doomed]
        for link in strangers:
            self.node.put(replace(link, group=0))
        for name in doomed:
            self.node.remove_link(name)
        return Reaped(tuple(doomed), tuple(link.name for link in strangers))

    def forget_connections(self, addresses: Sequence[IPAddress]) -> None:
        """Forget the connections of `addresses`."""
        self._enter("forget_connections")
        self.connections.difference_update(addresses)

    def forget_ports(self, ports: Sequence[PortMapping]) -> None:
        """Remember which host ports were asked about, in `flushed`."""
        self._enter("forget_ports")
        self.flushed += [mapping.host_port for mapping in ports if mapping.protocol == "udp"]

    # Sending

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        fault = self._due(method)
        if fault is None:
            return
        if isinstance(fault.error, Crash):
            raise fault.error
        raise KernelError(method, fault.error)

    def _due(self, at: str | Step) -> Fault | None:
        """Return the fault that comes about at a step, or at a call of a method."""
        for fault in self._faults:
            where = fault.where
            if isinstance(at, str) or isinstance(where, str):
                hit = where == at
            else:
                hit = where == self._steps - 1 if isinstance(where, int) else where(at)
            if hit:
                self._faults.remove(fault)
                return fault
        return None

    def _resolve(self, plan: Plan, namespace: Namespace | None) -> None:
        """Raise `KernelError` ENODEV for the first link that `plan` names and neither makes nor finds."""
        made: set[tuple[Place, str]] = set()
        pod = self.inside(namespace) if namespace else None
        for step in plan.steps:
            thing = step.object
            names: list[tuple[Place, str]] = []
            if isinstance(thing, Link):
                if creates(step):
                    made |= {(thing.at, thing.name), ("pod", thing.peer)}
                names.append((thing.at, thing.name))
                if thing.master:
                    names.append(("node", thing.master))
                if thing.vxlan and thing.vxlan.dev and creates(step):
                    names.append(("node", thing.vxlan.dev))
            elif (
                isinstance(thing, Address | Neighbour | Fdb | WireGuard | WireGuardPeer | Route | Tbf | Redirect)
                and thing.dev
            ):
                names.append((thing.at, thing.dev))
                if isinstance(thing, Redirect) and step.verb != "delete":
                    names.append((thing.at, thing.to))
            for at, name in names:
                space = self.node if at == "node" else pod
                if (at, name) not in made and (space is None or space.link(name) is None):
                    raise KernelError(f"ip link show {name}", errno.ENODEV)

    def _known(self, step: Step) -> bool:
        """Tell whether a step is the node's, and the link that it speaks of is there, where it speaks of one."""
        thing = step.object
        if place_of(thing) == "pod" or isinstance(thing, Sysctl):
            return False
        name = thing.name if isinstance(thing, Link) else getattr(thing, "dev", "")
        return not name or self.node.link(name) is not None

    def _send(self, channel: str, steps: Sequence[Step], sending: Sending) -> tuple[list[Step], list[Refusal]]:
        """Send one batch: nftables' whole or not at all, others step by step, files up to the first refusal."""
        before = dict(self.node.objects)
        done: list[Step] = []
        refused: list[Refusal] = []
        crash: Fault | None = None
        for step in steps:
            number, took_effect, fault = self._carry(step, sending)
            if took_effect:
                done.append(step)
            if number:
                refused.append(Refusal(step, number))
            if fault is not None and isinstance(fault.error, Crash):
                crash = fault
            if (crash and channel != "netfilter") or (number and channel == "sysctl"):
                break
        if channel == "netfilter" and (refused or (crash and not crash.after)):
            done, self.node.objects = [], before
        if crash is not None:
            assert isinstance(crash.error, Crash)  # noqa: S101 - it was asked above
            raise crash.error
        return done, refused

    def _carry(self, step: Step, sending: Sending) -> tuple[int, bool, Fault | None]:
        """Carry out one step; return its errno (0: none), whether it took effect, and the fault that came about."""
        self._steps += 1
        fault = self._due(step)
        thing = step.object
        number = 0
        took_effect = False
        if fault is None or fault.after:
            number = self._try(step, sending)
            took_effect = not number or self._is_in_part(thing, number, sending)
        if fault is not None and isinstance(fault.error, int):
            number = fault.error
        if isinstance(thing, Link) and creates(step) and not took_effect:
            sending.void.update({(thing.at, thing.name), ("pod", thing.peer)})
        return number, took_effect, fault

    def _try(self, step: Step, sending: Sending) -> int:
        thing = step.object
        place = place_of(thing)
        name = getattr(thing, "dev", "") or (thing.name if isinstance(thing, Link) else "")
        if (place, name) in sending.void and not creates(step):
            return errno.ENODEV
        space = self.node if place == "node" else sending.pod
        if space is None:
            return errno.ENODEV
        peer = sending.peers.get(thing.peer) if isinstance(thing, Link) else None
        if isinstance(thing, Link) and place == "pod" and step.verb == "add" and name in sending.born:
            step = step._replace(object=replace(thing, mac="", mtu=0))
        if isinstance(thing, Redirect) and (place, thing.to) in sending.void:
            step = step._replace(object=replace(thing, to=""))
        return space.carry(step, sending.pod, peer)

    def _is_in_part(self, thing: Object, number: int, sending: Sending) -> bool:
        """Tell whether a step's other message was carried out: a redirect's qdisc, or an ifb up without its MAC."""
        space = self.node if place_of(thing) == "node" else sending.pod
        if isinstance(thing, Link):
            return number == errno.EOPNOTSUPP and thing.kind == "ifb" and thing.up
        return (
            isinstance(thing, Redirect)
            and number == errno.ENODEV
            and (thing.at, thing.dev) not in sending.void
            and space is not None
            and space.objects.get(thing.key) == replace(thing, to="")
        )


def place_of(thing: Object) -> Place:
    """Return where `thing` is; nftables' objects are the node's."""
    place: Place = getattr(thing, "at", "node")
    return place


def _batch_of(step: Step) -> tuple[str, Place]:
    """Return the channel and the place of `step`: what follows each other with the same goes in one send."""
    thing = step.object
    if isinstance(thing, Link | Address | Route | Neighbour | Fdb | Tbf | Redirect):
        return "route", thing.at
    if isinstance(thing, WireGuard | WireGuardPeer):
        return "wireguard", thing.at
    return ("sysctl", thing.at) if isinstance(thing, Sysctl) else ("netfilter", "node")
