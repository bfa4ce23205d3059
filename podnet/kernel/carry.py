"""Carrying plans out, several at a time.

Requests that wait together begin alike: nftables elements on the node, then links, routes and neighbours on the node,
then what each pod's own namespace gets.  What they begin with on the node goes out in one send per channel for all of
them; from where they differ each goes its own way.  Each plan's outcome is its own: what the kernel refuses of one
disturbs no other.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from podnet.errors import IOFailure, KernelError, PodnetError
from podnet.kernel.namespace import entered
from podnet.kernel.settling import Settling
from podnet.kernel.socket import NetlinkSocket
from podnet.model import Namespace
from podnet.netlink.message import NETLINK_ROUTE, Request
from podnet.netlink.transaction import Refusal
from podnet.nft import batch as nft_batch
from podnet.plan import Address, Batch, Plan, Sysctl, headline

ELSEWHERE = "that gateway is on no subnet of this node: `backend: auto` in podnet.yaml reaches nodes that are elsewhere"
HINTS = {
    errno.EPERM: "podnet needs CAP_NET_ADMIN, run it as root",
    errno.EOPNOTSUPP: "this kernel lacks the feature: load or build the module for it",
    errno.EEXIST: "something of that name or address is there already",
    errno.ENETUNREACH: ELSEWHERE,
    errno.EHOSTUNREACH: ELSEWHERE,
    errno.ENOBUFS: "the kernel has no memory for it now, ask again",
    errno.EADDRINUSE: "another has that UDP port: `ss -lunp` shows who; podnet.yaml can name another (see its backend)",
}


class Course:
    """A plan on its way: the batches that are still to go, what was carried out, and the error that ended it."""

    __slots__ = ("_carried", "batches", "error", "namespace", "plan")

    def __init__(self, plan: Plan, namespace: Namespace | None, batches: list[Batch]) -> None:
        """Take the encoded `plan`."""
        self.plan = plan
        self.namespace = namespace
        self.batches = batches
        self.error: PodnetError | None = None
        self._carried: list[int] = []

    def note(self, batch: Batch, refusals: Sequence[Refusal]) -> None:
        """Note what became of `batch`; the first of `refusals`, whose indexes are its requests', is the error."""
        if refusals and batch.channel == "netfilter":
            taken: list[int] = []  # atomic: nothing of it
        elif refusals:
            # A step of several requests took effect if one did: a link that was made and could not be set is undone.
            refused = {refusal.index for refusal in refusals}
            taken = [step for index, step in enumerate(batch.steps) if index not in refused]
        else:
            taken = batch.steps
        self._carried += taken
        if refusals:
            self._refuse(batch.steps[refusals[0].index], refusals[0])

    def _refuse(self, number: int, refusal: Refusal) -> None:
        step = self.plan.steps[number]
        self.error = KernelError(
            headline(step, self.namespace.path if self.namespace else "pod"),
            refusal.errno,
            refusal.extack,
            HINTS.get(refusal.errno, ""),
            at=step.object,
            done=tuple(self.plan.steps[n] for n in dict.fromkeys(self._carried)),
        )


