"""The engine: every verb of podnet as one readable function.

One ADD runs in one direction: parsed request → lease (stored before the kernel is touched, so that a crash leaves a
record of what may be there) → plan → kernel → result.  The same plan, rebuilt from the lease, serves CHECK, DEL and
repair; see :mod:`podnet.plan`.  Requests that wait together are served together: their leases are one commit.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from podnet import datapath
from podnet.cni import GC, Add, Attached, Check, Delete, Status
from podnet.engine.attached import attached_of, loopback_of
from podnet.engine.difference import first_difference
from podnet.engine.ground import bears_alias
from podnet.engine.mending import Mending
from podnet.engine.ports import Namespace
from podnet.errors import (
    AddressUnavailable,
    ConnectivityLimited,
    InterfaceExists,
    KernelError,
    NotAsAdded,
    NotAvailable,
    PodnetError,
)
from podnet.model import Attachment, Lease
from podnet.nft import Element
from podnet.plan import Link, Plan, diff, inverse

GONE = frozenset({19, 2})
"""ENODEV: a link of the node's part is gone; ENOENT: the table is, as after `nft flush ruleset`."""
TAKEN = frozenset({17, 16})
"""EEXIST: a link's name, or the index drawn for it, is taken; EBUSY: the index drawn for its peer is."""


class Job(NamedTuple):
    """One ADD: the request, and the pod's open namespace."""

    request: Add
    namespace: Namespace


