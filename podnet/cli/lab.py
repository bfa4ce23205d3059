"""`podnet lab`: a whole pod network on this machine."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from podnet.cli.group import nearest
from podnet.cli.progress import progress
from podnet.cli.text import say, table
from podnet.errors import IOFailure
from podnet.lab import record, topology, world
from podnet.lab.check import Checked, check
from podnet.lab.drawing import draw
from podnet.model import Backend
from podnet.model.bgp import Profile

FAILURES = 12  # as many as fit on a screen
F = TypeVar("F", bound=Callable[..., Any])

_name = click.option("--name", default="lab", show_default=True, help="Which lab; several can be up at once.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _shape(command: F) -> F:
    """Add the options that say what a lab consists of."""
    for option in reversed([
        click.option("--nodes", default=3, show_default=True, help="How many nodes."),
        click.option("--pods", default=2, show_default=True, help="How many pods on each node."),
        click.option("--datapath", default="ptp", show_default=True, type=click.Choice(topology.DATAPATHS)),
        click.option("--dual-stack", is_flag=True, help="IPv4 and IPv6."),
        click.option("--ipv6", is_flag=True, help="IPv6 alone."),
        click.option("--backend", default="direct", show_default=True, type=click.Choice(topology.BACKENDS),
                     help="How packets go from node to node."),
        click.option("--source", default="nodes.yaml", show_default=True, type=click.Choice(topology.SOURCES),
                     help="Who tells the nodes of each other."),
        click.option("--profile", default="graceful", show_default=True, type=click.Choice(topology.PROFILES),
                     help="With bgp: whether a silence is found at once, or outlasted."),
    ]):  # fmt: skip
        command = option(command)
    return command


@click.group(name="lab")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Bring up a whole pod network on this machine, try it, and take it away.

    Every node is a network and mount namespace with the real daemon in it, every pod a network namespace attached by
    the real plugin.  Nothing in the machine's own network is touched.  Needs root.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):  # as an interrupt does: what was begun is undone on the way out
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _frame: sys.exit(128 + number))
            ctx.call_on_close(partial(signal.signal, number, signal.SIG_DFL))


@command.command()
@_name
@_shape
@_json
def up(name: str, as_json: bool, **shape: Any) -> None:
    """Make nodes and pods; what was made is unmade if anything fails."""
    seconds = _up(name, **shape)
    _status(name, as_json=as_json)
    if not as_json:
        own = _own(name)
        say(f"up in {seconds:.1f} s; next: {_podnet()} lab check{own}, {_podnet()} lab exec{own} n1 -- ip addr")


@command.command(name="check")
@_name
@click.option("--all", "every", is_flag=True, help=f"Print every failure, not the first {FAILURES} alone.")
@_json
def check_(name: str, every: bool, as_json: bool) -> None:
    """Probe every pod, node and the outside against all others; exit status 1 where a probe fails."""
    checked = _check(name)
    _print_check(checked, name, as_json=as_json, most=None if every else FAILURES)
    sys.exit(0 if checked.ok else 1)


@command.command()
@_name
@_json
def status(name: str, as_json: bool) -> None:
    """Show nodes, their daemons, and pods with their addresses."""
    _status(name, as_json=as_json)


@command.command()
@_name
def down(name: str) -> None:
    """Take everything away, also after an `up` or `check` that was killed; nothing to take away is no error."""
    with progress() as report:
        found = world.down(name, report)
    say(f"lab {name} is down" if found else f"there was no lab {name}")


@command.command(name="add-node")
@_name
@click.option("--pods", default=2, show_default=True, help="How many pods on it.")
@_json
def add_node(name: str, pods: int, as_json: bool) -> None:
    """Add a node: it is written to nodes.yaml, from which all others learn the way to its pods."""
    with progress() as report:
        world.add_node(name, pods, report)
    _status(name, as_json=as_json)


_seconds = click.option("--seconds", default=5.0, show_default=True, help="How long to watch afterwards.")


@command.command(name="cut")
@_name
@click.argument("what", metavar="NODE|LINK")
@_seconds
@_json
def cut_(name: str, what: str, *, seconds: float, as_json: bool) -> None:
    """Cut a node's cable, or a leg of the router (lan, lan2, out), and watch who loses packets and for how long.

    What is cut stays so until `lab heal`.  It is cut silently: no link goes down, as when a switch fails.
    """
    _watch(name, what, seconds, as_json=as_json, heals=False)


@command.command()
@_name
@click.argument("what", metavar="NODE|LINK", default="")
@_seconds
@_json
def heal(name: str, what: str, *, seconds: float, as_json: bool) -> None:
    """Make whole again what was cut (without a name: all), and watch how long packets are still lost."""
    _watch(name, what, seconds, as_json=as_json, heals=True)


@command.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_name
@_seconds
@_json
@click.argument("words", metavar="[--] CMD", nargs=-1, type=click.UNPROCESSED, required=True)
def watch(name: str, *, seconds: float, as_json: bool, words: tuple[str, ...]) -> None:
    """Run CMD, and watch who loses packets by it and for how long."""
    words = words[1:] if words[:1] == ("--",) else words
    status = 0

    def happen() -> None:
        nonlocal status
        status = subprocess.run(words, check=False, stdout=sys.stderr).returncode

    _watched(name, seconds, happen, f"`{shlex.join(words)}`", as_json=as_json)
    sys.exit(status)


@command.command(
    name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)  # fmt: skip
@_name
@click.argument("where", metavar="NODE|POD")
@click.argument("words", metavar="[--] CMD", nargs=-1, type=click.UNPROCESSED)
def exec_(name: str, where: str, words: tuple[str, ...]) -> None:
    """Run CMD (a shell, if none is given) as if on a node (n1), in a pod (n1-red), on the router or the outside."""
    lab = record.read(name).topology
    words = words[1:] if words[:1] == ("--",) else words
    argv = [*_enter(lab, where), *(words or (os.environ.get("SHELL", "/bin/sh"),))]
    own = Path(sys.executable).parent
    if (own / "podnet").exists():  # this podnet, also where it is in a virtual environment
        os.environ["PATH"] = f"{own}:{os.environ.get('PATH', os.defpath)}"
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - this is what exec is
    except FileNotFoundError as error:
        raise IOFailure(f"{argv[0]}: not found; `lab exec` needs Debian's iproute2 and util-linux") from error


@command.command(name="drawing")
@_name
def drawing(name: str) -> None:
    """Draw the topology with all addresses."""
    _draw(name)


@command.command()
@_name
@_shape
def demo(name: str, **shape: Any) -> None:
    """Bring a lab up, check it, draw it, and say what to try next."""
    seconds = _up(name, **shape)
    checked = _check(name)
    _print_check(checked, name, as_json=False)
    say("")
    _draw(name)
    say("")
    recorded = record.read(name)
    own = _own(name)
    pods = list(recorded.pods)
    first, last = (pods[0], pods[-1]) if pods else ("n1", "n1")
    address = recorded.pods[last][0] if pods else "10.99.0.1"
    say(f"{len(recorded.nodes)} nodes and {len(pods)} pods came up in {seconds:.1f} s.  To try next:")
    tries = (
        (f"{_podnet()} lab exec{own} {first} -- ping -c 3 {address}", f"from {first} to {last}"),
        (f"{_podnet()} lab exec{own} n1 -- podnet explain red", "what was done for a pod, as ip and nft commands"),
        (f"{_podnet()} lab exec{own} n1 -- nft list ruleset", "what the kernel filters and translates on a node"),
        (f"{_podnet()} lab add-node{own}", "a further node; all others get routes to its pods"),
        (f"{_podnet()} lab check{own}", "the matrix again"),
        (f"{_podnet()} lab down{own}", "everything gone"),
    )
    width = max(len(words) for words, _ in tries)
    for words, what in tries:
        say(f"  {words.ljust(width)}  {click.style('# ' + what, dim=True)}")
    sys.exit(0 if checked.ok else 1)


def _podnet() -> str:
    """Return how this very podnet is called: by its name if that finds it, else as it was."""
    called = sys.argv[0]
    return called if Path(called).name == "podnet" and shutil.which("podnet") != called else "podnet"


def _own(name: str) -> str:
    return "" if name == "lab" else f" --name {name}"


def _up(
    name: str,
    *,
    nodes: int,
    pods: int,
    datapath: Literal["ptp", "bridge"],
    dual_stack: bool,
    ipv6: bool,
    backend: Backend,
    profile: Profile,
    source: topology.Source,
) -> float:
    """Make a lab and return how many seconds that took."""
    if dual_stack and ipv6:
        raise click.UsageError("--dual-stack is both families, --ipv6 is IPv6 alone: give one of them")
    families = (4, 6) if dual_stack else (6,) if ipv6 else (4,)
    lab = topology.topology(
        name=name,
        nodes=nodes,
        pods=pods,
        datapath=datapath,
        families=families,
        backend=backend,
        profile=profile,
        source=source,
    )
    began = time.monotonic()
    with progress() as report:
        world.up(lab, report)
    return time.monotonic() - began


def _check(name: str) -> Checked:
    with progress() as report:
        return check(name, lambda done, of: report("probes", done, of))


def _print_check(checked: Checked, name: str, *, as_json: bool, most: int | None = FAILURES) -> None:
    from podnet.lab import table as shown  # noqa: PLC0415 - its name is taken here

    if as_json:
        click.echo(json.dumps(shown.document(checked.ends, checked.outcomes, checked.seconds, name), indent=2))
        return

    def paint(text: str, colour_: str) -> str:
        effect: dict[str, Any] = {colour_: True} if colour_ in {"bold", "dim"} else {"fg": colour_}
        return click.style(text, **effect)

    for version in sorted({outcome.probe.version for outcome in checked.outcomes}):
        say(shown.matrix(checked.ends, checked.outcomes, version, paint) + "\n")
    ways = shown.through(checked.outcomes, paint)
    if ways:
        say(ways)
    say(click.style(shown.LEGEND, dim=True))
    for failure in shown.failures(checked.ends, checked.outcomes, name, paint, most):
        say(failure)
    say(shown.summary(checked.outcomes, checked.seconds, paint))


def _status(name: str, *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415 - only JSON needs it

    found = world.status(name)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    rows = []
    for node in found:
        state = "down" if node.daemon is None else "ready" if node.ready else "starting"
        memory = "" if node.rss_kib is None else f"{node.rss_kib / 1024:.1f} MiB"
        rows.append((node.name, ", ".join(node.addresses), f"{state} {memory}".rstrip(), node.namespace))
        rows += [
            (pod, ", ".join(addresses), "", f"{node.namespace}-{pod.removeprefix(node.name + '-')}")
            for pod, addresses in node.pods.items()
        ]
    say(table(("name", "addresses", "daemon", "network namespace"), rows))


def _draw(name: str) -> None:
    recorded = record.read(name)
    width = shutil.get_terminal_size((100, 24)).columns
    say(draw(recorded.topology, recorded.pod_addresses, width))


def _watch(name: str, what: str, seconds: float, *, as_json: bool, heals: bool) -> None:
    """Cut or heal with streams between pods, and show what became of them."""
    from podnet.lab import cuts  # noqa: PLC0415 - these commands alone need it

    lab = record.read(name).topology
    links = cuts.links(lab)
    if what and what not in links:
        near = nearest(what, links)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(links)}"
        raise IOFailure(f"lab {name!r} has nothing {what!r} to cut: {hint}")
    targets = [what] if what else cuts.are_cut(lab)
    if heals and not set(targets) <= set(cuts.are_cut(lab)):
        raise IOFailure(f"{links[what]} is not cut (cut are: {', '.join(cuts.are_cut(lab)) or 'none'})")

    def happen() -> None:
        for one in targets:
            (cuts.heal if heals else cuts.cut)(lab, one)

    said = ", ".join(links[one] for one in targets) or "nothing"
    _watched(name, seconds, happen, f"{said} {'is whole again' if heals else 'is cut'}", as_json=as_json)


def _watched(name: str, seconds: float, event: Callable[[], None], said: str, *, as_json: bool) -> None:
    """Have the `event` happen, which is `said` to be that, and show what became of streams."""
    import msgspec  # noqa: PLC0415 - only JSON needs it

    from podnet.lab import convergence  # noqa: PLC0415 - few commands need it
    from podnet.lab.table import streams  # noqa: PLC0415 - likewise

    recorded = record.read(name)
    watched = convergence.watch(recorded.topology, recorded.endpoints, seconds, event)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(watched), indent=2))
        return
    say(f"{said}; pods of each two nodes exchange 200 datagrams a second")
    say(streams(watched))


def _enter(lab: topology.Topology, where: str) -> list[str]:
    """Return the words before a command that is to run at `where`; raise `IOFailure` that names the nearest place."""
    from podnet.lab.nodes import enter  # noqa: PLC0415 - a node alone needs it

    namespaces = {f"{n.name}-{p}": lab.namespace(n, p) for n in lab.nodes for p in n.pods}
    namespaces |= {"outside": lab.outside_namespace, "router": lab.lan_namespace}
    if where == topology.ROUTER_NAME and lab.backend == "bgp":
        return enter(lab, where)
    if where in namespaces:
        return ["ip", "netns", "exec", namespaces[where]]
    names = [n.name for n in lab.nodes]
    if where in names:
        return enter(lab, where)
    known = [*names, *namespaces]
    near = nearest(where, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    raise IOFailure(f"lab {lab.name!r} has no node or pod {where!r}: {hint}")
