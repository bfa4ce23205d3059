"""Upkeep: what is done between requests, so that nobody has to say that a pod is gone or that something was broken.

A runtime tells of a pod's end with DEL, if it lives to do so; few call GC, and none CHECK.  So the daemon looks itself:

- a pod's network namespace ends, and its link with it: the lease whose link is gone is collected after a grace, in
  which the runtime's own DEL may still come;
- what else is not as it was made is mended: :mod:`podnet.engine.mending`.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from podnet.engine.ground import Ground, bears_alias, refuse_strangers
from podnet.engine.ports import Clock, Kernel, Store
from podnet.engine.widths import resize
from podnet.errors import KernelError, NodeNotReady
from podnet.mesh import Mesh, together
from podnet.model import Attachment, Lease, Network, NodeFacts
from podnet.nft import Element, Table
from podnet.plan import Link, Plan, Route, diff, state_of


class Swept(NamedTuple):
    """What one sweep found: leases that were collected, and those of live pods whose link is gone."""

    collected: tuple[Lease, ...]
    unlinked: tuple[Lease, ...]


class Upkeep(Ground):
    """A node that is looked after."""

    def __init__(self, facts: NodeFacts, store: Store, kernel: Kernel, clock: Clock) -> None:
        """Take the node's `facts` and the edges; nothing is touched before somebody asks."""
        super().__init__(facts, store, kernel, clock)
        self._gone: dict[tuple[Attachment, float], float] = {}
        """Since when the holder of a lease (attachment and creation) has been gone."""

    def reconcile(self, networks: Iterable[Network], facts: NodeFacts, mesh: Mesh) -> Plan:
        """Bring the node to what `networks`, `mesh` and the live leases ask for; return what had to be done.

        Leases whose host link is gone are closed: their pod is gone, and its DEL was never heard.  A link that somebody
        took out of podnet's group is known by its alias and put back.  Where `facts` have another MTU than before, pods
        that run get it too, at their own end as well; see :mod:`podnet.engine.widths`.
        """
        self.facts, self._mesh = facts, mesh
        self._configured = tuple(networks)
        owned = self._kernel.owned()
        live = self._store.live()
        linked = [lease for lease in live if self._store.network_of(lease).datapath != "none"]
        missing = [lease for lease in linked if ("link", "node", lease.link) not in owned]
        strayed = self._kernel.observe(Plan.of(*map(self.node_side, missing))) if missing else {}
        lost = [lease for lease in missing if not bears_alias(strayed, lease)]
        if lost:
            self._cut(lost)
            owned = self._kernel.owned()  # less what went with them
        here = [lease for lease in live if lease not in lost]
        self._networks = tuple(dict.fromkeys((*self._configured, *map(self._store.network_of, here))))
        pods = (self.node_side(lease) for lease in here)
        node = self.whole_plan()
        observed = self._kernel.observe(node)
        refuse_strangers(observed, node)
        there = {**strayed, **owned, **observed}
        difference = diff(there, Plan.of(node, *pods), owned.values())
        resized = resize(self._kernel, here, there, difference)
        try:
            self._kernel.apply(resized.left)
        except KernelError as error:
            raise NodeNotReady(f"the node's part cannot be built: {error}", error.details) from error
        self.reap()
        return Plan.of(resized.done, resized.left)

    def follow(self, mesh: Mesh, changed: Collection[str] | None = None) -> Plan:
        """Bring the ways to other nodes to what `mesh` has; return what had to be done.

        `changed` are the names of those that may be others than before; None: that is to be found out.  It costs what
        the nodes that changed cost, however many there are: the kernel is taken to have what it was given.  Where it
        turns out that it has not, or where more than ways has changed, all is compared anew.
        """
        before, self._mesh = self._mesh, mesh
        if mesh.base != before.base:
            return self.repair()
        names = before.ways.keys() | mesh.ways.keys() if changed is None else changed
        names = [name for name in names if before.ways.get(name) is not mesh.ways.get(name)]
        old = [step.object for step in together(before.ways[n] for n in names if n in before.ways).steps]
        new = together(mesh.ways[name] for name in names if name in mesh.ways)
        kept = mesh.holds([thing for thing in old if isinstance(thing, Element)])
        difference = diff(state_of(old), new, [thing for thing in old if thing not in kept])
        try:
            self._kernel.apply(difference)
        except KernelError:
            return self.repair()
        return difference

    def repair(self) -> Plan:
        """Do what :meth:`reconcile` does for the networks that are known already; return what had to be done."""
        return self.reconcile(self._configured, self.facts, self._mesh)

    def sweep(self, grace: float) -> Swept:
        """Collect the leases of pods that have been gone for `grace` seconds; tell of live pods without their link."""
        now = self._clock.now()
        links = self._kernel.own_links()
        suspects = [lease for lease in self._store.live() if lease.link not in links]
        unlinked: list[Lease] = []
        gone: list[Lease] = []
        for lease in suspects:
            linked = self._store.network_of(lease).datapath != "none"
            if linked and bears_alias(self._kernel.observe(self.node_side(lease)), lease):
                continue  # out of its group, for the next reconciliation
            with self._kernel.namespace_of(lease) as (namespace, certain):
                if namespace is not None:
                    if linked:
                        unlinked.append(lease)
                elif certain or linked:
                    gone.append(lease)
        self._gone = {_life(lease): self._gone.get(_life(lease), now) for lease in gone}
        dead = [lease for lease in gone if now - self._gone[_life(lease)] >= grace]
        self._cut(dead)
        return Swept(tuple(dead), tuple(unlinked))

    def collect(self, leases: Sequence[Lease]) -> None:
        """Cut off `leases` whose pods are gone, as somebody else has found; see :mod:`podnet.engine.orphans`."""
        self._cut(leases)

    def dismantle(self) -> Plan:
        """Take all that is podnet's away from the node, pods that are attached included; return what had to go.

        Sysctls stay as they are: what they were before is not known, and others may rely on them by now.
        """
        self._cut(self._store.live())
        self.reap()
        things = [thing for thing in self._kernel.owned().values() if isinstance(thing, Table | Route | Link)]
        gone = diff({}, Plan(), things)  # what else there is goes with these
        self._kernel.dismantle(gone)
        self._networks, self._mesh = (), Mesh()
        return gone


def _life(lease: Lease) -> tuple[Attachment, float]:
    """Return what tells one life of an attachment from the next."""
    return lease.attachment, lease.created
