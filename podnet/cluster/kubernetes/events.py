"""Events of this Node, as `kubectl get events` and `kubectl describe node` show them (Kubernetes API, v1 Event).

What happened is in the daemon's log in any case; here it is told once, in a thread that is there while there is
something to tell, and let go where the server is away or will not hear it.
"""

import threading
from collections import deque
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from podnet.cluster.kubernetes.client import Client
from podnet.cluster.remote.access import Access
from podnet.errors import PodnetError

PATH = "/api/v1/namespaces/default/events"  # those of objects without a namespace are there
MOST = 64
"""Events that wait at most; older ones are let go."""
LENGTH = 1024
"""Characters of a message at most, as the API has it."""
END = 160
"""Characters of a longer message that are kept of its end, which says since when, and after how long it was over."""


class Events:
    """Tells events of the Node `name`."""

    def __init__(self, access: Access, name: str) -> None:
        """Begin with nothing to tell."""
        self._client = Client(access)
        self._name = name
        self._waiting: deque[bytes] = deque(maxlen=MOST)
        self._lock = threading.Lock()
        self._telling = False

    def tell(self, message: str) -> None:
        """Tell `message`, soon; not to be waited for."""
        self._waiting.append(event(self._name, message, datetime.now(UTC)))
        with self._lock:
            if not self._telling:
                self._telling = True
                threading.Thread(target=self._run, name="kubernetes-events", daemon=True).start()

    def close(self) -> None:
        """End."""
        self._waiting.clear()
        self._client.close()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._telling = False
                    break
                body = self._waiting.popleft()
            try:
                self._client.post(PATH, body)
            except PodnetError:
                self._waiting.clear()
        self._client.release()


def event(node: str, message: str, when: datetime) -> bytes:
    """Return the event that something of `node` was not as it should be, as the API server takes it."""
    time = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{node}.{uuid4().hex[:16]}", "namespace": "default"},
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
            "reason": "NetworkDrift",
            "message": message if len(message) <= LENGTH else f"{message[: LENGTH - END - 1]}…{message[-END:]}",
            "type": "Warning",
            "source": {"component": "podnet", "host": node},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
    )
