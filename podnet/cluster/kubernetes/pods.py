"""The Pods of one node, kept current: what they ask for by annotations, by the uid that a kubelet knows them by.

The API server is asked for those alone that are bound to the node (spec.nodeName), which it keeps an index of; a
kubelet asks it the same.  So what is known here is as new as what the kubelet acts upon.
"""

from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.decoding import Decoder
from podnet.cluster.kubernetes.feed import KubernetesFeed
from podnet.cluster.kubernetes.objects import PodObject, WirePod, keep_pod
from podnet.cluster.remote.access import Access
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.following import Follower
from podnet.errors import PodnetError
from podnet.model import KubernetesPod

PATH = "/api/v1/pods"


class KubernetesPods:
    """The Pods that `access` tells of; of the node `node`, or with "" of all.

    `error` says what is amiss with the API server and since when; while it is None and `synced`, who is not found is
    not there.  `down` is shared with others who ask the same server.
    """

    def __init__(self, access: Access, node: str, *, down: Backoff) -> None:
        """Begin to ask, in a thread."""
        self.error: PodnetError | None = None
        self._pods: dict[str, PodObject] = {}
        self._by_uid: dict[str, PodObject] = {}
        selection = {"fieldSelector": f"spec.nodeName={node}"} if node else {}
        feed = KubernetesFeed(Client(access), PATH, "pods", Decoder(WirePod, keep_pod), selection)
        self._follower = Follower(feed, down, lambda _: None)
        self._follower.begin()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._follower.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait until there is a first list, at most `seconds` and not beyond a first failure; tell if there is one."""
        return self._follower.wait(seconds)

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether pods or error are other than before."""
        before = self.error
        changes = self._follower.take() or {}
        for key, pod in changes.items():
            self._forget(key)
            if pod is not None:
                self._pods[key] = pod
                self._by_uid.update((uid, pod) for uid in (pod.uid, pod.static) if uid)
        self.error = self._follower.error
        return bool(changes) or (self.error is None) != (before is None)

    @property
    def current(self) -> bool:
        """Whether what is known is what the server has, as far as one can tell."""
        return self._follower.synced and self.error is None

    def find(self, pod: KubernetesPod) -> tuple[tuple[str, str], ...] | None:
        """Return podnet's annotations of the Pod that a runtime calls `pod`, None where it is not known.

        It is the one of that uid; a Pod of the same name with another is its successor or predecessor.  A pod of a file
        of the kubelet's is known by its mirror.  Where the runtime does not tell the uid, the name has to do.
        """
        found = self._by_uid.get(pod.uid) if pod.uid else self._pods.get(f"{pod.namespace}/{pod.name}")
        return None if found is None else found.annotations

    def close(self) -> None:
        """End."""
        self._follower.close()

    def __len__(self) -> int:
        return len(self._pods)

    def _forget(self, key: str) -> None:
        old = self._pods.pop(key, None)
        for uid in (old.uid, old.static) if old else ():
            if self._by_uid.get(uid) is old:
                del self._by_uid[uid]
