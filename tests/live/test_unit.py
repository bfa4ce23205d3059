"""What the systemd unit allows the daemon is enough: bounding set, W^X, system calls, address families, notifications.

systemd itself is not needed: what it would set before it starts the daemon, setpriv(1) and prctl(2) set here, and what
it would refuse the daemon is looked for in what strace(1) saw it do.
"""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from podnet.installation.unit import ADDRESS_FAMILIES, CAPABILITIES, SYSTEM_CALLS
from podnet.testing.node import Node

pytestmark = pytest.mark.live

# PR_SET_MDWE (linux/prctl.h) refuses what MemoryDenyWriteExecute= has seccomp refuse; kernels before 6.3 have none,
# and there the rest is tested.
W_XOR_X = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def bounded(*capabilities: str) -> list[str]:
    """Return the words before a command that is to have these capabilities and no way to others."""
    kept = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)
    return ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs"]


def prepare(node: Node) -> None:
    """Configure both families and both sides' folders, as they are where plugins were unpacked with their owner."""
    node.configure("bridge", (4, 6))
    node.sh("mkdir -p /opt/cni/bin /etc/cni/net.d; chown 1001:1001 /opt/cni/bin; chmod 755 /opt/cni/bin")


def lives_of_pods(node: Node) -> None:
    """Attach, check, use and detach a pod."""
    added = node.cni("ADD", node.pod("red"))
    assert node.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"
    configuration = {"cniVersion": "1.0.0", "name": "podnet", "type": "podnet", "prevResult": added.json}
    assert node.cni("CHECK", "red", configuration=configuration) == (0, b"")
    assert node.cni("DEL", "red") == (0, b"")
    node.wait_for_links(0)


def test_the_units_capabilities_are_enough(bare: Node) -> None:
    """With its bounding set, no new privileges and no memory both writable and executable, pods come and go."""
    prepare(bare)
    bare.daemon = bare.launch(*bounded(*CAPABILITIES), sys.executable, "-c", W_XOR_X)
    bare.daemon.wait_log("serving")
    status = (bare.root / f"proc/{bare.daemon.pid}/status").read_text()
    (held,) = re.findall(r"CapEff:\t([0-9a-f]+)", status)
    assert int(held, 16).bit_count() == len(CAPABILITIES)
    lives_of_pods(bare)


@pytest.mark.parametrize("left_out", CAPABILITIES)
def test_none_of_them_is_too_many(bare: Node, left_out: str) -> None:
    """Without one of them the daemon does not start, or a pod is not attached."""
    prepare(bare)
    daemon = bare.launch(*bounded(*(name for name in CAPABILITIES if name != left_out)))
    try:
        daemon.wait_log("serving")
    except RuntimeError:
        assert daemon.end(0) == 1
        return
    assert bare.cni("ADD", bare.pod("red")).status == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_its_system_calls_are_in_the_filter(bare: Node) -> None:
    """Every call from the start to the end is one of the filter's, every socket of a family that is allowed.

    Namespaces are entered, never made, and only of the network.
    """
    prepare(bare)
    bare.daemon = bare.launch("strace", "-D", "-f", "-o", "/run/trace")  # -D: the daemon is the child, strace is not
    bare.daemon.wait_log("serving")
    lives_of_pods(bare)
    assert bare.stop() == 0
    trace = (bare.root / "run/trace").read_text(errors="replace")
    seen = set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)[( ]", trace, re.MULTILINE))
    assert {"setns", "sendto", "epoll_wait"} & seen
    assert seen <= calls_of(SYSTEM_CALLS)
    assert set(re.findall(r" socket\((\w+)", trace)) == set(ADDRESS_FAMILIES)
    assert set(re.findall(r" setns\(\d+[^,]*, ([^)]*)\)", trace)) == {"CLONE_NEWNET"}
    assert "unshare" not in seen
    assert "CLONE_NEW" not in "".join(re.findall(r" clone3?\(.*", trace))


def calls_of(name: str) -> set[str]:
    """Return the system calls of a set of systemd's, those of the sets in it too."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], text=True, capture_output=True, check=True)
    words = [line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and "#" not in line]
    return {call for word in words for call in (calls_of(word) if word.startswith("@") else {word})}


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(bare: Node, abstract: bool) -> None:
    """READY comes when the list is there and ADDs are answered, WATCHDOG while nothing happens, STOPPING at the end."""
    bare.configure()
    path = f"{bare.root}/run/notify"
    name = f"podnet-test-{bare.pid}"
    with bare.open_socket("", socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else path)
        given = f"@{name}" if abstract else "/run/notify"
        bare.daemon = bare.launch("env", f"NOTIFY_SOCKET={given}", "WATCHDOG_USEC=200000")
        assert manager.recv(1 << 12) == b"READY=1\nSTATUS=serving network podnet"
        assert (bare.root / "etc/cni/net.d/10-podnet.conflist").exists()
        assert bare.attach("red")
        for _ in range(4):
            assert manager.recv(1 << 12) == b"WATCHDOG=1"
        assert bare.stop() == 0
        told = b"WATCHDOG=1"
        while told == b"WATCHDOG=1":
            told = manager.recv(1 << 12)
        assert told == b"STOPPING=1"


def test_a_daemon_that_hangs_tells_nothing(serving: Callable[..., Node]) -> None:
    """What does not go round is not said to be alive: a stopped daemon's watchdog runs out."""
    node = serving()
    node.stop()
    with node.open_socket("", socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{node.root}/run/notify")
        node.daemon = node.launch("env", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=100000")
        assert manager.recv(1 << 12).startswith(b"READY=1")
        node.daemon.process.send_signal(signal.SIGSTOP)
        manager.setblocking(False)
        with suppress(BlockingIOError):  # what was said before it was stopped
            while True:
                manager.recv(1 << 12)
        manager.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.recv(1 << 12)
