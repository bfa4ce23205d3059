"""`podnet check`: whether what is there is as ADD made it, for every pod of the node at once.  Changes nothing."""

from pathlib import Path
from typing import NamedTuple

from podnet import datapath
from podnet.daemon.node import facts_of, list_nodes, network_of, node_plan, node_settings
from podnet.daemon.paths import Paths
from podnet.engine.difference import faults
from podnet.errors import UnknownContainer
from podnet.kernel import Kernel
from podnet.kernel.facts import boot_id
from podnet.model import Lease, Network, NodeFacts
from podnet.plan import Plan, diff
from podnet.store import Reader


class Examined(NamedTuple):
    """A pod's attachment, or the node's own part (no lease), and what is not as it should be of it."""

    lease: Lease | None
    faults: list[str]


def examine(paths: Paths, container: str = "") -> list[Examined]:
    """Compare the node's part and all attachments, or those of `container` (an id or its beginning) alone.

    Raise `UnknownContainer` where it has no live lease.
    """
    settings = node_settings(paths)
    nodes = list_nodes(settings, paths)
    facts = facts_of(settings, nodes, paths)
    kernel = Kernel()
    with Reader.read(Path(paths.database)) as store:
        here = boot_id()
        live = [lease for lease in store.find_container(container) if lease.boot_id == here]
        if container and not live:
            raise UnknownContainer(
                f"container {container} has no live lease here; `podnet check` shows those there are"
            )
        networks = {lease: store.network_of(lease) for lease in live}
    try:
        own = [network_of(settings, nodes, facts)]
        node = node_plan(settings, nodes, facts, [*own, *networks.values()])
        found = [] if container else [Examined(None, _faults(kernel, node))]
        return found + [Examined(lease, _of_pod(kernel, networks[lease], facts, lease)) for lease in live]
    finally:
        kernel.close()


def _faults(kernel: Kernel, plan: Plan) -> list[str]:
    observed = kernel.observe(plan)
    return faults(observed, diff(observed, plan), "")


def _of_pod(kernel: Kernel, network: Network, facts: NodeFacts, lease: Lease) -> list[str]:
    with kernel.namespace_of(lease) as (namespace, certain):
        if namespace is None:
            gone = f"its network namespace {lease.netns_path} is gone"
            return [gone if certain else f"{gone}, or out of sight from here"]
        plan = datapath.attach(network, facts, lease)
        observed = kernel.observe(plan, namespace)
    return faults(observed, diff(observed, plan), lease.netns_path)
