"""The program that sends streams sees what it is there for: datagrams lost on either way, and a conversation's end."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import PATIENCE, eventually
from tests.cluster.stream import Report, compile_stream, read_report
from tests.live.conftest import make_node

SERVER = "10.99.0.1"
TABLE = """
table inet t {
    counter heard { }
    counter hit { }
    chain in {
        type filter hook input priority 0
        meta l4proto udp counter name heard
    }
}
"""
SOME = 50
"""Packets of which something is to be noticed."""

STALL = 1.0
"""Seconds without a processor."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the program."""
    return compile_stream(tmp_path_factory.mktemp("stream"))


@pytest.fixture
def node() -> Iterator[Node]:
    """Give a node, which speaks to what is outside of it, both with a table that counts."""
    with ExitStack() as stack:
        made = make_node(stack)
        for place in ("", "outside"):
            made.run("nft", TABLE, pod=place)
        yield made


def counted(node: Node, place: str, counter: str) -> int:
    """Return how many packets a counter of a place has seen."""
    told = node.json("nft", "-j", "list", "counter", "inet", "t", counter, pod=place)
    return int(next(entry["counter"]["packets"] for entry in told["nftables"] if "counter" in entry))


def wait_hits(node: Node, place: str, counter: str = "hit") -> None:
    """Wait until a counter has seen some packets more."""
    before = counted(node, place, counter)
    eventually(lambda: counted(node, place, counter) >= before + SOME, f"{SOME} packets at {counter}")


@contextmanager
def running(node: Node, program: Path, reports: list[Report]) -> "Iterator[subprocess.Popen[str]]":
    """Have a stream go from the node to `outside` while the block runs; its report is added to `reports`."""
    with ExitStack() as ends:

        def opened(place: str, kind: int) -> socket.socket:
            return ends.enter_context(node.open_socket(place, socket.AF_INET, kind))

        receiver, listener = (opened("outside", kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        sender, client = (opened("", kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        receiver.bind((SERVER, 0))
        listener.bind((SERVER, 0))
        listener.listen()
        sender.connect(receiver.getsockname())
        client.connect(listener.getsockname())
        accepted = ends.enter_context(listener.accept()[0])
        descriptors = [end.fileno() for end in (sender, receiver, client, accepted)]
        process = subprocess.Popen(
            [str(program), *map(str, descriptors)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=descriptors,
        )  # fmt: skip
        ends.callback(process.kill)
        wait_hits(node, "outside", "heard")
        yield process
        told, _ = process.communicate(timeout=PATIENCE)
        reports.append(read_report(told))


def disturb(node: Node, place: str, rule: str) -> None:
    """Have a place do to some packets that arrive what `rule` says, and then no more."""
    told = node.json("nft", "-j", "--echo", "--handle", "add", "rule", "inet", "t", "in", *rule.split(), pod=place)
    handle = next(entry["add"]["rule"]["handle"] for entry in told["nftables"] if "rule" in entry["add"])
    wait_hits(node, place)
    node.run("nft", "delete", "rule", "inet", "t", "in", "handle", str(handle), pod=place)
    wait_hits(node, "outside", "heard")


@pytest.mark.live
def test_what_is_not_disturbed_is_called_so(node: Node, program: Path) -> None:
    """Where nothing happens nothing is reported: all arrived, all was answered, all that was said was heard back."""
    reports: list[Report] = []
    with running(node, program, reports):
        wait_hits(node, "outside", "heard")
    (report,) = reports
    assert report.disturbed == ""
    assert report.sent >= 2 * SOME
    assert report.said >= 8 * (report.sent // 10)


@pytest.mark.live
def test_who_had_no_processor_for_a_second_loses_nothing(node: Node, program: Path) -> None:
    """What was due meanwhile is sent then, more than a socket's buffer would hold, and all of it arrives."""
    reports: list[Report] = []
    with running(node, program, reports) as process:
        process.send_signal(signal.SIGSTOP)
        Event().wait(STALL)
        process.send_signal(signal.SIGCONT)
        wait_hits(node, "outside", "heard")
    (report,) = reports
    assert report.disturbed == ""
    assert report.sent > STALL * 1000


@pytest.mark.live
def test_datagrams_that_are_dropped_are_lost(node: Node, program: Path) -> None:
    """Those that the target drops are lost, in one gap, and not answered; before and after it all arrived."""
    reports: list[Report] = []
    with running(node, program, reports):
        disturb(node, "outside", "meta l4proto udp counter name hit drop")
    (report,) = reports
    (gap,) = report.lost
    assert gap.last - gap.first + 1 >= SOME
    assert 0 < gap.first <= gap.last < report.sent - 1
    assert report.unanswered == report.lost
    assert report.silence_ms >= SOME // 2
    assert report.disturbed.startswith(f"lost: {gap.first}-{gap.last} at ")
    assert "TCP" not in report.disturbed


@pytest.mark.live
def test_answers_that_are_dropped_are_not_lost_datagrams(node: Node, program: Path) -> None:
    """What is dropped on the way back has arrived, and is unanswered."""
    reports: list[Report] = []
    with running(node, program, reports):
        disturb(node, "", "meta l4proto udp counter name hit drop")
    (report,) = reports
    (gap,) = report.unanswered
    assert report.lost == ()
    assert gap.last - gap.first + 1 >= SOME
    assert report.disturbed.startswith("unanswered: ")


@pytest.mark.live
def test_a_reset_connection_is_told(node: Node, program: Path) -> None:
    """A reset ends the conversation, and is told; the datagrams beside it go on undisturbed."""
    reports: list[Report] = []
    with running(node, program, reports):
        node.run("nft", "add rule inet t in meta l4proto tcp counter name hit reject with tcp reset", pod="outside")
        eventually(lambda: counted(node, "outside", "hit") > 0, "a reset")
        wait_hits(node, "outside", "heard")
    (report,) = reports
    assert "Connection reset by peer" in report.talk_error
    assert report.disturbed == f"TCP: {report.talk_error}"


def test_a_conversation_that_stands_still_is_told() -> None:
    """Words that were said and not heard back are a disturbance without any error."""
    assert "16 bytes said, 8 heard back" in read_report(json.dumps(told(said=16, heard_back=8))).disturbed
    assert read_report(json.dumps(told(said=16, heard_back=16))).disturbed == ""


def told(**more: object) -> dict[str, object]:
    """Return what the program prints of nothing, with `more`."""
    nothing = {"sent": 0, "arrived": 0, "answered": 0, "strange": 0, "lost": [], "unanswered": [], "silence_ms": 0}
    return {**nothing, "send_error": "", "said": 0, "heard_back": 0, "talk_error": "", **more}
