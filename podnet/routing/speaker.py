"""The thread that has BIRD do what the cluster's state asks for: told a configuration, it sees to it until it is so.

The daemon's own thread answers runtimes and must not wait for another program.  Of configurations that come faster
than BIRD takes them only the newest is carried out.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from podnet.bird import Configuration, render
from podnet.errors import IOFailure, PodnetError
from podnet.routing.control import Control
from podnet.routing.floating import Floating
from podnet.routing.program import Places, running, start
from podnet.routing.watch import SessionsWatch

LOOK_SECONDS = 5.0
"""How often sessions are looked at, to count how often they fail, where BIRD says nothing of them."""
FLOATING_SECONDS = 1.0
"""How often they are looked at while floating routes stand."""
AGAIN_SECONDS = 1.0, 30.0
"""How long to wait before what failed is tried again: at first, and at most."""
ENDING_SECONDS = 1.0
_NEVER = float("inf")

log = logging.getLogger("podnet")


class Speaker:
    """Has a BIRD speak: podnet's own at `places`, or the host's at `socket`, which includes the file `include`."""

    def __init__(self, places: Places, *, socket: str = "", include: str = "") -> None:
        """Take where things are; nothing is done before :meth:`follow`."""
        self._places = places
        self._hosted = bool(socket)
        self._socket = socket or places.socket
        self._file = include or places.configuration
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._newest: Configuration | None = None
        self._ending = False
        self._bird: int | None = None
        self._bringing, self._looking = _Attempts(), _Attempts()
        self._watch = SessionsWatch(self._socket, places.flaps)
        self._floating: Floating | None = None
        self._again = _NEVER
        self._next_look = _NEVER
        self._thread = threading.Thread(target=self._run, name="bird", daemon=True)

    def follow(self, configuration: Configuration) -> None:
        """Have BIRD do this."""
        with self._lock:
            self._newest = configuration
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """End, and leave BIRD as it is: it speaks for pods that go on."""
        with self._lock:
            self._ending = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join(ENDING_SECONDS)

    # In the thread

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            self._watch.close()
            if self._floating is not None:
                self._floating.close()

    def _follow(self) -> None:
        wanted: Configuration | None = None
        while True:
            died = self._wait(min(self._again, self._next_look if self._runs else _NEVER) - time.monotonic())
            with self._lock:
                if self._ending:
                    return
                newest, self._newest = self._newest, None
            if newest is not None:
                wanted, self._bringing.failures = newest, 0
            if wanted is None:
                continue
            if newest is not None or died or self._again <= time.monotonic():
                done = self._bringing.attempt(partial(self._bring, wanted))
                self._again = _NEVER if done else time.monotonic() + self._bringing.pause
                latest = 0.0 if self._watch.fileno() is None else LOOK_SECONDS
                self._next_look = min(self._next_look, time.monotonic() + latest)
            elif self._runs and self._next_look <= time.monotonic():
                self._looking.attempt(partial(self._look, wanted), quiet=bool(self._bringing.failures))
                self._next_look = time.monotonic() + (FLOATING_SECONDS if self._floating else LOOK_SECONDS)

    @property
    def _runs(self) -> bool:
        """Whether there is a BIRD to look at, as far as is known."""
        return self._hosted or self._bird is not None

    def _wait(self, seconds: float) -> bool:
        """Wait until something happens; tell whether BIRD has ended."""
        poll = select.poll()
        logged = self._watch.fileno()
        for descriptor in (self._wake, self._bird, logged):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if seconds == _NEVER else max(0.0, seconds) * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        if logged in ready:
            self._next_look = min(self._next_look, time.monotonic() + self._watch.drain())
        if self._bird is None or self._bird not in ready:
            return False
        os.close(self._bird)
        self._bird = None
        log.warning("BIRD has ended, and is started again; what it said is in %s", self._places.log)
        return True

    def _bring(self, configuration: Configuration) -> None:
        """Have BIRD run with this configuration; raise `PodnetError`."""
        configuration = configuration._replace(log=self._places.log)
        text = render(configuration, _passwords(configuration))
        before = _read(self._file)
        if text != before:
            _write(self._file, text)
        if not self._hosted and self._bird is None:
            self._bird = running(self._places)
            if self._floating is None:
                self._floating = Floating()
            if self._bird is None:
                if configuration.profile == "graceful":
                    _lay(self._floating)
                self._bird = start(self._places)
                return
        try:
            with Control(self._socket) as control:
                control.ask("configure")
        except PodnetError:
            if self._hosted:  # what a host's BIRD cannot read, or does not find, would keep it from its next start
                _write(self._file, before or "")
            raise

    def _look(self, configuration: Configuration) -> None:
        """See to the sessions, and to floating routes that are needed no more; raise `PodnetError`."""
        with Control(self._socket) as control:
            self._watch.look(control, configuration.profile)
            if self._floating:
                self._floating.look(control, configuration)


class _Attempts:
    """Something that may fail, and is tried again: why it failed is said, once for each reason."""

    def __init__(self) -> None:
        self.failures = 0
        self._said = ""

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next one."""
        first, most = AGAIN_SECONDS
        return min(most, first * float(1 << max(0, min(self.failures - 1, 8))))

    def attempt(self, what: Callable[[], None], *, quiet: bool = False) -> bool:
        """Do it; tell whether it succeeded.  `quiet`: why it fails has been said already, of something else."""
        try:
            what()
        except PodnetError as error:
            self.failures += 1
            if error.msg != self._said and not quiet:
                self._said = error.msg
                log.warning("routes to other nodes stay as they are: %s", error.msg)
            return False
        if self._said:
            log.info("BIRD does what it should again")
        self.failures, self._said = 0, ""
        return True


def _lay(floating: Floating) -> None:
    """Lay floating routes; where that fails, say so and go on: it is for the time until BIRD has its own."""
    try:
        floating.lay()
    except PodnetError as error:
        log.warning("routes that the BIRD before has left may go before the new one has its own: %s", error.msg)


def _passwords(configuration: Configuration) -> Mapping[str, str]:
    """Return what is in the files of passwords, by path; raise `IOFailure`."""
    files = {session.password.file for session in configuration.sessions if session.password.file}
    found = {}
    for file in files:
        text = _read(file)
        if text is None:
            raise IOFailure(f"{file}: no such file; write the sessions' password into it, or correct podnet.yaml")
        found[file] = text
    return found


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib's import takes longer
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise IOFailure(f"{path}: cannot be read: {error}; make it a text file that root may read") from error


def _write(path: str, text: str) -> None:
    """Write a file in one step, for whoever has its folder alone, since it may have passwords; raise `IOFailure`.

    A host's BIRD may run as a user of its own, whose its folder then is.
    """
    temporary, folder = f"{path}.tmp", os.path.dirname(path)  # noqa: PTH120 - as above
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        owner = os.stat(folder)  # noqa: PTH116 - as above
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(text)
        os.rename(temporary, path)  # noqa: PTH104 - as above
    except OSError as error:
        raise IOFailure(
            f"{path}: cannot be written: {error.strerror}; see that its disk has room and podnet may write there"
        ) from error
