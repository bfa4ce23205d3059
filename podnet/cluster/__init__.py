"""Where a node learns of itself and of the others: podnet.yaml and nodes.yaml, the embedded cluster source.

What belongs here: reading and watching sources, and turning them into the model's values with errors that name file,
line and key.  What does not: what follows from them (routes, rules, addresses: mesh, datapath, ipam).  Other sources
(``kubernetes``, imported by who asks for it) give the same values: see NodesSource.
"""

from podnet.cluster.network import default_network, standalone_network
from podnet.cluster.nodes import own_node, parse_nodes, read_nodes
from podnet.cluster.pools import kept_for_pools, named_pools, to_publish
from podnet.cluster.settings import GC, Etcd, Settings, ToldBy, parse_settings, read_settings, with_etcd
from podnet.cluster.source import NodesSource, PodsSource
from podnet.cluster.watch import NodesWatch

__all__ = [
    "GC",
    "Etcd",
    "NodesSource",
    "NodesWatch",
    "PodsSource",
    "Settings",
    "ToldBy",
    "default_network",
    "kept_for_pools",
    "named_pools",
    "own_node",
    "parse_nodes",
    "parse_settings",
    "read_nodes",
    "read_settings",
    "standalone_network",
    "to_publish",
    "with_etcd",
]
