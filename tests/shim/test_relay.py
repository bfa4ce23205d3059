"""The shim with a daemon: it carries the request there and the answer back, unchanged."""

import errno
import json
import os
import platform
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Invoke = Callable[..., subprocess.CompletedProcess[bytes]]
Handler = Callable[[socket.socket], Any]
Serve = Callable[[Handler], Future[Any]]
Receive = Callable[[socket.socket], Any]

SYS_CONNECT = {"x86_64": "42", "aarch64": "203"}
LIMIT = 1 << 20


def answer(status: int = 0, output: bytes = b"{}\n") -> bytes:
    """Return the daemon's answer."""
    return struct.pack("=II", status, len(output)) + output


def replying(receive: Receive, reply: bytes) -> Handler:
    """Return a handler that takes the frame, answers, and returns the frame."""

    def handle(connection: socket.socket) -> Any:
        frame = receive(connection)
        connection.sendall(reply)
        return frame

    return handle


def error(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Return the CNI error that is all of stdout, after checking that it is one."""
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert set(content) == {"cniVersion", "code", "msg"}
    assert content["cniVersion"] == "1.0.0"
    return dict(content)


def test_the_frame_carries_cni_variables_and_stdin(daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """The daemon gets every variable that begins with CNI_, no other, and stdin to the byte."""
    served = daemon(replying(receive, answer()))
    stdin = bytes(range(256)) * 3
    done = invoke("ADD", stdin, {"CNI_ARGS": "a=b;c=d", "CNI_IFNAME": "eth0", "CNI_PATH": "", "CNIX": "1", "HOME": "/"})
    frame = served.result()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{}\n", b"")
    assert frame.magic == b"PNF1"
    assert frame.environment == {"CNI_COMMAND": "ADD", "CNI_ARGS": "a=b;c=d", "CNI_IFNAME": "eth0", "CNI_PATH": ""}
    assert frame.stdin == stdin


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.from_regex(r"CNI_[A-Z]{1,20}", fullmatch=True).filter(lambda key: key != "CNI_COMMAND"),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200),
    ),
    stdin=st.binary(max_size=5000),
)
def test_any_request_arrives_unchanged(
    values: dict[str, str], stdin: bytes, daemon: Serve, receive: Receive, invoke: Invoke
) -> None:
    """Whatever the variables' values and the configuration are, they arrive as given."""
    served = daemon(replying(receive, answer()))
    assert invoke("STATUS", stdin, values).returncode == 0
    assert served.result().environment == {"CNI_COMMAND": "STATUS", **values}
    assert served.result().stdin == stdin


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_the_namespace_travels_as_a_descriptor(command: str, daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """The daemon holds the very file that CNI_NETNS names, not a path to it."""
    served = daemon(replying(receive, answer()))
    invoke(command, environment={"CNI_NETNS": "/proc/self/ns/net"})
    (descriptor,) = served.result().descriptors
    assert os.path.samestat(os.fstat(descriptor), Path("/proc/self/ns/net").stat())
    assert served.result().netns_errno == 0


@pytest.mark.parametrize("command", ["VERSION", "STATUS", "GC"])
def test_a_verb_without_namespace_opens_none(command: str, daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """Only verbs about a container open CNI_NETNS."""
    served = daemon(replying(receive, answer()))
    invoke(command, environment={"CNI_NETNS": "/proc/self/ns/net"})
    assert (served.result().descriptors, served.result().netns_errno) == ([], 0)


@pytest.mark.parametrize(
    ("path", "number"),
    [("/nonexistent/netns", errno.ENOENT), ("/proc/self/status/x", errno.ENOTDIR), ("", 0), (None, 0)],
)
def test_why_the_namespace_did_not_open(
    path: str | None, number: int, daemon: Serve, receive: Receive, invoke: Invoke
) -> None:
    """The daemon is told open(2)'s errno, and nothing where there was nothing to open."""
    served = daemon(replying(receive, answer()))
    invoke("DEL", environment={} if path is None else {"CNI_NETNS": path})
    assert (served.result().descriptors, served.result().netns_errno) == ([], number)


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 1), (11, 11), (255, 255), (256, 1), (0xFFFFFFFF, 1)])
def test_the_answer_is_printed_and_its_status_kept(
    status: int, expected: int, daemon: Serve, receive: Receive, invoke: Invoke
) -> None:
    """Stdout is the answer to the byte; a status that no process can have is no success."""
    output = b'{"cniVersion":"1.1.0"}\0\xff\n'
    daemon(replying(receive, answer(status, output)))
    done = invoke("ADD")
    assert (done.returncode, done.stdout) == (expected, output)


