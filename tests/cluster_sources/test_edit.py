"""nodes.yaml after an edit: whatever was edited, it says what the whole text says, and one edit reads one node."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.cluster import edit
from podnet.cluster.document import Document
from podnet.cluster.edit import Listing, read_listing
from podnet.cluster.nodes import parse_nodes
from podnet.errors import PodnetError
from podnet.model import Node
from podnet.wireguard.key import to_text

PATH = "/etc/podnet/nodes.yaml"
CIDRS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def item(number: int, style: str, indent: str) -> str:
    """Return a node as somebody writes it: alone on its line, on several, or with a comment."""
    key = to_text(bytes([number % 5]) * 32)
    if style == "flow":
        return f"{indent}- {{name: n{number}, addresses: [10.99.0.{number}], pod-cidrs: [10.244.{number}.0/24]}}\n"
    more = {"key": f"{indent}  wireguard: {key}\n", "comment": "# of rack 1\n\n", "block": ""}[style]
    return (
        f"{indent}- name: n{number}\n{indent}  addresses: [10.99.0.{number}, 'fd99::{number:x}']\n"
        f"{indent}  pod-cidrs:\n{indent}  - 10.244.{number}.0/24\n{more}"
    )


ITEMS = st.tuples(st.integers(1, 9), st.sampled_from(["flow", "block", "key", "comment"]))
PIECES = st.sampled_from(
    [
        *"&*-'\"[]{}:#\n\r\t |>!%", "\n  - ", "\n- ", "\n---\n", "\n...\n", "\n  ", "nodes:", "n1", "10.244.3.0/24",
        "&a ", "*a", "!!str ", "\x85", "\u2028", "'\n  - '", "\n  - |\n    - ", "\nother: 1\n", "  # \n", "10.99.0.2",
        "- {name: x, addresses: [10.99.0.77]}\n", "\n  - {name: y, addresses: [10.99.0.78]}\n",
    ]
)  # fmt: skip


UNIQUE = st.lists(ITEMS, max_size=6, unique_by=lambda one: one[0])


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a list as people write it, and what it is after an edit: of some items, of lines, or anywhere."""
    indent = draw(st.sampled_from(["", "  ", "    "]))
    head, tail = (
        draw(st.sampled_from(["nodes:\n", "# ours\nnodes:\n"])),
        draw(st.sampled_from(["", "# end\n", "...\n"])),
    )
    items, others = ([item(*one, indent) for one in draw(UNIQUE)] for _ in range(2))
    text, kind = head + "".join(items) + tail, draw(st.sampled_from(["items", "lines", "anywhere"]))
    parts = {"items": items, "lines": text.split("\n"), "anywhere": list(text)}[kind]
    at = draw(st.integers(0, len(parts)))
    until = draw(st.integers(at, min(len(parts), at + 3)))
    if kind == "items":
        return text, head + "".join([*items[:at], *others, *items[until:]]) + tail
    if kind == "lines":
        return text, "\n".join([*parts[:at], *"".join(others).split("\n")[: draw(st.integers(0, 4))], *parts[until:]])
    return text, text[:at] + "".join(draw(st.lists(PIECES, max_size=3))) + text[until:]


def told(read: Callable[[], tuple[Node, ...]]) -> tuple[Node, ...] | str:
    """Return the nodes, or the error."""
    try:
        return read()
    except PodnetError as error:
        return error.msg


