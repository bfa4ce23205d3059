"""Compiles the shim into the wheel, with the system's C compiler or, where there is none, with Zig's.

A hatchling build hook (https://hatch.pypa.io/latest/plugins/build-hook/custom/), for wheels and editable installs.
The wheel's tag names the platform, since the program inside does; it links to nothing, so any libc will do.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The machine as sysconfig names it, and the target that Zig's compiler takes.
TARGETS = {
    "linux-x86_64": ("linux_x86_64", "x86_64-linux-musl"),
    "linux-aarch64": ("linux_aarch64", "aarch64-linux-musl"),
}

COMPILE = [
    "-c",
    "-std=c11",
    "-Os",
    "-Wall",
    "-Wextra",
    "-pedantic-errors",
    "-Werror",
    "-ffreestanding",
    # What some distributions' compilers add by default needs a C library, which the shim does without.
    "-fno-stack-protector",
    "-fno-sanitize=undefined",
    "-fno-asynchronous-unwind-tables",
    "-fno-pie",
]
# A step of its own, since Zig takes libc's headers away together with libc.
LINK = ["-static", "-nostdlib", "-Wl,--build-id=none", "-s"]


class ShimBuildHook(BuildHookInterface[Any]):
    """Builds ``podnet/shim/podnet`` before the files of a wheel are gathered."""

    def dependencies(self) -> list[str]:
        """Ask for Zig's compiler where the machine has none of its own."""
        return [] if _system_compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as this platform's; `version` ("standard", "editable") makes no difference."""
        del version
        tag, _ = _target()
        build_shim(Path(self.root) / "shim" / "podnet.c", Path(self.root) / "podnet" / "shim" / "podnet")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"


def build_shim(source: Path, program: Path, extra_flags: list[str] | None = None) -> None:
    """Compile `source` to `program`, mode 0755, replacing it in one step: the old one may be running.

    Raises RuntimeError with the compiler's own words when no compiler can do it.
    """
    _, zig_target = _target()
    system = _system_compiler()
    compilers = [[system]] if system else []
    compilers.append([sys.executable, "-m", "ziglang", "cc", "-target", zig_target])
    complaints = []
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".build-") as folder:
        compiled, linked = f"{folder}/podnet.o", f"{folder}/podnet"
        for compiler in compilers:
            complaint = _run([*compiler, *COMPILE, *(extra_flags or []), "-o", compiled, str(source)]) or _run(
                [*compiler, *LINK, "-o", linked, compiled]
            )
            if not complaint:
                Path(linked).chmod(0o755)
                Path(linked).replace(program)
                return
            complaints.append(complaint)
    remedy = "install gcc and libc6-dev, or the Python package ziglang"
    raise RuntimeError(f"the shim cannot be compiled; {remedy}\n{''.join(complaints)}")


def _run(command: list[str]) -> str:
    """Return nothing when `command` succeeds, else it and what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"$ {' '.join(command)}\n{done.stdout}{done.stderr}" if done.returncode else ""


def _target() -> tuple[str, str]:
    """Return this platform's wheel tag and Zig's name of it."""
    platform = sysconfig.get_platform()
    try:
        return TARGETS[platform]
    except KeyError:
        known = ", ".join(TARGETS)
        raise RuntimeError(f"podnet runs on {known}, not on {platform}") from None


def _system_compiler() -> str | None:
    """Return the path of the system's C compiler."""
    return shutil.which("cc")
