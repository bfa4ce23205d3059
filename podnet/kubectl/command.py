"""The commands of `kubectl podnet`."""

import sys
from ipaddress import ip_address
from typing import Any

import click
import msgspec

import podnet
from podnet.cli.group import Command, RootGroup, show
from podnet.cli.text import say, table
from podnet.errors import NodeNotReady, PodnetError
from podnet.kubectl.cluster import NAMESPACE, ClusterNode, home, read_cluster, serving
from podnet.kubectl.kubectl import Kubectl
from podnet.kubectl.removal import remove

COMMANDS = {
    "status": Command("podnet.kubectl.command:status", "All nodes: Ready, pod CIDRs, podnet there, the last drift."),
    "explain": Command("podnet.kubectl.command:explain", "What was done for a pod, as ip and nft commands."),
    "who": Command("podnet.kubectl.command:who", "Who holds or held an address."),
    "check": Command("podnet.kubectl.command:check", "Whether nodes and their pods are as ADD made them."),
    "doctor": Command("podnet.kubectl.command:doctor", "What keeps nodes' pods from being reached, and what to do."),
    "uninstall": Command("podnet.kubectl.command:uninstall", "podnet off every node and out of the cluster."),
}
CELL = 70
NAMED = 5
"""Pods that are called by name."""
HEADER = ("node", "is", "pod CIDRs", "podnet", "image", "restarts", "last drift")


class Asked(msgspec.Struct, frozen=True):
    """The cluster that is asked, and where podnet is in it."""

    kubectl: Kubectl
    namespace: str

    def nodes(self) -> list[ClusterNode]:
        """Return its Nodes."""
        return read_cluster(self.kubectl, self.namespace)

    def ask(self, nodes: list[ClusterNode], node: str, *words: str) -> str:
        """Return what `podnet words` says on `node`; raise `PodnetError`."""
        return self.kubectl.run(*self._exec(serving(nodes, node).name), *words).stdout

    def relay(self, nodes: list[ClusterNode], node: str, *words: str) -> int:
        """Show what `podnet words` says on `node`, errors too, and return its exit status; raise `PodnetError`."""
        done = self.kubectl.run(*self._exec(serving(nodes, node).name), *words, check=False)
        say(done.stdout.rstrip("\n"))
        if done.stderr:
            click.echo(done.stderr, nl=False, err=True)
        return done.returncode

    def relay_each(self, node: str | None, *words: str) -> int:
        """Relay the same to `node`, or one after the other to every node, each under its name; return the worst."""
        nodes = self.nodes()
        worst = 0
        for name in [node] if node else [node.name for node in nodes]:
            say(click.style(f"## {name}", bold=True))
            try:
                worst = max(worst, self.relay(nodes, name, *words))
            except PodnetError as error:  # of one that cannot be asked that is told, and the others are asked
                show(error)
                worst = max(worst, 1)
        return worst

    def _exec(self, pod: str) -> tuple[str, ...]:
        return "exec", "--namespace", self.namespace, pod, "--container", "podnet", "--", "podnet"


