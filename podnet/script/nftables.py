"""The nftables objects of a plan: the node's as one transaction that may run again, a pod's as single commands."""

from collections.abc import Iterator

from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan import Plan

OBJECTS = (Table, Chain, Set, Element, Rule)


def node(plan: Plan) -> Iterator[str]:
    """Yield `nft -f -` with a here-document: chains with rules are flushed and filled in one go, atomically."""
    lines: list[str] = []
    flushed: set[Chain] = set()
    said = ""
    for step in plan.steps:
        made = step.object
        if not isinstance(made, OBJECTS):
            continue
        if step.reason != said:
            said = step.reason
            lines.append(f"# {said}")
        if isinstance(made, Rule) and made.chain not in flushed:
            flushed.add(made.chain)
            lines.append(made.chain.nft("flush"))
        lines.append(made.nft("add"))
    if lines:
        yield "    nft -f - <<'RULES'"
        yield from lines
        yield "RULES"
