"""`podnet router`: the centralized router as a role, and how BGP is here, on a router or on a node."""

import json
import sys

import click

from podnet.bird import Protocol, session_of
from podnet.cli.etcd import etcd_options
from podnet.cli.start import CONFIG
from podnet.cli.text import say, table

HEADER = ("neighbour", "at", "AS", "is", "since", "routes taken", "refused", "told", "flaps", "last error")


@click.group(name="router")
def command() -> None:
    """Run a router for the cluster's nodes; show how BGP is.

    Nodes with `backend: bgp` tell each other, and the routers that podnet.yaml names, the ways to their pods; BIRD
    speaks for them.  A router knows the nodes from the same source as they do.
    """


_config = click.option("--config", default=CONFIG, show_default=True, help="podnet.yaml, the same as on the nodes.")


@command.command()
@_config
@click.option("--name", default="", help="This router's name in `bgp.routers`.  [default: the machine's]")
@click.option("--kubeconfig", default="", metavar="FILE", help="Have the nodes from this cluster of Kubernetes.")
@etcd_options
def run(config: str, name: str, kubeconfig: str, etcd: dict[str, str]) -> None:
    """Be a router until SIGTERM; BIRD goes on, so that a restart costs nothing.

    It passes packets on, follows the list of nodes, and has sessions with those that speak to it: with all, or as a
    `client` in mode `reflectors` with the nodes that are.
    """
    from podnet.daemon.paths import Paths  # noqa: PLC0415 - what shows help does not need it
    from podnet.daemon.router import run_router  # noqa: PLC0415 - likewise

    raise SystemExit(run_router(Paths(config=config), name, kubeconfig, etcd))


@command.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(config: str, *, as_json: bool) -> None:
    """Show the sessions of this router or node; exit status 1 where one is down."""
    from podnet.cluster import read_settings  # noqa: PLC0415 - likewise
    from podnet.daemon.paths import Paths  # noqa: PLC0415 - likewise
    from podnet.routing.sessions import read_sessions  # noqa: PLC0415 - likewise

    sessions, flaps = read_sessions(Paths().bird, read_settings(config).bgp.socket)
    if as_json:
        click.echo(json.dumps([document(one, flaps.get(one.name, 0)) for one in sessions], indent=2))
    elif sessions:
        say(table(HEADER, [row(one, flaps.get(one.name, 0)) for one in sessions]))
        up = sum(one.established for one in sessions)
        say(f"{up} of {len(sessions)} sessions stand")
    else:
        say("no sessions: nobody is to be spoken to; see `bgp` in podnet.yaml and the list of nodes")
    sys.exit(0 if all(one.established for one in sessions) else 1)


@command.command()
@_config
@click.option("--name", default="", help="As the router of this name.  [default: the machine's, or as this node]")
def config(config: str, name: str) -> None:
    """Print the configuration that BIRD has here, passwords left out: as a router if podnet.yaml names it so."""
    from podnet.bird import render  # noqa: PLC0415 - likewise
    from podnet.daemon.router import wanted_here  # noqa: PLC0415 - likewise

    wanted = wanted_here(config, name)
    click.echo(render(wanted, {one.password.file: "…" for one in wanted.sessions}), nl=False)


def document(session: Protocol, flaps: int) -> dict[str, object]:
    """Return a session as JSON has it."""
    name, version = session_of(session) or ("", 0)
    return {
        "neighbour": name,
        "family": f"ipv{version}",
        "address": session.neighbour,
        "as": session.asn,
        "state": session.session,
        "since": session.since,
        "taken": session.imported,
        "refused": session.filtered,
        "told": session.exported,
        "flaps": flaps,
        "error": session.error,
    }


def row(session: Protocol, flaps: int) -> tuple[str, ...]:
    """Return a line of the table."""
    name, _ = session_of(session) or ("", 0)
    counts = (str(number) for number in (session.imported, session.filtered, session.exported, flaps))
    return (
        name,
        session.neighbour,
        str(session.asn),
        session.session,
        session.since.partition(".")[0],
        *counts,
        session.error or "-",
    )
