"""The socket that the shim talks to: connections in, whole frames out, answers back.

Only root may speak here: the socket is 0600, and SO_PEERCRED is asked all the same, since a mode can be changed.  The
folder may be passed through, for the sake of the names that resolvers read beside it.  The shim's descriptor of
CNI_NETNS comes with the first bytes.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from podnet.cni import FrameReader, encode_answer
from podnet.daemon.service import Answer, Call
from podnet.errors import DecodeError, IOFailure

BACKLOG = 1024
CHUNK = 1 << 17
ANSWER_SECONDS = 5.0
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_DESCRIPTOR = struct.Struct("=i")


def is_served(path: str) -> bool:
    """Tell whether somebody listens on the socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(path)
        except OSError:
            return False
    return True


class Connection:
    """One client, here `since` then: reads until its frame is whole, then waits for its answer."""

    __slots__ = ("_reader", "_socket", "call", "netns", "since")

    def __init__(self, accepted: socket.socket) -> None:
        """Take the `accepted` socket over."""
        self._socket = accepted
        self._reader = FrameReader()
        self.since = time.monotonic()
        self.netns: int | None = None
        self.call: Call | None = None

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Take what is there; tell whether the frame is whole (`call`).  Raise `DecodeError` where it can be none."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(CHUNK, socket.CMSG_SPACE(_DESCRIPTOR.size))
        except BlockingIOError:
            return False
        except OSError as error:
            raise DecodeError(f"the client went away: {error.strerror}") from error
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._keep(payload)
        frame = self._reader.feed(data)
        if frame is not None:
            self.call = Call(frame, self.netns)
        return frame is not None

    def _keep(self, payload: bytes) -> None:
        for (descriptor,) in _DESCRIPTOR.iter_unpack(payload[: len(payload) // 4 * 4]):
            if self.netns is None:
                self.netns = descriptor
            else:
                os.close(descriptor)

    def answer(self, answer: Answer) -> bool:
        """Send the answer; tell whether the client was there to take it."""
        data = encode_answer(answer.status, answer.stdout)
        try:
            sent = self._socket.send(data)  # an answer fits into an empty socket's buffer
            if sent < len(data):
                self._socket.settimeout(ANSWER_SECONDS)
                self._socket.sendall(data[sent:])
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the connection and the namespace's descriptor."""
        if self.netns is not None:
            os.close(self.netns)
            self.netns = None
        self._socket.close()


class Listener:
    """The listening socket at `path`."""

    def __init__(self, path: str) -> None:
        """Listen; raise `IOFailure`.  A socket that an earlier daemon left is replaced: the database's lock is ours."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            folder = os.path.dirname(path)  # noqa: PTH120 - no pathlib here
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - no pathlib here
            os.chmod(folder, 0o711)  # noqa: PTH101, S103 - see above
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - no pathlib here
            before = os.umask(0o177)
            try:
                self._socket.bind(path)
            finally:
                os.umask(before)
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise IOFailure(f"socket {path}: {error.strerror}; podnet must run as root") from error

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def accept(self) -> Iterator[Connection]:
        """Yield the clients that wait; those that are not root are turned away."""
        while True:
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            credentials = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            _, user, _ = _CREDENTIALS.unpack(credentials)
            if user != 0:
                accepted.close()
                continue
            accepted.setblocking(False)
            yield Connection(accepted)

    def close(self) -> None:
        """Stop listening, and take the socket's name away."""
        self._socket.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - no pathlib here
