"""What the tests with real runtimes share: a node with podnet's daemon, and a cgroup for all that a runtime starts."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from podnet.testing.node import Node
from tests.live.conftest import make_node
from tests.runtimes.cgroup import Cgroup
from tests.runtimes.containerd import Containerd
from tests.runtimes.images import compiled, pause_image, tarred
from tests.runtimes.podman import GREET_C, Podman


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def stopped(stack: ExitStack) -> Node:
    """Give a node configured for ptp and IPv4, without a daemon; `outside` knows the way to its pods."""
    made = make_node(stack)
    made.configure()
    made.run("ip", "-n", "outside", "route", "add", "10.244.1.0/24", "via", "10.99.0.11")
    return made


@pytest.fixture
def node(stopped: Node) -> Node:
    """Give it with its daemon."""
    stopped.start()
    return stopped


@pytest.fixture
def cgroup(stopped: Node, stack: ExitStack) -> Cgroup:
    """Give a cgroup that ends with all its processes, before the node does."""
    assert stopped.pid
    try:
        made = Cgroup()
    except OSError as error:
        pytest.skip(f"the kernel has no cgroups, or allows none here: {error}")
    stack.callback(made.end)
    return made


@pytest.fixture(scope="session")
def pause(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the image of what holds a pod's namespaces."""
    return pause_image(tmp_path_factory.mktemp("images"))


@pytest.fixture
def containerd(node: Node, cgroup: Cgroup, pause: Path, stack: ExitStack) -> Containerd:
    """Give containerd with a network, and with no plugins but podnet's."""
    made = Containerd(node, cgroup, pause, stack)
    made.start()
    made.wait_network()
    return made


@pytest.fixture
def waiting(stopped: Node, cgroup: Cgroup, pause: Path, stack: ExitStack) -> Containerd:
    """Give containerd on a node whose daemon does not run yet."""
    made = Containerd(stopped, cgroup, pause, stack)
    made.start()
    return made


@pytest.fixture(scope="session")
def greet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file system whose program says who comes to port 80."""
    folder = tmp_path_factory.mktemp("images")
    made = folder / "greet.tar"
    made.write_bytes(tarred({"greet": compiled(GREET_C, folder / "greet").read_bytes()}))
    return made


@pytest.fixture
def podman(node: Node, cgroup: Cgroup, greet: Path, stack: ExitStack) -> Podman:
    """Give podman with an image."""
    return Podman(node, cgroup, greet, stack)
