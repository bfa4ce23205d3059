"""A stream of numbered datagrams between two places of a node: what arrives tells whether anybody was disturbed."""

import socket
import threading
from types import TracebackType
from typing import Self

from podnet.testing.node import Node

SO_RCVBUFFORCE = 33  # asm-generic/socket.h
INTERVAL = 0.002
"""Seconds between two datagrams."""
BUFFER = 1 << 22
"""Bytes that may wait to be read: a reader that gets no processor for a while is to miss nothing."""


class Stream:
    """Numbered datagrams from one pod to another while the block runs; `lost` are those that did not arrive."""

    def __init__(self, node: Node, source: str, target: str, address: str) -> None:
        """Take two pods of `node`, and the address of the second."""
        self._receiver = node.udp(target, address)
        self._receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._sender = node.udp(source)
        self._sender.connect(self._receiver.getsockname())
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        self._arrived: set[int] = set()
        self.sent = 0
        self.lost: set[int] = set()

    def _send(self) -> None:
        while not self._over.wait(INTERVAL):
            self._sender.send(self.sent.to_bytes(4, "big"))
            self.sent += 1
        self._sender.send(b"end")

    def _receive(self) -> None:
        while (data := self._receiver.recv(16)) != b"end":
            self._arrived.add(int.from_bytes(data, "big"))

    def __enter__(self) -> Self:
        """Begin to send."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and see what is missing."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.lost = set(range(self.sent)) - self._arrived
        self._sender.close()
        self._receiver.close()
