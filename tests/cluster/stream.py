"""Traffic that must not be disturbed: a thousand datagrams a second and a TCP conversation, from a pod to another."""

import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from podnet.testing.stream import BUFFER, SO_RCVBUFFORCE
from podnet.testing.waiting import PATIENCE
from tests.cluster.cluster import Cluster
from tests.cluster.probes import ANY
from tests.cluster.workload import Pod

SOURCE = Path(__file__).with_name("stream.c")
WARNINGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic-errors")


class Gap(NamedTuple):
    """Numbers that are missing, and when the first was sent, in ms from the begin."""

    first: int
    last: int
    at_ms: int


class Report(NamedTuple):
    """What became of a stream: see stream.c."""

    sent: int
    lost: tuple[Gap, ...]
    unanswered: tuple[Gap, ...]
    strange: int
    silence_ms: int
    send_error: str
    said: int
    heard_back: int
    talk_error: str

    @property
    def disturbed(self) -> str:
        """What went wrong, "" where nothing did."""
        complaints = [
            f"{name}: {', '.join(f'{gap.first}-{gap.last} at {gap.at_ms} ms' for gap in gaps)}"
            for name, gaps in (("lost", self.lost), ("unanswered", self.unanswered))
            if gaps
        ]
        if self.talk_error or self.heard_back != self.said:
            complaints.append(f"TCP: {self.talk_error or f'{self.said} bytes said, {self.heard_back} heard back'}")
        if self.strange or self.send_error:
            complaints.append(f"{self.strange} strange datagrams, {self.send_error or 'no error'}")
        return "; ".join(complaints)


def read_report(text: str) -> Report:
    """Return what stream.c printed."""
    told: dict[str, Any] = json.loads(text)
    gaps = {name: tuple(Gap(**gap) for gap in told[name]) for name in ("lost", "unanswered")}
    return Report(**{name: gaps.get(name, told[name]) for name in Report._fields})


def compile_stream(folder: Path) -> Path:
    """Compile the program into `folder`."""
    made = folder / "stream"
    subprocess.run(["cc", *WARNINGS, "-o", str(made), str(SOURCE)], check=True)
    return made


class Stream:
    """Traffic from one pod to another while the block runs; `report` is there after it."""

    report: Report

    def __init__(self, cluster: Cluster, program: Path, source: Pod, target: Pod, family: int) -> None:
        self._cluster = cluster
        self._program = program
        self._source = source.network
        self._target = target.network
        self._family = family
        self._address = target.addresses[family]
        self._ends = ExitStack()

    def _socket(self, network: int, kind: int) -> socket.socket:
        return self._ends.enter_context(self._cluster.open_socket(network, self._family, kind))

    def _sockets(self) -> list[socket.socket]:
        """Return what sends and what receives datagrams, and a connection's two ends."""
        receiver, listener = (self._socket(self._target, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        sender, client = (self._socket(self._source, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        for server in (receiver, listener):
            server.bind((ANY[self._family], 0))
        for end in (receiver, sender):
            end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        listener.listen()
        sender.connect((self._address, receiver.getsockname()[1]))
        client.connect((self._address, listener.getsockname()[1]))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted, _ = listener.accept()
        return [sender, receiver, client, self._ends.enter_context(accepted)]

    def __enter__(self) -> Self:
        """Begin to send."""
        descriptors = [end.fileno() for end in self._sockets()]
        self._process = subprocess.Popen(
            [str(self._program), *map(str, descriptors)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=descriptors,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and have the report."""
        with self._ends:
            told, _ = self._process.communicate(timeout=PATIENCE)
        if kind is None:
            self.report = read_report(told)
