"""What the engine's tests share: every datapath with every set of IP versions."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from podnet.model import Network
from podnet.testing import FakeNode
from podnet.testing.values import a_network

SHAPES = [(datapath, versions) for datapath in ("ptp", "bridge") for versions in ((4,), (6,), (4, 6))]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}-{''.join(map(str, shape[1]))}")
def network(request: pytest.FixtureRequest) -> Network:
    """Return a network, of each datapath and each set of IP versions in turn."""
    datapath, versions = request.param
    return a_network(datapath, versions)


@pytest.fixture
def node(network: Network) -> FakeNode:
    """Return a node that serves `network`."""
    return FakeNode(network)


@pytest.fixture
def dual() -> FakeNode:
    """Return a node that serves a ptp network of both IP versions."""
    return FakeNode(a_network("ptp", (4, 6)))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End the namespaces of a test."""
    with ExitStack() as ends:
        yield ends
