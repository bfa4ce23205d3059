"""The shim without a daemon: what was fixed at install happens, and nothing is lost."""

import errno
import json
import os
import pty
import re
import resource
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.cni import versions

Invoke = Callable[..., subprocess.CompletedProcess[bytes]]
Decode = Callable[[bytes], Any]


def error(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Return the CNI error that is all of stdout, after checking that it is one."""
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert set(content) == {"cniVersion", "code", "msg"}
    assert content["cniVersion"] == "1.0.0"
    return dict(content)


@pytest.fixture(params=["no socket", "nobody listens"])
def absence(request: pytest.FixtureRequest, folder: Path) -> str:
    """Return how the daemon is absent: never started, or killed with its socket left behind."""
    if request.param == "nobody listens":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
            left_behind.bind(f"{folder}/podnet.sock")
    return str(request.param)


@pytest.mark.parametrize("command", ["ADD", "CHECK", "GC"])
def test_a_verb_that_needs_the_daemon_is_to_be_asked_again(command: str, absence: str, invoke: Invoke) -> None:
    """ADD, CHECK and GC get error 11 with the socket's path and what to start."""
    content = error(invoke(command))
    assert absence
    assert content["code"] == 11
    assert "podnet.sock" in content["msg"]
    assert "start `podnet node run`" in content["msg"]


def test_version_needs_no_daemon(absence: str, invoke: Invoke) -> None:
    """VERSION lists the versions of the specification that the daemon speaks, and no other."""
    done = invoke("VERSION")
    assert absence
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "cniVersion": versions.HIGHEST,
        "supportedVersions": list(versions.VERSIONS),
    }


def test_status_without_daemon(absence: str, invoke: Invoke) -> None:
    """STATUS says with code 50 that ADD cannot be served."""
    assert absence
    assert error(invoke("STATUS"))["code"] == 50


