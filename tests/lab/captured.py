"""What passes the lab's router, written down."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.conftest import Machine


@contextmanager
def captured(machine: "Machine", file: str, *what: str) -> Iterator[None]:
    """Write what passes the lab's router during the block to `file`: all, or `what` (pcap-filter(7))."""
    at = ("ip", "netns", "exec", "podnet-lab-lan")
    words = [*machine.enter, *at, "tcpdump", "--immediate-mode", "-U", "-n", "-i", "any", "-w", file, *what]
    tcpdump = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert tcpdump.stderr is not None
    while "listening on" not in tcpdump.stderr.readline():
        pass
    try:
        yield
    finally:
        os.kill(tcpdump.pid, signal.SIGINT)
        tcpdump.communicate()
