"""The daemon of one node: its parts, put together and kept going."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

from podnet.cluster import read_settings, with_etcd
from podnet.daemon.aliases import Aliases
from podnet.daemon.drifts import Drifts
from podnet.daemon.following import Following
from podnet.daemon.holding import Holding
from podnet.daemon.lookout import Lookout
from podnet.daemon.loop import Loop, Part
from podnet.daemon.mending import Mending
from podnet.daemon.node import NodeContext
from podnet.daemon.notify import Notifier
from podnet.daemon.options import NOTHING, Options, keep_options
from podnet.daemon.orphans import OrphanSearch
from podnet.daemon.paths import Paths
from podnet.daemon.presence import Presence
from podnet.daemon.reaping import Reaping
from podnet.daemon.requests import Requests
from podnet.daemon.server import is_served
from podnet.daemon.source import open_source
from podnet.daemon.speaking import Speaking
from podnet.daemon.tending import Tending
from podnet.errors import PodnetError

GC_THRESHOLD = 20_000
"""Objects allocated beyond those freed before the collector looks at the young ones."""

ONESHOT_SECONDS = 2.0
"""How long one-shots that are at work are waited for; a daemon is not, since it does not end by itself."""

log = logging.getLogger("podnet")


class Daemon:
    """Serves one node until told to stop."""

    def __init__(
        self,
        paths: Paths,
        kubeconfig: str = "",
        node_name: str = "",
        *,
        etcd: Mapping[str, str] = MappingProxyType({}),
        interpreter: str = sys.executable,
        options: Options = NOTHING,
    ) -> None:
        """Build the node's part and listen; raise `PodnetError` where that fails, with nothing installed.

        `kubeconfig` and `node_name` are for nodes that Kubernetes tells, `node_name` and `etcd`, which goes over the
        section of podnet.yaml, for those that etcd tells; `interpreter` is what the shim executes when
        there is no daemon, "" where the machine has none.  `options` are kept for who does not see the command line,
        by whoever has the database.
        """
        self._notifier = Notifier()
        self._loop = Loop(self._notifier)
        self._installs = False
        settings = with_etcd(read_settings(paths.config), etcd)
        self._node = NodeContext(paths, wait=0.0 if is_served(paths.socket) else ONESHOT_SECONDS, settings=settings)
        keep_options(paths.options, options)
        self._node.settings, self._source, server, self._pods = open_source(settings, paths, kubeconfig, node_name)
        wishing = self._node.serve_wishes(self._pods)
        self._following = Following(self._node, self._source, server, self._followed)
        self._speaking = Speaking(self._node.settings, paths)
        self._speaking.follow(self._node.nodes, self._node.engine.facts)
        self._node.drain_spool()
        engine, store = self._node.engine, self._node.store
        self._reaping = Reaping(engine)
        self._requests = Requests(paths.socket, self._node, self._reaping, self._loop)
        drifts = Drifts(self._source.tell)
        self._presence = Presence(paths, self._node.network.name, interpreter, drifts, self._source.tell)
        self._mending = Mending(self._node, drifts, self._loop, self._source.tell, self._following.facts_changed)
        self._lookout = Lookout(engine, store, self._node.settings.gc, drifts, self._looked)
        names, tending = Aliases(engine, store, paths.aliases), Tending(store)
        upkeep = (self._mending, self._presence, self._following, self._lookout, names, tending)
        parts: list[Part] = [self._requests, *upkeep]
        self._loop.watch(self._source, self._following.readable)
        if self._pods is not None and wishing is not None:
            holding = Holding(wishing, self._pods)
            self._requests.hold(holding)
            self._loop.watch(self._pods, holding.readable)
            parts.append(OrphanSearch(self._node, self._pods, self._reaping.doom))
        self._parts = tuple(parts)

    def install(self) -> None:
        """Put shim and network list into the CNI folders, as soon as the node can serve pods."""
        self._installs = True
        if self._following.lacks:
            lacks = f"{self._node.settings.node} {self._following.lacks}"
            log.warning("node %s: the plugin is installed when it has a pod CIDR", lacks)
        self._install()

    def serve(self) -> None:
        """Serve until :meth:`stop`."""
        self._notifier.tell("READY=1", f"STATUS=serving network {self._node.network.name}")
        try:
            self._requests.give_back()
            self._loop.run(self._parts, self._requests.idle)
        finally:
            self._notifier.tell("STOPPING=1")

    def stop(self, *_: object) -> None:
        """End after what is being served now."""
        self._loop.stop()

    def close(self) -> None:
        """Stop listening, and give the database to whoever comes next: that one reaps what is left."""
        self._requests.close()
        self._loop.close()
        self._mending.close()
        self._presence.close()
        self._following.close()
        self._speaking.close()
        self._source.close()
        if self._pods is not None:
            self._pods.close()
        self._node.close()

    def _followed(self) -> None:
        """Have all follow what has changed of nodes or machine."""
        self._speaking.follow(self._node.nodes, self._node.engine.facts)
        self._install()

    def _install(self) -> None:
        if self._installs and not self._presence.installed and not self._following.lacks:
            self._presence.install(self._loop)
            self._source.serving()

    def _looked(self, collected: bool) -> None:
        """See that nothing is left of pods that have gone, and give back what other plugins are owed."""
        if collected:
            self._reaping.doom()
        with suppress(PodnetError):  # what is amiss with the machine's links is told where they are followed
            self._source.moved()  # an address that is new wakes nobody
        self._requests.give_back(again=True)


def run(
    paths: Paths | None = None,
    *,
    install: bool = True,
    kubeconfig: str = "",
    node_name: str = "",
    etcd: Mapping[str, str] = MappingProxyType({}),
    interpreter: str = sys.executable,
    options: Options = NOTHING,
) -> int:
    """Serve the node until SIGTERM or SIGINT; return the exit status.  This is `podnet node run`.

    With PODNET_PROFILE=FILE in the environment the time spent serving is written there, for `python -m pstats`.
    """
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    daemon = Daemon(paths or Paths(), kubeconfig, node_name, etcd=etcd, interpreter=interpreter, options=options)
    signal.signal(signal.SIGTERM, daemon.stop)
    signal.signal(signal.SIGINT, daemon.stop)
    try:
        if install:
            daemon.install()
        # What serving allocates is small and short-lived: look for cycles seldom, and never in what start left.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        log.info("serving")
        _profiled(daemon.serve)
    finally:
        daemon.close()
    return 0


def _profiled(serve: Callable[[], None]) -> None:
    """Call `serve`, under cProfile where PODNET_PROFILE asks for it."""
    target = os.environ.get("PODNET_PROFILE")
    if not target:
        serve()
        return
    import cProfile  # noqa: PLC0415 - whoever does not ask does not wait for it

    with cProfile.Profile() as profile:
        serve()
    profile.dump_stats(target)
