"""Waiting for what must come: a daemon's words, or a state that no event tells of; each with a deadline."""

import signal
import subprocess
import threading
from collections.abc import Callable
from time import monotonic

PATIENCE = 15.0
"""Seconds after which what a test waits for is not going to come."""


class Daemon:
    """A running daemon and what it logs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Take a started process over."""
        self.process = process
        self.pid = process.pid
        self.log: list[str] = []
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it was asked for
        for line in self.process.stderr:
            with self._told:
                self.log.append(line.rstrip())
                self._told.notify_all()
        with self._told:
            self.log.append("")
            self._told.notify_all()

    def wait_log(self, text: str) -> str:
        """Return the first line with `text` in it, as soon as it is logged; raise where the daemon ends before."""

        def found() -> list[str]:
            return [line for line in self.log if text in line or not line]  # an empty line is the log's end

        with self._told:
            lines = self._told.wait_for(found, PATIENCE)
        if not lines or not lines[0]:
            raise RuntimeError(f"{text!r} is not in the log: {self.log}")
        return lines[0]

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send the signal `how`, 0 for none; return the exit status."""
        if how and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None  # noqa: S101 - it was asked for
        self.process.stderr.close()
        return status


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition()` is true, for what no event tells; raise `TimeoutError` after PATIENCE."""
    deadline = monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(what)
        pause.wait(0.01)


def equal_soon(one: Callable[[], object], other: Callable[[], object]) -> None:
    """Wait until both give the same, as where the kernel tells a carrier late; raise `AssertionError` else."""
    deadline = monotonic() + PATIENCE
    while (found := one()) != (wanted := other()):
        if monotonic() > deadline:
            raise AssertionError(f"{found!r} is not {wanted!r}")
