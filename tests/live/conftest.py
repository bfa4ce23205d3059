"""What the live tests share: nodes, each a machine of its own that ends with its test."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from podnet.testing.node import Node


def make_node(stack: ExitStack) -> Node:
    """Return a bare node that `stack` ends, or skip where this machine cannot make one."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        return Node(stack)
    except RuntimeError as error:
        if "overlay" in str(error):
            pytest.skip(f"the kernel has no overlayfs, or allows none here: {error}")
        raise


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def bare(stack: ExitStack) -> Node:
    """Give a node without a configuration or a daemon."""
    return make_node(stack)


@pytest.fixture
def serving(bare: Node) -> Callable[..., Node]:
    """Give a function that configures the node, as `Node.configure` does, and starts its daemon."""

    def start(*args: Any, **more: Any) -> Node:
        bare.configure(*args, **more)
        bare.start()
        return bare

    return start


@pytest.fixture
def node(serving: Callable[..., Node]) -> Node:
    """Give a node with a daemon: ptp, IPv4."""
    return serving()


@pytest.fixture(scope="module")
def settled() -> Iterator[Node]:
    """Give one node to tests that leave it as it was: ptp, both families, a pod `bystander`."""
    with ExitStack() as ends:
        node = make_node(ends)
        node.configure("ptp", (4, 6))
        node.start()
        node.attach("bystander")
        yield node
