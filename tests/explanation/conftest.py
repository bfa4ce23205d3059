"""A bridge or ptp node as its two files say, in a namespace of its own, and leases in its database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from podnet.cluster import default_network, read_nodes, read_settings
from podnet.daemon import Paths
from podnet.kernel.facts import boot_id
from podnet.model import Attachment, Lease, NamespaceId, Network
from podnet.store import Store
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.values import FACTS, SUBNETS

NODES = """\
nodes:
  - name: n1
    addresses: [10.99.0.11, "fd99::11"]
    pod-cidrs: [{own}]
  - name: n2
    addresses: [10.99.0.12, "fd99::12"]
    pod-cidrs: [10.244.2.0/24, "fd00:10:244:2::/64"]
"""


class ConfiguredNode:
    """A node's namespace and the files and database that tell what it is to do there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Keep the files in `folder`; `stack` ends the namespace."""
        self.namespace = NodeNamespace(f"notes-{uuid4().hex[:8]}", stack)
        self.folder = folder
        self.paths = Paths(config=str(folder / "podnet.yaml"), database=str(folder / "podnet.db"))

    def configure(self, settings: str, versions: tuple[int, ...] = (4,)) -> None:
        """Write podnet.yaml with `settings`, and nodes.yaml with one pod CIDR per IP version for this node."""
        (self.folder / "podnet.yaml").write_text(f"node: n1\n{settings}\n")
        own = ", ".join(f'"{SUBNETS[version]}"' for version in versions)
        (self.folder / "nodes.yaml").write_text(NODES.format(own=own))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the node's namespace."""
        with self.namespace.inside():
            yield

    @property
    def network(self) -> Network:
        """The node's default network, as its files have it."""
        settings = read_settings(self.paths.config)
        return default_network(settings, read_nodes(settings.nodes), FACTS)

    def lease(self, container: str, ifname: str = "eth0", *, netns: str = "pod") -> Lease:
        """Write down an attachment of `container` to the node's default network, as ADD does."""
        network = self.network
        with Store.open(Path(self.paths.database), boot_id(), 1000.0) as store:
            identity = NamespaceId(4, 4026532000)
            return store.reserve(Attachment(network.name, container, ifname), network, (), identity, netns, 1000.0)


@pytest.fixture(scope="module")
def new_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], ConfiguredNode]]:
    """Give a maker of nodes that end with their module."""
    with ExitStack() as stack:
        yield lambda: ConfiguredNode(tmp_path_factory.mktemp("node"), stack)


@pytest.fixture(scope="module")
def node(new_node: Callable[[], ConfiguredNode]) -> ConfiguredNode:
    """Give one node to tests that change its files only, not its namespace."""
    return new_node()
