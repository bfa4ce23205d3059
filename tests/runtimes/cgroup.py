"""A cgroup of a test's own, in every hierarchy of cgroups(7): what runs in it is known, and ends with it."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from podnet.testing.waiting import eventually

MOUNTED = Path("/sys/fs/cgroup")
FOLLOWS = ("unified", "systemd", "pids", "memory", "freezer")
"""Hierarchies of version 1 that a process can be put into as they are, the best first."""


class Cgroup:
    """`path` is what a runtime is given as the parent of its containers' cgroups."""

    def __init__(self) -> None:
        """Make it where processes are followed; raise `OSError` where the kernel does not allow it."""
        name = f"podnet-test-{uuid4().hex[:8]}"
        self.path = f"/{name}/pods"
        one = (MOUNTED / "cgroup.controllers").exists()
        self._hierarchies = [MOUNTED] if one else sorted({at.parent.resolve() for at in MOUNTED.glob("*/cgroup.procs")})
        follows = next((MOUNTED / at for at in FOLLOWS if (MOUNTED / at / "cgroup.procs").exists()), MOUNTED)
        self._own = [hierarchy / name for hierarchy in self._hierarchies]
        self._follows = follows.resolve() / name
        self._runtime = self._follows / "runtime"  # version 2: no processes beside cgroups with controllers
        self._runtime.mkdir(parents=True)

    def enter(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` in it."""
        return ["sh", "-ec", f'echo $$ >{self._runtime}/cgroup.procs; exec "$@"', "sh", *argv]

    def processes(self) -> set[int]:
        """Return the ids of all processes in it and below."""
        found: set[int] = set()
        for listed in self._follows.rglob("cgroup.procs"):
            with suppress(OSError):  # it goes as we look
                found |= {int(line) for line in listed.read_text().split()}
        return found

    def containers(self) -> list[str]:
        """Return the cgroups that a runtime made below `path`, of any hierarchy."""
        return sorted(str(at) for own in self._own for at in own.glob("pods/*") if at.is_dir())

    def end(self) -> None:
        """Kill what runs in it, and remove it."""
        eventually(lambda: not self._kill(), f"the end of {self.processes()}")
        eventually(self._remove, f"the end of {self._own}")

    def _kill(self) -> set[int]:
        found = self.processes()
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return found

    def _remove(self) -> bool:
        for own in self._own:
            folders = [own, *(at for at in own.rglob("*") if at.is_dir())] if own.exists() else []
            for folder in sorted(folders, key=lambda at: -len(at.parts)):
                with suppress(OSError):  # busy for as long as a process takes to end
                    folder.rmdir()
        return not any(own.exists() for own in self._own)
