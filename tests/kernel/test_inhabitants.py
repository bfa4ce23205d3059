"""In which pods' network namespaces processes are."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from podnet.kernel import Kernel
from podnet.model import Lease
from podnet.testing.namespaces import NodeNamespace, path_of
from podnet.testing.values import a_lease, a_network

pytestmark = pytest.mark.live

THREAD = """
import os, sys, threading
from podnet.kernel.namespace import setns
def work():
    setns(os.open(sys.argv[1], os.O_RDONLY))
    print(flush=True)
    sys.stdin.read()
threading.Thread(target=work).start()
"""
ASK = """
import os, sys
from podnet.kernel import Kernel
from podnet.kernel.namespace import identity
from podnet.testing.values import a_lease, a_network
from msgspec.structs import replace
netns = identity(os.open(sys.argv[1], os.O_RDONLY))
lease = replace(a_lease(a_network("ptp", (4,))), netns=netns, netns_path=sys.argv[1])
print(len(Kernel().inhabited([lease])))
"""


def of_pod(space: NodeNamespace, name: str) -> Lease:
    """Return a lease of a pod whose namespace is there, pinned by a file and open."""
    namespace = space.pod(f"{space.name}-{name}")
    return replace(a_lease(a_network("ptp", (4,)), name), netns=namespace.id, netns_path=path_of(namespace.path))


def begin(stack: ExitStack, *command: str) -> "subprocess.Popen[str]":
    """Start a process and wait for the line that says that it is where it should be."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_a_pod_is_inhabited_while_a_process_is_in_it(space: NodeNamespace, stack: ExitStack) -> None:
    """Not by whoever pins or opens its namespace, as runtimes do; other pods' processes do not count."""
    red, blue = of_pod(space, "red"), of_pod(space, "blue")
    kernel = Kernel()
    stack.callback(kernel.close)
    assert kernel.inhabited([red, blue]) == []
    process = begin(stack, "nsenter", f"--net={red.netns_path}", "sh", "-c", "echo here; read line")
    assert kernel.inhabited([red, blue]) == [red]
    process.kill()
    process.wait()
    assert kernel.inhabited([red, blue]) == []


def test_a_single_thread_counts(space: NodeNamespace, stack: ExitStack) -> None:
    """Its process is in another namespace, as a Go program's may be."""
    red = of_pod(space, "red")
    kernel = Kernel()
    stack.callback(kernel.close)
    begin(stack, sys.executable, "-c", THREAD, red.netns_path)
    assert kernel.inhabited([red]) == [red]


def test_what_cannot_be_looked_for_may_be_inhabited(space: NodeNamespace, stack: ExitStack) -> None:
    """A path that leads elsewhere, or nowhere."""
    red, blue = of_pod(space, "red"), of_pod(space, "blue")
    kernel = Kernel()
    stack.callback(kernel.close)
    lost = [replace(red, netns_path=blue.netns_path), replace(red, netns_path="/nowhere"), replace(red, netns=None)]
    assert kernel.inhabited(lost) == lost


def test_who_does_not_see_all_processes_says_that_all_run(space: NodeNamespace) -> None:
    """In a PID namespace of its own, as a pod without hostPID is; with fewer capabilities it is seen all the same."""
    red = of_pod(space, "red")
    for before, told in (
        (("unshare", "--pid", "--fork", "--mount-proc"), "1"),
        (("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"), "0"),
    ):
        command = [*before, sys.executable, "-c", ASK, red.netns_path]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        assert done.stdout.strip() == told, before
    assert os.getpid() > 1


def test_a_process_that_is_not_shown_may_be_anywhere(
    space: NodeNamespace, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is in the way of looking (a security module, say): then no pod counts as empty."""
    red = of_pod(space, "red")
    kernel = Kernel()
    stack.callback(kernel.close)
    assert kernel.inhabited([red]) == []
    look = os.stat

    def hidden(path: str) -> os.stat_result:
        if path == f"/proc/{os.getpid()}/task/{os.getpid()}/net/dev":
            raise PermissionError(path)
        return look(path)

    monkeypatch.setattr(os, "stat", hidden)
    assert kernel.inhabited([red]) == [red]
