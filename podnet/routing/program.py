"""The process of BIRD: where its files are, whether it runs, and how it is started and ended."""

import os
import select
import time
from contextlib import suppress
from typing import NamedTuple

from podnet.detached import start_detached
from podnet.errors import IOFailure, NodeNotReady, PodnetError
from podnet.routing.control import Control
from podnet.routing.floating import Floating

PROGRAM = "bird"
END_SECONDS = 5.0
START_SECONDS = 2.0
"""How long to wait for the id of a BIRD that is in the background: it writes that after its parent has ended."""
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # not on everybody's PATH


class Places(NamedTuple):
    """Where the files of podnet's BIRD are: all in one `folder`."""

    folder: str

    @property
    def configuration(self) -> str:
        """What it reads."""
        return f"{self.folder}/bird.conf"

    @property
    def socket(self) -> str:
        """Where it answers."""
        return f"{self.folder}/bird.ctl"

    @property
    def pid(self) -> str:
        """What has its process's id."""
        return f"{self.folder}/bird.pid"

    @property
    def log(self) -> str:
        """What it says."""
        return f"{self.folder}/bird.log"

    @property
    def flaps(self) -> str:
        """What is counted of its sessions."""
        return f"{self.folder}/flaps.json"


def running(places: Places) -> int | None:
    """Return a pidfd of podnet's BIRD, to be closed; None where it does not run."""
    try:
        with open(places.pid, encoding="ascii") as file:  # noqa: PTH123 - pathlib's import takes longer
            number = int(file.read())
        descriptor = os.pidfd_open(number)
    except (OSError, ValueError, OverflowError):
        return None
    try:  # a process that has the id now may be another's
        with open(f"/proc/{number}/cmdline", "rb") as file:  # noqa: PTH123 - as above
            words = file.read().split(b"\0")
    except OSError:
        words = []
    if places.socket.encode() in words:
        return descriptor
    os.close(descriptor)
    return None


def start(places: Places) -> int:
    """Start BIRD with the configuration that is there, and return a pidfd of it; raise `PodnetError`.

    ``-R``: routes that are in the kernel stay until its neighbours have told theirs (graceful restart).
    """
    with suppress(FileNotFoundError):
        os.unlink(places.pid)  # noqa: PTH108 - as above
    words = (_found(), "-R", "-c", places.configuration, "-s", places.socket, "-P", places.pid)
    start_detached(words, "podnet-bird", f"see {places.log}")
    deadline = time.monotonic() + START_SECONDS
    while (descriptor := running(places)) is None:
        if time.monotonic() > deadline:
            raise IOFailure(f"{' '.join(words)}: ended at once; see {places.log}")
        time.sleep(0.002)
    return descriptor


def end(places: Places) -> bool:
    """Have podnet's BIRD end, which takes its routes away, and remove its files; tell whether there was one.

    Raises `PodnetError`.
    """
    descriptor = running(places)
    if descriptor is not None:
        try:
            with suppress(PodnetError), Control(places.socket) as control:
                control.ask("down")
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(END_SECONDS * 1000):
                raise IOFailure(f"BIRD of {places.configuration} does not end: `kill $(cat {places.pid})`")
        finally:
            os.close(descriptor)
    if os.path.isdir(places.folder):  # noqa: PTH112 - as above
        floating = Floating()
        try:
            floating.lift()
        finally:
            floating.close()
    for path in (places.configuration, places.socket, places.pid, places.log, f"{places.log}.1", places.flaps):
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - as above
    with suppress(OSError):
        os.rmdir(places.folder)  # noqa: PTH106 - as above
    return descriptor is not None


def _found() -> str:
    """Return BIRD's path; raise NodeNotReady where there is none."""
    for folder in (*os.environ.get("PATH", os.defpath).split(":"), *_FOLDERS):
        path = f"{folder}/{PROGRAM}"
        if os.access(path, os.X_OK):
            return path
    raise NodeNotReady("backend bgp: BIRD is not installed: `apt install bird2`, or name the `socket` of one that runs")
