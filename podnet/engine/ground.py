"""The ground that pods stand on: the node's own part, and what verbs and upkeep alike do to attachments."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from podnet import datapath
from podnet.engine.ports import Clock, Kernel, Reaped, Store
from podnet.errors import NodeNotReady, PodnetError
from podnet.mesh import Mesh
from podnet.model import Lease, Network, NodeFacts
from podnet.nft import Element, Set, Table
from podnet.plan import GROUP_DOOMED, Link, NftObject, Plan, State, Step, diff, key_of, merged

NETWORKS = 64
"""Networks that are remembered before those that no pod is in any more are forgotten."""
OURS = "podnet:"
"""What the alias of every link of podnet's begins with."""


class Ground:
    """The node with its networks; `facts` are the node's own, the edges those of :class:`podnet.engine.Engine`."""

    def __init__(self, facts: NodeFacts, store: Store, kernel: Kernel, clock: Clock) -> None:
        """Take the node's `facts` and the edges; nothing is touched before somebody asks."""
        self.facts = facts
        self.named = 0
        """Counts leases with aliases that came or went: whoever publishes them compares."""
        self._mesh = Mesh()
        self._networks: tuple[Network, ...] = ()
        self._configured: tuple[Network, ...] = ()
        self._store = store
        self._kernel = kernel
        self._clock = clock
        self._returned: set[str] = set()
        self._reaped: list[Lease] = []

    def node_plan(self) -> Plan:
        """Return what the node itself needs for its networks, but for the ways to other nodes."""
        return merged(datapath.node_plan(self._networks, self.facts), self._mesh.base)

    def whole_plan(self) -> Plan:
        """Return what the node itself needs, the ways to other nodes among it."""
        return merged(datapath.node_plan(self._networks, self.facts), self._mesh.plan)

    def node_side(self, lease: Lease) -> Plan:
        """Return the steps of an attachment that stand in the node's namespace."""
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        return Plan(tuple(step for step in plan.steps if getattr(step.object, "at", "node") == "node"))

    def reap(self, most: int | None = None) -> Reaped:
        """End the links of pods that were cut off, all in one go, and the connections of their addresses.

        Forgetting connections walks the kernel's whole table, so a caller with requests waiting does it for at most
        `most` leases at a time, and calls :meth:`close_reaped` while there are :attr:`unclosed` ones.
        """
        reaped = self._kernel.reap()
        self._reaped = self._closable()
        self.close_reaped(most)
        return reaped

    def close_reaped(self, most: int | None = None) -> None:
        """Forget the connections of at most `most` leases whose links are gone, and close them."""
        count = len(self._reaped) if most is None else most
        closing = self._reaped[:count]
        self._kernel.forget_connections([a.address for lease in closing for a in lease.addresses])
        if closing:
            self._store.close(closing, self._clock.now())
            self._returned.difference_update([lease.link for lease in closing])
        self._reaped = self._reaped[count:]

    @property
    def unclosed(self) -> int:
        """How many leases there are whose links are gone, and of whose connections the kernel may still know."""
        return len(self._reaped)

    @property
    def unreaped(self) -> bool:
        """Whether leases are left of which the kernel may still know something."""
        return bool(self._closable())

    @property
    def owed(self) -> list[Lease]:
        """Leases that are cut, of addresses that the plugin that gave them was not yet given back."""
        return [le for le in self._store.pending() if le.terms.delegation and le.link not in self._returned]

    def returned(self, lease: Lease) -> None:
        """Take note that the plugin which gave the addresses of `lease` has them back."""
        self._returned.add(lease.link)

    def _closable(self) -> list[Lease]:
        return [le for le in self._store.pending() if not le.terms.delegation or le.link in self._returned]

    def _prepare(self, network: Network) -> None:
        """Build the node's part for a network that this engine has not met in this shape.

        Two shapes of one name stand beside each other: pods of the one are not to suffer from the other's coming.
        """
        before = self._networks
        if network in before:
            return
        if len(before) >= NETWORKS:  # another plugin may give each pod a subnet of its own
            here = (*self._configured, *map(self._store.network_of, self._store.live()))
            before = self._networks = tuple(dict.fromkeys(here))
        self._networks = (*before, network)
        try:
            self._build()
        except PodnetError as error:
            self._networks = before
            with suppress(PodnetError):
                self._build()
            raise NodeNotReady(f"network {network.name}: {error}", error.details) from error

    def _build(self) -> Plan:
        """Make what the node's part lacks, but for the ways to other nodes; return what that was."""
        _, lacking = self._lacking(self.node_plan())
        self._kernel.apply(lacking)
        return lacking

    def _lacking(self, plan: Plan) -> tuple[State, Plan]:
        """Return what is observed of the node's `plan`, and what leads from there to it.

        Sets of intervals are the networks' alone and merged over all of them, and the kernel takes no overlaps: what
        was there before a network widened or joined them makes room.

        With a table or a set the elements of pods went, and without those its rules drop what pods send: they are put
        back in the same batch, and so are the ways' elements.  Raise `NodeNotReady` where a link is somebody else's.
        """
        observed = self._kernel.observe(plan)
        refuse_strangers(observed, plan)
        lacking = diff(observed, plan, _intervals(observed, plan))
        if any(isinstance(step.object, Table | Set) for step in lacking.steps):
            plan = merged(plan, self._ruleset())
            observed = self._kernel.observe(plan)
            lacking = diff(observed, plan, _intervals(observed, plan))
        return observed, lacking

    def _ruleset(self) -> Plan:
        """Return what should be in podnet's tables, pods' elements among it."""
        node = (step for step in self.whole_plan().steps if isinstance(step.object, NftObject))
        return Plan.of(node, *map(self._elements, self._store.live()))

    def _elements(self, lease: Lease) -> Iterator[Step]:
        """Yield the steps of an attachment that are elements of podnet's table."""
        return (step for step in self.node_side(lease).steps if isinstance(step.object, Element))

    def _cut(self, leases: Sequence[Lease]) -> None:
        """Cut `leases` off in the kernel, then in the store: a crash in between is cut off again."""
        if not leases:
            return
        plans = (datapath.cut(self._store.network_of(lease), lease) for lease in leases)
        self._kernel.dismantle(Plan.of(*plans))
        self._store.cut([lease.attachment for lease in leases], self._clock.now())
        self._note_names(leases)

    def _note_names(self, leases: Sequence[Lease]) -> None:
        self.named += any(lease.terms.aliases for lease in leases)


