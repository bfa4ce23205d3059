"""What this node tells the API server of itself, said until it is so: that its network is up, and annotations.

A thread of its own says it, for as long as there is something to say: the one that follows the Nodes listens, and what
it hears tells that it is so, or is so no longer.
"""

import random
import threading
from collections.abc import Callable, Mapping

from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.objects import NodeObject
from podnet.cluster.kubernetes.status import annotate, network_is_up
from podnet.cluster.remote.access import Access
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.http import RefusedError
from podnet.errors import PodnetError

FORBIDDEN = 403
"""HTTP: who asks is known, and may not."""


class Announcer:
    """Speaks for the Node `name`, of which `own` tells what the server has, None where it has none.

    Methods are called with `lock` held, but for :meth:`close`; `tell` is called, likewise, when `unsaid` is another.
    """

    def __init__(
        self,
        access: Access,
        name: str,
        lock: threading.Lock,
        own: Callable[[], NodeObject | None],
        tell: Callable[[], None],
    ) -> None:
        """Begin with nothing to say."""
        self.unsaid = ""
        """What cannot be said, and why; "" where nothing is left to say."""
        self._client = Client(access)
        self._name = name
        self._lock, self._own, self._tell = lock, own, tell
        self._up = False
        self._annotations: dict[str, str | None] = {}
        self._speaking = False
        self._ending = threading.Event()

    def say_up(self) -> None:
        """Have it said that the network is up, now and whenever somebody says that it is not."""
        self._up = True
        self.look()

    def annotate(self, annotations: Mapping[str, str | None]) -> None:
        """Have the Node bear `annotations`, or not bear those that are None."""
        self._annotations.update(annotations)
        self.look()

    def look(self) -> None:
        """See whether the Node is other than it should be, and begin to say so."""
        if not self._speaking and self._due():
            self._speaking = True
            threading.Thread(target=self._speak, name="kubernetes-say", daemon=True).start()

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._client.close()

    def _due(self) -> bool:
        return self._down() or bool(self._lacking())

    def _down(self) -> bool:
        own = self._own()
        return self._up and own is not None and own.network_unavailable

    def _lacking(self) -> dict[str, str | None]:
        own = self._own()
        if own is None:
            return {}
        there = dict(own.annotations)
        return {key: value for key, value in self._annotations.items() if there.get(key) != value}

    def _speak(self) -> None:
        backoff = Backoff(random.random)
        while not self._ending.is_set():
            with self._lock:
                down, lacking = self._down(), self._lacking()
                if not down and not lacking:
                    self._speaking = False
                    return
            unsaid = self._say(lacking, down=down)
            self._client.release()
            with self._lock:
                if unsaid != self.unsaid and not self._ending.is_set():
                    self.unsaid = unsaid
                    self._tell()
            self._ending.wait(backoff.wait())  # also where it was said: the watch tells that it is so

    def _say(self, lacking: Mapping[str, str | None], *, down: bool) -> str:
        """Say it once; return what could not be said."""
        what = "that the network is up"
        try:
            if down:
                network_is_up(self._client, self._name)
            if lacking:
                what = f"annotation {', '.join(lacking)} of Node {self._name}"
                annotate(self._client, self._name, lacking)
        except PodnetError as error:
            forbidden = isinstance(error, RefusedError) and error.status == FORBIDDEN
            remedy = "; let podnet's ClusterRole `patch` nodes and nodes/status" if forbidden else ""
            return f"{what} cannot be said: {error.msg}{remedy}"
        return ""