class Carrier:
    """Carries courses out through the node's sockets, and through one of its own in each pod's namespace."""

    def __init__(self, route: NetlinkSocket, netfilter: NetlinkSocket, home: int) -> None:
        """Take the node's open sockets and a descriptor of its namespace."""
        self._route = route
        self._netfilter = netfilter
        self._home = home

    def carry(self, courses: Sequence[Course]) -> None:
        """Carry `courses` out; each has its `error` afterwards, or none."""
        try:
            while batches := _common(courses):
                self._send_together(batches)
        except OSError as error:
            for course in courses:
                course.error = course.error or IOFailure(f"netlink: {error.strerror}")
        settlings: list[Settling] = []
        try:
            for course in courses:
                try:
                    self._finish(course, settlings)
                except OSError as error:
                    course.error = IOFailure(f"netlink: {error.strerror}")
            for settling in settlings:
                settling.wait()
        finally:
            for settling in settlings:
                settling.close()

    def netfilter(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send one atomic nftables batch; the refusals' indexes are those of `requests`."""
        failures = self._netfilter.transact(nft_batch(requests)).failures
        last = len(requests) - 1
        return [
            Refusal(min(max(f.index - 1, 0), last), f.errno, f.extack, f.offset, f.missing, f.missing_nest)
            for f in failures
        ]

    def wireguard(self, plan: Plan, batch: Batch) -> list[Refusal]:
        """Configure WireGuard devices; the refusals' indexes are those of the batch's steps."""
        from podnet.kernel.wireguard import configure  # noqa: PLC0415 - only nodes with that backend need it

        return configure(self._route, [plan.steps[number] for number in batch.steps])

    def _send_together(self, batches: Sequence[tuple[Course, Batch]]) -> None:
        """Send the node's `batches`, all of one channel, at once."""
        requests = [request for _, batch in batches for request in batch.requests]
        if batches[0][1].channel == "netfilter":
            failures = self.netfilter(requests)
            if failures and len(batches) > 1:  # one of them spoils it for all: each by itself
                for course, batch in batches:
                    course.note(batch, self.netfilter(batch.requests))
                return
        else:
            failures = self._route.transact(requests).failures
        start = 0
        for course, batch in batches:
            end = start + len(batch.requests)
            course.note(batch, [_moved(f, -start) for f in failures if start <= f.index < end] if failures else ())
            start = end

    def _finish(self, course: Course, settlings: list[Settling]) -> None:
        """Send what is left of `course`, in order, until something is refused; add to `settlings` what is to settle."""
        for batches in _by_place(course.batches):
            if course.error is not None:
                return
            if batches[0].at == "pod" and course.namespace is not None:
                with entered(course.namespace.descriptor, self._home):
                    addresses = _new_addresses(course.plan)
                    settling = Settling(addresses) if addresses else None
                    route = NetlinkSocket(NETLINK_ROUTE, brief=True)
                    try:
                        self._send(course, batches, route)
                    finally:
                        route.close()
                        if settling is not None:
                            settlings.append(settling)
                if course.error is not None and settling is not None:
                    settlings.pop().close()
            else:
                self._send(course, batches, self._route)

    def _send(self, course: Course, batches: Sequence[Batch], route: NetlinkSocket) -> None:
        for batch in batches:
            if batch.channel == "sysctl":
                course.note(batch, _write(course.plan, batch))
            elif batch.channel == "wireguard":
                course.note(batch, self.wireguard(course.plan, batch))
            elif batch.channel == "netfilter":
                course.note(batch, self.netfilter(batch.requests))
            else:
                course.note(batch, route.transact(batch.requests).failures)
            if course.error is not None:
                return


def _common(courses: Sequence[Course]) -> list[tuple[Course, Batch]]:
    """Take off the batch that all unfinished `courses` begin with, if it is the node's and of one channel."""
    under_way = [course for course in courses if course.error is None]
    heads = [course.batches[0] if course.batches else None for course in under_way]
    first = heads[0] if heads else None
    if first is None or first.at != "node" or first.channel in {"sysctl", "wireguard"}:
        return []
    if any(head is None or head.at != "node" or head.channel != first.channel for head in heads):
        return []
    return [(course, course.batches.pop(0)) for course in under_way]


def _by_place(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Yield runs of batches of one place."""
    run: list[Batch] = []
    for batch in batches:
        if run and run[0].at != batch.at:
            yield run
            run = []
        run.append(batch)
    if run:
        yield run


def _new_addresses(plan: Plan) -> list[IPv6Address]:
    """Return the IPv6 addresses that `plan` adds in the pod."""
    added = (step.object for step in plan.steps if step.verb == "add" and isinstance(step.object, Address))
    return [a.address for a in added if a.at == "pod" and isinstance(a.address, IPv6Address)]


def _moved(refusal: Refusal, by: int) -> Refusal:
    """Return `refusal` with its index counted from elsewhere."""
    return Refusal(
        refusal.index + by, refusal.errno, refusal.extack, refusal.offset, refusal.missing, refusal.missing_nest
    )


def _write(plan: Plan, batch: Batch) -> list[Refusal]:
    """Write the sysctls of `batch` until one cannot be: its file is not there (IPv6 built out) or not writable."""
    for index, number in enumerate(batch.steps):
        sysctl = plan.steps[number].object
        assert isinstance(sysctl, Sysctl)  # noqa: S101 - the encoder gives this channel to sysctls alone
        try:
            descriptor = os.open(f"/proc/sys/{sysctl.name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, sysctl.value.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            rest = range(index, len(batch.steps))
            return [Refusal(unwritten, error.errno or errno.EIO) for unwritten in rest]
    return []
