"""The Nodes of a cluster of Kubernetes, kept current: what NodesWatch is for a file."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from podnet.cluster.document import IPNetwork
from podnet.cluster.kubernetes.announcing import Announcer
from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.decoding import Decoder
from podnet.cluster.kubernetes.events import Events
from podnet.cluster.kubernetes.feed import KubernetesFeed
from podnet.cluster.kubernetes.listing import candidate
from podnet.cluster.kubernetes.objects import NodeObject, WireNode, keep_node
from podnet.cluster.remote.access import Access
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.following import Follower
from podnet.cluster.remote.nodes import RemoteNodes
from podnet.model import Node

PATH = "/api/v1/nodes"


class KubernetesNodes(RemoteNodes):
    """The nodes that `access` tells of; `name` is this one's, and `annotations` what its Node is to have.

    `known` are the nodes until there is a first list.  `error` says what is amiss with the API server and since when.
    `down` is shared with others who ask the same server.
    """

    def __init__(
        self,
        access: Access,
        name: str,
        known: tuple[Node, ...] = (),
        cluster_cidrs: Sequence[IPNetwork] = (),
        annotations: Mapping[str, str] = MappingProxyType({}),
        *,
        down: Backoff,
    ) -> None:
        """Begin to ask, in a thread."""
        super().__init__(name, known)
        self._events = Events(access, name)
        decoder = Decoder(WireNode, lambda wire: candidate(keep_node(wire), cluster_cidrs))
        feed = KubernetesFeed(Client(access), PATH, "nodes", decoder)
        self._follower = Follower(feed, down, lambda _: self._announcer.look())
        self._announcer = Announcer(access, name, self._follower.lock, self._own, self._follower.tell)
        with self._follower.lock:
            self._announcer.annotate(annotations)
        self._follower.begin()

    def serving(self) -> None:
        """Have the API server told that this node's network is up, now and whenever somebody says that it is not."""
        with self._follower.lock:
            self._announcer.say_up()

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Have this Node bear `annotations`, or not bear those that are None, now and whenever they change."""
        with self._follower.lock:
            self._announcer.annotate(annotations)

    def tell(self, event: str) -> None:
        """Have the API server told what happened on this node."""
        self._events.tell(event)

    def moved(self) -> None:
        """Do nothing: a kubelet tells where its node is."""

    def close(self) -> None:
        """End."""
        self._events.close()
        self._announcer.close()
        self._follower.close()

    def _take(self, changes: Mapping[str, Any] | None) -> None:
        if changes is not None:
            self._list(changes, self._follower.objects().values)

    def _said(self) -> Iterable[str]:
        return [self._announcer.unsaid] if self._announcer.unsaid else ()

    def _own(self) -> NodeObject | None:
        """Return what the server has of this node; with the lock."""
        own = self._follower.objects().get(self.name)
        return None if own is None else own.origin
