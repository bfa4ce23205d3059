"""The engine: every verb of podnet as one readable function.

One ADD runs in one direction: parsed request → lease (stored before the kernel is touched, so that a crash leaves a
record of what may be there) → plan → kernel → result.  The same plan, rebuilt from the lease, serves CHECK, DEL and
repair; see :mod:`podnet.plan`.  Requests that wait together are served together: their leases are one commit.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from podnet import datapath
from podnet.cni import Add, Attached, Check, Delete
from podnet.engine.attached import attached_of
from podnet.engine.difference import first_difference
from podnet.engine.ports import Clock, Kernel, Namespace, Reaped, Store
from podnet.errors import AddressUnavailable, InterfaceExists, KernelError, NodeNotReady, NotAsAdded, PodnetError
from podnet.model import Attachment, Lease, Network, NodeFacts
from podnet.nft import Element, Table
from podnet.plan import GROUP_DOOMED, Link, Plan, Route, State, diff, inverse, key_of

ENODEV = 19
OURS = "podnet:"
"""What the alias of every link of podnet's begins with."""
TAKEN = frozenset({17, 16})
"""EEXIST: a link's name, or the index drawn for it, is taken; EBUSY: the index drawn for its peer is."""


class Job(NamedTuple):
    """One ADD: the request, and the pod's open namespace."""

    request: Add
    namespace: Namespace


