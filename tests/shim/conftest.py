"""A freshly compiled shim, installed with settings of the test's own, and a daemon to answer it."""

import array
import contextlib
import importlib.util
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

SOURCES = Path(__file__).parents[2] / "shim"
PATIENCE = 30  # seconds until a test that hangs is a test that fails


class Frame(NamedTuple):
    """What the shim sent, taken apart by hand."""

    magic: bytes
    netns_errno: int
    environment: dict[str, str]
    stdin: bytes
    descriptors: list[int]


def load_build_hook() -> ModuleType:
    """Import shim/build_hook.py, which is in no package, as hatchling does."""
    spec = importlib.util.spec_from_file_location("build_hook", SOURCES / "build_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build_hook() -> ModuleType:
    """Return the module shim/build_hook.py."""
    return load_build_hook()


@pytest.fixture(scope="session")
def compiled(build_hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the shim as compiled from the checkout's source."""
    program = tmp_path_factory.mktemp("shim") / "podnet"
    build_hook.build_shim(SOURCES / "podnet.c", program)
    return program.read_bytes()


@pytest.fixture(scope="session")
def impatient(build_hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a shim that gives a daemon one second."""
    program = tmp_path_factory.mktemp("shim") / "podnet"
    build_hook.build_shim(SOURCES / "podnet.c", program, ["-DDEADLINE_SECONDS=1"])
    return program.read_bytes()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder whose path is short enough for a unix socket's."""
    path = Path(tempfile.mkdtemp(prefix="podnet-shim-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def install(folder: Path, compiled: bytes) -> Callable[..., Path]:
    """Return a function that installs the shim; its settings are put in here without podnet's own installer."""

    def install(
        *, program: bytes = compiled, socket: str | bytes = "", interpreter: str = "", spool: str | Path = ""
    ) -> Path:
        fields = [socket or f"{folder}/podnet.sock", interpreter, str(spool or folder / "spool")]
        raw = [field if isinstance(field, bytes) else field.encode() for field in fields]
        marker = b"PODNET-SETTINGS\0"
        before, found, after = program.partition(marker)
        assert found
        path = folder / "bin-podnet"
        path.unlink(missing_ok=True)
        path.write_bytes(before + marker + b"".join(field.ljust(256, b"\0") for field in raw) + after[3 * 256 :])
        path.chmod(0o755)
        return path

    return install


@pytest.fixture
def invoke(install: Callable[..., Path]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Return a function that runs the shim as a runtime does: CNI environment, configuration on stdin."""

    def invoke(
        command: str, stdin: bytes = b"{}", environment: dict[str, str] | None = None, **settings: Any
    ) -> subprocess.CompletedProcess[bytes]:
        variables = {"PATH": "/usr/bin", "CNI_COMMAND": command, **(environment or {})}
        return subprocess.run(
            [install(**settings)], input=stdin, env=variables, capture_output=True, timeout=PATIENCE, check=False
        )

    return invoke


@pytest.fixture
def listener(folder: Path) -> Iterator[socket.socket]:
    """Return a socket that listens where the shim looks for its daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{folder}/podnet.sock")
        listener.listen()
        listener.settimeout(PATIENCE)
        yield listener


@pytest.fixture
def daemon(listener: socket.socket) -> Iterator[Callable[[Callable[[socket.socket], Any]], Future[Any]]]:
    """Return a function that serves one connection with a handler, and gives what the handler returns."""
    with ThreadPoolExecutor(1) as threads:

        def serve(handler: Callable[[socket.socket], Any]) -> Any:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                return handler(connection)

        yield lambda handler: threads.submit(serve, handler)


@pytest.fixture
def receive() -> Iterator[Callable[[socket.socket], Frame]]:
    """Return a function that reads one frame; the descriptors in it are closed after the test."""
    received: list[int] = []

    def receive(connection: socket.socket) -> Frame:
        data, descriptors = b"", array.array("i")
        while len(data) < 16 or len(data) < 16 + sum(struct.unpack_from("=II", data, 8)):
            chunk, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(16))
            assert chunk, "the shim hung up before the end of its frame"
            for level, kind, content in ancillary:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                assert not data, "the descriptor comes with the first byte"
                descriptors.frombytes(content)
            data += chunk
        received.extend(descriptors)
        return take_apart(data, list(descriptors))

    yield receive
    for descriptor in received:
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.fixture
def decode() -> Callable[[bytes], Frame]:
    """Return a function that takes a frame's bytes apart."""
    return lambda data: take_apart(data, [])


def take_apart(data: bytes, descriptors: list[int]) -> Frame:
    """Return the frame in `data`, which must end where the frame does."""
    magic, errno, environment_length, stdin_length = struct.unpack_from("=4siII", data)
    assert len(data) == 16 + environment_length + stdin_length
    environment, stdin = data[16 : 16 + environment_length], data[16 + environment_length :]
    assert environment == b"" or environment.endswith(b"\0")
    variables = [variable.decode().partition("=") for variable in environment.split(b"\0")[:-1]]
    return Frame(magic, errno, {key: value for key, _, value in variables}, stdin, descriptors)
