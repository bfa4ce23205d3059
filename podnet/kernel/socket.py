"""A netlink socket: carries transactions to the kernel and back, and dumps until they are whole."""

import errno
import socket
import threading
from array import array
from collections.abc import Iterator, Sequence
from struct import Struct

from podnet.errors import IOFailure
from podnet.netlink.message import NETLINK_NETFILTER, NLM_F_DUMP, Envelope, Request
from podnet.netlink.transaction import Transaction

SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

SEND_BUFFER = 4 << 20
RECEIVE_BUFFER = 4 << 20
DATAGRAM = 1 << 18
DUMP_ATTEMPTS = 8
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
_SOCK_FPROG = Struct("@HP")


class _Buffer(threading.local):
    """What datagrams are received into: one for all sockets of a thread, since others may receive meanwhile."""

    def __init__(self) -> None:
        """Make that of the calling thread."""
        self.view = memoryview(bytearray(DATAGRAM))


_buffer = _Buffer()


class NetlinkSocket:
    """One socket of netlink `protocol` in the namespace in which it is opened."""

    def __init__(self, protocol: int, *, groups: Sequence[int] = (), program: bytes = b"", brief: bool = False) -> None:
        """Open; `groups` are multicast groups to hear, of which the filter `program` (socket(7)) drops what it drops.

        A `brief` socket is for a few messages and hears no group: it is set up with fewer calls.
        """
        self._protocol = protocol
        self._sequence = 1
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
            if brief:
                return  # the kernel binds it when it first sends
            if program:
                self._attach(program)
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
            if protocol != NETLINK_NETFILTER:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        except OSError as error:
            raise IOFailure(f"netlink socket of protocol {protocol}: {error.strerror}") from error

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def port(self) -> int:
        """The port by which the kernel tells who asked for a change (nlmsg_pid)."""
        port: int = self._socket.getsockname()[0]
        return port

    def _attach(self, program: bytes) -> None:
        """Attach a classic BPF program, struct sock_fprog: a count and a pointer."""
        instructions = array("B", program)
        address, length = instructions.buffer_info()
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _SOCK_FPROG.pack(length // 8, address))

    def close(self) -> None:
        """Close; a second time does nothing."""
        self._socket.close()

    def transact(self, requests: Sequence[Request]) -> Transaction:
        """Send `requests` in one datagram and return the finished transaction, with its refusals and replies."""
        transaction = Transaction(requests, self._sequence, protocol=self._protocol)
        self._sequence = (self._sequence + len(requests) + 1) & 0x7FFFFFFF
        self._socket.send(transaction.request())
        while not transaction.done:
            transaction.feed(self._receive())
        return transaction

    def _receive(self, flags: int = 0) -> bytes:
        """Return the next datagram; a fresh buffer of this size would cost more than the call."""
        view = _buffer.view
        return bytes(view[: self._socket.recv_into(view, 0, flags)])

    def dump(self, request: Request) -> list[Envelope]:
        """Return all replies to a dump, asked again while the kernel says that it changed underway."""
        for _ in range(DUMP_ATTEMPTS):
            transaction = self.transact([request._replace(flags=request.flags | NLM_F_DUMP)])
            if not transaction.interrupted:
                return transaction.replies
        raise IOFailure(f"dump of message type {request.type} was interrupted {DUMP_ATTEMPTS} times; ask again")

    def events(self) -> Iterator[bytes]:
        """Yield the datagrams that wait on the multicast groups; a lost one (ENOBUFS) yields empty bytes."""
        while True:
            try:
                yield self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield b""
