"""`podnet install` and `podnet uninstall`: podnet onto a machine and off it again, each step told as it is done."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from podnet.cli.start import CNI_BIN, CNI_CONF, CONFIG
from podnet.cli.text import say
from podnet.daemon.paths import Paths
from podnet.installation import Did

COLOURS = {"warning": "yellow", "next": "cyan"}

_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option("--config", default=CONFIG, show_default=True, help="The node's settings."),
    click.option("--cni-conf-dir", default=CNI_CONF, show_default=True, help="Where the runtime reads configurations."),
    click.option("--cni-bin-dir", default=CNI_BIN, show_default=True, help="Where the runtime looks for plugins."),
)


def _paths_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@_paths_options
@click.option("--systemd/--no-systemd", default=None, help="Write a unit, or none.  [default: where systemd runs]")
def install(config: str, cni_conf_dir: str, cni_bin_dir: str, systemd: bool | None) -> None:
    """Install the plugin, and the daemon as a service; again after an upgrade.

    The network configuration comes with the daemon, as soon as it can serve.  What others have in the CNI folders stays
    as it is; if a runtime would take it instead of podnet's, that is told.
    """
    from podnet.installation.install import install as steps  # noqa: PLC0415 - the other command does without

    tell(steps(paths(config, cni_conf_dir, cni_bin_dir), with_systemd=systemd))


@click.command()
@_paths_options
@click.option("--force", is_flag=True, help="Also while pods are attached; their interfaces end.")
@click.option("--purge", is_flag=True, help="The database too: who had which address.")
def uninstall(config: str, cni_conf_dir: str, cni_bin_dir: str, force: bool, purge: bool) -> None:
    """Remove the configuration, the daemon's service, the node's part and the plugin, in this order.

    Nothing is removed while pods are attached.  The settings beside --config stay.
    """
    from podnet.installation.uninstall import uninstall as steps  # noqa: PLC0415 - likewise

    tell(steps(paths(config, cni_conf_dir, cni_bin_dir), force=force, purge=purge))


def paths(config: str, cni_conf: str, cni_bin: str) -> Paths:
    """Return the node's paths, absolute: a unit has no folder of its own."""
    config, cni_conf, cni_bin = (str(Path(given).absolute()) for given in (config, cni_conf, cni_bin))
    return Paths(config=config, cni_conf=cni_conf, cni_bin=cni_bin)


def tell(steps: Iterable[Did]) -> None:
    """Print each step as it is done."""
    for did in steps:
        deed = click.style(f"{did.deed:<14}", fg=COLOURS.get(did.deed))
        say(f"{deed}{did.place}" + (f": {did.remark}" if did.remark else ""))
