"""podnet in the node's CNI folders: shim and loopback, and the network's list, which comes last.

Runtimes count a node with the list as ready, so it is there when and only when the node can serve an ADD.  It stays
while the daemon is away, for what it names (the shim) has an answer then too.  What somebody deletes or overwrites is
put back: users of other networks lose theirs to configuration systems that "clean" these folders (flannel issue 1721,
calico issue 8932).
"""

import logging
import os
import time
from collections.abc import Callable, Iterator

from podnet.cni import render_conflist
from podnet.daemon.describe import describe
from podnet.daemon.drifts import Drifts
from podnet.daemon.install import LOOPBACK, PLUGIN, before, install_conflist, install_loopback, install_shim
from podnet.daemon.loop import Loop
from podnet.daemon.pace import Pace
from podnet.daemon.paths import CONFLIST, Paths
from podnet.errors import PodnetError
from podnet.inotify import PathsWatch

SETTLING = 0.05
"""Seconds after an event in which whoever is at work in the folder may go on: an upgrade writes several files."""
FILES = "files"
"""The key by which it is told that something cannot be put back."""

log = logging.getLogger("podnet")


class Presence:
    """What podnet has in the folders of `paths`, for the network `network`; `told` is called with each event."""

    def __init__(
        self, paths: Paths, network: str, interpreter: str, drifts: Drifts, told: Callable[[str], None]
    ) -> None:
        """Begin with nothing installed; `interpreter` is what the shim executes when the daemon is away."""
        self._paths = paths
        self._conflist = render_conflist(network).decode()
        self._shim = paths.cni_bin, paths.socket, interpreter, paths.spool
        self._drifts = drifts
        self._told = told
        self._watch: PathsWatch | None = None
        self._since: float | None = None
        self._earliest = 0.0
        self._pace = Pace()
        self._rivals: set[str] = set()

    @property
    def installed(self) -> bool:
        """Whether podnet is in the folders, and kept there."""
        return self._watch is not None

    def install(self, loop: Loop) -> None:
        """Put shim and network list into the CNI folders, the list last, and have `loop` watch them from then on.

        Raises IOFailure.
        """
        paths = self._paths
        names = (f"{paths.cni_bin}/{PLUGIN}", f"{paths.cni_bin}/{LOOPBACK}", f"{paths.cni_conf}/{CONFLIST}")
        for _ in self._install():
            pass
        self._watch = PathsWatch(names)
        loop.watch(self._watch, self._happened)
        for _ in self._install():
            pass  # of what somebody did before the folders were watched
        self._look_for_rivals()

    def wait(self, _idle: float) -> float | None:
        """Return how many seconds there are until the folders are looked at, None where nothing happened there."""
        return None if self._since is None else max(0.0, max(self._since + SETTLING, self._earliest) - time.monotonic())

    def step(self, idle: float) -> None:
        """Look at the folders, where it is time to, and put back what is not as it should be."""
        if self._since is None or self.wait(idle):
            return
        since, self._since = self._since, None
        self._look_for_rivals()
        try:
            found = list(self._install())
        except PodnetError as error:
            self._drifts.tell(FILES, describe(error), "podnet's files")
            return
        self._drifts.tell(FILES, "", "")
        for what in found:
            event = f"{what} (put right {1000 * (time.monotonic() - since):.0f} ms later)"
            log.warning("drift: %s", event)
            self._told(event)
        if found:
            self._earliest = time.monotonic() + self._pace.after(time.monotonic())

    def close(self) -> None:
        """Watch no longer; what is installed stays."""
        if self._watch is not None:
            self._watch.close()

    def _happened(self) -> None:
        if self._watch is not None and self._watch.happened() and self._since is None:
            self._since = time.monotonic()

    def _install(self) -> Iterator[str]:
        """Install what is not as it should be; yield for each what was found, raise IOFailure."""
        paths = self._paths
        installs: dict[str, Callable[[], bool | None]] = {
            f"{paths.cni_bin}/{PLUGIN}": lambda: install_shim(*self._shim),
            f"{paths.cni_bin}/{LOOPBACK}": lambda: install_loopback(*self._shim),
            f"{paths.cni_conf}/{CONFLIST}": lambda: install_conflist(paths.cni_conf, CONFLIST, self._conflist),
        }
        for path, install in installs.items():
            there = os.path.lexists(path)
            if install():
                yield f"{path}: expected podnet's, found {'another content or mode' if there else 'none'}"

    def _look_for_rivals(self) -> None:
        """Tell of configurations that runtimes take before podnet's, each once while it is there."""
        rivals = set(before(self._paths.cni_conf, CONFLIST))
        for rival in sorted(rivals - self._rivals):
            log.warning(
                "%s/%s sorts before %s, and runtimes take the first: move it out of the folder if podnet is to serve; "
                "`podnet inspect` tells which one each runtime takes", self._paths.cni_conf, rival, CONFLIST,
            )  # fmt: skip
        self._rivals = rivals
