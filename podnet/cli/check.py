"""`podnet check`: whether pods' networks are as ADD made them, without a runtime that asks."""

import click

from podnet.cli.start import CONFIG
from podnet.cli.text import say, table
from podnet.daemon.examination import Examined, examine
from podnet.daemon.paths import Paths


@click.command(name="check")
@click.argument("container", default="")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
def command(container: str, config: str) -> None:
    """Compare this node and its pods, or CONTAINER alone, with what ADD made; exit status 1 where they differ.

    CONTAINER is an id or its beginning.  Nothing is changed: the daemon puts the node's own part right by itself.
    """
    examined = examine(Paths(config=config), container)
    say(table(("what", "addresses", "is"), [row(one) for one in examined]))
    if any(one.faults for one in examined):
        raise SystemExit(1)


def row(one: Examined) -> tuple[str, ...]:
    """Return a line of the table."""
    verdict = "; ".join(one.faults) or "as it was made"
    if one.lease is None:
        return "the node", "", verdict
    return one.lease.holder, " ".join(str(leased.address) for leased in one.lease.addresses), verdict
