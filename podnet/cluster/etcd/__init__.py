"""etcd as the cluster source: nodes that claim their prefixes of the cluster's range themselves, by transaction.

What belongs here: the little of etcd's API that podnet speaks, by its JSON gateway.  ``wire`` says what the bytes mean,
``keys`` what podnet keeps in etcd, ``choice`` which prefix a node takes, ``claiming`` what it writes next, ``listing``
which nodes that makes: no I/O in any of them.  ``access`` finds the servers and who asks, ``client`` asks, ``feed`` is
what ``remote.following`` follows, ``claimant`` is the thread that keeps this node in etcd; ``nodes`` are those that
are followed, and ``member`` is this one among them.  What does not: what follows from nodes.

The gateway, HTTP and JSON, instead of gRPC: a node has one stream and two small requests every ten seconds, and grpcio
would take more memory than all the rest of the daemon.
"""

from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.keys import cluster_range
from podnet.cluster.etcd.member import EtcdMember, Self
from podnet.cluster.etcd.nodes import EtcdNodes
from podnet.cluster.remote.backoff import Backoff

__all__ = ["Backoff", "Endpoints", "EtcdMember", "EtcdNodes", "Self", "cluster_range"]
