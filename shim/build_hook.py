"""Compiles the shim into the wheel, with the system's C compiler or, where there is none, with Zig's.

A hatchling build hook (https://hatch.pypa.io/latest/plugins/build-hook/custom/), for wheels and editable installs.
The wheel's tag names the platform, since the program inside does; it links to nothing, so any libc will do.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The machine as sysconfig names it, and the target that Zig's compiler takes.
TARGETS = {
    "linux-x86_64": ("linux_x86_64", "x86_64-linux-musl"),
    "linux-aarch64": ("linux_aarch64", "aarch64-linux-musl"),
}

FLAGS = [
    "-std=c11",
    "-Os",
    "-static",
    "-Wall",
    "-Wextra",
    "-pedantic-errors",
    "-Werror",
    "-nostdlib",
    "-ffreestanding",
    # What some distributions' compilers add by default needs a C library, which the shim does without.
    "-fno-stack-protector",
    "-fno-sanitize=undefined",
    # One page less to map for each of these, and no build path or date in the file.
    "-fno-asynchronous-unwind-tables",
    "-Wl,-z,noseparate-code",
    "-Wl,--build-id=none",
    "-s",
]


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
    temporary = program.with_name(f".{program.name}.{os.getpid()}")
    complaints = []
    for compiler in compilers:
        command = [*compiler, *FLAGS, *(extra_flags or []), "-o", str(temporary), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            temporary.chmod(0o755)
            temporary.replace(program)
            return
        complaints.append(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")
        temporary.unlink(missing_ok=True)
    raise RuntimeError(
        "the shim cannot be compiled; install gcc and libc6-dev, or the Python package ziglang\n" + "\n".join(complaints)
    )


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
