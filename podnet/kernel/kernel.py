"""The kernel as the engine's port: carries out plans, says what is there, reaps.

Plans come as values and are encoded and decoded in :mod:`podnet.plan`; what is here sends, receives, enters
namespaces and writes the files below /proc/sys that no netlink attribute reaches.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence

from podnet.errors import IOFailure, KernelError
from podnet.kernel.connections import forget
from podnet.kernel.indexes import Indexes
from podnet.kernel.namespace import OWN, entered
from podnet.kernel.observe import Observer
from podnet.kernel.ports import Namespace
from podnet.kernel.reap import Reaped, reap
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.attributes import IPAddress
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, Request
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.transaction import Refusal
from podnet.nft import batch as nft_batch
from podnet.plan import Batch, Link, Plan, State, Step, Sysctl, encode, headline
from podnet.plan.objects import Place

TOLERATED = frozenset(
    {errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO, errno.EINVAL, errno.ENETDOWN}
)

HINTS = {
    errno.EPERM: "podnet needs CAP_NET_ADMIN, run it as root",
    errno.EOPNOTSUPP: "this kernel lacks the feature: load or build the module for it",
    errno.EEXIST: "something of that name or address is there already",
    errno.ENOBUFS: "the kernel has no memory for it now, ask again",
}


class Kernel:
    """The kernel of one network namespace (the node's) and of the pods' that are handed in."""

    def __init__(self) -> None:
        """Open the node's sockets, in the namespace of the calling thread; raise `IOFailure`."""
        self._home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._route = NetlinkSocket(NETLINK_ROUTE)
        self._netfilter = NetlinkSocket(NETLINK_NETFILTER)
        self._observer = Observer(self._route, self._netfilter)
        self._indexes = Indexes(self._route, self._home)

    def close(self) -> None:
        """Close the sockets."""
        self._route.close()
        self._netfilter.close()
        os.close(self._home)

    # The engine's port

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`; raise `KernelError` at the first refusal, with the steps that took effect in `done`."""
        batches = encode(plan, self._indexes.resolve(plan, namespace), namespace.descriptor if namespace else None)
        carried: list[int] = []
        for at, group in _by_place(batches):
            try:
                if at == "pod" and namespace is not None:
                    with entered(namespace.descriptor, self._home):
                        refusals = self._send_inside(plan, group, carried)
                else:
                    refusals = self._send(plan, group, carried, self._route)
            except OSError as error:
                raise IOFailure(f"netlink: {error.strerror}") from error
            if refusals:
                self._indexes.forget()
                number, refusal = refusals[0]
                raise KernelError(
                    headline(plan.steps[number], namespace.path if namespace else "pod"),
                    refusal.errno,
                    refusal.extack,
                    HINTS.get(refusal.errno, ""),
                    at=plan.steps[number].object,
                    done=tuple(plan.steps[n] for n in dict.fromkeys(carried)),
                )
        if namespace is not None:
            self._settle(plan)

    def _settle(self, plan: Plan) -> None:
        """Wait until the links that `plan` made carry packets.

        A veth's first end gets its carrier when the second is up, and sends nothing before the kernel's link watch has
        run, some milliseconds later on a busy machine; RTM_GETLINK lets it run at once (since 6.8, rtnl_getlink).
        """
        for step in plan.steps:
            if isinstance(step.object, Link) and step.object.peer and step.verb == "add":
                self._route.transact([LinkMessage(index=self._indexes.of(step.object.name)).get()])

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

    def reap(self) -> Reaped:
        """Delete the doomed links with one message; see :func:`podnet.kernel.reap.reap`."""
        reaped = reap(self._route)
        if reaped.links:
            self._indexes.forget(*reaped.links)
        return reaped

    def forget_connections(self, addresses: Sequence[IPAddress]) -> None:
        """Delete the conntrack entries that begin or end at one of `addresses`; none is no error."""
        forget(self._netfilter, addresses)

    def _known(self, step: Step) -> bool:
        """Tell whether the link that a node's step speaks of is there, where it speaks of one."""
        thing = step.object
        if getattr(thing, "at", "node") == "pod":
            return False
        if isinstance(thing, Link):
            return self._indexes.there(thing.name)
        device = getattr(thing, "dev", "")
        return not device or self._indexes.there(device)

    # Sending

    def _send_inside(self, plan: Plan, batches: Iterable[Batch], carried: list[int]) -> list[tuple[int, Refusal]]:
        route = NetlinkSocket(NETLINK_ROUTE, brief=True)
        try:
            return self._send(plan, batches, carried, route)
        finally:
            route.close()

    def _send(
        self, plan: Plan, batches: Iterable[Batch], carried: list[int], route: NetlinkSocket
    ) -> list[tuple[int, Refusal]]:
        """Send `batches` until one is refused; return (step, refusal) pairs of that one, and note steps carried out."""
        for batch in batches:
            if batch.channel == "sysctl":
                for number in batch.steps:
                    refusal = _write(plan.steps[number].object)
                    if refusal:
                        return [(number, refusal)]
                    carried.append(number)
                continue
            if batch.channel == "netfilter":
                failures = self._netfilter_batch(batch.requests)
                if failures:
                    return [(batch.steps[f.index], f) for f in failures]
            else:
                failures = route.transact(batch.requests).failures
            refused = {f.index for f in failures}
            # A step of several requests took effect if one did: a link that was made and could not be set is undone.
            carried.extend(step for index, step in enumerate(batch.steps) if index not in refused)
            if failures:
                return [(batch.steps[f.index], f) for f in failures]
        return []

    def _netfilter_batch(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send one atomic batch; the refusals' indexes are those of `requests`."""
        failures = self._netfilter.transact(nft_batch(requests)).failures
        last = len(requests) - 1
        return [
            Refusal(min(max(f.index - 1, 0), last), f.errno, f.extack, f.offset, f.missing, f.missing_nest)
            for f in failures
        ]

    def _dismantle_atomically(self, plan: Plan, batch: Batch) -> list[tuple[Step, Refusal]]:
        """Send an nftables batch, again without those requests that name what is gone already."""
        requests, steps = list(batch.requests), list(batch.steps)
        while requests:
            failures = self._netfilter_batch(requests)
            gone = {f.index for f in failures if f.errno in TOLERATED}
            others = [(plan.steps[steps[f.index]], f) for f in failures if f.errno not in TOLERATED]
            if not gone:
                return others
            requests = [r for n, r in enumerate(requests) if n not in gone]
            steps = [s for n, s in enumerate(steps) if n not in gone]
        return []


def _by_place(batches: Sequence[Batch]) -> Iterator[tuple[Place, list[Batch]]]:
    """Yield runs of batches of one place."""
    run: list[Batch] = []
    for batch in batches:
        if run and run[0].at != batch.at:
            yield run[0].at, run
            run = []
        run.append(batch)
    if run:
        yield run[0].at, run


def _write(sysctl: object) -> Refusal | None:
    """Write one sysctl; a file that is not there (IPv6 built out) or not writable is a refusal."""
    assert isinstance(sysctl, Sysctl)  # noqa: S101 - the encoder gives this channel to sysctls alone
    try:
        descriptor = os.open(f"/proc/sys/{sysctl.name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, sysctl.value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        return Refusal(0, error.errno or errno.EIO)
    return None
