"""Ifindexes: drawn for links that a plan makes, looked up for those that are there, remembered for the node's.

A caller may name the index of a link it creates; so what belongs to the link can ride in the same send.  Indexes are
drawn one after the other from a random start far above those the kernel counts out itself.
"""

import errno
from collections.abc import Iterator
from random import randrange

from podnet.errors import KernelError
from podnet.kernel.namespace import entered
from podnet.kernel.socket import NetlinkSocket
from podnet.model import Namespace
from podnet.netlink.message import NETLINK_ROUTE
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.plan import Link, Plan, Redirect, Step
from podnet.plan.objects import TUN, Place

FIRST_DRAWN = 1 << 24
LAST_DRAWN = 1 << 30
LOOPBACK = 1
"""The ifindex of `lo` in every namespace (LOOPBACK_IFINDEX, net/flow.h)."""


class Indexes:
    """The ifindexes of the node's links by name."""

    def __init__(self, route: NetlinkSocket, home: int) -> None:
        """Take a socket in the node's namespace, and a descriptor of that namespace."""
        self._route = route
        self._home = home
        self._next = randrange(FIRST_DRAWN, LAST_DRAWN)  # noqa: S311 - a number, not a secret
        self._known: dict[str, int] = {}

    def resolve(self, plan: Plan, namespace: Namespace | None) -> dict[tuple[Place, str], int]:
        """Return an ifindex for every link that `plan` names; raise `KernelError` ENODEV for one that is not there."""
        found: dict[tuple[Place, str], int] = {("pod", "lo"): LOOPBACK, ("node", "lo"): LOOPBACK}
        for step in plan.steps:
            thing = step.object
            if isinstance(thing, Link):
                if step.verb == "add" and thing.kind not in {"", TUN} and (thing.peer or thing.kind != "veth"):
                    # One that takes the place of another of its name takes its index too: both are in one plan.
                    found[thing.at, thing.name] = found.get((thing.at, thing.name)) or self._draw()
                    if thing.at == "node":
                        self._known[thing.name] = found[thing.at, thing.name]
                    if thing.peer:
                        found["pod", thing.peer] = self._draw()
                elif (thing.at, thing.name) not in found:
                    found[thing.at, thing.name] = self._index(thing.at, thing.name, namespace)
            for place in _named(step):
                if place not in found:
                    found[place] = self._index(*place, namespace)
        return found

    def of(self, name: str) -> int:
        """Return the ifindex of the node's link `name`."""
        if name not in self._known:
            self._known[name] = look_up(self._route, name)
        return self._known[name]

    def there(self, name: str) -> bool:
        """Tell whether the node has a link `name`."""
        try:
            self.of(name)
        except KernelError:
            return False
        return True

    def forget(self, *names: str) -> None:
        """Look `names` up again when they are asked for next; all, where none is given."""
        for name in names or tuple(self._known):
            self._known.pop(name, None)

    def _draw(self) -> int:
        self._next = self._next + 1 if self._next < LAST_DRAWN else FIRST_DRAWN
        return self._next

    def _index(self, at: Place, name: str, namespace: Namespace | None) -> int:
        if at == "node":
            return self.of(name)
        if namespace is None:
            raise KernelError(f"ip link show {name}", errno.ENODEV, hint="the pod's namespace is not at hand")
        with entered(namespace.descriptor, self._home):
            inside = NetlinkSocket(NETLINK_ROUTE, brief=True)
        try:
            return look_up(inside, name)
        finally:
            inside.close()


def _named(step: Step) -> Iterator[tuple[Place, str]]:
    """Yield the links that a step's messages name besides the one that it is; what is deleted leads nowhere any more.

    A link's master and what a tunnel sends by are the node's.
    """
    thing = step.object
    if isinstance(thing, Link):
        if thing.master and step.verb != "delete":
            yield "node", thing.master
        if thing.vxlan and thing.vxlan.dev and step.verb == "add":
            yield "node", thing.vxlan.dev
        return
    at: Place = getattr(thing, "at", "node")
    target = thing.to if isinstance(thing, Redirect) and step.verb != "delete" else ""
    for device in (getattr(thing, "dev", ""), target):
        if device:
            yield at, device


def look_up(route: NetlinkSocket, name: str) -> int:
    """Return the ifindex of link `name` in the namespace of `route`."""
    transaction = route.transact([LinkMessage(ifname=name).get()])
    if transaction.failures:
        refusal = transaction.failures[0]
        raise KernelError(
            f"ip link show {name}", refusal.errno, refusal.extack, "`ip link` shows the links that are there"
        )
    return LinkMessage.decode(transaction.replies[0].payload, only=("ifname",)).index
