"""The kernel as the engine's port: carries out plans, says what is there, reaps.

Plans come as values and are encoded and decoded in :mod:`podnet.plan`; what is here sends, receives, enters
namespaces and writes the files below /proc/sys that no netlink attribute reaches.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from random import randrange
from typing import Protocol

from podnet.errors import IOFailure, KernelError
from podnet.kernel.connections import forget
from podnet.kernel.namespace import OWN, entered
from podnet.kernel.observe import Observer
from podnet.kernel.reap import Reaped, reap
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.attributes import IPAddress
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, Request
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.transaction import Refusal
from podnet.nft import batch as nft_batch
from podnet.plan import Batch, Link, Plan, State, Step, Sysctl, encode, headline
from podnet.plan.objects import Place

FIRST_DRAWN_INDEX = 1 << 24
LAST_DRAWN_INDEX = 1 << 30
LOOPBACK_INDEX = 1
TOLERATED = frozenset(
    {errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENXIO, errno.EINVAL, errno.ENETDOWN}
)

HINTS = {
    errno.EPERM: "podnet needs CAP_NET_ADMIN, run it as root",
    errno.EOPNOTSUPP: "this kernel lacks the feature; `podnet doctor` names the missing module",
    errno.EEXIST: "something of that name or address is there already",
    errno.ENOBUFS: "the kernel has no memory for it now, ask again",
}


class Namespace(Protocol):
    """A pod's namespace, open."""

    @property
    def descriptor(self) -> int:
        """The open file."""

    @property
    def path(self) -> str:
        """The runtime's name for it."""


class Kernel:
    """The kernel of one network namespace (the node's) and of the pods' that are handed in."""

    def __init__(self) -> None:
        """Open the node's sockets, in the namespace of the calling thread; raise `IOFailure`."""
        self._home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._route = NetlinkSocket(NETLINK_ROUTE)
        self._netfilter = NetlinkSocket(NETLINK_NETFILTER)
        self._observer = Observer(self._route, self._netfilter)
        self._next_index = randrange(FIRST_DRAWN_INDEX, LAST_DRAWN_INDEX)  # noqa: S311 - a name, not a secret
        self._indexes: dict[str, int] = {}

    def close(self) -> None:
        """Close the sockets."""
        self._route.close()
        self._netfilter.close()
        os.close(self._home)

    # The engine's port

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`; raise `KernelError` at the first refusal, with the steps that took effect in `done`."""
        batches = encode(plan, self._resolve(plan, namespace), namespace.descriptor if namespace else None)
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
                self._indexes.clear()
                number, refusal = refusals[0]
                failed = {step for step, _ in refusals}
                raise KernelError(
                    headline(plan.steps[number], namespace.path if namespace else "pod"),
                    refusal.errno,
                    refusal.extack,
                    HINTS.get(refusal.errno, ""),
                    at=plan.steps[number].object,
                    done=tuple(plan.steps[n] for n in dict.fromkeys(carried) if n not in failed),
                )

    def dismantle(self, plan: Plan) -> None:
        """Carry out a plan that takes away; what is gone already is no refusal, all else is one `KernelError`.

        Every step is tried.
        """
        present = Plan(tuple(s for s in plan.steps if self._known(s)))
        refused: list[tuple[Step, Refusal]] = []
        for batch in encode(present, self._resolve(present, None)):
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
                route = NetlinkSocket(NETLINK_ROUTE, small=True)
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
        for name in (*reaped.links, *reaped.strangers):
            self._indexes.pop(name, None)
        return reaped

    def forget_connections(self, addresses: Sequence[IPAddress]) -> None:
        """Delete the conntrack entries that begin or end at one of `addresses`; none is no error."""
        forget(self._netfilter, addresses)

    # Indexes

    def _resolve(self, plan: Plan, namespace: Namespace | None) -> dict[tuple[Place, str], int]:
        """Return an ifindex for every link that `plan` names: drawn for those it makes, looked up for the others."""
        indexes: dict[tuple[Place, str], int] = {("pod", "lo"): LOOPBACK_INDEX, ("node", "lo"): LOOPBACK_INDEX}
        for step in plan.steps:
            thing = step.object
            if isinstance(thing, Link):
                if step.verb == "add" and thing.kind and (thing.peer or thing.kind != "veth"):
                    index = self._draw()
                    indexes[thing.at, thing.name] = index
                    if thing.at == "node":
                        self._indexes[thing.name] = index
                    if thing.peer:
                        indexes["pod", thing.peer] = self._draw()
                elif (thing.at, thing.name) not in indexes:
                    indexes[thing.at, thing.name] = self._index(thing.at, thing.name, namespace)
                if thing.master and ("node", thing.master) not in indexes:
                    indexes["node", thing.master] = self._index("node", thing.master, namespace)
                continue
            device = getattr(thing, "dev", "")
            if device and (place := (thing.at, device)) not in indexes:  # type: ignore[union-attr]
                indexes[place] = self._index(*place, namespace)
        return indexes

    def _draw(self) -> int:
        self._next_index += 1
        if self._next_index > LAST_DRAWN_INDEX:
            self._next_index = FIRST_DRAWN_INDEX
        return self._next_index

    def _index(self, at: Place, name: str, namespace: Namespace | None) -> int:
        """Return the ifindex of an existing link, remembered for the node's; raise `KernelError` ENODEV."""
        if at == "node":
            if name not in self._indexes:
                self._indexes[name] = _look_up(self._route, name)
            return self._indexes[name]
        if namespace is None:
            raise KernelError(f"link {name}", errno.ENODEV, hint="the pod's namespace is not at hand")
        with entered(namespace.descriptor, self._home):
            inside = NetlinkSocket(NETLINK_ROUTE, small=True)
        try:
            return _look_up(inside, name)
        finally:
            inside.close()

    def _known(self, step: Step) -> bool:
        """Tell whether the link that a node's step speaks of is there, where it speaks of one."""
        thing = step.object
        if getattr(thing, "at", "node") == "pod":
            return False
        name = thing.name if isinstance(thing, Link) else getattr(thing, "dev", "")
        if not name or not hasattr(thing, "at") or isinstance(thing, Sysctl):
            return True
        try:
            self._index("node", name, None)
        except KernelError:
            return False
        return True

    # Sending

    def _send_inside(self, plan: Plan, batches: Iterable[Batch], carried: list[int]) -> list[tuple[int, Refusal]]:
        route = NetlinkSocket(NETLINK_ROUTE, small=True)
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
            carried.extend(batch.steps)
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


def _look_up(route: NetlinkSocket, name: str) -> int:
    """Return the ifindex of link `name` in the namespace of `route`."""
    transaction = route.transact([LinkMessage(ifname=name).get()])
    if transaction.failures:
        refusal = transaction.failures[0]
        raise KernelError(
            f"ip link show {name}", refusal.errno, refusal.extack, "`ip link` shows the links that are there"
        )
    return LinkMessage.decode(transaction.replies[0].payload, only=("ifname",)).index


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
