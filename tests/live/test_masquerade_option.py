"""`podnet node run --masquerade=false`: the outside sees pods, also those that the one-shot attaches."""

import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from podnet.testing.node import ADDRESSES, REPOSITORY, Node
from podnet.testing.waiting import Daemon

pytestmark = pytest.mark.live

OUTSIDE = "10.99.0.1"


def started(node: Node, stack: ExitStack, *options: str) -> Daemon:
    """Start the daemon by its command and wait until it serves."""
    command = [sys.executable, "-P", "-m", "podnet.cli", "node", "run", *options]
    process = subprocess.Popen(node.enter(*command), stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    daemon = Daemon(process)
    stack.callback(daemon.end, signal.SIGKILL)
    daemon.wait_log("serving")
    return daemon


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_masquerade_is_as_the_daemon_was_told(bare: Node, stack: ExitStack, datapath: str) -> None:
    """Over podnet.yaml, with and without the daemon, until a start that says nothing of it."""
    bare.configure(datapath, more="masquerade: true")
    bare.run("ip", "route", "add", "10.244.1.0/24", "via", ADDRESSES[4], pod="outside")
    daemon = started(bare, stack, "--masquerade=false")
    red = bare.attach("red")
    assert bare.exchange("red", "outside", OUTSIDE) == red
    daemon.end()
    blue = bare.attach("blue")
    assert bare.exchange("blue", "outside", OUTSIDE) == blue
    started(bare, stack)
    assert bare.exchange("red", "outside", OUTSIDE) == ADDRESSES[4]


def test_a_daemon_that_cannot_start_beside_another_changes_nothing(bare: Node, stack: ExitStack) -> None:
    """What the one that serves was told stays what others read."""
    bare.configure()
    started(bare, stack, "--masquerade=false")
    kept = (bare.root / "var/lib/podnet/options.json").read_text()
    command = [sys.executable, "-P", "-m", "podnet.cli", "node", "run", "--masquerade=true"]
    done = subprocess.run(bare.enter(*command), capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1
    assert (bare.root / "var/lib/podnet/options.json").read_text() == kept
