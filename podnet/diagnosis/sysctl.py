"""Sysctls as sysctl(8) and sysctl.d(5) write them; in podnet they go by their path below /proc/sys."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """A line of a file of sysctl.d: `name` is a path, in which a `*` may stand for a link."""

    path: str
    line: int
    name: str
    value: str

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.path}:{self.line}"


def dotted(name: str) -> str:
    """Return a path below /proc/sys as sysctl(8) takes it.

    With slashes where a part has a dot in it, as a VLAN's link has: sysctl(8) goes by the separator that comes first.
    """
    return name if "." in name else name.replace("/", ".")


def command(name: str, value: str) -> str:
    """Return the command that sets a sysctl."""
    return f"sysctl -w {dotted(name)}={value}"


def assignments(path: str, text: str) -> list[Assignment]:
    """Return what the content of a file of sysctl.d assigns, in order (sysctl.d(5)); what is no assignment is left."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("-").partition("=")
        if equals and not name.startswith(("#", ";")):
            found.append(Assignment(path, number, _path(name.strip()), value.strip()))
    return found


def last_word(files: Sequence[Assignment], name: str) -> Assignment | None:
    """Return the assignment that decides what `name` is after all of them, None where none speaks of it.

    One without wildcards goes before one with, wherever it stands (systemd-sysctl, since 246).
    """
    return _last(each for each in files if each.name == name) or _last(
        each for each in files if "*" in each.name and fnmatchcase(name, each.name)
    )


def _path(name: str) -> str:
    """Return the path of a sysctl however it is written: its first separator is the separator (sysctl.d(5))."""
    dot, slash = name.find("."), name.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        return name.translate({ord("."): "/", ord("/"): "."})
    return name


def _last(found: Iterable[Assignment]) -> Assignment | None:
    result = None
    for result in found:  # noqa: B007 - the last one is asked for
        pass
    return result
