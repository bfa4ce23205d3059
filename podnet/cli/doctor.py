"""`podnet doctor`: what keeps pods of this node from being reached, or soon will, each with its remedy."""

import json

import click
import msgspec

from podnet.cli.start import CONFIG
from podnet.cli.text import say
from podnet.daemon.paths import Paths
from podnet.diagnosis import Finding, Severity
from podnet.doctor.examination import Diagnosis, diagnose

COLOURS: dict[Severity, str] = {"broken": "red", "soon": "yellow", "note": "cyan"}
INDENT = " " * 8


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
def command(as_json: bool, config: str) -> None:
    """Look for what keeps pods of this node from being reached, or soon will; say what to do.

    Nothing is changed, and the daemon need not run.  Exit status 1 where something is broken.  docs/DOCTOR.md has every
    finding.
    """
    diagnosis = diagnose(Paths(config=config))
    say(document(diagnosis) if as_json else "\n".join(written(diagnosis)))
    raise SystemExit(0 if diagnosis.sound else 1)


def document(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as JSON."""
    findings = msgspec.to_builtins(diagnosis.findings)
    return json.dumps({"findings": findings, "looked": diagnosis.looked, "sound": diagnosis.sound}, indent=2)


def written(diagnosis: Diagnosis) -> list[str]:
    """Return a diagnosis as lines: each finding with where it is seen and what to do, or what was looked at."""
    lines = [line for finding in diagnosis.findings for line in entry(finding)]
    looked = f"{len(diagnosis.looked)} checks: {', '.join(diagnosis.looked)}"
    return [*lines, f"These are of {looked}." if lines else f"Nothing found by {looked}."]


def entry(finding: Finding) -> list[str]:
    """Return the lines of a finding, and an empty one."""
    severity = click.style(finding.severity.ljust(len(INDENT)), fg=COLOURS[finding.severity], bold=True)
    first = f"{finding.check}: {finding.what}"
    return [f"{severity}{first}", f"{INDENT}seen: {finding.evidence}", f"{INDENT}do:   {finding.remedy}", ""]