class Engine:
    """Attaches pods to networks on one node."""

    def __init__(self, facts: NodeFacts, store: Store, kernel: Kernel, clock: Clock) -> None:
        """Take the node's `facts` and the edges; nothing is touched before :meth:`reconcile` or a verb."""
        self.facts = facts
        self._mesh = Plan()
        self._networks: tuple[Network, ...] = ()
        self._store = store
        self._kernel = kernel
        self._clock = clock

    # The verbs

    def add(self, jobs: Sequence[Job]) -> list[Attached | PodnetError]:
        """Attach pods: give each its addresses and its interface, or say why not, and then leave nothing of it."""
        with self._store.transaction():
            reserved: set[Attachment] = set()
            leases = []
            for job in jobs:
                leases.append(self._reserve(job, reserved))
                reserved.add(job.request.attachment)
        granted = [(job, lease) for job, lease in zip(jobs, leases, strict=True) if isinstance(lease, Lease)]
        attached = iter(self._attach(granted))
        return [next(attached) if isinstance(lease, Lease) else lease for lease in leases]

    def delete(self, requests: Iterable[Delete]) -> None:
        """Cut pods off: when this returns no packet of theirs passes, and their addresses are in quarantine.

        An attachment that is not known is cut off already.  Links are left to :meth:`reap`.
        """
        leases = [lease for request in requests if (lease := self._store.find(request.attachment))]
        self._cut(leases)

    def check(self, request: Check, namespace: Namespace) -> None:
        """Raise `NotAsAdded`, naming the first fact that is not as ADD left it; return where all is."""
        attachment = request.attachment
        lease = self._store.find(attachment)
        if lease is None:
            raise NotAsAdded(
                f"container {attachment.container} has no live lease for {attachment.ifname} in network "
                f"{attachment.network}; DEL and ADD it again"
            )
        told = {ip.address for ip in request.previous.ips}
        if told and not told >= {a.address for a in lease.addresses}:
            raise NotAsAdded(
                f"prevResult has {', '.join(map(str, sorted(told, key=str)))}, the lease "
                f"{', '.join(str(a.address) for a in lease.addresses)}; DEL and ADD the container again"
            )
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        observed = self._kernel.observe(plan, namespace)
        difference = diff(observed, plan)
        if difference:
            raise NotAsAdded(first_difference(observed, difference, namespace.path))

    # What the daemon does between requests

    def reap(self, most: int | None = None) -> Reaped:
        """End the links of pods that were cut off, all in one go, and the connections of their addresses.

        Forgetting connections walks the kernel's whole table, so a caller with requests waiting does it for at most
        `most` leases at a time and calls again while :attr:`unreaped`.
        """
        reaped = self._kernel.reap()
        pending = self._store.pending()[:most]
        self._kernel.forget_connections([a.address for lease in pending for a in lease.addresses])
        if pending:
            self._store.close(pending, self._clock.now())
        return reaped

    @property
    def unreaped(self) -> bool:
        """Whether leases are left of which the kernel may still know something."""
        return bool(self._store.pending())

    def reconcile(self, networks: Iterable[Network], facts: NodeFacts, mesh: Plan) -> Plan:
        """Bring the node to what `networks`, `mesh` and the live leases ask for; return what had to be done.

        Leases whose host link is gone are closed: their pod is gone, and its DEL was never heard.  A link that somebody
        took out of podnet's group is known by its alias and put back.
        """
        self.facts, self._mesh = facts, mesh
        owned = self._kernel.owned()
        live = self._store.live()
        missing = [lease for lease in live if ("link", "node", lease.link) not in owned]
        strayed = self._kernel.observe(Plan.of(*map(self.node_side, missing))) if missing else {}
        lost = [lease for lease in missing if not _bears_alias(strayed, lease)]
        if lost:
            self._cut(lost)
            owned = self._kernel.owned()  # less what went with them
        here = [lease for lease in live if lease not in lost]
        self._networks = tuple(dict.fromkeys((*networks, *map(self._store.network_of, here))))
        pods = (self.node_side(lease) for lease in here)
        node = self.node_plan()
        observed = self._kernel.observe(node)
        _refuse_strangers(observed, node)
        difference = diff({**strayed, **owned, **observed}, Plan.of(node, *pods), owned.values())
        try:
            self._kernel.apply(difference)
        except KernelError as error:
            raise NodeNotReady(f"the node's part cannot be built: {error}", error.details) from error
        self.reap()
        return difference

    def dismantle(self) -> Plan:
        """Take all that is podnet's away from the node, pods that are attached included; return what had to go.

        Sysctls stay as they are: what they were before is not known, and others may rely on them by now.
        """
        self._cut(self._store.live())
        self.reap()
        things = [thing for thing in self._kernel.owned().values() if isinstance(thing, Table | Route | Link)]
        gone = diff({}, Plan(), things)  # what else there is goes with these
        self._kernel.dismantle(gone)
        self._networks, self._mesh = (), Plan()
        return gone

    # Plans

    def node_plan(self) -> Plan:
        """Return what the node itself needs for its networks."""
        return Plan.of(datapath.node_plan(self._networks, self.facts), self._mesh)

    def node_side(self, lease: Lease) -> Plan:
        """Return the steps of an attachment that stand in the node's namespace."""
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        return Plan(tuple(step for step in plan.steps if getattr(step.object, "at", "node") == "node"))

    # Parts

    def _reserve(self, job: Job, reserved: set[Attachment]) -> Lease | PodnetError:
        """Return the pod's new lease, or why there is none; `reserved` are those who got theirs just now."""
        request, namespace = job
        want = (request.attachment, request.network, request.addresses, namespace.id, namespace.path)
        try:
            self._prepare(request.network)
            try:
                return self._store.reserve(*want, self._clock.now())
            except InterfaceExists:
                if request.attachment in reserved:
                    raise  # asked for twice at once: the first is about to be attached
                self._clear(job)
            except AddressUnavailable:
                if not self.unreaped:
                    raise
                self.reap()  # what pods that were cut off still hold is free when their links are gone
            return self._store.reserve(*want, self._clock.now())
        except PodnetError as error:
            return error

    def _clear(self, job: Job) -> None:
        """End what an ADD that never was answered left of this attachment; raise `InterfaceExists` where it stands."""
        lease = self._store.find(job.request.attachment)
        if lease is None:
            return
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        if not diff(self._kernel.observe(plan, job.namespace), plan):
            raise _attached_already(job)
        self._cut([lease])
        self.reap()

    def _prepare(self, network: Network) -> None:
        """Build the node's part for a network that this engine has not met in this shape.

        Two shapes of one name stand beside each other: pods of the one are not to suffer from the other's coming.
        """
        before = self._networks
        if network in before:
            return
        self._networks = (*before, network)
        try:
            self._build()
        except PodnetError as error:
            self._networks = before
            with suppress(PodnetError):
                self._build()
            raise NodeNotReady(f"network {network.name}: {error}", error.details) from error

    def _build(self) -> None:
        """Make what the node's part lacks.

        Sets of intervals are the networks' alone and merged over all of them, and the kernel takes no overlaps: what
        was there before a network widened or joined them makes room.
        """
        plan = self.node_plan()
        observed = self._kernel.observe(plan)
        _refuse_strangers(observed, plan)
        intervals = [thing for thing in observed.values() if isinstance(thing, Element) and thing.set.interval]
        self._kernel.apply(diff(observed, plan, intervals))

    def _attach(self, granted: Sequence[tuple[Job, Lease]]) -> Iterator[Attached | PodnetError]:
        """Carry out attachments, each whole or not at all."""
        plans = [datapath.attach(job.request.network, self.facts, lease) for job, lease in granted]
        namespaces = [job.namespace for job, _ in granted]
        refused = self._kernel.apply_together(list(zip(plans, namespaces, strict=True)))
        for (job, lease), plan, refusal in zip(granted, plans, refused, strict=True):
            try:
                if refusal is not None:
                    self._apply_again(plan, job.namespace, refusal)
            except PodnetError as error:
                self._store.undo(lease, self._clock.now(), error.msg)
                yield error
            else:
                yield attached_of(job.request.network, self.facts, lease)

    def _apply_again(self, plan: Plan, namespace: Namespace, refusal: PodnetError) -> None:
        """Undo what took effect of `plan` before its `refusal`, and try once more where that can help; else raise.

        Where a name is taken, maybe by a link that awaits its reaping, that is reaped first, and other indexes are
        drawn; where a link of the node's is gone or was made anew, the node's part is restored.
        """
        if not isinstance(refusal, KernelError):
            self._take_back(plan)  # what took effect is not known
            raise refusal
        self._take_back(Plan(refusal.done))
        if refusal.errno == ENODEV:
            self._build()
        elif refusal.errno in TAKEN and isinstance(refusal.at, Link):
            self.reap()
        else:
            raise refusal
        try:
            self._kernel.apply(plan, namespace)
        except KernelError as error:
            self._take_back(Plan(error.done))
            if error.errno in TAKEN and isinstance(error.at, Link):
                raise _name_taken(error.at, namespace) from error
            raise

    def _take_back(self, done: Plan) -> None:
        with suppress(PodnetError):
            self._kernel.dismantle(inverse(done))

    def _cut(self, leases: Sequence[Lease]) -> None:
        """Cut `leases` off in the kernel, then in the store: a crash in between is cut off again."""
        if not leases:
            return
        plans = (datapath.cut(self._store.network_of(lease), lease) for lease in leases)
        self._kernel.dismantle(Plan.of(*plans))
        self._store.cut([lease.attachment for lease in leases], self._clock.now())


