"""`podnet node`: the daemon, and this node's key."""

import click

from podnet.cli.etcd import etcd_options
from podnet.cli.start import CNI_BIN, CNI_CONF, CONFIG, start


@click.group(name="node")
def command() -> None:
    """Run the daemon of a node; print its key."""


@command.command()
@click.option(
    "--config", default=CONFIG, show_default=True, help="The node's settings; there need be none at the default."
)
@click.option("--cni-conf-dir", default=CNI_CONF, show_default=True, help="Where the runtime reads configurations.")
@click.option("--cni-bin-dir", default=CNI_BIN, show_default=True, help="Where the runtime looks for plugins.")
@click.option("--kubeconfig", default="", metavar="FILE", help="Have the nodes from this cluster of Kubernetes.")
@click.option(
    "--node-name",
    default="",
    metavar="NAME",
    help="This node's name in Kubernetes or etcd.  [default: $NODE_NAME with Kubernetes, else as podnet.yaml has it]",
)
@etcd_options
@click.option(
    "--oneshot/--no-oneshot",
    default=True,
    show_default=True,
    help="Whether the plugin may run this Python when the daemon is away.  In a container it cannot, for the plugin is "
    "run outside of it: then ADD is answered `try again later`, and DEL is kept for the daemon.",
)
@click.option(
    "--masquerade",
    type=bool,
    metavar="BOOLEAN",
    help="Whether packets that leave the cluster get the node's address.  [default: as podnet.yaml has it, or true]",
)
def run(
    config: str,
    cni_conf_dir: str,
    cni_bin_dir: str,
    *,
    kubeconfig: str,
    node_name: str,
    etcd: dict[str, str],
    oneshot: bool,
    masquerade: bool | None,
) -> None:
    """Build the node's part, install the plugin, and serve pods until SIGTERM.

    The nodes are those of nodes.yaml, or of Kubernetes: with --kubeconfig, or in a pod with a service account, or of
    etcd, where this one claims a prefix: with --etcd, or `etcd` in podnet.yaml.
    Ready when /run/podnet/podnet.sock is there.  `podnet inspect` tells which folders the runtimes of this machine use.
    """
    code = start(
        config,
        cni_conf_dir,
        cni_bin_dir,
        kubeconfig=kubeconfig,
        node_name=node_name,
        etcd=etcd,
        oneshot=oneshot,
        masquerade=masquerade,
    )
    raise SystemExit(code)


@command.command()
def key() -> None:
    """Print this node's public key of WireGuard: what nodes.yaml has as `wireguard` of this node.

    It is made if there is none; the private one is in /var/lib/podnet/wireguard.key and stays there.  With Kubernetes
    and etcd the daemon tells it the others.
    """
    from podnet.daemon.key import own_public_key  # noqa: PLC0415 - what shows help does not need it
    from podnet.daemon.paths import Paths  # noqa: PLC0415 - likewise

    click.echo(own_public_key(Paths().key))
