"""What BIRD answers at its control socket (BIRD 2.0 Programmer's Documentation, "Client communication").

A reply is lines of a four-digit code and text; ``1002-…`` goes on, ``0000 …`` is the last, and a line that begins with
a blank has the code of the one before.  No I/O: bytes in, replies out.
"""

from typing import NamedTuple

from podnet.errors import DecodeError

LONGEST = 16_000_000
"""Bytes of one reply before it is none: 5,000 sessions in full are 8 MB."""
_CODE = 4


class Reply(NamedTuple):
    """A whole reply: the code of its last line, and its lines of text."""

    code: int
    lines: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether it says that something could not be done: 8xxx, in the running, or 9xxx, in the command."""
        return self.code >= 8000  # noqa: PLR2004 - the codes' classes

    @property
    def text(self) -> str:
        """The lines as one."""
        return "; ".join(self.lines)


class Replies:
    """Bytes of the socket, gathered into replies."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""
        self._code = 0
        self._lines: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that end with `data`; raise `DecodeError` for what BIRD does not say."""
        found: list[Reply] = []
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._size += len(data)
        if self._size > LONGEST:
            raise DecodeError(f"BIRD's reply has no end after {self._size} bytes")
        for line in lines:
            if self._take(line.decode(errors="replace")):
                found.append(Reply(self._code, tuple(self._lines)))
                self._lines, self._size = [], len(self._rest)
        return found

    def _take(self, line: str) -> bool:
        """Take a line; tell whether it is the last of its reply."""
        if line[:1] in {" ", "+"}:  # "+": a message of the log, where somebody asked for those
            if line[0] == " ":
                self._lines.append(line[1:])
            return False
        code, mark = line[:_CODE], line[_CODE : _CODE + 1]
        if not (code.isascii() and code.isdecimal() and len(code) == _CODE and mark in {" ", "-", ""}):
            raise DecodeError(f"BIRD says {line[:80]!r}, which is no line of a reply; is the socket another program's?")
        self._code = int(code)
        text = line[_CODE + 1 :]
        if text:
            self._lines.append(text)
        return mark != "-"
