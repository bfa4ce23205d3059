"""What the doctor's tests share: a node with a neighbour, and the doctor asked there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from podnet.testing.node import Node

PEER = '  - {name: n2, addresses: [10.99.0.1, "fd99::1"], pod-cidrs: [10.244.2.0/24, "fd00:10:244:2::/64"]}\n'
"""The node that is `outside` of it."""
APART = ("unshare", "--pid", "--fork", "--mount-proc")
"""Runs a command without the machine's other processes, of which other tests' runtimes may be."""
BESIDE = (
    "import subprocess, sys\n"
    "subprocess.Popen(['containerd', '3600'], executable='/bin/sleep')\n"
    "sys.exit(subprocess.call(sys.argv[1:]))"
)
"""Runs a command beside what looks like a containerd that runs; both end with their processes' namespace."""
ALONE = (*APART, sys.executable, "-I", "-S", "-c", BESIDE)

Finding = dict[str, str]


class Told(NamedTuple):
    """What the doctor said."""

    status: int
    document: Any
    stderr: str

    @property
    def findings(self) -> list[Finding]:
        """All of it, as it is ordered."""
        found: list[Finding] = self.document["findings"]
        return found

    def of(self, check: str) -> list[Finding]:
        """Return what a check found."""
        return [finding for finding in self.findings if finding["check"] == check]


def ask(node: Node, *before: str, **environment: str) -> Told:
    """Run `podnet doctor --json` on the node, by way of the command `before`."""
    command = node.enter(*(before or ALONE), sys.executable, "-m", "podnet.cli", "doctor", "--json")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES_")}
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=kept | environment)
    assert done.stdout, done.stderr
    return Told(done.returncode, json.loads(done.stdout), done.stderr)


def make(stack: ExitStack) -> Node:
    """Return a bare node with a runtime as it comes, or skip where this machine cannot make one."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        node = Node(stack)
    except RuntimeError as error:
        if "overlay" in str(error):
            pytest.skip(f"the kernel has no overlayfs, or allows none here: {error}")
        raise
    node.sh("rm -rf /etc/containerd; mkdir /etc/containerd; touch /etc/containerd/config.toml")
    return node


@pytest.fixture
def bare() -> Iterator[Node]:
    """Give a node without a configuration or a daemon."""
    with ExitStack() as stack:
        yield make(stack)


@pytest.fixture
def serving(bare: Node) -> Callable[..., Node]:
    """Give a function that starts a node with a neighbour, both families, and a pod `red`; nothing is put right."""

    def start(datapath: str = "ptp", more: str = "", peers: str = PEER) -> Node:
        bare.configure(datapath, (4, 6), f"repair: false\n{more}", peers)
        bare.start()
        bare.attach("red")
        return bare

    return start
