"""`podnet version`."""

import json

import click

import podnet
from podnet.cni import VERSIONS


@click.command(name="version")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show the version of podnet and the versions of the CNI specification that it speaks."""
    if as_json:
        click.echo(json.dumps({"podnet": podnet.__version__, "cni": list(VERSIONS)}))
    else:
        click.echo(f"podnet {podnet.__version__}\nCNI {' '.join(VERSIONS)}")
