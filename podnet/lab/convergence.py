"""Streams between pods while something happens to the lab: who loses packets, and for how long.

A pod of each node sends to one of each other node, every few milliseconds, and is answered.  What came back is set
against what was sent, so that a gap is seen to the millisecond.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

import msgspec

from podnet.lab import namespaces, routes
from podnet.lab.topology import Endpoint, IPAddress, Topology

PORT = 9111
EVERY = 0.005
"""Seconds between two datagrams of a stream."""
SETTLE = 0.5
"""Seconds of streams before anything happens, and after the last was sent, for answers that are still under way."""
LOOK_EVERY = 0.01
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
BUFFER = 1 << 22
"""Bytes that may wait to be read: what is lost is to be the network's loss, and not that of a busy machine."""
_NUMBER = struct.Struct("!HI")


class Flow(msgspec.Struct, kw_only=True):
    """What came of one stream: `lost` are the times of datagrams without answer, in seconds since the event."""

    source: str
    target: str
    sent: int = 0
    lost: tuple[float, ...] = ()

    @property
    def gap(self) -> float:
        """Seconds from the first to the last that was lost, one interval at least; 0 where none was."""
        return self.lost[-1] - self.lost[0] + EVERY if self.lost else 0.0

    def ended(self, at: float) -> bool:
        """Whether answers did not come back before the streams ended, `at` seconds after the event."""
        return bool(self.lost) and self.lost[-1] > at - 2 * EVERY


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: the streams, how long they went on after the event, and when routes changed.

    `routes` are, by node, the seconds after the event at which its routes by BGP were last seen to change.
    """

    flows: list[Flow]
    seconds: float
    routes: dict[str, float]


def watch(lab: Topology, ends: Sequence[Endpoint], seconds: float, event: Callable[[], None]) -> Watched:
    """Let streams run, have the `event` happen, and tell what came of them within `seconds`."""
    with ExitStack() as stack:
        streams = _Streams(_one_per_node(ends), lab.families[0], stack)
        watcher = _Routes(lab) if lab.backend == "bgp" else None
        streams.run(SETTLE)
        began = time.monotonic()
        event()
        streams.run(seconds, watcher)
        ended = time.monotonic()
        streams.listen(SETTLE)
    changed = {name: at - began for name, at in watcher.changed.items()} if watcher else {}
    return Watched(flows=streams.flows(began), seconds=ended - began, routes=changed)


def _one_per_node(ends: Sequence[Endpoint]) -> list[Endpoint]:
    return list({end.node: end for end in reversed(ends) if end.role == "pod"}.values())[::-1]


class _Routes:
    """When each node's routes by BGP were last seen to be other than before."""

    def __init__(self, lab: Topology) -> None:
        self._lab = lab
        self._known = {node.name: routes.learned(lab, node.name) for node in lab.nodes}
        self._due = 0.0
        self.changed: dict[str, float] = {}

    def look(self, now: float) -> None:
        if now < self._due:
            return
        self._due = now + LOOK_EVERY
        for name, known in self._known.items():
            found = routes.learned(self._lab, name)
            if found != known:
                self._known[name], self.changed[name] = found, now


class _Streams:
    """Sockets of all pods, in one selector: each answers, and each sends to all others."""

    def __init__(self, pods: Sequence[Endpoint], version: int, stack: ExitStack) -> None:
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._ends = [(pod, address) for pod in pods if (address := pod.address(version)) is not None]
        self._pairs: list[tuple[Endpoint, Endpoint, IPAddress, socket.socket]] = []
        self._sent: list[list[float]] = []
        self._answered: list[set[int]] = []
        for pod, address in self._ends:
            with namespaces.inside(pod.namespace):
                server, client = (stack.enter_context(_udp(address, port)) for port in (PORT, 0))
            self._selector.register(server, selectors.EVENT_READ, self._answer)
            self._selector.register(client, selectors.EVENT_READ, self._take)
            for other, to in self._ends:
                if other is not pod:
                    self._pairs.append((pod, other, to, client))
                    self._sent.append([])
                    self._answered.append(set())

    def run(self, seconds: float, watcher: _Routes | None = None) -> None:
        """Send for `seconds`."""
        due = time.monotonic()
        until = due + seconds
        while due < until:
            for number, (_, _, to, client) in enumerate(self._pairs):
                sent = self._sent[number]
                sent.append(time.monotonic())
                with suppress(OSError):  # no route: lost
                    client.sendto(_NUMBER.pack(number, len(sent) - 1), (str(to), PORT))
            due += EVERY
            if watcher is not None:
                watcher.look(time.monotonic())
            self.listen(max(0.0, due - time.monotonic()))

    def listen(self, seconds: float) -> None:
        """Answer, and take answers, for `seconds`, and whatever is there already."""
        until = time.monotonic() + seconds
        while True:
            ready = self._selector.select(max(0.0, until - time.monotonic()))
            for key, _ in ready:
                key.data(key.fileobj)
            if time.monotonic() >= until:
                return

    def flows(self, began: float) -> list[Flow]:
        """Return what came of each stream."""
        return [
            Flow(
                source=source.name,
                target=target.name,
                sent=len(sent),
                lost=tuple(at - began for n, at in enumerate(sent) if n not in answered),
            )
            for (source, target, _, _), sent, answered in zip(self._pairs, self._sent, self._answered, strict=True)
        ]

    @staticmethod
    def _answer(server: socket.socket) -> None:
        for data, sender in _received(server):
            with suppress(OSError):  # no way back: lost
                server.sendto(data, sender)

    def _take(self, client: socket.socket) -> None:
        for data, _ in _received(client):
            number, count = _NUMBER.unpack(data)
            self._answered[number].add(count)


def _udp(address: IPAddress, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)  # noqa: PLR2004 - the IP version
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    opened.bind((str(address), port))
    return opened


def _received(sock: socket.socket) -> Iterator[tuple[bytes, tuple[str, int]]]:
    """Yield what waits at a socket; errors that ICMP brought are passed over."""
    while True:
        try:
            yield sock.recvfrom(64)
        except BlockingIOError:
            return
        except OSError:
            continue
