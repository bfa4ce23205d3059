"""`podnet add` and `podnet del`: the study notes' script form, asked of the same engine that a runtime asks."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from podnet import oneshot
from podnet.cli.start import CONFIG
from podnet.cli.text import say, table
from podnet.cni import HIGHEST, Answer, Frame
from podnet.daemon.paths import CONFLIST, Paths
from podnet.errors import IOFailure

NAMED = "/run/netns/"

_config = click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
_ifname = click.option("--ifname", default="eth0", show_default=True, help="The interface in the container.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the CNI result.")


@click.command()
@click.argument("container")
@click.argument("netns")
@_ifname
@_config
@_json
def add(container: str, netns: str, ifname: str, config: str, as_json: bool) -> None:
    """Attach CONTAINER, whose network namespace is NETNS: a name under /run/netns, or a path."""
    answer = ask("ADD", container, netns, ifname, config)
    if as_json:
        click.echo(answer.stdout.decode())
        return
    result = msgspec.json.decode(answer.stdout)
    rows = [(container, ifname, ip["address"], ip.get("gateway", "")) for ip in result.get("ips", ())]
    say(table(("container", "interface", "address", "gateway"), rows))


@click.command(name="del")
@click.argument("container")
@click.argument("netns", default="")
@_ifname
@_config
def delete(container: str, netns: str, ifname: str, config: str) -> None:
    """Detach CONTAINER; NETNS may be gone already, or be left out.  Nothing to detach is no error."""
    ask("DEL", container, netns, ifname, config)


def ask(command: str, container: str, netns: str, ifname: str, config: str) -> Answer:
    """Ask the daemon, or the one-shot engine where there is none; raise `IOFailure` with the answer's own words."""
    paths = Paths(config=config)
    path = netns if not netns or "/" in netns else NAMED + netns
    environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": ifname}
    if path:
        environment["CNI_NETNS"] = path
    descriptor: int | None = None
    number = 0
    try:
        if path:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if command == "ADD":
            raise IOFailure(
                f"network namespace {path}: {error.strerror}; `ip netns list` shows those with names, "
                "/proc/PID/ns/net is that of a process"
            ) from error
        number = error.errno or 0
    frame = Frame(environment, msgspec.json.encode(configuration(paths)), number)
    try:
        answer = oneshot.ask(paths.socket, frame, descriptor) or oneshot.serve(frame, descriptor, paths)
    except PermissionError as error:
        raise IOFailure(f"{paths.socket}: {error.strerror}; the daemon answers root alone, use sudo") from error
    except (ConnectionError, TimeoutError) as error:
        raise IOFailure(f"{paths.socket}: {error}; the daemon did not answer, its log says why") from error
    finally:
        if descriptor is not None:
            os.close(descriptor)
    if answer.status != 0:
        raise refusal(command, container, answer.stdout)
    return answer


def configuration(paths: Paths) -> dict[str, Any]:
    """Return the plugin configuration that a runtime would send: podnet's own in the installed list, or a bare one."""
    installed = Path(paths.cni_conf, CONFLIST)
    try:
        document = msgspec.json.decode(installed.read_bytes())
        plugin = next(p for p in document["plugins"] if p["type"] == "podnet")
    except FileNotFoundError:
        return {"cniVersion": HIGHEST, "name": "podnet", "type": "podnet"}
    except (msgspec.DecodeError, KeyError, TypeError, StopIteration) as error:
        raise IOFailure(
            f"{installed} is not a configuration list with podnet in it; remove it, and the daemon writes it anew"
        ) from error
    return {**plugin, "cniVersion": document["cniVersion"], "name": document["name"]}


def refusal(command: str, container: str, stdout: bytes) -> IOFailure:
    """Return the error that says what a CNI error document says."""
    try:
        document = msgspec.json.decode(stdout)
        code, msg, details = document["code"], document["msg"], document.get("details", "")
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise IOFailure(f"{command} of {container}: answered by {stdout[:200]!r}, which is no CNI error") from error
    return IOFailure(f"{command} of {container}: {msg} (CNI error {code})", details)
