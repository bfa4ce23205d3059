"""`podnet who`: which container holds or held an address, from the database's history, or which holds a host port."""

import json
import re
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

HEADER = ("container", "interface", "network", "from", "to", "state", "namespace", "pod", "host ports")
_PORT = re.compile(r"(?P<number>[0-9]{1,5})/(?P<protocol>tcp|udp|sctp)", re.IGNORECASE)


@click.command(name="who")
@click.argument("asked", metavar="IP|PORT/PROTOCOL")
@click.option("--at", metavar="TIME", help="14:02, 14:02:30, 2026-05-01T14:02, or @ and Unix seconds.")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(asked: str, at: str | None, config: str, as_json: bool) -> None:
    """Show who holds IP and who held it, latest first, or who held it at one time.

    With a host port, as 8080/tcp, show who holds that now.
    """
    port = _PORT.fullmatch(asked)
    if port and at is not None:
        raise click.UsageError("--at is about addresses: of host ports there is no history, only of those who had them")
    try:
        address = None if port else ip_address(asked)
        moment = None if at is None else when(at, time.time())
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with Reader.read(Path(Paths(config=config).database)) as reader:
        if address is None:
            assert port is not None  # noqa: S101 - it is one or the other
            found = reader.port_holders(port["protocol"].lower(), int(port["number"]))
        else:
            found = reader.holders(address, moment)
    if as_json:
        click.echo(json.dumps([document(holding) for holding in found], indent=2))
    elif found:
        say(table(HEADER, [row(holding) for holding in found]))
    elif address is None:
        say(f"Nobody holds host port {asked} on this node.")
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
        *("" if lease.terms.pod is None else str(lease.terms.pod), " ".join(map(str, lease.terms.ports))),
    )


def document(holding: Holding) -> dict[str, object]:
    """Return the same as a JSON object; times are Unix seconds."""
    lease = holding.lease
    pod = lease.terms.pod
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
        "pod": pod and {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
        "hostPorts": [str(mapping) for mapping in lease.terms.ports],
    }
