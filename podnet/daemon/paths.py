"""Where podnet keeps its things, as FHS has it and as container runtimes expect it."""

from typing import NamedTuple


class Paths(NamedTuple):
    """The files and folders of a node; a test or a second instance gives others."""

    config: str = "/etc/podnet/podnet.yaml"
    database: str = "/var/lib/podnet/podnet.db"
    nodes: str = "/var/lib/podnet/nodes.json"
    options: str = "/var/lib/podnet/options.json"
    key: str = "/var/lib/podnet/wireguard.key"
    spool: str = "/var/lib/podnet/spool"
    socket: str = "/run/podnet/podnet.sock"
    bird: str = "/run/podnet/bird"
    aliases: str = "/run/podnet/aliases"
    cni_conf: str = "/etc/cni/net.d"
    cni_bin: str = "/opt/cni/bin"


CONFLIST = "10-podnet.conflist"