def test_del_is_kept_in_the_spool(absence: str, folder: Path, decode: Decode, invoke: Invoke) -> None:
    """DEL succeeds, and the spool, made on the way, holds the whole request for root's eyes only."""
    spool = folder / "a" / "b" / "spool"
    netns = "/nonexistent/netns"
    done = invoke("DEL", b'{"name":"podnet"}', {"CNI_CONTAINERID": "c1", "CNI_NETNS": netns}, spool=spool)
    assert absence
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (kept,) = spool.iterdir()
    assert re.fullmatch(r"\d{20}-\d+\.frame", kept.name)
    frame = decode(kept.read_bytes())
    assert frame.magic == b"PNF1"
    assert frame.netns_errno == errno.ENOENT
    assert frame.environment == {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c1", "CNI_NETNS": netns}
    assert frame.stdin == b'{"name":"podnet"}'
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700


def test_the_spool_keeps_the_order(folder: Path, decode: Decode, invoke: Invoke) -> None:
    """Sorted by name, the spooled requests stand in the order in which they were made."""
    for number in range(5):
        assert invoke("DEL", environment={"CNI_CONTAINERID": str(number)}).returncode == 0
    kept = sorted((folder / "spool").iterdir())
    assert [decode(path.read_bytes()).environment["CNI_CONTAINERID"] for path in kept] == list("01234")


def test_a_spooled_request_survives_a_power_loss(folder: Path, install: Callable[..., Path]) -> None:
    """The file's content is on the disk before its name is, and the name is before success is told."""
    trace = folder / "trace"
    (folder / "spool").mkdir(mode=0o700)
    watched = "trace=openat,write,fsync,rename,renameat,renameat2,exit_group"
    subprocess.run(
        ["strace", "-o", trace, "-e", watched, install()], env={"PATH": os.environ["PATH"], "CNI_COMMAND": "DEL"},
        stdin=subprocess.DEVNULL, check=True, capture_output=True,
    )  # fmt: skip
    calls = trace.read_text(encoding="utf-8")
    order = re.search(
        r'openat\(.*/spool", .*\) = (?P<folder>\d+)\n'
        r'openat\((?P=folder), "(?P<temporary>[^"]+\.tmp)", O_WRONLY\|O_CREAT\|O_EXCL.*, 0600\) = (?P<file>\d+)\n'
        r"write\((?P=file), .*\) = \d+\n"
        r"fsync\((?P=file)\) += 0\n"
        r'renameat\((?P=folder), "(?P=temporary)", (?P=folder), "[^"]+\.frame"\) = 0\n'
        r"fsync\((?P=folder)\) += 0\n"
        r"exit_group\(0\)",
        calls,
    )
    assert order, calls


def test_an_open_spool_is_closed_to_others(folder: Path, invoke: Invoke) -> None:
    """A spool that others could write to is made root's alone before anything goes in."""
    spool = folder / "spool"
    spool.mkdir()
    spool.chmod(0o777)
    assert invoke("DEL").returncode == 0
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert len(list(spool.iterdir())) == 1


@pytest.mark.parametrize("obstacle", ["file", "symbolic link", "foreign folder"])
def test_a_spool_that_cannot_be_trusted(obstacle: str, folder: Path, invoke: Invoke) -> None:
    """What is not root's own folder gets no frame, and DEL gets error 5 with the path instead of a false success."""
    spool = folder / "spool"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if obstacle == "file":
        spool.touch()
    elif obstacle == "symbolic link":
        spool.symlink_to(elsewhere)
    else:
        spool.mkdir(mode=0o700)
        os.chown(spool, 65534, 65534)
    content = error(invoke("DEL"))
    assert content["code"] == 5
    assert str(spool) in content["msg"]
    assert list(elsewhere.iterdir()) == []
    assert not spool.is_dir() or list(spool.iterdir()) == []


def test_a_spool_without_room(folder: Path, install: Callable[..., Path]) -> None:
    """A frame that could not be written whole leaves nothing behind, and DEL fails."""

    def forbid_writing() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write(2) then fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))

    done = subprocess.run(
        [install()], input=b"{}", env={"CNI_COMMAND": "DEL"}, stdout=subprocess.PIPE, check=False,
        preexec_fn=forbid_writing,
    )  # fmt: skip
    assert error(done)["code"] == 5
    assert list((folder / "spool").iterdir()) == []


@pytest.fixture
def interpreter(folder: Path) -> Path:
    """Return a stand-in for Python that notes how it was called, then answers with status 7."""
    notes = folder / "notes"
    notes.mkdir()
    script = folder / "interpreter"
    script.write_text(
        f'#!/bin/sh\ncd {notes}\nprintf "%s\\n" "$@" >arguments\ncat /proc/$$/environ >environment\ncat >stdin\n'
        "stat -L -c '%d %i' /proc/$$/fd/3 >netns 2>/dev/null\nls /proc/$$/fd >descriptors\necho answered\nexit 7\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "STATUS", "VERSION", "GC"])
def test_an_interpreter_runs_the_verb(
    command: str, absence: str, interpreter: Path, decode: Decode, invoke: Invoke
) -> None:
    """The one-shot gets the frame as standard input and a clean environment; its answer and status are the shim's."""
    secrets = {"PYTHONPATH": "/evil", "LD_PRELOAD": "", "CNI_IFNAME": "eth0"}
    done = invoke(command, b'{"a":1}', secrets, interpreter=str(interpreter))
    assert absence
    assert (done.returncode, done.stdout) == (7, b"answered\n")
    folder = interpreter.parent
    notes = folder / "notes"
    assert (notes / "arguments").read_text(encoding="utf-8").split() == ["-I", "-m", "podnet.oneshot"]
    environment = (notes / "environment").read_text(encoding="utf-8").split("\0")[:-1]
    assert environment == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"PODNET_SOCKET={folder}/podnet.sock",
    ]
    frame = decode((notes / "stdin").read_bytes())
    assert frame.environment == {"CNI_COMMAND": command, "CNI_IFNAME": "eth0"}
    assert frame.stdin == b'{"a":1}'
    assert (notes / "netns").read_text(encoding="utf-8") == "", "no namespace, no descriptor 3"
    assert not (folder / "spool").exists()


