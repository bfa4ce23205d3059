"""Mending: what somebody took away or changed is put back, as soon as the kernel tells of it.

What is compared is what was spoken of: a route, a neighbour, what is on a link, one pod, the table; not the whole node,
which takes as long as there are pods and nodes.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from podnet import datapath
from podnet.engine.difference import faults
from podnet.engine.ground import bears_alias
from podnet.engine.upkeep import Upkeep
from podnet.errors import NodeNotReady, PodnetError
from podnet.model import Lease, Namespace
from podnet.nft import Element
from podnet.plan import Address, Heard, Link, Neighbour, Object, Plan, Route, Step, diff, key_of, merged, place_of

INSIDE = "what is inside the pod is left to the pod"
STRANGE = "a link of that name is somebody else's"
OFF = "podnet.yaml has `repair: false`"


class Drift(NamedTuple):
    """What was found not to be as it should be: of a lease's holder, or of the node (None).

    `faults` say what was expected and what was found; `left` why it could not be put right, "" where it was.
    """

    lease: Lease | None
    faults: tuple[str, ...]
    left: str = ""


class Mending(Upkeep):
    """A node that is mended."""

    repairs = True
    """Whether it is: else what is not as it should be is told and left."""

    def mend(self, heard: Heard) -> list[Drift]:
        """Put back what is not as it should be of what was `heard`; return what that was.

        Of what was lost, the node's part: pods are as many as they are, and are asked for by their links.
        """
        if not heard:
            return []
        if heard.lost:
            return self.audit_node()
        own = self.node_links() | {self.facts.uplink}  # podnet's routes to other nodes are by that
        # With a link's last address, or when it goes down, its IPv4 routes end without a word.
        links = heard.links | {thing.dev for thing in heard.objects if isinstance(thing, Address)}
        changed = [thing for thing in heard.objects if isinstance(thing, Route) or place_of(thing)[1] in own]
        node = Plan(tuple(self._touched(changed, links & own)))
        if heard.writers:
            node = merged(node, self._ruleset())
        names = heard.links | {place_of(thing)[1] for thing in heard.objects}
        return [*self._mend_node(node), *self.audit([lease for lease in self._store.live() if lease.link in names])]

    def node_links(self) -> frozenset[str]:
        """Return the names of the links that podnet has on the node itself, such as a bridge."""
        return frozenset(step.object.name for step in self.node_plan().steps if isinstance(step.object, Link))

    def audit(self, leases: Iterable[Lease]) -> list[Drift]:
        """Return the live ones of `leases` that are not as ADD made them, and put right what is wrong on the node.

        What is inside a pod is the pod's business and told only; but where its link is gone and the pod is not, it is
        attached anew, as it was.
        """
        return [drift for lease in leases for drift in self._mend_pod(lease)]

    def audit_node(self, *, ways: bool = True) -> list[Drift]:
        """Return what is not as it should be of the node's own part, and put it right.

        Without the `ways` to other nodes it takes some milliseconds, with them as many as there are nodes: a tenth of
        one for each.
        """
        return list(self._mend_node(self.whole_plan() if ways else self.node_plan()))

    def _touched(self, changed: Iterable[Object], links: frozenset[str]) -> Iterator[Step]:
        """Yield the steps of the node's part that make one of `changed`, are one of `links`, or stand on one."""
        keys = {key_of(thing) for thing in changed}
        ways = (way.plan for way in self._mesh.ways.values())
        for plan in (self.node_plan(), *ways) if keys or links else ():
            for step in plan.steps:
                if place_of(step.object)[1] in links or key_of(step.object) in keys:
                    yield step

    def _mend_node(self, plan: Plan) -> Iterator[Drift]:
        try:
            observed, difference = self._lacking(plan)
        except NodeNotReady as error:
            yield Drift(None, (error.msg,), STRANGE)
            return
        if difference:
            left = self._applied(difference, None)
            for lease, part in self._by_owner(difference):
                yield Drift(lease, tuple(faults(observed, part, "")), left)

    def _by_owner(self, difference: Plan) -> Iterator[tuple[Lease | None, Plan]]:
        """Yield parts of `difference`: the node's (None), and of elements alone each pod's."""
        elements = all(isinstance(step.object, Element) for step in difference.steps)
        pods = self._store.live() if elements else ()
        owner = {key_of(step.object): lease for lease in pods for step in self._elements(lease)}
        parts: dict[Lease | None, list[Step]] = {}
        for step in difference.steps:
            parts.setdefault(owner.get(key_of(step.object)), []).append(step)
        yield from ((lease, Plan(tuple(steps))) for lease, steps in parts.items())

    def _mend_pod(self, lease: Lease) -> Iterator[Drift]:
        plan = datapath.attach(self._store.network_of(lease), self.facts, lease)
        with self._kernel.namespace_of(lease) as (namespace, _):
            # While its namespace is open here, a pod's link does not go with it.
            if namespace is None or not plan or self._store.find(lease.attachment) != lease:
                return
            observed = self._kernel.observe(plan, namespace)
            difference = diff(observed, plan)
            if not difference:
                return
            told = tuple(faults(observed, difference, lease.netns_path))
            if bears_alias(observed, lease):
                on_node = tuple(step for step in difference.steps if getattr(step.object, "at", "node") == "node")
                inside = INSIDE if len(on_node) < len(difference.steps) else ""
                left = self._applied(Plan(on_node), None) or inside
            elif ("link", "node", lease.link) in observed:
                left = STRANGE
            else:
                told = (f"link {lease.link} is gone, and what was on it: the pod is attached anew",)
                left = self._applied(difference, namespace)
        yield Drift(lease, told, left)

    def _applied(self, difference: Plan, namespace: Namespace | None) -> str:
        """Carry out what is to be done; return why that could not be, "" where it could."""
        if not self.repairs:
            return OFF
        try:
            self._kernel.apply(_overriding(difference), namespace)
        except PodnetError as error:
            return error.msg
        return ""


def _overriding(difference: Plan) -> Plan:
    """Return `difference` with neighbours that replace what is there.

    Of neighbours only the permanent ones are observed; where somebody took one away, the next packet has the kernel
    learn it, and what is learned stands in the way of what is added.
    """
    return Plan(tuple(s._replace(verb="set") if _is_missing_neighbour(s) else s for s in difference.steps))


def _is_missing_neighbour(step: Step) -> bool:
    return isinstance(step.object, Neighbour) and step.verb == "add"
