"""How tests follow what etcd tells: on the descriptor, as the daemon does."""

import select
import time
from collections.abc import Callable

from podnet.cluster.etcd import EtcdNodes
from tests.cluster_sources.etcd.server import PATIENCE


def wait_until(source: EtcdNodes, condition: Callable[[], object]) -> None:
    """Wait on the descriptor until `condition` holds."""
    limit = time.monotonic() + PATIENCE
    source.changed()
    while not condition():
        readable, _, _ = select.select([source], [], [], max(0.0, limit - time.monotonic()))
        assert readable, f"nothing happened any more: {source.nodes} {source.error} {source.remarks}"
        source.changed()


def prefixes(source: EtcdNodes, name: str = "") -> list[str]:
    """Return the prefixes of a node, of this one without `name`."""
    return [str(c) for node in source.nodes if node.name == (name or source.name) for c in node.pod_cidrs]


def names(source: EtcdNodes) -> list[str]:
    """Return the names that are known."""
    return [node.name for node in source.nodes]
