"""`podnet explain`: what the engine does, as the ip and nft commands that would do the same."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import click

from podnet.cli.start import CONFIG
from podnet.cli.text import say
from podnet.daemon.explanation import Explanation, explain_configuration, explain_container
from podnet.daemon.paths import Paths
from podnet.errors import IOFailure
from podnet.plan.explain import Line


@click.command(name="explain")
@click.argument("container", required=False)
@click.option("--conf", metavar="FILE", help="Explain this CNI network configuration, for a container made up.")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(container: str | None, conf: str | None, config: str, as_json: bool) -> None:
    """Print what makes the node's part and CONTAINER's, as commands, each with its reason.

    Reads the database and no more: nothing is changed, and the daemon need not run.
    """
    if (container is None) == (conf is None):
        raise click.UsageError("name a CONTAINER, or a configuration with --conf FILE")
    node, pod = explanation(Paths(config=config), container, conf)
    if as_json:
        parts = {"node": node, "pod": pod}
        click.echo(json.dumps({name: [line._asdict() for line in lines] for name, lines in parts.items()}, indent=2))
        return
    what = container or f"a container with {conf}"
    say("\n".join([*written("The node's part, once", node), "", *written(f"For {what}", pod)]))


def explanation(paths: Paths, container: str | None, conf: str | None) -> Explanation:
    """Return the lines for `container` or for the configuration in file `conf`; raise `IOFailure` if unreadable."""
    if conf is None:
        return explain_container(paths, container or "")
    try:
        document = Path(conf).read_bytes()
    except OSError as error:
        raise IOFailure(f"{conf}: {error.strerror}") from error
    return explain_configuration(paths, document)


def written(title: str, lines: Iterable[Line]) -> Iterator[str]:
    """Yield a shell script's lines: each reason as a comment above the commands that it asks for."""
    yield click.style(f"## {title}", bold=True)
    for reason, commands in groupby(lines, lambda line: line.reason):
        yield click.style(f"# {reason}", dim=True)
        yield from (line.command for line in commands)
