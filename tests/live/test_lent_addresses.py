"""Addresses that host-local lends: no request frees what a pod has, and all of it goes back, whoever is killed when."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podnet.testing.node import Node, Outcome
from podnet.testing.waiting import eventually

PLUGINS = "/usr/lib/cni"
LENT: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "lent",
    "type": "podnet",
    "ipam": {"type": "host-local", "dataDir": "/run/host-local", "ranges": [[{"subnet": "10.77.0.0/28"}]]},
}

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path(PLUGINS, "host-local").exists(), reason="containernetworking-plugins is not installed"),
]


def ask(node: Node, command: str, container: str, **more: Any) -> Outcome:
    """Execute a verb of the network whose addresses host-local lends."""
    return node.cni(command, container, configuration=LENT, CNI_PATH=PLUGINS, **more)


def lent(node: Node) -> list[str]:
    """Return the addresses that host-local has lent."""
    return node.sh("ls /run/host-local/lent | grep '^10' || true").split()


def test_a_second_add_leaves_the_address_lent(node: Node) -> None:
    """ADD of what is attached is refused without a word to host-local, which would take the address back."""
    node.pod("red")
    addresses = ask(node, "ADD", "red").addresses
    again = ask(node, "ADD", "red")
    assert (again.status, again.json["code"]) == (1, 111)
    assert lent(node) == addresses
    assert ask(node, "DEL", "red").status == 0
    assert lent(node) == []


def test_what_needs_no_plugin_is_answered_at_once(node: Node) -> None:
    """An ADD whose namespace is not there is refused, though no plugin was asked and none ends."""
    refused = ask(node, "ADD", "red")
    assert (refused.status, refused.json["code"]) == (1, 4)


def test_an_unheard_add_gives_its_address_back(node: Node) -> None:
    """The shim is killed while it waits; long before the next look for lost pods the address is host-local's again."""
    assert node.daemon is not None
    node.pod("red")
    node.daemon.process.send_signal(signal.SIGSTOP)
    shim = node.begin("ADD", "red", configuration=LENT, CNI_PATH=PLUGINS)
    eventually(lambda: sleeps(shim.pid), "the shim waits for the daemon")
    shim.kill()
    shim.communicate()
    node.daemon.process.send_signal(signal.SIGCONT)
    eventually(lambda: node.rows("SELECT 1 FROM lease WHERE closed IS NOT NULL"), "the lease is closed")
    assert lent(node) == []


def test_a_lease_that_was_cut_before_a_kill_is_closed_after_it(serving: Callable[..., Node]) -> None:
    """Also where the daemon looks for no lost pods: DEL is answered, the daemon killed, and the next one closes it."""
    node = serving(more="gc: {interval: 0}")
    node.pod("red")
    ask(node, "ADD", "red")
    ask(node, "DEL", "red")
    node.stop(signal.SIGKILL)
    node.start()
    eventually(lambda: not node.rows("SELECT 1 FROM lease WHERE closed IS NULL"), "no lease is open")
    assert len(ask(node, "ADD", "red").addresses) == 1


def sleeps(pid: int) -> bool:
    """Tell whether a process is the shim, asleep: it waits for the daemon's answer."""
    shim = Path(f"/proc/{pid}/exe").readlink().name == "podnet"
    return shim and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")