@settings(max_examples=500, deadline=None)
@given(edits())
def test_an_edit_says_what_the_whole_says(edited: tuple[str, str]) -> None:
    """The same nodes in the same order, or the same error at the same line; and so does what is edited back again."""
    for before, after in (edited, edited[::-1]):
        try:
            listing = read_listing(before, PATH, CIDRS)
        except PodnetError:
            continue
        expected = told(lambda after=after: parse_nodes(after, PATH, CIDRS))  # type: ignore[misc] # a loop's default
        assert told(lambda: read_listing(after, PATH, CIDRS, listing).nodes) == expected  # noqa: B023 - called at once
        if isinstance(expected, tuple):  # what an edit is compared with next is what the whole text gives
            whole, found = read_listing(after, PATH, CIDRS), read_listing(after, PATH, CIDRS, listing)
            assert found[:2] + found[3:] == whole[:2] + whole[3:]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is read as YAML from then on."""
    texts: list[str] = []

    def noted(text: str, source: str) -> Document:
        texts.append(text)
        return Document(text, source)

    monkeypatch.setattr(edit, "Document", noted)
    return texts


def a_list(count: int) -> list[str]:
    """Return the lines of a list of `count` nodes, and what is above it."""
    places = [f"{n // 250}.{n % 250}" for n in range(count)]
    return [
        "nodes:",
        *(f"  - {{name: n{n}, addresses: [10.{at}.1], pod-cidrs: [11.{at}.0/24]}}" for n, at in enumerate(places)),
        "",
    ]


@pytest.mark.parametrize("what", ["another address", "one more", "one less", "two exchanged", "one more at the end"])
def test_of_thousands_only_what_was_edited_is_read(read: list[str], what: str) -> None:
    """A few hundred bytes; all other nodes are the same objects, by which the rest of podnet sees that they are so."""
    lines = a_list(2000)
    before = read_listing("\n".join(lines), PATH)
    first = {"one more at the end": 2001, "another address": 1000}.get(what, 700)
    if what == "another address":
        lines[1000] = lines[1000].replace(".1]", ".9]")
    elif what.startswith("one more"):
        lines.insert(first, "  - {name: new, addresses: [10.200.0.1]}")
    elif what == "one less":
        del lines[700]
    else:
        lines[700], lines[701] = lines[701], lines[700]
    del read[:]
    after = read_listing("\n".join(lines), PATH, (), before)
    assert after.nodes == parse_nodes("\n".join(lines), PATH)
    assert sum(map(len, read)) < 500
    assert len({id(node) for node in after.nodes} - {id(node) for node in before.nodes}) <= 3


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("  - {name: n5, addresses: [10.200.0.1]}", ":1002: nodes[1000].name n5 is the name of nodes[5] already"),
        ("  - {name: x, addresses: [10.0.7.1]}", ":1002: nodes[1000].addresses[0] 10.0.7.1 is n7's address already"),
        ("  - {name: x, addresses: [11.0.7.1]}", ":1002: nodes[1000].addresses[0] 11.0.7.1 of x lies in n7's pod"),
        ("  - {name: x, addresses: [10.200.0.1], pod-cidrs: [11.0.0.0/16]}", "overlaps"),
        ("  - {name: x, addresses: 10.200.0.1}", ":1002: nodes[1000].addresses is not what it should be"),
        ("  - {name: x, addresses: [10.200.0.1]", ":1003: not YAML"),
    ],
)
def test_what_an_edit_contradicts_is_told_as_of_the_whole(line: str, complaint: str) -> None:
    """By the line in the file and the node's place in the list, and what it contradicts may be far away."""
    lines = a_list(2000)
    before = read_listing("\n".join(lines), PATH)
    lines.insert(1001, line)
    text = told(lambda: read_listing("\n".join(lines), PATH, (), before).nodes)
    assert isinstance(text, str)
    assert complaint in text


def test_a_key_is_one_nodes_also_after_edits() -> None:
    """A second one of it is refused, and when the first is gone it may be another's."""
    key = to_text(bytes(32))
    one, other = f"- {{name: a, addresses: [10.0.0.1], wireguard: {key}}}\n", "- {name: b, addresses: [10.0.0.2]}\n"
    both = other.replace("}", f", wireguard: {key}}}")
    listing: Listing = read_listing(f"nodes:\n{one}{other}", PATH)
    assert "is a's key already" in str(told(lambda: read_listing(f"nodes:\n{one}{both}", PATH, (), listing).nodes))
    alone = read_listing(f"nodes:\n{both}", PATH, (), listing)
    assert [node.wireguard for node in alone.nodes] == [key]
