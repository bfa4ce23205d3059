"""No daemon: the one-shot does the same under the same lock, and without an interpreter DEL waits in the spool."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from podnet.daemon.install import install_shim
from podnet.testing.node import DEFAULT_CONFIGURATION, Node, finish
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

FIXED = {**DEFAULT_CONFIGURATION, "args": {"cni": {"ips": ["10.244.1.40/24", "fd00:10:244:1::40/64"]}}}
HOLD_LOCK = """
import sys
from pathlib import Path
from podnet.store import WriterLock
lock = WriterLock.acquire(Path("/var/lib/podnet/podnet.db"))
lock.sign(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def states(node: Node) -> tuple[Any, Any, Any]:
    """Return the state of the node, what there is of eth0 in the pod `red`, and the leases."""
    pod = [e for e in node.state("red").items() if "eth0" in str(e)]
    return node.state(), pod, node.leases()


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_oneshot_does_what_the_daemon_does(serving: Callable[..., Node], datapath: str) -> None:
    """ADD, CHECK and DEL give the same result, kernel state and leases with the daemon and without."""
    node = serving(datapath, (4, 6))
    node.pod("red")
    before = states(node)
    assert before[1:] == ([], [])
    result = node.cni("ADD", "red", configuration=FIXED)
    attached = states(node)
    assert node.cni("DEL", "red").status == 0
    node.wait_for_links(0)
    eventually(lambda: node.leases() == [], "the lease is closed")

    node.stop()
    assert states(node) == before
    again = node.cni("ADD", "red", configuration=FIXED)
    assert again == result
    assert again.addresses == ["10.244.1.40", "fd00:10:244:1::40"]
    now = states(node)
    assert now == attached
    assert node.exchange("", "red", "10.244.1.40")
    check = {**DEFAULT_CONFIGURATION, "prevResult": again.json}
    assert node.cni("CHECK", "red", configuration=check) == (0, b"")
    node.start()
    assert states(node) == now, "the daemon takes over what the one-shot made"
    node.stop()
    assert node.cni("DEL", "red") == (0, b"")
    assert node.cni("CHECK", "red", configuration=check).json["code"] == 112
    assert states(node) == before
    assert node.cni("VERSION").json["supportedVersions"][-1] == "1.1.0"


def test_many_oneshots_take_turns(serving: Callable[..., Node]) -> None:
    """Eight ADDs at once without a daemon: each waits for the lock, each gets its own address."""
    node = serving()
    node.stop()
    names = [node.pod(f"pod{number}") for number in range(6)]
    outcomes = [finish(process) for process in [node.begin("ADD", name) for name in names]]
    assert len({outcome.addresses[0] for outcome in outcomes}) == 6
    assert len(node.pod_links()) == 6
    node.start()
    for name, outcome in zip(names, outcomes, strict=True):
        assert node.exchange("", name, outcome.addresses[0]) == "10.99.0.11"


def test_a_oneshot_that_finds_the_lock_held_hands_over(serving: Callable[..., Node]) -> None:
    """A frame that met no daemon, while one has the lock by now, is answered by that daemon."""
    node = serving()
    node.pod("red")
    socket = node.root / "run/podnet/podnet.sock"
    socket.rename(socket.with_name("aside"))
    process = node.begin("ADD", "red")
    eventually(lambda: node.has_process("podnet.oneshot"), "the shim runs a one-shot")
    socket.with_name("aside").rename(socket)
    (address,) = finish(process).addresses
    assert node.exchange("", "red", address) == "10.99.0.11"
    assert node.daemon is not None
    assert node.daemon.process.poll() is None


def test_a_daemon_never_starts_beside_another_writer(bare: Node) -> None:
    """While somebody has the database's lock a daemon refuses and names the process; after that it starts."""
    bare.configure()
    bare.run("mkdir", "-p", "/var/lib/podnet")
    with bare.background(sys.executable, "-c", HOLD_LOCK, "boot") as holder:
        refused = bare.launch()
        told = refused.wait_log("locked by process")
        assert f"process {holder.pid} " in told
        assert refused.end(0) == 1
        assert not (bare.root / "run/podnet/podnet.sock").exists()
        assert not (bare.root / "etc/cni/net.d/10-podnet.conflist").exists(), "no runtime is told that podnet is ready"
    bare.start()


def test_a_second_daemon_refuses_and_the_first_serves_on(node: Node) -> None:
    """The second names the first's process, exits with 1, and leaves socket and list where they are."""
    assert node.daemon is not None
    second = node.launch()
    assert f"process {node.daemon.pid} " in second.wait_log("locked by process")
    assert second.end(0) == 1
    assert node.attach("red")


def test_without_an_interpreter_del_waits_and_add_is_told_to(serving: Callable[..., Node]) -> None:
    """ADD: code 11. DEL: success, kept in the spool, carried out by the next daemon before it serves."""
    node = serving()
    address = node.attach("red")
    node.attach("blue")
    node.stop()
    assert install_shim(f"{node.root}/opt/cni/bin", interpreter="")
    node.pod("green")
    refused = node.cni("ADD", "green")
    assert (refused.status, refused.json["code"]) == (1, 11)
    assert "podnet node run" in refused.json["msg"]
    assert node.cni("DEL", "red") == (0, b"")
    spool = node.root / "var/lib/podnet/spool"
    assert spool.stat().st_mode & 0o777 == 0o700
    (spooled,) = spool.glob("*.frame")
    (spool / "00000000000000000001-1.frame").write_bytes(b"PNF1 and then nothing of sense")
    (spool / "00000000000000000002-1.frame").write_bytes(spooled.read_bytes()[:-3])
    assert node.cni("DEL", "../red") == (0, b"")
    (aside,) = set(spool.glob("[1-9]*.frame")) | set(spool.glob("0[1-9]*.frame")) - {spooled}
    assert len(node.pod_links()) == 2

    node.start()
    assert [path.name for path in sorted(spool.iterdir())] == [
        "00000000000000000001-1.frame.damaged",
        "00000000000000000002-1.frame.damaged",
        aside.name + ".damaged",
    ]
    assert address not in str(node.elements("pods4"))
    assert [row[0] for row in node.rows("SELECT container FROM lease WHERE cut IS NULL")] == ["blue"]
    assert node.cni("ADD", "green").status == 0
    node.wait_for_links(2)
