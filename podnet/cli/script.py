"""`podnet script`: a self-contained net-script.sh that does by ip and nft, or iptables, what the engine would."""

from pathlib import Path

import click

from podnet.cli.start import CONFIG
from podnet.errors import IOFailure
from podnet.model.network import Datapath


@click.command(name="script")
@click.option("--datapath", type=click.Choice(["ptp", "bridge"]), help="Instead of the configuration's.")
@click.option("--iptables", is_flag=True, help="Rules by iptables and ip6tables instead of nft.")
@click.option("--conf", metavar="FILE", help="A CNI network configuration (.conf, .conflist), over the node's own.")
@click.option("--config", default=CONFIG, show_default=True, help="The node's settings.")
def command(datapath: Datapath | None, iptables: bool, conf: str | None, config: str) -> None:
    r"""Print net-script.sh: `add CONTAINER NAMESPACE` and `del CONTAINER`, as POSIX shell.

    \b
    podnet script > net-script.sh
    sh net-script.sh add CONTAINER NAMESPACE

    It keeps its addresses in /var/lib/podnet-script, one file for each, and refuses to add where podnet's database
    has live leases.
    """
    # Everything that a plan is made of: imported when the command runs, not when it is named.
    import msgspec  # noqa: PLC0415

    from podnet import cni  # noqa: PLC0415
    from podnet import datapath as datapaths  # noqa: PLC0415
    from podnet.daemon.node import facts_of, list_nodes, network_of, node_plan, node_settings  # noqa: PLC0415
    from podnet.daemon.paths import Paths  # noqa: PLC0415
    from podnet.ipam.ranges import pool_of  # noqa: PLC0415
    from podnet.script import net_script  # noqa: PLC0415

    paths = Paths(config=config)
    settings = node_settings(paths)
    nodes = list_nodes(settings, paths)
    facts = facts_of(settings, nodes, paths)
    network = network_of(settings, nodes, facts)
    if conf is not None:
        network = cni.load(_content(conf), network)
    if datapath is not None:
        network = msgspec.structs.replace(network, datapath=datapath)
    text = net_script(
        network,
        lambda pool: pool_of(pool).spans,
        node_plan(settings, nodes, facts, [network]),
        lambda lease: datapaths.attach(network, facts, lease),
        firewall="iptables" if iptables else "nft",
        origin=conf or config,
    )
    click.echo(text, nl=False)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise IOFailure(
            f"{path}: {(error.strerror or str(error)).lower()}; name a readable file with --conf"
        ) from error
