"""`podnet who`: which container holds or held an address, from the database's history."""

import json
import time
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import click

from podnet.cli.start import CONFIG
from podnet.cli.text import say, table
from podnet.daemon.paths import Paths
from podnet.store import Reader
from podnet.store.reader import Holding


@click.command(name="who")
@click.argument("address", metavar="IP")
@click.option("--at", metavar="TIME", help="14:02, 14:02:30, 2026-05-01T14:02, or @ and Unix seconds.")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(address: str, at: str | None, config: str, as_json: bool) -> None:
    """Show who holds IP and who held it, latest first, or who held it at one time."""
    try:
        asked = ip_address(address)
        moment = None if at is None else when(at, time.time())
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with Reader.read(Path(Paths(config=config).database)) as reader:
        found = reader.holders(asked, moment)
    if as_json:
        click.echo(json.dumps([document(holding) for holding in found], indent=2))
    elif found:
        header = ("container", "interface", "network", "from", "to", "state", "namespace")
        say(table(header, [row(holding) for holding in found]))
    else:
        moment_said = "" if moment is None else f" at {clock(moment)}"
        say(f"Nobody held {asked}{moment_said}, as far as this node's history goes.")


def when(text: str, now: float) -> float:
    """Return the Unix time that `text` means; a time of day is its latest past one.  Raise `ValueError` otherwise."""
    if text.startswith("@"):
        return float(text[1:])
    for pattern in ("%H:%M", "%H:%M:%S"):
        try:
            of_day = datetime.strptime(text, pattern).time()  # noqa: DTZ007 - local time, as the user's clock shows it
        except ValueError:
            continue
        today = datetime.combine(datetime.fromtimestamp(now).date(), of_day)  # noqa: DTZ006 - likewise
        return (today if today.timestamp() <= now else today - timedelta(days=1)).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise ValueError(f"time {text!r}: write 14:02, 14:02:30, 2026-05-01T14:02, or @ and Unix seconds") from error


def clock(moment: float | None) -> str:
    """Return a Unix time as the user's clock shows it, or an empty string for None."""
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment).astimezone().isoformat(sep=" ", timespec="seconds")


def row(holding: Holding) -> tuple[str, ...]:
    """Return a line of the table."""
    lease = holding.lease
    key = lease.attachment
    state = f"{holding.state} ({holding.reason})" if holding.reason else holding.state
    return (
        *(key.container, key.ifname, key.network),
        *(clock(lease.created), clock(lease.released) or "-", state, lease.netns_path),
    )


def document(holding: Holding) -> dict[str, object]:
    """Return the same as a JSON object; times are Unix seconds."""
    lease = holding.lease
    return {
        "container": lease.attachment.container,
        "interface": lease.attachment.ifname,
        "network": lease.attachment.network,
        "addresses": [f"{a.address}/{a.prefixlen}" for a in lease.addresses],
        "netns": lease.netns_path,
        "link": lease.link,
        "bootId": lease.boot_id,
        "from": lease.created,
        "to": lease.released,
        "closed": holding.closed,
        "state": holding.state,
        "reason": holding.reason,
    }
