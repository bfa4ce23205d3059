"""What a death costs a network of BGP: `python -m bench.deaths [--output FILE]`.

A lab of five nodes in two subnets with two reflectors and a router between; a pod of each node sends to one of each
other, 200 datagrams a second, while a cable is cut or a BIRD is killed with -9.  Podnet starts a BIRD that has died.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import click
from rich.console import Console

from bench import report
from bench.report import Table
from bench.suite import show

PODNET = (sys.executable, "-P", "-m", "podnet.cli")
PROFILES = ("fast", "graceful")
SECONDS = 6
SHAPE = ("--backend", "bgp", "--nodes", "5", "--pods", "1")


class Death(NamedTuple):
    """What dies: a node's cable or its BIRD; of whom, and as what it is shown."""

    what: str
    where: str
    shown: str


DEATHS = (
    Death("cable", "n3", "a node"),
    Death("cable", "n1", "a node that is a reflector"),
    Death("bird", "n3", "a node's BIRD"),
    Death("bird", "n1", "a reflector's BIRD"),
    Death("bird", "router", "the router's BIRD"),
)


@contextmanager
def laboratory(profile: str) -> Iterator[str]:
    """Make a lab for the block; yield its name."""
    name = f"deaths{uuid4().hex[:4]}"
    podnet("up", name, *SHAPE, "--profile", profile)
    try:
        yield name
    finally:
        podnet("down", name)


def podnet(command: str, name: str, *words: str) -> str:
    """Run a command of the lab; return what it prints."""
    done = subprocess.run(
        [*PODNET, "lab", command, "--name", name, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def die(name: str, death: Death) -> Any:
    """Have it happen in a fresh lab; return what became of streams and routes."""
    seconds = ("--seconds", str(SECONDS), "--json")
    if death.what == "cable":
        return json.loads(podnet("cut", name, *seconds, death.where))
    pid = podnet("exec", name, death.where, "--", "cat", "/run/podnet/bird/bird.pid").strip()
    return json.loads(podnet("watch", name, *seconds, "kill", "-9", pid))


def row(profile: str, death: Death, watched: Any) -> tuple[str, ...]:
    """Return a line of the table."""
    own = f"{death.where}-"
    ends = [
        (flow["source"].startswith(own) or flow["target"].startswith(own), flow["lost"]) for flow in watched["flows"]
    ]
    gone = [at for name, at in watched["routes"].items() if name != death.where]
    return (
        profile,
        death.shown,
        f"{1000 * max(gone):.0f}" if gone and death.what == "cable" else "",
        longest([lost for touches, lost in ends if touches])
        if death.what == "bird" and death.where != "router"
        else "",
        longest([lost for touches, lost in ends if not touches]),
        str(sum(len(lost) for touches, lost in ends if not touches)),
    )


def longest(streams: list[list[float]]) -> str:
    """Return for how many ms the stream was interrupted that was so for the longest."""
    return f"{1000 * max((lost[-1] - lost[0] + 0.005 if lost else 0.0) for lost in streams):.0f}"


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="A file for the table, as Markdown.")
def main(*, output: Path | None) -> None:
    """Measure, and print the table."""
    rows = []
    for profile in PROFILES:
        for death in DEATHS:
            with laboratory(profile) as name:
                rows.append(row(profile, death, die(name, death)))
    columns = (
        "profile", "who dies", "routes gone ms", "its own pods without answer ms", "others without answer ms",
        "datagrams that others lost",
    )  # fmt: skip
    note = (
        "Routes gone: until the last of the other nodes has no route to the dead one's pods. Others: pods of other "
        "nodes with each other; with the router, all pods. One run each."
    )
    shown = Table("What a death costs, by BGP", columns, tuple(rows), note)
    show(Console(), shown)
    if output is not None:
        output.write_text(report.markdown(shown))


if __name__ == "__main__":
    main(prog_name="python -m bench.deaths")
