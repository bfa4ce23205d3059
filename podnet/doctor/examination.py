"""All checks, one after the other; what one cannot see is a finding too, and hides nothing of the others."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from podnet.daemon.paths import Paths
from podnet.diagnosis import Finding, worst_first
from podnet.doctor.checks import CHECKS
from podnet.doctor.machine import Machine
from podnet.errors import PodnetError, RequestError

Check = Callable[[Machine], Iterator[Finding]]
IN_SIGHT = "run it as root"
SETTINGS = "settings"


class Diagnosis(NamedTuple):
    """What was found, worst first, and the names of the checks that looked."""

    findings: list[Finding]
    looked: list[str]

    @property
    def sound(self) -> bool:
        """Whether nothing is broken."""
        return all(finding.severity != "broken" for finding in self.findings)


def diagnose(paths: Paths) -> Diagnosis:
    """Look at this node, changing nothing; what it costs is some seconds at most, where other nodes do not answer."""
    with ExitStack() as stack:
        machine = Machine(paths, time.time(), stack)
        return examine(machine, CHECKS, [] if machine.place.sees_machine else [hidden()])


def examine(machine: Machine, checks: Sequence[Check], found: Iterable[Finding] = ()) -> Diagnosis:
    """Return what `checks` find, with what has been `found` already."""
    findings = list(found)
    unseen: dict[str, list[str]] = {}
    broken: set[str] = set()
    for check in checks:
        try:
            findings.extend(check(machine))  # those that it has before it raises, too
        except (PodnetError, OSError, ValueError) as error:
            text = told(error)
            unseen.setdefault(text, []).append(check.__name__)
            if isinstance(error, RequestError):
                broken.add(text)
    for text, names in unseen.items():
        if text in broken:
            what = (
                f"a file of the node's settings is wrong: a daemon does not start with it, and {names[0]} not looked at"
            )
            findings.append(Finding(SETTINGS, "broken", what, text, "correct it; docs/CONFIGURATION.md has every key"))
        else:
            findings.append(blind(names, text))
    return Diagnosis(worst_first(findings), [check.__name__ for check in checks])


def told(error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, PodnetError):
        return error.msg
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def blind(names: Sequence[str], error: str) -> Finding:
    """Return that those checks could not see what they are about."""
    what = f"not looked at, or not to the end: {', '.join(names)}"
    remedy = IN_SIGHT if os.geteuid() != 0 else "what the error names, and ask again"
    return Finding(names[0], "note", what, error, remedy)


def hidden() -> Finding:
    """Return that the machine's own files are out of sight, as in a container with processes of its own."""
    what = "the machine's files are out of sight: runtimes' settings, sysctl.d, systemd-networkd, NetworkManager"
    evidence = "this container has processes of its own"
    return Finding(
        "place", "note", what, evidence, "hostPID: true, as deploy/podnet.yaml has it, or run it on the node"
    )
