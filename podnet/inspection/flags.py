"""Command-line flags: of a running process, of a systemd unit, of an environment file.

Units (systemd.service(5)) and environment files (systemd.exec(5), EnvironmentFile=) hold flags in ``ExecStart=`` and in
variables; which variable a unit passes on is its own business, so every ``--flag`` of either counts, later ones over
earlier ones, as systemd reads main unit and drop-ins.
"""

import shlex
from collections.abc import Iterable, Iterator

from podnet.inspection.values import Process, Setting, Source, View

UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")


def of_words(words: Iterable[str], source: str) -> Iterator[Setting]:
    """Yield each ``--name value``, ``--name=value`` and bare ``--name`` (then ``true``) of `words`, short ones too."""
    pending = ""
    for word in words:
        if word.startswith("-") and word != "-":
            if pending:
                yield Setting(pending, "true", source)
            name, equals, value = word.lstrip("-").partition("=")
            pending = "" if equals else name
            if equals:
                yield Setting(name, value, source)
        elif pending:
            yield Setting(pending, word, source)
            pending = ""
    if pending:
        yield Setting(pending, "true", source)


def of_text(source: Source) -> Iterator[Setting]:
    """Yield the flags of a unit or an environment file; a line whose quotes do not close is split at blanks."""
    body = (source.data or b"").decode(errors="replace").replace("\\\n", " ")
    for line in body.splitlines():
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or "=" not in stripped:
            continue
        yield from of_words(_split(_split_value(stripped)), source.path)


def programs(view: View, name: str) -> tuple[Process, ...]:
    """Return the processes that run program `name`, itself or as the first argument of a multi-call program."""
    return tuple(p for p in view.processes() if _program(p.argv) == name)


def _program(argv: tuple[str, ...]) -> str:
    names = [word.rsplit("/", 1)[-1] for word in argv[:2]]
    return names[-1] if names[0] == "hyperkube" else names[0]


def unit_files(view: View, unit: str) -> tuple[Source, ...]:
    """Return the unit file in force and its drop-ins, in the order in which systemd applies them."""
    found: list[Source] = []
    mains = [view.read(f"{folder}/{unit}") for folder in UNIT_FOLDERS]
    found += [source for source in mains if not source.missing][-1:]
    drop_ins = {}  # a drop-in of the same name in a later folder replaces the earlier one (systemd.unit(5))
    for folder in UNIT_FOLDERS:
        for name in view.names(f"{folder}/{unit}.d").names:
            if name.endswith(".conf"):
                drop_ins[name] = f"{folder}/{unit}.d/{name}"
    return (*found, *(view.read(drop_ins[name]) for name in sorted(drop_ins)))


def _split_value(line: str) -> str:
    """Return what follows the first ``=``, or the whole line when that is part of a flag."""
    key, _, value = line.partition("=")
    return line if key.lstrip().startswith("-") else value


def _split(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.replace('"', " ").replace("'", " ").split()
    # Environment="A=--x --y": the variable's value is itself a list of words
    return [word for part in words for word in (part.partition("=")[2] if _assigns(part) else part).split()]


def _assigns(word: str) -> bool:
    key, equals, value = word.partition("=")
    return bool(equals) and key.isidentifier() and value.lstrip().startswith("-")
