"""BIRD's control socket, beside a program that says what a test has it say."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.errors import IOFailure
from podnet.routing import Control
from tests.routing.server import WELCOME, Server

SOON = 0.2
"""Seconds until silence is given up."""


def test_a_command_is_a_line_and_has_a_reply(server: Callable[..., Server], path: str) -> None:
    """One after the other on one connection, in pieces or not."""
    served = server(WELCOME, b"0013-x\n0000 \n", b"1002-y\n z\n0000 \n")
    with Control(path) as control:
        assert control.ask("show status").lines == ("x",)
        assert control.ask("show protocols").lines == ("y", "z")
    assert served.asked == [b"show status\n", b"show protocols\n"]


def test_a_welcome_that_brings_the_next_reply_with_it_is_two(server: Callable[..., Server], path: str) -> None:
    """What came early is not lost."""
    server(WELCOME + b"0000 early\n", b"")
    with Control(path) as control:
        assert control.ask("show status").lines == ("early",)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"0002-Reading configuration from /b.conf\n8002 /b.conf:3:5 syntax error\n",
         "refuses `configure`: Reading configuration from /b.conf; /b.conf:3:5 syntax error"),
        (b"9001 syntax error, unexpected CF_SYM_UNDEFINED\n", "refuses `configure`: syntax error, unexpected CF_SYM"),
        (b"8007 Access denied\n", "refuses `configure`: Access denied"),
        (b"HTTP/1.1 400\r\n", "'HTTP/1.1 400\\r', which is no line of a reply; is the socket another program's?"),
        (b"0002-Reading\n", "ended the connection; see its log"),
        (b"", "ended the connection; see its log"),
        (b"silence", "configure: timed out; see its log"),
    ],
)  # fmt: skip
def test_what_is_no_success_is_named_with_the_socket(
    server: Callable[..., Server], path: str, said: bytes, told: str
) -> None:
    """A refusal in BIRD's words; an end, silence and what is none of BIRD's with what to look at."""
    server(WELCOME, said)
    with Control(path, SOON) as control, pytest.raises(IOFailure) as caught:
        control.ask("configure")
    assert told in caught.value.msg
    assert path in caught.value.msg


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "ended the connection; see its log"),
        (b"silence", "timed out; see that BIRD runs"),
        (b"220 mail.example.org ESMTP\r\n", "is the socket another program's?"),
        (b"\0" * 100, "is the socket another program's?"),
    ],
)
def test_who_does_not_welcome_is_no_bird(server: Callable[..., Server], path: str, said: bytes, told: str) -> None:
    """It ends, says nothing, or something else."""
    server(said + (b"\n" if said.startswith(b"\0") else b""))
    with pytest.raises(IOFailure) as caught:
        Control(path, SOON)
    assert told in caught.value.msg
    assert path in caught.value.msg


def test_where_nobody_listens(path: str) -> None:
    """No socket, one that is left of another BIRD, a file, a path that is too long for a socket."""
    with pytest.raises(IOFailure, match="No such file or directory; see that BIRD runs"):
        Control(path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(IOFailure, match="Connection refused; see that BIRD runs"):
        Control(path)
    file = Path(path).with_name("file")
    file.touch()
    with pytest.raises(IOFailure, match=f"{file}: Connection refused"):
        Control(str(file))
    with pytest.raises(IOFailure, match="too long"):
        Control("/" + "x" * 200)