@pytest.mark.parametrize("leaked", ["", "3</dev/null", "3</dev/null 4</dev/null 5</dev/null", "4</dev/null"])
def test_the_interpreter_gets_the_namespace(leaked: str, interpreter: Path, install: Callable[..., Path]) -> None:
    """Descriptor 3 is the pod's namespace, whatever descriptors the runtime let the shim inherit."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" {leaked}', install(interpreter=str(interpreter))], input=b"{}",
        env={"CNI_COMMAND": "ADD", "CNI_NETNS": "/proc/self/ns/net"}, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    namespace = Path("/proc/self/ns/net").stat()
    noted = (interpreter.parent / "notes" / "netns").read_text(encoding="utf-8").split()
    assert noted == [str(namespace.st_dev), str(namespace.st_ino)]


def test_a_missing_interpreter_is_named(folder: Path, invoke: Invoke) -> None:
    """Where the interpreter has been removed, ADD says which, and DEL still goes to the spool."""
    content = error(invoke("ADD", interpreter="/nonexistent/python3"))
    assert content["code"] == 11
    assert "/nonexistent/python3" in content["msg"]
    assert invoke("DEL", interpreter="/nonexistent/python3").returncode == 0
    assert len(list((folder / "spool").iterdir())) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5000))
def test_no_command_breaks_out_of_the_error(command: str, invoke: Invoke) -> None:
    """An unknown verb is error 4, and whatever it contains stays inside the message."""
    assert error(invoke(command))["code"] == 4


def test_no_path_breaks_out_of_the_error(invoke: Invoke) -> None:
    """A socket path of quotes, control characters and bytes that are not UTF-8 stays inside the message."""
    content = error(invoke("ADD", socket=b'/nonexistent/","code":0,"\n\x01\xff\\'))
    assert content["code"] == 11
    assert '/nonexistent/","code":0,"???\\' in content["msg"]


def test_a_socket_path_too_long(invoke: Invoke) -> None:
    """A path that no unix socket can have is named in error 5."""
    content = error(invoke("ADD", socket="/" + "s" * 200))
    assert content["code"] == 5
    assert "s" * 200 in content["msg"]


def test_no_command_at_all(install: Callable[..., Path]) -> None:
    """A runtime that sets no CNI_COMMAND gets error 4."""
    done = subprocess.run([install()], input=b"", env={}, capture_output=True, check=False)
    assert error(done)["code"] == 4


def test_a_person_at_a_terminal_is_told_what_this_is(install: Callable[..., Path]) -> None:
    """Run by hand, the shim says in one line what it is."""
    master, terminal = pty.openpty()
    try:
        done = subprocess.run([install()], stdin=terminal, env={}, capture_output=True, check=False)
    finally:
        os.close(master)
        os.close(terminal)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    assert b"CNI plugin" in done.stdout


@pytest.mark.parametrize("interpreter", ["", "/nonexistent/python3"])
def test_the_file_name_means_nothing(folder: Path, install: Callable[..., Path], interpreter: str) -> None:
    """Installed as `loopback` the shim does what it does as `podnet`: DEL is kept, ADD is told to come again."""
    program = install(interpreter=interpreter).rename(folder / "loopback")
    stdin = b'{"cniVersion":"1.0.0","name":"cni-loopback","type":"loopback"}'
    outcomes = {}
    for command in ("VERSION", "ADD", "DEL"):
        done = subprocess.run(
            [program], input=stdin, env={"CNI_COMMAND": command}, capture_output=True, timeout=30, check=False
        )
        outcomes[command] = done
    assert "1.1.0" in json.loads(outcomes["VERSION"].stdout)["supportedVersions"]
    assert json.loads(outcomes["ADD"].stdout)["code"] == 11
    assert (outcomes["DEL"].returncode, outcomes["DEL"].stdout) == (0, b"")
    assert len(list((folder / "spool").iterdir())) == 1
