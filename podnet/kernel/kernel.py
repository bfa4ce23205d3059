"""The kernel as the engine's port: carries out plans, says what is there, reaps.

Plans come as values and are encoded and decoded in :mod:`podnet.plan`; what is here sends, receives, enters
namespaces and writes the files below /proc/sys that no netlink attribute reaches.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from podnet.errors import KernelError, PodnetError
from podnet.kernel.carry import HINTS, Carrier, Course
from podnet.kernel.connections import forget, forget_ports
from podnet.kernel.indexes import Indexes
from podnet.kernel.inhabitants import inhabited
from podnet.kernel.monitor import Monitor
from podnet.kernel.namespace import OWN, entered, reopened
from podnet.kernel.observe import Observer
from podnet.kernel.reap import ALIAS, Reaped, reap
from podnet.kernel.socket import NetlinkSocket
from podnet.model import Lease, Namespace, PortMapping
from podnet.netlink.attributes import IPAddress
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.netlink.transaction import Refusal
from podnet.plan import GROUP_PODS, Batch, Link, Plan, Route, State, Step, encode, headline
from podnet.plan.objects import TUN

TOLERATED = frozenset(
    {errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO, errno.EINVAL, errno.ENETDOWN}
)


class Kernel:
    """The kernel of one network namespace (the node's) and of the pods' that are handed in."""

    def __init__(self) -> None:
        """Open the node's sockets, in the namespace of the calling thread; raise `IOFailure`."""
        self._home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._route = NetlinkSocket(NETLINK_ROUTE)
        self._netfilter = NetlinkSocket(NETLINK_NETFILTER)
        self._observer = Observer(self._route, self._netfilter)
        self._indexes = Indexes(self._route, self._home)
        self._carrier = Carrier(self._route, self._netfilter, self._home)

    def close(self) -> None:
        """Close the sockets."""
        self._route.close()
        self._netfilter.close()
        os.close(self._home)

    def monitor(self) -> Monitor:
        """Begin to listen for what others change; raise `IOFailure`.  The caller closes it."""
        return Monitor(self._route)

    # The engine's port

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`; raise `KernelError` at the first refusal, with the steps that took effect in `done`."""
        (error,) = self.apply_together([(plan, namespace)])
        if error is not None:
            raise error

    def apply_together(self, jobs: Sequence[tuple[Plan, Namespace | None]]) -> list[PodnetError | None]:
        """Carry out several plans, each with its namespace; return for each what :meth:`apply` would raise, or None."""
        courses = [self._course(plan, namespace) for plan, namespace in jobs]
        self._carrier.carry(courses)
        if any(course.error for course in courses):
            self._indexes.forget()
        self._forget_deleted(course.plan for course in courses)
        self._settle([course.plan for course in courses if course.namespace is not None and course.error is None])
        return [course.error for course in courses]

    def _course(self, plan: Plan, namespace: Namespace | None) -> Course:
        descriptor = namespace.descriptor if namespace else None
        try:
            self._start_programs(plan)
            return Course(plan, namespace, encode(plan, self._indexes.resolve(plan, namespace), descriptor))
        except PodnetError as error:
            course = Course(plan, namespace, [])
            course.error = error
            return course

    def _start_programs(self, plan: Plan) -> None:
        """Start what makes those links of `plan` that the kernel does not: their indexes are the kernel's choice."""
        for step in plan.steps:
            link = step.object
            if isinstance(link, Link) and link.kind == TUN and step.verb == "add":
                from podnet.kernel.wireguard_go import start  # noqa: PLC0415 - few nodes need it

                start(link.name)
                self._indexes.forget(link.name)

    def _settle(self, plans: Sequence[Plan]) -> None:
        """Wait until the links that `plans` made carry packets.

        A veth's first end gets its carrier when the second is up, and sends nothing before the kernel's link watch has
        run, some milliseconds later on a busy machine; RTM_GETLINK lets it run at once (since 6.8, rtnl_getlink).
        """
        made = (s.object for plan in plans for s in plan.steps if isinstance(s.object, Link) and s.verb == "add")
        requests = [LinkMessage(index=self._indexes.of(link.name)).get() for link in made if link.peer]
        if requests:
            self._route.transact(requests)

    def dismantle(self, plan: Plan) -> None:
        """Carry out a plan that takes away; what is gone already is no refusal, all else is one `KernelError`.

        Every step is tried.
        """
        present = Plan(tuple(s for s in plan.steps if self._known(s)))
        refused: list[tuple[Step, Refusal]] = []
        for batch in encode(present, self._indexes.resolve(present, None)):
            if batch.channel == "netfilter":
                refused += self._dismantle_atomically(present, batch)
            elif batch.channel == "route" and batch.requests:
                failures = self._route.transact(batch.requests).failures
                refused += [(present.steps[batch.steps[f.index]], f) for f in failures]
            elif batch.channel == "wireguard":
                failures = self._carrier.wireguard(present, batch)
                refused += [(present.steps[batch.steps[f.index]], f) for f in failures]
        self._forget_deleted((present,))
        for step, refusal in refused:
            if refusal.errno not in TOLERATED:
                raise KernelError(headline(step), refusal.errno, refusal.extack, HINTS.get(refusal.errno, ""))

    def observe(self, plan: Plan, namespace: Namespace | None = None) -> State:
        """Return the state of those objects that `plan` speaks of; those of the pod only with its `namespace`."""
        node = [s.object for s in plan.steps if getattr(s.object, "at", "node") == "node"]
        pod = [s.object for s in plan.steps if getattr(s.object, "at", "node") == "pod"]
        state = dict(self._observer.observe(node, "node"))
        if pod and namespace is not None:
            with entered(namespace.descriptor, self._home):
                route = NetlinkSocket(NETLINK_ROUTE)
                try:
                    state.update(Observer(route, None).observe(pod, "pod"))
                finally:
                    route.close()
        return state

    def owned(self) -> State:
        """Return every object of the node that is provably podnet's: by group and alias, protocol, or table."""
        return self._observer.owned()

    def routes(self, protocol: int) -> list[Route]:
        """Return the routes of the node's main table that have this rtm_protocol (ip-route(8), `proto`)."""
        return self._observer.routes(protocol)

    def own_links(self) -> frozenset[str]:
        """Return the names of the node's links that are podnet's, by group and alias; of the dump little is decoded."""
        dump = self._route.dump(LinkMessage(ext_mask=RTEXT_FILTER_SKIP_STATS).dump())
        links = (LinkMessage.decode(envelope.payload, only=("ifname", "group", "alias")) for envelope in dump)
        own = (link for link in links if link.group == GROUP_PODS and (link.alias or "").startswith(ALIAS))
        return frozenset([link.ifname or "" for link in own])

    @staticmethod
    @contextmanager
    def namespace_of(lease: Lease) -> Iterator[tuple[Namespace | None, bool]]:
        """Open the namespace of `lease` for the block; see :func:`podnet.kernel.namespace.reopened`."""
        with reopened(lease.netns_path, lease.netns) as found:
            yield found

    def inhabited(self, leases: Sequence[Lease]) -> list[Lease]:
        """Return those of `leases` in which something may run; see :func:`podnet.kernel.inhabitants.inhabited`."""
        return inhabited(leases, self._home)

    def reap(self) -> Reaped:
        """Delete the doomed links with one message; see :func:`podnet.kernel.reap.reap`."""
        reaped = reap(self._route)
        if reaped.links:
            self._indexes.forget(*reaped.links)
        return reaped

    def forget_connections(self, addresses: Sequence[IPAddress]) -> None:
        """Delete the conntrack entries that begin or end at one of `addresses`; none is no error."""
        forget(self._netfilter, addresses)

    def forget_ports(self, ports: Sequence[PortMapping]) -> None:
        """Delete the conntrack entries of datagrams to host `ports`; none is no error."""
        forget_ports(self._netfilter, ports)

    def _forget_deleted(self, plans: Iterable[Plan]) -> None:
        """Forget the indexes of links that `plans` deleted: a redirect to one is refused before anything is sent."""
        names = [s.object.name for p in plans for s in p.steps if s.verb == "delete" and isinstance(s.object, Link)]
        if names:
            self._indexes.forget(*names)

    def _known(self, step: Step) -> bool:
        """Tell whether the link that a node's step speaks of is there, where it speaks of one."""
        thing = step.object
        if getattr(thing, "at", "node") == "pod":
            return False
        if isinstance(thing, Link):
            return self._indexes.there(thing.name)
        device = getattr(thing, "dev", "")
        return not device or self._indexes.there(device)

    def _dismantle_atomically(self, plan: Plan, batch: Batch) -> list[tuple[Step, Refusal]]:
        """Send an nftables batch, again without those requests that name what is gone already."""
        requests, steps = list(batch.requests), list(batch.steps)
        while requests:
            failures = self._carrier.netfilter(requests)
            gone = {f.index for f in failures if f.errno in TOLERATED}
            others = [(plan.steps[steps[f.index]], f) for f in failures if f.errno not in TOLERATED]
            if not gone:
                return others
            requests = [r for n, r in enumerate(requests) if n not in gone]
            steps = [s for n, s in enumerate(steps) if n not in gone]
        return []
