"""The nodes of a cluster in etcd, kept current: what NodesWatch is for a file.  Who follows them is none of them."""

from collections.abc import Mapping, Sequence

from podnet.cluster.document import IPNetwork
from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.claiming import View
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.feed import EtcdFeed
from podnet.cluster.etcd.listing import Candidates
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.following import Follower
from podnet.cluster.remote.listing import Candidate, Listing
from podnet.cluster.remote.reflector import Changes
from podnet.cluster.remote.relisting import Relisting
from podnet.errors import PodnetError
from podnet.model import Node


class EtcdNodes:
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
        self.name = name
        self.nodes = known
        self.error: PodnetError | None = None
        self.remarks: Sequence[str] = ()
        self.remote = True
        self._candidates, self._relisting = Candidates(name, cluster_cidrs), Relisting()
        self._listing: Listing | None = None
        self._client = EtcdClient(endpoints, prefix)
        self._follower = Follower(EtcdFeed(self._client), down, self._heard)

    def begin(self) -> None:
        """Begin to ask."""
        self._follower.begin()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._follower.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait until there is a first list, at most `seconds` and not beyond a first failure; tell if there is one."""
        return self._follower.wait(seconds)

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether nodes, error or remarks are other than before."""
        before = self.nodes, _text(self.error), self.remarks
        self._candidates.update(self._follower.take() or {})
        self.error = self._follower.error
        with self._follower.lock:
            view = self._view()
            if view is not None:
                self._take(self._changed(view))
            ignored = self._listing.ignored if self._listing else ()
            self.remarks = (*ignored, *self._candidates.remarks(), *self._said())
        return (self.nodes, _text(self.error), self.remarks) != before

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

    def _said(self) -> Sequence[str]:
        """Return what is to be said of this node."""
        return ()

    def _changed(self, view: View) -> Mapping[str, Candidate[str] | None]:
        """Return by name the nodes that are others than before, None for those that are gone."""
        del view
        return self._candidates.changed()

    def _view(self) -> View | None:
        """Return what is known of etcd, None before there was a list."""
        return self._follower.objects() if self._follower.synced else None

    def _take(self, changes: Mapping[str, Candidate[str] | None]) -> None:
        if self._listing is None or changes:
            self._listing = self._relisting.follow(changes) or self._relisting.listed(self._candidates.all())
        # Equal nodes stay the same values: whoever compares them compares identities first.
        self.nodes = self.nodes if self.nodes == self._listing.nodes else self._listing.nodes


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
