r"""The frame between the shim and whoever answers: CNI's environment and standard input in one message, and the answer.

Request, all integers in host byte order, since both ends are one machine::

    char magic[4] = "PNF1"
    i32  netns_errno           errno of open(CNI_NETNS); 0 when it was opened, or is unset
    u32  environment_length
    u32  stdin_length
    char environment[]         KEY=VALUE\0 for each variable that begins with CNI_
    char stdin[]

Answer::

    u32  exit_status
    u32  length
    char stdout[length]

The opened namespace itself rides beside the first byte as SCM_RIGHTS and is the socket's owner's business.
"""

import struct
from typing import NamedTuple

import msgspec

from podnet.errors import DecodeError, DecodingFailure, InvalidEnvironment

MAGIC = b"PNF1"
STDIN_LIMIT = 1 << 20
"""Bytes of standard input; the shim refuses more itself."""
ENVIRONMENT_LIMIT = 1 << 20
ANSWER_LIMIT = 1 << 24
ERRNO_LIMIT = 4096
"""The kernel's MAX_ERRNO, plus one."""

_HEADER = struct.Struct("=4siII")
_ANSWER = struct.Struct("=II")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One request as the shim sends it: CNI_* variables, standard input, and why CNI_NETNS could not be opened.

    Variables hold what is not UTF-8 as surrogate escapes (PEP 383); `netns_errno` is 0 when nothing went wrong.
    """

    environment: dict[str, str]
    stdin: bytes
    netns_errno: int = 0

    def encode(self) -> bytes:
        """Return the frame's bytes.  Raise InvalidEnvironment or DecodingFailure for what cannot be sent."""
        for key, value in self.environment.items():
            if not key or "=" in key or "\0" in key or "\0" in value:
                raise InvalidEnvironment(f"variable {key!r} cannot be sent: its name or value holds NUL or '='")
        if len(self.stdin) > STDIN_LIMIT:
            raise DecodingFailure(f"standard input has {len(self.stdin)} bytes: at most {STDIN_LIMIT} are taken")
        environment = "".join([f"{key}={value}\0" for key, value in self.environment.items()])
        block = environment.encode("utf-8", "surrogateescape")
        return _HEADER.pack(MAGIC, self.netns_errno, len(block), len(self.stdin)) + block + self.stdin


class FrameReader:
    """Collects one frame from a stream.  `feed` returns it once whole; an empty feed is the end of the stream."""

    __slots__ = ("_buffer", "_errno", "_lengths")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._errno = 0
        self._lengths: tuple[int, int] | None = None

    def feed(self, data: bytes) -> Frame | None:
        """Take the next bytes of the stream; return the frame when they complete it, else None.

        Raise DecodeError for a wrong magic, a length over its limit, bytes after the frame, a stream that ends inside
        it, and an environment that is none.
        """
        buffer = self._buffer
        buffer += data
        if self._lengths is None:
            if not data or not _begins(buffer):
                raise _not_a_frame(buffer)
            if len(buffer) < _HEADER.size:
                return None
            self._lengths = self._header()
        environment, stdin = self._lengths
        end = _HEADER.size + environment + stdin
        if len(buffer) < end:
            if not data:
                raise DecodeError(f"frame: the stream ended after {len(buffer)} of {end} bytes")
            return None
        if len(buffer) > end:
            raise DecodeError(f"frame: {len(buffer) - end} bytes follow the frame's {end}")
        split = _HEADER.size + environment
        return Frame(_environment(bytes(buffer[_HEADER.size : split])), bytes(buffer[split:]), self._errno)

    def _header(self) -> tuple[int, int]:
        _, errno, environment, stdin = _HEADER.unpack_from(self._buffer)
        if not 0 <= errno < ERRNO_LIMIT:
            raise DecodeError(f"frame: netns_errno at offset 4 is {errno}, not an errno")
        if environment > ENVIRONMENT_LIMIT:
            raise DecodeError(f"frame: environment_length at offset 8 is {environment}, over {ENVIRONMENT_LIMIT}")
        if stdin > STDIN_LIMIT:
            raise DecodeError(f"frame: stdin_length at offset 12 is {stdin}, over {STDIN_LIMIT}")
        self._errno = errno
        return environment, stdin


class Answer(NamedTuple):
    """What the shim does at the end: exit with `status` after writing `stdout`."""

    status: int
    stdout: bytes


def encode_answer(status: int, stdout: bytes) -> bytes:
    """Return the bytes of an answer: the exit `status` (0 or 1) and what goes to standard output."""
    return _ANSWER.pack(status, len(stdout)) + stdout


class AnswerReader:
    """Collects one answer from a stream.  `feed` returns it once whole; an empty feed is the end of the stream."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; return the answer when they complete it, else None.

        Raise DecodeError where the length is over its limit, bytes follow, or the stream ends inside the answer.
        """
        buffer = self._buffer
        buffer += data
        if len(buffer) >= _ANSWER.size:
            status, length = _ANSWER.unpack_from(buffer)
            if length > ANSWER_LIMIT:
                raise DecodeError(f"answer: length at offset 4 is {length}, over {ANSWER_LIMIT}")
            end = _ANSWER.size + length
            if len(buffer) == end:
                return Answer(status, bytes(buffer[_ANSWER.size :]))
            if len(buffer) > end:
                raise DecodeError(f"answer: {len(buffer) - end} bytes follow the answer's {end}")
        if not data:
            raise DecodeError(f"answer: the stream ended after {len(buffer)} bytes, inside the answer")
        return None


def _begins(buffer: bytearray) -> bool:
    """Tell whether the bytes so far can begin a frame."""
    head = bytes(buffer[: len(MAGIC)])
    return MAGIC.startswith(head)


def _not_a_frame(buffer: bytearray) -> DecodeError:
    if _begins(buffer):
        return DecodeError(f"frame: the stream ended after {len(buffer)} bytes, inside the header of {_HEADER.size}")
    return DecodeError(f"frame: magic at offset 0 is {bytes(buffer[:4])!r}, not {MAGIC!r}: the peer is no podnet shim")


def _environment(block: bytes) -> dict[str, str]:
    r"""Split ``KEY=VALUE\0...``; of two variables with one name the first counts, as getenv(3) has it."""
    if not block:
        return {}
    if block[-1]:
        raise DecodeError("frame: the environment's last variable does not end in NUL")
    environment: dict[str, str] = {}
    for entry in block[:-1].decode("utf-8", "surrogateescape").split("\0"):
        key, equals, value = entry.partition("=")
        if not key or not equals:
            raise DecodeError(f"frame: the environment holds {entry[:40]!r}, which is not KEY=VALUE")
        environment.setdefault(key, value)
    return environment
