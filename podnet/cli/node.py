"""`podnet node`: the daemon."""

import click

from podnet.cli.start import CONFIG, start


@click.group(name="node")
def command() -> None:
    """Run the daemon of a node."""


@command.command()
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings; a missing file means defaults.")
def run(config: str) -> None:
    """Build the node's part, install the plugin, and serve pods until SIGTERM.

    Ready when /run/podnet/podnet.sock is there.
    """
    raise SystemExit(start(config))
