"""A root folder made of texts, and small ELF files."""

from collections.abc import Callable
from pathlib import Path
from struct import pack

import pytest

from podnet.inspection import Report, Runtime, inspect
from podnet.inspection.files import Root

X86_64 = 62
PODNET = '{"cniVersion": "1.0.0", "name": "podnet", "plugins": [{"type": "podnet", "ipam": {"type": "podnet"}}]}'

Put = Callable[..., Path]


@pytest.fixture
def elf() -> Callable[..., bytes]:
    """Return a maker of 64-bit little-endian ELF headers, with a PT_INTERP segment on request (elf(5))."""

    def make(machine: int = X86_64, interpreter: str = "") -> bytes:
        path = interpreter.encode() + b"\0" if interpreter else b""
        ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
        head = ident + pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        return head + pack("<IIQQQQQQ", 3 if interpreter else 1, 4, 120, 0, 0, len(path), len(path), 1) + path

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of an x86_64 machine without anything else."""
    return tmp_path / "root"


@pytest.fixture
def put(root: Path, elf: Callable[..., bytes]) -> Put:
    """Return a writer of files below the root: path, content (a program for this machine if left out), mode."""

    def write(path: str, content: str | bytes | None = None, mode: int | None = None) -> Path:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        data = elf() if content is None else content
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode if mode is not None else 0o755 if content is None else 0o644)
        return file

    write("/bin/sh")
    return write


@pytest.fixture
def look(root: Path) -> Callable[[], Report]:
    """Return the inspection of the root."""
    return lambda: inspect(Root(str(root)))


@pytest.fixture
def runtime(look: Callable[[], Report]) -> Callable[[str], Runtime]:
    """Return what the report says of a runtime."""
    return lambda name: next(found for found in look().runtimes if found.name == name)


@pytest.fixture
def told(look: Callable[[], Report]) -> Callable[[], str]:
    """Return every finding as a line of text."""
    return lambda: "\n".join(f"{f.severity} {f.place}: {f.what} -> {f.remedy}" for f in look().findings)


@pytest.fixture
def installed(put: Put) -> Put:
    """Return `put` of a machine on which podnet is installed and nothing else."""
    put("/etc/cni/net.d/10-podnet.conflist", PODNET)
    put("/opt/cni/bin/podnet")
    return put
