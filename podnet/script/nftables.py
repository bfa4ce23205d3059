"""The node's nftables part as one transaction that may run again: what has rules is flushed and filled in one go."""

from collections.abc import Iterator

from podnet.nft import Chain, Rule
from podnet.plan import Address, Link, Neighbour, Plan, Route, Sysctl

OTHERS = (Link, Address, Route, Neighbour, Sysctl)
"""The objects of a plan that are not nftables'."""


def transaction(plan: Plan) -> Iterator[str]:
    """Yield `nft -f -` with a here-document, atomic in the kernel; nothing where the plan has no nftables objects."""
    lines: list[str] = []
    flushed: set[Chain] = set()
    said = ""
    for step in plan.steps:
        made = step.object
        if isinstance(made, OTHERS):
            continue
        if step.reason != said:
            said = step.reason
            lines.append(f"# {said}")
        if isinstance(made, Rule) and made.chain not in flushed:
            flushed.add(made.chain)
            lines.append(made.chain.nft("flush"))
        lines.append(made.nft("add"))
    if lines:
        yield "    nft -f - <<'NFT'"
        yield from lines
        yield "NFT"
