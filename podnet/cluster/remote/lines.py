"""Streams of bytes cut into lines: how API servers and etcd's gateway tell events, one JSON document to a line."""

from collections.abc import Iterator

from podnet.errors import DecodeError

LONGEST_LINE = 1 << 24
"""Bytes without an end of line that are no event: etcd takes no object beyond 1.5 MiB."""


class Lines:
    """Cuts a stream of bytes into lines, however it comes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are whole by now, without empty ones; raise `DecodeError` for one without an end."""
        self._rest += data
        if b"\n" not in data:
            if len(self._rest) > LONGEST_LINE:
                raise DecodeError(f"an event has no end within {LONGEST_LINE} bytes")
            return
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        yield from (bytes(line) for line in lines if line.strip())
