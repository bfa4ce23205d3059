"""Words to the service manager, heard at the other end of its socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from podnet.daemon.notify import Notifier

Manager = tuple[socket.socket, str]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Give a manager's socket, in the file system or abstract, and its NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"podnet-test-{os.getpid()}"
        path = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
        listener.bind(path.replace("@", "\0"))
        listener.setblocking(False)
        yield listener, path


def heard(listener: socket.socket) -> list[bytes]:
    """Return the datagrams that are there."""
    found = []
    while True:
        try:
            found.append(listener.recv(1 << 12))
        except BlockingIOError:
            return found


def test_lines_are_one_datagram(manager: Manager) -> None:
    """What is told at once arrives at once, at a path or an abstract address."""
    listener, path = manager
    Notifier({"NOTIFY_SOCKET": path}).tell("READY=1", "STATUS=serving network podnet")
    assert heard(listener) == [b"READY=1\nSTATUS=serving network podnet"]


def test_the_watchdog_is_told_when_it_is_due(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told at once, then at half of the watchdog's time and not before; waits end in time for it."""
    listener, path = manager
    now = [100.0]
    monkeypatch.setattr("podnet.daemon.notify.time.monotonic", lambda: now[0])
    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    notifier.alive()
    notifier.alive()
    assert heard(listener) == [b"WATCHDOG=1"]
    assert (notifier.within(None), notifier.within(3.0), notifier.within(30.0)) == (10.0, 3.0, 10.0)
    now[0] += 9.5
    notifier.alive()
    assert heard(listener) == []
    assert notifier.within(None) == 0.5
    now[0] += 0.5
    assert notifier.within(None) == 0.0
    notifier.alive()
    assert heard(listener) == [b"WATCHDOG=1"]
    assert notifier.within(None) == 10.0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "2"},
        {"NOTIFY_SOCKET": "PATH"},
        {"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "2", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "PATH", "WATCHDOG_USEC": "soon"},
    ],
)
def test_without_a_watchdog_nothing_is_waited_for(environment: dict[str, str], tmp_path: Path) -> None:
    """No manager, no watchdog, or another process's: waits are as long as they were."""
    given = {key: value.replace("PATH", str(tmp_path / "notify")) for key, value in environment.items()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        notifier = Notifier(given)
        notifier.alive()
        assert heard(listener) == []
    assert (notifier.within(None), notifier.within(5.0)) == (None, 5.0)


def test_a_manager_that_does_not_listen_is_no_fault(tmp_path: Path) -> None:
    """A socket that is gone, or whose reader is asleep, neither raises nor waits."""
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "deaf"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        begun = monotonic()
        for _ in range(2000):
            notifier.tell("STATUS=" + "x" * 1000)
        assert monotonic() - begun < 10