def _bears_alias(observed: State, lease: Lease) -> bool:
    """Tell whether the host link of `lease` is there, marked as its own and not doomed."""
    link = observed.get(("link", "node", lease.link))
    return isinstance(link, Link) and link.alias == lease.attachment.alias and link.group != GROUP_DOOMED


def _refuse_strangers(observed: State, node: Plan) -> None:
    """Raise `NodeNotReady` where a link of the node's part is there and is somebody else's, such as the LAN's br0."""
    for step in node.steps:
        wanted = step.object
        found = observed.get(key_of(wanted)) if isinstance(wanted, Link) else None
        if isinstance(wanted, Link) and isinstance(found, Link) and not found.alias.startswith(OURS):
            raise NodeNotReady(
                f"link {found.name} is there and is not podnet's: name another in podnet.yaml (bridge: NAME), or hand "
                f"it over with `ip link set {found.name} alias {wanted.alias}`"
            )


def _attached_already(job: Job) -> InterfaceExists:
    attachment = job.request.attachment
    return InterfaceExists(
        f"container {attachment.container} has {attachment.ifname} in {job.namespace.path} already, as podnet made it; "
        "DEL it first, or give another CNI_IFNAME"
    )


def _name_taken(link: Link, namespace: Namespace) -> InterfaceExists:
    return InterfaceExists(
        f"{link.peer} exists in {namespace.path}, and podnet did not make it (or {link.name} on the node, which "
        f"`ip link show {link.name}` shows); remove it, or give another CNI_IFNAME"
    )
