"""Files of systemd.network(5), systemd.link(5), networkd.conf(5) and NetworkManager.conf(5): sections of keys.

And which of them a link gets: the first in the order of their names whose [Match] it meets.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

Section = tuple[str, tuple[tuple[str, str], ...]]


class UnitFile(msgspec.Struct, frozen=True, gc=False):
    """A file at `path`: its sections in order, each with its keys in order; a name or a key may come again."""

    path: str
    sections: tuple[Section, ...] = ()


class Link(msgspec.Struct, frozen=True, gc=False):
    """A link of podnet's of a `kind` of ip-link(8); `pattern` is what those of its kind are called by."""

    name: str
    kind: str
    pattern: str


def parse(path: str, text: str) -> UnitFile:
    """Return the content of the file at `path`; lines that are neither a section nor a key are passed over."""
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in (line.strip() for line in text.replace("\\\n", " ").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1], []))
        elif sections and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            sections[-1][1].append((key.strip(), value.strip()))
    return UnitFile(path, tuple((name, tuple(keys)) for name, keys in sections))


def values(file: UnitFile, section: str, key: str) -> list[str]:
    """Return what `key` is given in the sections of that name, in order."""
    return [value for name, keys in file.sections for k, value in keys if (name, k) == (section, key)]


def truth(given: Sequence[str]) -> bool:
    """Return the last value as systemd reads a boolean; False where none is given."""
    return bool(given) and given[-1].lower() in {"1", "yes", "true", "on", "y", "t"}


def matching(files: Sequence[UnitFile], link: Link) -> UnitFile | None:
    """Return the first of `files`, which are in order, that is for `link`."""
    return next((file for file in files if _matches(file, link)), None)


def _matches(file: UnitFile, link: Link) -> bool:
    """Tell whether every key of [Match] is met; one that speaks of what podnet's links have not is not."""
    keys = [entry for name, entries in file.sections if name == "Match" for entry in entries]
    meant = {
        "Name": link.name,
        "OriginalName": link.name,
        "Type": "ether" if link.kind in {"veth", "ifb"} else link.kind,
        "Kind": link.kind,
        "Driver": link.kind,
    }
    return bool(keys) and all(_meets(meant.get(key, ""), value) for key, value in keys if value)


def _meets(text: str, patterns: str) -> bool:
    """Tell whether `text` meets one of the `patterns`; with `!` before them, none."""
    negated = patterns.startswith("!")
    met = any(fnmatchcase(text, pattern) for pattern in patterns.removeprefix("!").split())
    return bool(text) and met != negated
