"""The shim's build: static, strict, in one step, and into the wheel."""

import os
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import podnet.shim
from podnet.errors import IOFailure

SOURCE = Path(__file__).parents[2] / "shim" / "podnet.c"


def program_headers(program: bytes) -> set[int]:
    """Return the p_type of every program header of a 64-bit little-endian ELF file (elf.h)."""
    assert program[:6] == b"\x7fELF\x02\x01"
    (offset,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return {struct.unpack_from("<I", program, offset + size * i)[0] for i in range(count)}


def test_the_program_needs_nothing_at_run_time(compiled: bytes) -> None:
    """No interpreter and no shared library are asked for: only the kernel is."""
    dynamic, interpreter = 2, 3
    assert not {dynamic, interpreter} & program_headers(compiled)


def test_the_program_is_small(compiled: bytes) -> None:
    """Its buffers are no part of the file: what is not mapped is not read."""
    assert len(compiled) < 32 << 10


def test_the_settings_are_found_once_and_hold_the_defaults(compiled: bytes) -> None:
    """The marker stands once, and three fields of 256 bytes follow it."""
    assert compiled.count(b"PODNET-SETTINGS\0") == 1
    fields = compiled.partition(b"PODNET-SETTINGS\0")[2][: 3 * 256]
    assert [fields[i : i + 256].rstrip(b"\0") for i in (0, 256, 512)] == [
        b"/run/podnet/podnet.sock",
        b"",
        b"/var/lib/podnet/spool",
    ]


def test_the_same_source_gives_the_same_program(compiled: bytes, build_hook: ModuleType, tmp_path: Path) -> None:
    """Neither the time nor the folder of a build is in what it builds."""
    build_hook.build_shim(SOURCE, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == compiled


@pytest.mark.parametrize(
    "slip",
    ["int unused(void) { int never_read; return 0; }", "int f(int n) { return n ?: 1; }"],
    ids=["warning", "gnu"],
)
def test_a_warning_stops_the_build(slip: str, build_hook: ModuleType, tmp_path: Path) -> None:
    """What the compiler only warns of, or takes as an extension of C11, is an error with its words and a remedy."""
    source = tmp_path / "slip.c"
    source.write_text(f"{SOURCE.read_text(encoding='utf-8')}\n{slip}\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"install gcc and libc6-dev, or .* ziglang(.|\n)*slip\.c:\d+:\d+: error"):
        build_hook.build_shim(source, tmp_path / "podnet")
    assert [path.name for path in tmp_path.iterdir()] == ["slip.c"], "nothing half-built is left"


def test_a_running_shim_can_be_replaced(
    build_hook: ModuleType, install: Callable[..., Path], folder: Path, compiled: bytes
) -> None:
    """A build over a running program neither fails with "text file busy" nor disturbs it."""
    program = install(socket=str(folder / "none"))
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"CNI_COMMAND": "VERSION"})
    build_hook.build_shim(SOURCE, program)
    output, _ = process.communicate(b"", timeout=30)
    assert process.returncode == 0
    assert b"supportedVersions" in output
    assert program.read_bytes() == compiled


@pytest.mark.parametrize("version", ["standard", "editable"])
def test_the_wheel_is_of_this_platform(version: str, build_hook: ModuleType, tmp_path: Path) -> None:
    """The hook puts the program where the wheel takes it from, executable, and tags the wheel with the platform."""
    (tmp_path / "shim").mkdir()
    (tmp_path / "podnet" / "shim").mkdir(parents=True)
    (tmp_path / "shim" / "podnet.c").write_bytes(SOURCE.read_bytes())
    metadata: Any = None
    hook = build_hook.ShimBuildHook(str(tmp_path), {}, metadata, metadata, str(tmp_path), "wheel")
    data: dict[str, Any] = {}
    hook.initialize(version, data)
    platform = sysconfig.get_platform().replace("-", "_")
    assert data == {"pure_python": False, "tag": f"py3-none-{platform}"}
    assert os.access(tmp_path / "podnet" / "shim" / "podnet", os.X_OK)


def test_another_platform_is_refused_by_name(build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine whose system calls the shim does not know, the build says which machines it knows."""
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-riscv64")
    with pytest.raises(RuntimeError, match="linux-x86_64, linux-aarch64, not on linux-riscv64"):
        build_hook.build_shim(SOURCE, Path("/nonexistent/podnet"))


def test_a_machine_without_compiler_asks_for_zig(
    build_hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where PATH has no cc the build requires ziglang, and runs it as a C compiler for this machine."""
    metadata: Any = None
    hook = build_hook.ShimBuildHook(str(tmp_path), {}, metadata, metadata, str(tmp_path), "wheel")
    assert hook.dependencies() == []
    stand_in = tmp_path / "python"
    script = f'#!/bin/sh\necho "$@" >>{tmp_path}/log\nwhile [ "$1" != -o ]; do shift; done\ntouch "$2"\n'
    stand_in.write_text(script, encoding="utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setattr(build_hook, "_system_compiler", lambda: None)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    assert hook.dependencies() == ["ziglang"]
    build_hook.build_shim(SOURCE, tmp_path / "podnet")
    machine = sysconfig.get_platform().removeprefix("linux-")
    compiling, linking = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert compiling.startswith(f"-m ziglang cc -target {machine}-linux-musl -c -std=c11")
    assert "-nostdlib" in linking


def test_the_package_knows_its_program() -> None:
    """podnet.shim.path() leads to the executable of this installation."""
    assert os.access(podnet.shim.path(), os.X_OK)


def test_a_copy_that_was_never_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program, path() says what to run."""
    monkeypatch.setattr(podnet.shim, "__file__", "/nonexistent/__init__.py")
    with pytest.raises(IOFailure, match="pip install -e"):
        podnet.shim.path()
