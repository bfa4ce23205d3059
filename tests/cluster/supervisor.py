"""What outlives a test to end all that it started: `python -m tests.cluster.supervisor NAME SCRIPT`.

It makes a cgroup NAME in every hierarchy of cgroups(7), runs SCRIPT as process 1 of a process namespace, prints that
process's id when the script prints `made`, and waits for the end of its standard input, which is that of the test,
however it dies.  Then process 1 is killed, so the kernel kills all others of the namespace; mounts and networks go with
them, and the cgroups are removed.
"""

import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MOUNTED = Path("/sys/fs/cgroup")
PATIENCE = 30.0
NAMESPACES = ("--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def hierarchies() -> list[Path]:
    """Return where hierarchies are mounted: the one of version 2, or those of version 1 and what is beside them."""
    if (MOUNTED / "cgroup.controllers").exists():
        return [MOUNTED]
    return sorted({at.parent.resolve() for at in MOUNTED.glob("*/cgroup.procs")})


def make_cgroups(name: str) -> list[Path]:
    """Make the cgroup `name` in every hierarchy; a set of CPUs has to be given what it may use."""
    made = [at / name for at in hierarchies()]
    for cgroup in made:
        cgroup.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (cgroup / setting).exists() and not (cgroup / "cgroup.controllers").exists():
                (cgroup / setting).write_text((cgroup.parent / setting).read_text())
                (cgroup / "cgroup.clone_children").write_text("1")
    return made


def remove_cgroups(cgroups: list[Path]) -> list[Path]:
    """Remove them with all below; return what is left: where a process is in it still."""
    for cgroup in cgroups:
        below = sorted((at for at in cgroup.rglob("*") if at.is_dir()), key=lambda at: -len(at.parts))
        for at in [*below, cgroup]:
            with suppress(OSError):
                at.rmdir()
    return [cgroup for cgroup in cgroups if cgroup.exists()]


def ended(process: int) -> None:
    """Wait until process 1 of a namespace, by its descriptor, has ended: the kernel has reaped all others by then."""
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    waiting.poll(PATIENCE * 1000)
    os.close(process)


def first_process(unshare: "subprocess.Popen[str]") -> int:
    """Return the id of process 1, here, once it has said that it is made; raise `RuntimeError` where it ends."""
    assert unshare.stdout is not None
    if unshare.stdout.readline() != "made\n":
        raise RuntimeError(f"the namespaces could not be made: exit status {unshare.wait()}")
    return int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())


def main(name: str, script: str) -> int:
    """Supervise."""
    cgroups: list[Path] = []
    unshare = first = None
    try:
        cgroups = make_cgroups(name)
        unshare = subprocess.Popen(
            ["unshare", *NAMESPACES, "sh", "-ec", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        process = first_process(unshare)
        first = os.pidfd_open(process)
        print(process, flush=True)
        sys.stdin.read()
    finally:
        if unshare is not None:
            unshare.kill()  # --kill-child: process 1 gets SIGKILL then, and all others by its end
            unshare.communicate()
        if first is not None:
            ended(first)
        left = remove_cgroups(cgroups)
    if left:
        print(f"left behind: {', '.join(map(str, left))}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
