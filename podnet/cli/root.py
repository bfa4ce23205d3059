"""The outermost command, `podnet`, and where its commands are."""

import click

import podnet
from podnet.cli.group import Command, RootGroup

COMMANDS = {
    "lab": Command("podnet.cli.lab", "A whole pod network on this machine, to try and to test."),
    "node": Command("podnet.cli.node", "The daemon of a node."),
    "router": Command("podnet.cli.router", "The centralized router: BGP, run, shown and judged."),
    "add": Command("podnet.cli.attach:add", "Attach a container's network namespace."),
    "del": Command("podnet.cli.attach:delete", "Detach a container's network namespace."),
    "explain": Command("podnet.cli.explain", "What is done for a container, as ip and nft commands with reasons."),
    "check": Command("podnet.cli.check", "Whether the node and its pods are as ADD made them."),
    "doctor": Command("podnet.cli.doctor", "What keeps pods of this node from being reached, and what to do."),
    "who": Command("podnet.cli.who", "Who holds or held an address."),
    "script": Command("podnet.cli.script", "A net-script.sh that does by ip and nft what podnet would do here."),
    "inspect": Command("podnet.cli.inspect", "This machine's CNI set-up, read and judged."),
    "install": Command("podnet.cli.install:install", "The plugin and its service onto this machine."),
    "uninstall": Command("podnet.cli.install:uninstall", "All of podnet off this machine again."),
    "version": Command("podnet.cli.version", "The version of podnet and of the CNI specification."),
}


@click.group(
    name="podnet",
    cls=RootGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(podnet.__version__, message="podnet %(version)s")
def root(debug: bool) -> None:
    """Give every pod its own IP, and show every step as an ip or nft command."""
    del debug  # RootGroup reads it from the context