def _intervals(observed: State, plan: Plan) -> list[Element]:
    """Return what is observed in those sets of intervals of which `plan` has elements."""
    sets = {step.object.set.name for step in plan.steps if isinstance(step.object, Element)}
    elements = (thing for thing in observed.values() if isinstance(thing, Element))
    return [thing for thing in elements if thing.set.interval and thing.set.name in sets]


def bears_alias(observed: State, lease: Lease, name: str = "") -> bool:
    """Tell whether the host link of `lease`, or its link `name`, is there, marked as its own and not doomed."""
    link = observed.get(("link", "node", name or lease.link))
    return isinstance(link, Link) and link.alias == lease.attachment.alias and link.group != GROUP_DOOMED


def refuse_strangers(observed: State, node: Plan) -> None:
    """Raise `NodeNotReady` where a link of the node's part is there and is somebody else's, such as the LAN's br0."""
    for step in node.steps:
        wanted = step.object
        found = observed.get(key_of(wanted)) if isinstance(wanted, Link) else None
        if isinstance(wanted, Link) and isinstance(found, Link) and not found.alias.startswith(OURS):
            other = "name another in podnet.yaml (bridge: NAME)" if wanted.kind == "bridge" else "delete or rename it"
            raise NodeNotReady(
                f"link {found.name} is there and is not podnet's: {other}, or hand it over with "
                f"`ip link set {found.name} alias {wanted.alias}`"
            )
