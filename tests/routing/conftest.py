"""A machine for BIRD: a network namespace that the test is in, and a folder for BIRD's files."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from podnet.kernel.namespace import OWN, entered, open_namespace
from podnet.routing import Places
from podnet.testing.waiting import eventually
from tests.bird.speakers import cable
from tests.routing.server import Server


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def beyond(stack: ExitStack) -> str:
    """Be in a namespace with 10.99.0.101, and give the name of that at the other end of the cable, 10.99.0.102."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    names = f"bird-e-{os.getpid()}", f"bird-f-{os.getpid()}"
    cable(names, (["10.99.0.101/24"], ["10.99.0.102/24"]), stack)
    home, descriptor = open_namespace(OWN), open_namespace(names[0])
    for one in (home, descriptor):
        stack.callback(os.close, one)
    stack.enter_context(entered(descriptor, home))
    return names[1]


@pytest.fixture
def places(stack: ExitStack, beyond: str) -> Iterator[Places]:
    """Give places in a folder whose path leaves room for a socket's; a BIRD that is left there is ended."""
    del beyond
    found = Places(f"{stack.enter_context(tempfile.TemporaryDirectory(prefix='bird-'))}/bird")
    Path(found.folder).mkdir()
    yield found
    with suppress(OSError, ValueError):
        pid = int(Path(found.pid).read_text(encoding="ascii"))
        assert found.socket in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}/exe").exists(), "the end of BIRD")


@pytest.fixture
def path() -> Iterator[str]:
    """Give a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="bird-") as folder:
        yield f"{folder}/ctl"


@pytest.fixture
def server(path: str) -> Iterator[Callable[..., Server]]:
    """Give a function that has a server say some words."""
    with ExitStack() as stack:
        yield lambda *words: Server(path, list(words), stack)
