"""A machine for a cluster ends with whoever made it, however that dies, and nothing of it is left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podnet.testing.node import REPOSITORY
from podnet.testing.waiting import eventually
from tests.cluster.supervisor import hierarchies

pytestmark = pytest.mark.cluster

OWNER = """
import sys, time
from contextlib import ExitStack
from tests.cluster.machine import Machine
with ExitStack() as stack:
    machine = Machine(stack)
    host = machine.host("n1")
    with open("/dev/null", "ab") as log:
        program = host.start(log, "setsid", "sleep", "infinity")
    print(machine.cgroup, machine.pid, host.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner() -> "subprocess.Popen[str]":
    """Give a process that has made a machine with a host, on which a program runs."""
    if os.geteuid() != 0:
        pytest.skip("a machine of namespaces needs root")
    return subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("how", ["end", "SIGKILL"])
def test_nothing_is_left(owner: "subprocess.Popen[str]", how: str) -> None:
    """Neither processes nor cgroups, whether its owner ends well or is killed; namespaces go with the processes."""
    assert owner.stdout is not None
    cgroup, *pids = owner.stdout.readline().split()
    assert all((at / cgroup).exists() for at in hierarchies())
    members = {pid for at in hierarchies() for file in (at / cgroup).rglob("cgroup.procs") for pid in read(file)}
    assert members
    if how == "SIGKILL":
        owner.kill()
    owner.communicate()
    gone = [Path("/proc", pid) for pid in {*pids, *members}] + [at / cgroup for at in hierarchies()]
    eventually(lambda: not [path for path in gone if path.exists()], f"the end of {gone}")


def read(file: Path) -> list[str]:
    """Return the lines of a file."""
    return file.read_text().split()