@click.group(cls=RootGroup, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.option("--context", metavar="NAME", help="kubectl's option: the cluster of this context.")
@click.option("--kubeconfig", metavar="FILE", help="kubectl's option.  [default: $KUBECONFIG, ~/.kube/config]")
@click.option("--podnet-namespace", default=NAMESPACE, show_default=True, help="Where podnet's DaemonSet is.")
@click.version_option(podnet.__version__, message="kubectl podnet %(version)s")
@click.pass_context
def root(
    ctx: click.Context, *, debug: bool, context: str | None, kubeconfig: str | None, podnet_namespace: str
) -> None:
    """Ask a cluster's podnet: each node answers for itself, by `kubectl exec` into its daemon's pod."""
    del debug  # RootGroup reads it from the context
    options = [f"--{name}={value}" for name, value in (("context", context), ("kubeconfig", kubeconfig)) if value]
    ctx.obj = Asked(Kubectl(tuple(options)), podnet_namespace)


@click.command()
@click.pass_obj
def status(asked: Asked) -> None:
    """Show each node; exit status 1 where one is not Ready or has no podnet that runs."""
    nodes = asked.nodes()
    say(table(HEADER, [row(node) for node in nodes]))
    if not all(node.ready == "Ready" and node.daemon is not None and node.daemon.ready for node in nodes):
        sys.exit(1)


def row(node: ClusterNode) -> tuple[str, ...]:
    """Return a line of the table."""
    daemon = node.daemon
    shown = ("none", "-", "-") if daemon is None else (daemon.state, daemon.image, str(daemon.restarts))
    cidrs = " ".join(node.pod_cidrs) or "none"
    return node.name, _short(node.ready), cidrs, *shown, _short(node.drift) or "-"


def _short(text: str) -> str:
    """Return `text` as a cell has room for it; the whole is in `kubectl describe node`."""
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


@click.command()
@click.argument("pod")
@click.option("-n", "--namespace", default="default", show_default=True, help="The pod's namespace.")
@click.pass_obj
def explain(asked: Asked, pod: str, namespace: str) -> None:
    """Show what makes POD's network and its node's, as commands, each with its reason."""
    found = asked.kubectl.get("pod", pod, "--namespace", namespace)
    node, address = placed(found, f"{namespace}/{pod}")
    nodes = asked.nodes()
    holders = msgspec.json.decode(asked.ask(nodes, node, "who", address, "--json"))
    container = next((holding["container"] for holding in holders if holding["to"] is None), None)
    if container is None:
        raise NodeNotReady(f"{namespace}/{pod}: podnet of node {node} gave {address} to nobody; another plugin made it")
    sys.exit(asked.relay(nodes, node, "explain", container))


def placed(pod: dict[str, Any], name: str) -> tuple[str, str]:
    """Return the node and the address of the `pod` called `name`; raise NodeNotReady where podnet has no part in it."""
    node, address = pod["spec"].get("nodeName"), pod["status"].get("podIP")
    if pod["spec"].get("hostNetwork"):
        raise NodeNotReady(f"{name} has its node's own network (hostNetwork): there is nothing of podnet's to explain")
    if not node or not address:
        raise NodeNotReady(
            f"{name} has no {'address' if node else 'node'} yet; `kubectl describe pod` says what it waits for"
        )
    return node, address


@click.command()
@click.argument("address", metavar="IP")
@click.option("--at", metavar="TIME", help="14:02, 14:02:30, 2026-05-01T14:02, or @ and Unix seconds.")
@click.pass_obj
def who(asked: Asked, address: str, at: str | None) -> None:
    """Show who holds IP and who held it, as the node knows of whose pod CIDR it is."""
    try:
        meant = ip_address(address)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    nodes = asked.nodes()
    node = home(nodes, meant)
    if node is None:
        raise NodeNotReady(f"{address} is of no node's pod CIDR; `kubectl podnet status` shows them")
    sys.exit(asked.relay(nodes, node.name, "who", address, *(() if at is None else ("--at", at))))


@click.command()
@click.argument("node", required=False)
@click.pass_obj
def check(asked: Asked, node: str | None) -> None:
    """Compare NODE, or every node, and its pods with what ADD made; exit status 1 where they differ."""
    sys.exit(asked.relay_each(node, "check"))


@click.command()
@click.argument("node", required=False)
@click.pass_obj
def doctor(asked: Asked, node: str | None) -> None:
    """Look for what keeps pods of NODE, or of every node, from being reached; exit status 1 where anything does."""
    sys.exit(asked.relay_each(node, "doctor"))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def uninstall(asked: Asked, yes: bool) -> None:
    """Take podnet off every node and out of the cluster; pods that are on it lose their network."""
    if not yes:
        found = on_podnet(asked.kubectl.get("pods", "--all-namespaces")["items"], asked.nodes())
        click.confirm(f"{lost(found)}. Take podnet off every node?", abort=True)
    for done in remove(asked.kubectl, asked.namespace):
        say(done)


def on_podnet(pods: list[dict[str, Any]], nodes: list[ClusterNode]) -> list[str]:
    """Return the names of `pods` whose address is of a node's pod CIDR, and not the node's own."""
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if (address := pod["status"].get("podIP")) and not pod["spec"].get("hostNetwork")
        if home(nodes, ip_address(address)) is not None
    ]


def lost(names: list[str]) -> str:
    """Return what the pods of those `names` are about to lose."""
    if not names:
        return "No pod is on podnet"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} pod{'s' * (len(names) > 1)} will have no network: {', '.join(names[:NAMED])}{more}"
