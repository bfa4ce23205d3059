"""ADDs held until their pod's object is known: the watch is a little late sometimes, and they are the ones that wait.

Nobody else does: whoever is held is looked up again when pods change, and let go when its time is over.
"""

import logging
import time

from podnet.cluster import PodsSource
from podnet.cni import stated_part
from podnet.daemon.describe import describe
from podnet.daemon.server import Connection
from podnet.daemon.wishing import Wishing, pod_of
from podnet.model import KubernetesPod

log = logging.getLogger("podnet")


class Holding:
    """The connections that wait for what `wishing` does not know yet, as `pods` tell it."""

    def __init__(self, wishing: Wishing, pods: PodsSource) -> None:
        """Begin with none."""
        self._wishing = wishing
        self._pods = pods
        self._held: dict[Connection, tuple[KubernetesPod, float]] = {}

    def readable(self) -> None:
        """Take what there is new of pods; log when that is current no longer, and again."""
        before = self._pods.error
        self._pods.changed()
        after = self._pods.error
        if after is not None and (before is None or before.msg != after.msg):
            log.error("pods that are not known wait: %s", describe(after))
        elif before is not None and after is None:
            log.info("pods: current again")

    def holds(self, connection: Connection) -> bool:
        """Hold an ADD whose pod is not known, unless it has been held for as long as can be; tell whether it is."""
        call = connection.call
        if call is None or call.command != "ADD":
            return False
        pod = pod_of(call.frame.environment.get("CNI_ARGS", ""))
        if pod is None or not self._wishing.awaited(pod) or stated_part(call.frame.stdin) != ("interface", ""):
            return False
        deadline = connection.since + self._wishing.seconds
        if time.monotonic() >= deadline:
            return False
        self._held[connection] = pod, deadline
        return True

    def wait(self) -> float | None:
        """Return how many seconds there are until one has waited long enough, None where none waits."""
        first = min((deadline for _, deadline in self._held.values()), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def released(self) -> list[Connection]:
        """Return those that need not, or must not, wait any longer."""
        now = time.monotonic()
        released = [
            connection
            for connection, (pod, deadline) in self._held.items()
            if now >= deadline or not self._wishing.awaited(pod)
        ]
        for connection in released:
            del self._held[connection]
        return released

    def close(self) -> None:
        """Hang up on all."""
        for connection in self._held:
            connection.close()
        self._held.clear()
