"""BIRD's control socket: one command, one reply."""

import socket
from types import TracebackType
from typing import Self

from podnet.bird import Replies, Reply
from podnet.errors import DecodeError, IOFailure

SECONDS = 20.0
"""How long a reply is waited for; BIRD is busy for a tenth of a second with the configuration of 5,000 nodes."""
CHUNK = 1 << 16


class Control:
    """A connection to the socket at `path`; a context manager."""

    def __init__(self, path: str, seconds: float = SECONDS) -> None:
        """Connect; raise `IOFailure`."""
        self.path = path
        self._replies = Replies()
        self._got: list[Reply] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        try:
            self._socket.connect(path)
            self._next()  # 0001 BIRD 2.0.12 ready.
        except OSError as error:
            self._socket.close()
            raise IOFailure(f"BIRD's control socket {path}: {error.strerror or error}; see that BIRD runs") from error
        except BaseException:
            self._socket.close()
            raise

    def ask(self, command: str) -> Reply:
        """Return what BIRD answers to `command`; raise `IOFailure` where it does not, or refuses."""
        try:
            self._socket.sendall(f"{command}\n".encode())
            reply = self._next()
        except OSError as error:
            raise IOFailure(f"BIRD at {self.path}: {command}: {error.strerror or error}; see its log") from error
        if reply.refused:
            raise IOFailure(f"BIRD at {self.path} refuses `{command}`: {reply.text}")
        return reply

    def close(self) -> None:
        """End."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End."""
        self.close()

    def _next(self) -> Reply:
        while not self._got:
            data = self._socket.recv(CHUNK)
            if not data:
                raise IOFailure(f"BIRD at {self.path} ended the connection; see its log")
            try:
                self._got = self._replies.feed(data)
            except DecodeError as error:
                raise IOFailure(f"{self.path}: {error.msg}") from error
        return self._got.pop(0)


class Echo(Control):
    """A connection on which BIRD says that it logs something; what it is, is not asked (User's Guide, `echo`)."""

    def __init__(self, path: str) -> None:
        """Have BIRD at the control socket `path` log here, too; raise `IOFailure`."""
        super().__init__(path)
        try:
            self.ask("echo all")
        except BaseException:
            self.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when BIRD has logged something, or has ended."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Take what was logged; tell whether BIRD goes on."""
        try:
            while self._socket.recv(CHUNK):
                pass
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False
