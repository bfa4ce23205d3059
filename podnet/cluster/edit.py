"""nodes.yaml after an edit: only nodes whose text is another are read, so that one costs little among thousands.

A list is taken apart at the lines on which its items begin, if all begin alike, as people and programs write them:

    nodes:
      - name: n1                   an item's text: from its dash's line to the next's
        addresses: [10.99.0.11]
      - {name: n2, addresses: …}

What stands before the first difference of two such texts, and after the last, are the same nodes as before.  The items
between are read as a list of their own, and compared with the rest.  Anything else, and whatever is wrong, is read
whole: one place decides what a list means, and tells where it is wrong.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podnet.cluster.document import Document, IPNetwork
from podnet.cluster.nodes import Claim, claims_of, sound_nodes
from podnet.errors import PodnetError
from podnet.model import Node

Span = tuple[int, int]
"""The first and the last address that somebody has, as integers."""

_ITEM = re.compile(r" *- ")
_UNSAFE = re.compile("[&\\r\\x85\\u2028\\u2029]")
"""An anchor, which another item may name; and what ends lines besides \\n (YAML 1.1 section 5.4)."""


class Listing(NamedTuple):
    """A list that was read: its text and its nodes, and what an edit of it is compared with.

    `mark` is what each item's text begins with, "" for a list that is not taken apart.  `ipv4` and `ipv6` are the
    nodes' and their pods' addresses, sorted; none overlaps another.
    """

    text: str
    nodes: tuple[Node, ...]
    mark: str
    names: frozenset[str]
    keys: frozenset[str]
    ipv4: tuple[Span, ...]
    ipv6: tuple[Span, ...]


class _Edit(NamedTuple):
    """The items that differ in two texts: where the first begins, in both, and where the last ends in each."""

    begin: int
    old_end: int
    new_end: int


def read_listing(
    text: str, source: str, cluster_cidrs: Sequence[IPNetwork] = (), before: Listing | None = None
) -> Listing:
    """Return what `text` lists, the content of the file `source`, of which `before` may be an earlier one.

    `before` was read with the same `cluster_cidrs`.  Raises what :func:`podnet.cluster.nodes.parse_nodes` does.
    """
    edited = before and _edited(before, text, source, cluster_cidrs)
    return edited or _whole(text, source, cluster_cidrs)


def _whole(text: str, source: str, cluster_cidrs: Sequence[IPNetwork]) -> Listing:
    document = Document(text, source)
    nodes, (ipv4, ipv6) = sound_nodes(document, cluster_cidrs)
    mark = _mark(text, [document.line(f".nodes[{n}]") for n in range(len(nodes))])
    return Listing(text, nodes, mark, _names(nodes), _keys(nodes), _spans(ipv4), _spans(ipv6))


def _mark(text: str, starts: Sequence[int]) -> str:
    """Return what items begin with, whose lines are `starts`; "" where not all do, or something else does as well."""
    if _UNSAFE.search(text) or not starts or starts[0] == 1:
        return ""
    lines = text.split("\n")
    dash = _ITEM.match(lines[starts[0] - 1])
    if dash is None:
        return ""
    found = [number for number, line in enumerate(lines, 1) if line.startswith(dash[0])]
    return f"\n{dash[0]}" if found == list(starts) else ""


def _edited(before: Listing, text: str, source: str, cluster_cidrs: Sequence[IPNetwork]) -> Listing | None:
    """Return what `text` lists by what was listed `before`; None where it is to be read whole."""
    mark, edit = before.mark, _edit(before, text)
    if edit is None:
        return None
    new = text[edit.begin : edit.new_end]
    if _UNSAFE.search(new) or not _is_plain(new, mark):
        return None
    try:
        come, (ipv4, ipv6) = sound_nodes(Document(f"nodes:{new}", source), cluster_cidrs)
    except PodnetError:
        return None
    first = before.text.count(mark, 0, edit.begin)
    last = first + before.text.count(mark, edit.begin, edit.old_end)
    gone = before.nodes[first:last]
    names, keys = before.names - _names(gone), before.keys - _keys(gone)
    apart4 = _exchanged(before.ipv4, _spans(claims_of(gone, 4)), _spans(ipv4))
    apart6 = _exchanged(before.ipv6, _spans(claims_of(gone, 6)), _spans(ipv6))
    if apart4 is None or apart6 is None or names & _names(come) or keys & _keys(come) or len(come) != new.count(mark):
        return None
    nodes = (*before.nodes[:first], *come, *before.nodes[last:])
    return Listing(text, nodes, mark, names | _names(come), keys | _keys(come), apart4, apart6)


def _edit(before: Listing, text: str) -> _Edit | None:
    """Return which items differ, None where that cannot be told."""
    old, mark = before.text, before.mark
    if not mark:
        return None
    head = _same_from_the_start(old, text)
    tail = _same_to_the_end(old, text, min(len(old), len(text)) - head)
    begin = old.rfind(mark, 0, head)
    if begin < 0:
        return None
    end = old.find(mark, max(begin + 1, len(old) - tail))
    if end < 0:
        return _Edit(begin, len(old), len(text))
    return _Edit(begin, end, end + len(text) - len(old))


def _same_from_the_start(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike: by halves, since slices are compared at once."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_to_the_end(one: str, other: str, most: int) -> int:
    """Return how many characters, `most` at most, two texts end with alike."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_plain(items: str, mark: str) -> bool:
    """Tell whether every line belongs to an item: it begins one or is further in, or has nothing but a comment."""
    within = " " * (len(mark) - 2)  # "\n  - " has items' other lines three blanks in, at least
    return all(
        line.startswith((mark[1:], within)) or not line.strip() or line.lstrip().startswith("#")
        for line in items.split("\n")
    )


def _names(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset([node.name for node in nodes])


def _keys(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset([node.wireguard for node in nodes if node.wireguard])


def _spans(claims: Iterable[Claim]) -> tuple[Span, ...]:
    return tuple([(claim.first, claim.last) for claim in claims])


def _exchanged(spans: Sequence[Span], gone: Iterable[Span], come: Iterable[Span]) -> tuple[Span, ...] | None:
    """Return sorted `spans` without those `gone` and with those that `come`; None where one overlaps another."""
    found = list(spans)
    for span in gone:
        del found[bisect_left(found, span)]
    for span in come:
        at = bisect_left(found, span)
        if (at and found[at - 1][1] >= span[0]) or (at < len(found) and found[at][0] <= span[1]):
            return None
        found.insert(at, span)
    return tuple(found)
