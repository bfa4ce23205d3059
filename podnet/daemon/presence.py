"""podnet in the node's CNI folders: shim and loopback, and the network's list, which comes last.

Runtimes count a node with the list as ready, so it is there when and only when the node can serve an ADD.  It stays
while the daemon is away, for what it names (the shim) has an answer then too.
"""

import logging
import sys

from podnet.cni import render_conflist
from podnet.daemon.install import before, install_conflist, install_loopback, install_shim
from podnet.daemon.paths import CONFLIST, Paths

log = logging.getLogger("podnet")


class Presence:
    """What podnet has in the folders of `paths`, for the network `network`."""

    def __init__(self, paths: Paths, network: str) -> None:
        """Begin with nothing installed."""
        self._paths = paths
        self._network = network

    def install(self) -> None:
        """Put shim and network list into the CNI folders, the list last: runtimes may call from then on.

        Raises IOFailure.
        """
        paths = self._paths
        shim = paths.cni_bin, paths.socket, sys.executable, paths.spool
        install_shim(*shim)
        install_loopback(*shim)
        install_conflist(paths.cni_conf, CONFLIST, render_conflist(self._network).decode())
        for rival in before(paths.cni_conf, CONFLIST):
            log.warning(
                "%s/%s sorts before %s, and runtimes take the first: move it out of the folder if podnet is to serve; "
                "`podnet inspect` tells which one each runtime takes", paths.cni_conf, rival, CONFLIST,
            )  # fmt: skip
