"""What a check finds."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

Severity: TypeAlias = Literal["broken", "soon", "note"]
"""Pods are not reached, or some are not · they will not be, if it goes on · worth knowing, or could not be seen."""
_ORDER: dict[Severity, int] = {"broken": 0, "soon": 1, "note": 2}


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One thing that is amiss.

    `check` names who found it, `what` says what it is and what pods suffer from it, `evidence` where that is seen (a
    sysctl with its value, a line of a file, a rule), `remedy` what to do: wherever that is possible a command to run,
    or the line of podnet.yaml to write.
    """

    check: str
    severity: Severity
    what: str
    evidence: str
    remedy: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings`, each once, what is broken first; of one severity as they came."""
    return sorted(dict.fromkeys(findings), key=lambda finding: _ORDER[finding.severity])