@pytest.mark.parametrize("length", [0, 1, 65537, 4 << 20])
def test_answers_of_any_length_up_to_the_limit(length: int, daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """An answer of up to 4 MiB is printed whole."""
    daemon(replying(receive, answer(0, b"x" * length)))
    assert invoke("ADD").stdout == b"x" * length


def test_an_answer_beyond_the_limit_is_an_error(daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """A length that no answer has means another version of the daemon, and is said so."""
    daemon(replying(receive, struct.pack("=II", 0, (4 << 20) + 1)))
    content = error(invoke("ADD"))
    assert content["code"] == 5
    assert "install the plugin again" in content["msg"]


def test_an_answer_in_pieces(daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """An answer that comes byte by byte is put together."""

    def handle(connection: socket.socket) -> None:
        receive(connection)
        for byte in answer(3, b"a piece at a time\n"):
            connection.sendall(bytes([byte]))

    daemon(handle)
    done = invoke("ADD")
    assert (done.returncode, done.stdout) == (3, b"a piece at a time\n")


def test_a_daemon_that_reads_in_pieces(daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """A frame larger than the socket's buffer is sent as the daemon takes it, the descriptor once."""

    def handle(connection: socket.socket) -> Any:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frame = receive(connection)
        connection.sendall(answer())
        return frame

    served = daemon(handle)
    done = invoke("ADD", b"y" * LIMIT, {"CNI_NETNS": "/proc/self/ns/net"})
    assert done.returncode == 0
    assert served.result().stdin == b"y" * LIMIT
    assert len(served.result().descriptors) == 1


def test_one_mebibyte_and_no_more(listener: socket.socket, invoke: Invoke) -> None:
    """A configuration of more than 1 MiB is refused with code 6, and the daemon is not bothered."""
    content = error(invoke("ADD", b"z" * (LIMIT + 1)))
    assert content["code"] == 6
    assert "1 MiB" in content["msg"]
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_variables_beyond_reason(listener: socket.socket, invoke: Invoke) -> None:
    """CNI_ variables of more than 256 KiB are refused with code 4."""
    del listener
    content = error(invoke("ADD", environment={f"CNI_ARGS{i}": "v" * 100_000 for i in range(3)}))
    assert content["code"] == 4
    assert "CNI_ARGS" in content["msg"]


@pytest.mark.parametrize(
    "reply", [b"", answer()[:4], answer(0, b"half an answer")[:-3]], ids=["none", "header", "body"]
)
def test_a_daemon_that_dies_midway(reply: bytes, daemon: Serve, receive: Receive, invoke: Invoke) -> None:
    """What came of a broken answer is not printed; the runtime is told to ask again."""
    daemon(replying(receive, reply))
    content = error(invoke("ADD"))
    assert content["code"] == 11
    assert "ask again" in content["msg"]


def test_a_daemon_that_hangs_up_unread(daemon: Serve, invoke: Invoke) -> None:
    """A daemon that closes without reading a large request leaves error 11, not a signal."""
    daemon(lambda connection: connection.recv(1))
    assert error(invoke("ADD", b"w" * LIMIT))["code"] == 11


def test_an_answer_before_the_end_of_the_request(daemon: Serve, invoke: Invoke) -> None:
    """A daemon may refuse early: the shim prints its words although it could not send everything."""

    def handle(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(answer(1, b"refused\n"))

    daemon(handle)
    done = invoke("ADD", b"w" * LIMIT)
    assert (done.returncode, done.stdout) == (1, b"refused\n")


def test_a_daemon_that_never_answers(daemon: Serve, receive: Receive, invoke: Invoke, impatient: bytes) -> None:
    """After the deadline the runtime gets error 11 instead of nothing."""

    def handle(connection: socket.socket) -> None:
        receive(connection)
        connection.recv(1)  # returns when the shim has gone

    served = daemon(handle)
    content = error(invoke("ADD", program=impatient))
    assert content["code"] == 11
    assert "in time" in content["msg"]
    served.result()


def test_a_daemon_that_never_reads(daemon: Serve, invoke: Invoke, impatient: bytes) -> None:
    """The deadline holds for sending, too."""
    done: Future[None] = Future()
    daemon(lambda _: done.result(timeout=30))
    content = error(invoke("ADD", b"w" * LIMIT, program=impatient))
    done.set_result(None)
    assert content["code"] == 11
    assert "did not read" in content["msg"]


def test_a_runtime_that_never_closes_stdin(install: Callable[..., Path], impatient: bytes) -> None:
    """The deadline holds for reading the configuration, and its end is error 6."""
    program = install(program=impatient)
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"CNI_COMMAND": "ADD"}
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait(timeout=30) == 1
    assert json.loads(output)["code"] == 6


def fill_backlog(listener: socket.socket) -> list[socket.socket]:
    """Connect until no more is taken; return the connections."""
    listener.listen(0)
    fillers = []
    while True:
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fillers.append(filler)
        filler.setblocking(False)
        try:
            filler.connect(listener.getsockname())
        except BlockingIOError:
            return fillers


def wait_for_system_call(process: subprocess.Popen[bytes], number: str) -> None:
    """Return when `process` sleeps in the system call `number`."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        if Path(f"/proc/{process.pid}/syscall").read_text(encoding="ascii").split()[0] == number:
            return
        os.sched_yield()
    pytest.fail("the shim does not wait in connect(2)")


def test_a_full_backlog_is_waited_out(listener: socket.socket, receive: Receive, install: Callable[..., Path]) -> None:
    """A daemon with more callers than it can take is not an absent daemon: the shim waits for its turn."""
    program = install()
    fillers = fill_backlog(listener)
    with subprocess.Popen(
        [program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={"CNI_COMMAND": "ADD"}
    ) as process:
        wait_for_system_call(process, SYS_CONNECT[platform.machine()])
        for _ in fillers[:-1]:
            listener.accept()[0].close()
        connection, _ = listener.accept()
        with connection:
            assert receive(connection).environment == {"CNI_COMMAND": "ADD"}
            connection.sendall(answer(0, b"served\n"))
        assert process.stdout is not None
        assert process.stdout.read() == b"served\n"
    for filler in fillers:
        filler.close()


def test_a_backlog_full_for_too_long(listener: socket.socket, invoke: Invoke, impatient: bytes) -> None:
    """The wait for a place in the backlog ends at the deadline, with error 11, and never in the fallback."""
    fillers = fill_backlog(listener)
    content = error(invoke("DEL", program=impatient))
    assert content["code"] == 11
    assert "too busy" in content["msg"]
    for filler in fillers:
        filler.close()


def test_a_socket_of_another_kind(folder: Path, invoke: Invoke) -> None:
    """A socket that is not a daemon's is a fault of the installation: error 5 with the path, and no fallback."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"{folder}/podnet.sock")
        content = error(invoke("DEL"))
    assert content["code"] == 5
    assert f"{folder}/podnet.sock" in content["msg"]
    assert not (folder / "spool").exists()
