"""The nodes of a cluster in etcd, kept current: what NodesWatch is for a file.  Who follows them is none of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podnet.cluster.document import IPNetwork
from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.claiming import View
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.feed import EtcdFeed
from podnet.cluster.etcd.listing import Candidates
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.following import Follower
from podnet.cluster.remote.listing import Candidate
from podnet.cluster.remote.nodes import RemoteNodes
from podnet.cluster.remote.reflector import Changes
from podnet.model import Node


class EtcdNodes(RemoteNodes):
    """The nodes that have a record below `prefix`, with what they claim of `cluster_cidrs`.

    `known` are the nodes until there is a first list.  `error` says what is amiss with etcd and since when.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        prefix: str,
        cluster_cidrs: Sequence[IPNetwork],
        known: tuple[Node, ...] = (),
        *,
        name: str = "",
        down: Backoff,
    ) -> None:
        """Begin to ask, in a thread; raise InvalidConfiguration.  `name` is the node that asks, "" where it is none."""
        super().__init__(name, known)
        self._candidates = Candidates(name, cluster_cidrs)
        self._client = EtcdClient(endpoints, prefix)
        self._follower = Follower(EtcdFeed(self._client), down, self._heard)

    def begin(self) -> None:
        """Begin to ask."""
        self._follower.begin()

    def serving(self) -> None:
        """Do nothing: etcd does not want to know."""

    def tell(self, event: str) -> None:
        """Do nothing: nor that."""

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Do nothing: who is no node has nothing to tell."""

    def moved(self) -> None:
        """Do nothing: likewise."""

    def close(self) -> None:
        """End."""
        self._follower.close()

    # For who is a node; all of it is called with the lock

    def _heard(self, changes: Changes) -> None:
        """Take note, in the thread that follows, of what changed."""

    def _take(self, changes: Mapping[str, Any] | None) -> None:
        self._candidates.update(changes or {})
        view = self._view()
        if view is not None:
            self._list(self._changed(view), self._candidates.all)

    def _said(self) -> Iterable[str]:
        return self._candidates.remarks()

    def _changed(self, view: View) -> Mapping[str, Candidate[str] | None]:
        """Return by name the nodes that are others than before, None for those that are gone."""
        del view
        return self._candidates.changed()

    def _view(self) -> View | None:
        """Return what is known of etcd, None before there was a list."""
        return self._follower.objects() if self._follower.synced else None