class Engine(Mending):
    """Attaches pods to networks on one node.

    The verbs are here; what they stand on is in :mod:`podnet.engine.ground`, what is done between requests in
    :mod:`podnet.engine.upkeep` and :mod:`podnet.engine.mending`.
    """

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

    def clear(self, job: Job) -> None:
        """End what an ADD that never was answered left of this attachment; raise `InterfaceExists` where it stands."""
        lease = self._store.find(job.request.attachment)
        if lease is None:
            return
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        if not diff(self._kernel.observe(plan, job.namespace), plan):
            raise _attached_already(job)
        self._cut([lease])
        self.reap()

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
        self._compare(datapath.attach(self._store.network_of(lease), self.facts, lease), namespace)

    def gc(self, request: GC) -> None:
        """Free what the network of `request` holds for others than its valid attachments, and repair the node.

        Whatever can be freed is; the first refusal is raised after that.
        """
        name = request.configuration.network.name
        stale = [
            lease
            for lease in self._store.live()
            if lease.attachment.network == name
            and (lease.attachment.container, lease.attachment.ifname) not in request.valid
        ]
        refused: PodnetError | None = None
        for lease in stale:
            try:
                self._cut([lease])
            except PodnetError as error:
                refused = refused or error
        self.repair()
        if refused is not None:
            raise refused

    def status(self, request: Status) -> None:
        """Raise `NotAvailable` where an ADD could not be served now, `ConnectivityLimited` where pods suffer too.

        What is lacking of the node's own part is made first.  That a range is used up is not told: the runtime would
        count the node as not ready, and its pods would be moved away for want of room for one more.
        """
        configuration = request.configuration
        if configuration.role == "loopback":
            return
        if not configuration.network.ranges and not configuration.delegate:
            raise NotAvailable(
                f"network {configuration.network.name!r} has no address ranges on this node: list the node with "
                "pod-cidrs in nodes.yaml, or give ipam.ranges"
            )
        try:
            with self._store.transaction():
                pass
        except PodnetError as error:
            raise NotAvailable(error.msg, error.details) from error
        try:
            self._build()
        except PodnetError as error:
            raise ConnectivityLimited(f"the node's part cannot be built: {error.msg}", error.details) from error
        if configuration.network.ranges:
            try:
                self._prepare(configuration.network)
            except PodnetError as error:
                raise NotAvailable(error.msg, error.details) from error

    def loopback(self, namespace: Namespace) -> Attached:
        """Set `lo` up in a pod's namespace, for a runtime that has another plugin do that."""
        self._kernel.apply(datapath.loopback(), namespace)
        return loopback_of(namespace.path)

    def check_loopback(self, namespace: Namespace) -> None:
        """Raise `NotAsAdded` where `lo` is not up in a pod's namespace."""
        self._compare(datapath.loopback(), namespace)

    # Parts

    def _compare(self, plan: Plan, namespace: Namespace) -> None:
        """Raise `NotAsAdded`, naming the first fact that is not as `plan` has it."""
        observed = self._kernel.observe(plan, namespace)
        difference = diff(observed, plan)
        if difference:
            raise NotAsAdded(first_difference(observed, difference, namespace.path))

    def _reserve(self, job: Job, reserved: set[Attachment]) -> Lease | PodnetError:
        """Return the pod's new lease, or why there is none; `reserved` are those who got theirs just now."""
        request, namespace = job
        want = (request.attachment, request.network, request.addresses, namespace.id, namespace.path)
        try:
            self._prepare(request.network)
            try:
                return self._store.reserve(*want, self._clock.now(), request.terms)
            except InterfaceExists:
                if request.attachment in reserved:
                    raise  # asked for twice at once: the first is about to be attached
                self.clear(job)
            except AddressUnavailable:
                if not self.unreaped:
                    raise
                self.reap()  # what pods that were cut off still hold is free when their links are gone
            return self._store.reserve(*want, self._clock.now(), request.terms)
        except PodnetError as error:
            return error

    def _attach(self, granted: Sequence[tuple[Job, Lease]]) -> Iterator[Attached | PodnetError]:
        """Carry out attachments, each whole or not at all."""
        plans = [datapath.attach(job.request.network, self.facts, lease) for job, lease in granted]
        namespaces = [job.namespace for job, _ in granted]
        refused = self._kernel.apply_together(list(zip(plans, namespaces, strict=True)))
        for (job, lease), plan, refusal in zip(granted, plans, refused, strict=True):
            try:
                if refusal is not None:
                    self._apply_again(plan, lease, job.namespace, refusal)
                self._forget_strays(lease, plan)
            except PodnetError as error:
                self._store.undo(lease, self._clock.now(), error.msg)
                yield error
            else:
                self._note_names([lease])
                yield attached_of(job.request.network, self.facts, lease)

    def _apply_again(self, plan: Plan, lease: Lease, namespace: Namespace, refusal: PodnetError) -> None:
        """Undo what took effect of `plan` before its `refusal`, and try once more where that can help; else raise.

        Where a name is taken, maybe by a link that awaits its reaping or one that an ADD of the same attachment could
        not take back, that is reaped first, and other indexes are drawn; likewise where a host port leads elsewhere.
        Where a link of the node's is gone or was made anew, or the table is gone, the node's part is restored.
        """
        if not isinstance(refusal, KernelError):
            self._take_back(plan)  # what took effect is not known
            raise refusal
        self._take_back(Plan(refusal.done))
        if refusal.errno in GONE:
            self._build()
        elif refusal.errno in TAKEN and isinstance(refusal.at, Link | Element):
            self._clear_leftovers(plan, lease)
        else:
            raise refusal
        try:
            self._kernel.apply(plan, namespace)
        except KernelError as error:
            self._take_back(Plan(error.done))
            if error.errno in TAKEN and isinstance(error.at, Link) and error.at.peer:
                raise _name_taken(error.at, namespace) from error
            raise

    def _clear_leftovers(self, plan: Plan, lease: Lease) -> None:
        """Take away what ADDs that failed could not take back: elements that are `lease`'s by now, and its links."""
        links = [step for step in plan.steps if isinstance(step.object, Link) and step.object.at == "node"]
        there = self._kernel.observe(Plan(tuple(links)))
        cut = datapath.cut(self._store.network_of(lease), lease)
        ours = [s for s in cut.steps if not isinstance(s.object, Link) or bears_alias(there, lease, s.object.name)]
        self._kernel.dismantle(Plan(tuple(ours)))
        self.reap()

    def _forget_strays(self, lease: Lease, plan: Plan) -> None:
        """End the flows that went past the lease's host ports before there were any; take `plan` back where not."""
        if not lease.terms.ports:
            return
        try:
            self._kernel.forget_ports(lease.terms.ports)
        except PodnetError:
            self._take_back(plan)
            raise

    def _take_back(self, done: Plan) -> None:
        with suppress(PodnetError):
            self._kernel.dismantle(inverse(done))


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
