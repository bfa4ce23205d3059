"""When orphans are looked for, and what is said of them: see :mod:`podnet.engine.orphans`."""

import logging
import time
from collections.abc import Callable

from podnet.cluster import PodsSource
from podnet.daemon.describe import describe
from podnet.daemon.node import NodeContext
from podnet.engine.orphans import Orphans
from podnet.errors import PodnetError
from podnet.model import KubernetesPod

IDLE = 0.25
"""Seconds without a request before it is looked: whoever comes meanwhile waits for some milliseconds."""

log = logging.getLogger("podnet")


class OrphanSearch:
    """Looks for leases of `node` whose pods `pods` have no more; `then` is called where there is something to reap.

    Interval (0: never) and grace are those of podnet.yaml's `gc`.
    """

    def __init__(self, node: NodeContext, pods: PodsSource, then: Callable[[], None]) -> None:
        """Begin now."""
        self._node = node
        self._pods = pods
        self._orphans = Orphans()
        self._interval, self._grace = node.settings.gc.interval, node.settings.gc.grace
        self._then = then
        self._last = time.monotonic()

    def wait(self, idle: float) -> float | None:
        """Return how many seconds there are until the next look, None for ever."""
        if not self._interval:
            return None
        return max(0.0, self._interval - (time.monotonic() - self._last), IDLE - idle)

    def step(self, idle: float) -> None:
        """Look, where it is time to."""
        if self.wait(idle) == 0.0:
            self._last = time.monotonic()
            self.look()

    def look(self) -> None:
        """Collect what is due, and log it."""
        try:
            live = self._node.store.live()
            collected = self._orphans.due(live, self._gone, self._node.kernel.inhabited, time.time(), self._grace)
            self._node.engine.collect(collected)
        except PodnetError as error:
            log.warning("pods that were deleted cannot be looked for: %s", describe(error))
            return
        for lease in collected:
            told = "%s is collected: its pod was deleted and nothing has run in it for %g s, but no DEL came"
            log.info(told, lease.holder, self._grace)
        if collected:
            self._then()

    def _gone(self, pod: KubernetesPod) -> bool:
        """Tell whether a pod is no more; while that is not known for certain, none is."""
        return self._pods.current and self._pods.find(pod) is None
