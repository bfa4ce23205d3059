"""Names in podnet.yaml and nodes.yaml, and the pools that podnet.yaml gives names to.

A pool is a list of CIDRs, or such lists by the name of the node that each is for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from podnet.cluster.document import Document, IPNetwork

# CNI SPEC.md, "Network configuration format": the name's characters; a node's name and a pool's are held to the same.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
POD_CIDRS = "podnet.dev/pod-cidrs"
"""Annotation of a Node: CIDRs of pods besides those of its spec, comma separated, which the node itself makes known."""
_SHAPE = "write a list of CIDRs, or lists of CIDRs by the name of the node"


class PoolPart(NamedTuple):
    """A CIDR of the pool `name`, of the node called `node`; "": of whichever node has it."""

    name: str
    cidr: IPNetwork
    node: str = ""


def valid_name(name: str) -> bool:
    """Tell whether `name` may name a node, a network or a pool."""
    return _NAME.fullmatch(name) is not None and len(name) <= 253  # noqa: PLR2004 - RFC 1123 section 2.1


def parse_pools(
    document: Document, pools: Mapping[str, Any], cluster_cidrs: Sequence[IPNetwork]
) -> tuple[PoolPart, ...]:
    """Return what the `pools` of a document are made of.

    Raises InvalidConfiguration for what is no pool, and for CIDRs that overlap or lie outside of `cluster_cidrs`.
    """
    parts: list[PoolPart] = []
    for name, listed in pools.items():
        if not valid_name(name):
            document.refuse(".pools", f"{name!r} is not a name; use letters, digits, '-', '_' and '.'")
        for node, place, texts in _lists(document, name, listed):
            for index, text in enumerate(texts):
                part = PoolPart(name, document.network(str(text), f"{place}[{index}]"), node.lower())
                _check(document, f"{place}[{index}]", part, parts, cluster_cidrs)
                parts.append(part)
    return tuple(parts)


def _lists(document: Document, name: str, listed: Any) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the lists of a pool: the node's name, where the list stands, and the list."""
    place = f".pools.{name}"
    lists = listed if isinstance(listed, dict) else {"": listed}
    for node, texts in lists.items():
        at = f"{place}.{node}" if isinstance(listed, dict) else place
        if not isinstance(texts, list):
            document.refuse(at, f"is not what it should be; {_SHAPE}")
        if isinstance(listed, dict) and not valid_name(str(node)):
            document.refuse(place, f"{node!r} is not a node's name; {_SHAPE}")
        yield str(node), at, texts


def _check(
    document: Document, place: str, part: PoolPart, others: Sequence[PoolPart], cluster_cidrs: Sequence[IPNetwork]
) -> None:
    """Refuse a CIDR that shares addresses with others, or lies where the cluster has no pods."""
    for other in others:
        if part.cidr.version == other.cidr.version and part.cidr.overlaps(other.cidr):
            document.refuse(place, f"{part.cidr} overlaps {other.cidr} of {other.name}; an address is of one pool")
    if cluster_cidrs and not any(part.cidr.version == c.version and _within(part.cidr, c) for c in cluster_cidrs):
        listed = ", ".join(map(str, cluster_cidrs))
        document.refuse(place, f"{part.cidr} is outside the cluster-cidrs ({listed}); move it, or widen those")


def _within(network: IPNetwork, cidr: IPNetwork) -> bool:
    return network.prefixlen >= cidr.prefixlen and network.overlaps(cidr)
