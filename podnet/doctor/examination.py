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
from podnet.errors import NodeNotReady, PodnetError, RequestError

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
    unseen: dict[str, Unseen] = {}
    for check in checks:
        try:
            findings.extend(check(machine))  # those that it has before it raises, too
        except (PodnetError, OSError, ValueError) as error:
            unseen.setdefault(told(error), Unseen(error, [])).checks.append(check.__name__)
    findings += [blind(each) for each in unseen.values()]
    return Diagnosis(worst_first(findings), [check.__name__ for check in checks])


class Unseen(NamedTuple):
    """The `checks` that could not look, or not to the end, for the same `error`."""

    error: Exception
    checks: list[str]


def told(error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, PodnetError):
        return error.msg
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def blind(unseen: Unseen) -> Finding:
    """Return that those checks could not look; with an error of the node's settings no daemon starts either."""
    names, (evidence, _, remedy) = ", ".join(unseen.checks), told(unseen.error).partition("; ")
    if isinstance(unseen.error, RequestError | NodeNotReady):
        what = f"the node's settings are none that a daemon starts with, and not looked at are {names}"
        return Finding(SETTINGS, "broken", what, evidence, remedy or "docs/CONFIGURATION.md has every key")
    what = f"not looked at, or not to the end: {names}"
    if os.geteuid() != 0:
        remedy = IN_SIGHT
    return Finding(unseen.checks[0], "note", what, evidence, remedy or "mend what that names, and ask again")


def hidden() -> Finding:
    """Return that the machine's own files are out of sight, as in a container with processes of its own."""
    what = "the machine's files are out of sight: runtimes' settings, sysctl.d, systemd-networkd, NetworkManager"
    evidence = "this container has processes of its own"
    return Finding(
        "place", "note", what, evidence, "hostPID: true, as deploy/podnet.yaml has it, or run it on the node"
    )
