"""A node's namespace for each test, with names that no other test has."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from podnet.kernel.monitor import Monitor
from podnet.testing.namespaces import NodeNamespace


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def space(stack: ExitStack) -> NodeNamespace:
    """Give a fresh node's namespace with an uplink `up0`, and the kernel opened in it."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    return NodeNamespace(f"kernel-{uuid4().hex[:8]}", stack)


@pytest.fixture
def monitor(space: NodeNamespace, stack: ExitStack) -> Monitor:
    """Give what listens in the node's namespace."""
    with space.inside():
        monitor = space.kernel.monitor()
    stack.callback(monitor.close)
    return monitor
