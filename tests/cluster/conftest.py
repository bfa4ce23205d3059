"""What the tests on real clusters share: one cluster at a time, for all tests of its configuration."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.building import cache, folder
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAIRS, Configuration
from tests.cluster.deployment import Deployment, make_podnet_image
from tests.cluster.images import make_images
from tests.cluster.stream import compile_stream
from tests.cluster.workload import Workload


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of a configuration follow each other: a cluster is made once."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    configuration = callspec and callspec.params.get("cluster")
    return PAIRS.index(configuration) if isinstance(configuration, Configuration) else -1


@pytest.fixture(scope="session")
def programs() -> Path:
    """Give the folder of Kubernetes' programs, or skip where they have not been built."""
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    made = folder(cache())
    if not made.is_dir():
        pytest.skip(f"there is no {made}: `python -m tests.cluster.building` makes it, or says why it cannot")
    return made


@pytest.fixture(scope="session")
def images(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the images of pods."""
    return make_images(programs, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session", params=PAIRS, ids=lambda configuration: configuration.name)
def cluster(request: pytest.FixtureRequest, programs: Path, images: list[Path]) -> Iterator[Cluster]:
    """Give a cluster whose nodes wait for a network."""
    with ExitStack() as stack:
        yield Cluster(request.param, programs, images, stack)


@pytest.fixture(scope="session")
def podnet_image(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - not without these
    """Give podnet's image."""
    return make_podnet_image(tmp_path_factory.mktemp("podnet"))


@pytest.fixture(scope="session")
def deployment(cluster: Cluster, podnet_image: Path) -> Deployment:
    """Give podnet on the cluster."""
    return Deployment(cluster, podnet_image)


@pytest.fixture(scope="session")
def workload(deployment: Deployment) -> Workload:
    """Give the pods and services of the cluster, ready."""
    return Workload(deployment.cluster)


@pytest.fixture(scope="session")
def stream_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program that sends a stream."""
    return compile_stream(tmp_path_factory.mktemp("stream"))
