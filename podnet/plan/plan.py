"""A plan: the desired state of some of the kernel's objects, in the order in which they can be made.

One plan serves every verb.  ADD applies it; CHECK is the :func:`podnet.plan.diff.diff` of what is observed and it;
DEL applies a cut of it, GC its :func:`inverse`; ``podnet explain`` prints it.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, Self

from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan.objects import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Redirect,
    Route,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
)

NftObject = Table | Chain | Set | Element | Rule
Object = Link | Address | Route | Neighbour | Fdb | WireGuard | WireGuardPeer | Tbf | Redirect | Sysctl | NftObject

Verb = Literal["add", "set", "delete", "flush"]
"""add: make what is not there · set: bring what is there (or not) to this state · delete · flush: empty a chain."""


class Step(NamedTuple):
    """One object to bring about, and why: `reason` names the configuration line, rule or fact that asks for it."""

    object: Object
    reason: str
    verb: Verb = "add"


class Plan(NamedTuple):
    """Steps in the order in which the kernel must see them."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, *parts: "Iterable[Step] | Plan") -> Self:
        """Return one plan of all `parts`, in order."""
        return cls(tuple(step for part in parts for step in (part.steps if isinstance(part, Plan) else part)))

    def objects(self) -> Iterator[Object]:
        """Yield the objects that this plan makes or keeps."""
        return (step.object for step in self.steps if step.verb in {"add", "set"})

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.steps)


def merged(*parts: Plan) -> Plan:
    """Return one plan of all `parts`, in order, in which what several of them add is added once, for the first reason.

    A chain's rules are told apart by all that they are, so `parts` do not share a chain with rules alike.
    """
    steps = (step for part in parts for step in part.steps)
    first: dict[tuple[Object, Verb], Step] = {}
    for step in steps:
        first.setdefault((step.object, step.verb), step)
    return Plan(tuple(first.values()))


def peers_made(plan: Plan) -> frozenset[str]:
    """Return the names of the pod links that come into being as the peer of a link that `plan` adds."""
    return frozenset(s.object.peer for s in plan.steps if s.verb == "add" and isinstance(s.object, Link)) - {""}


def inverse(plan: Plan) -> Plan:
    """Return the plan that ends all that `plan` adds, last first.

    A sysctl has no inverse: what it was before is not known here, and another may rely on it.  Neither has a link
    that podnet did not make.  A veth's pod end goes with its host end, a rule with the others of its chain, what a
    WireGuard device is with the device.
    """
    peers = peers_made(plan)
    steps: list[Step] = []
    for step in reversed(plan.steps):
        made = step.object
        if isinstance(made, Rule):
            emptied = Step(made.chain, f"undo: {step.reason}", "flush")
            if step.verb == "add" and (not steps or steps[-1].object != made.chain):
                steps.append(emptied)
            continue
        if step.verb != "add" or isinstance(made, Sysctl | WireGuard):
            continue
        if isinstance(made, Link) and (not made.kind or (made.at == "pod" and made.name in peers)):
            continue
        steps.append(Step(made, f"undo: {step.reason}", "delete"))
    return Plan(tuple(steps))
