"""What the daemon asks of whoever tells it the cluster's nodes: a file that is watched, Kubernetes, or etcd."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from podnet.errors import PodnetError
from podnet.model import KubernetesPod, Node


class NodesSource(Protocol):
    """The nodes as they are now.

    `nodes` are the last good ones; `error` is why they may be out of date, None when they are not; `remarks` say what
    else is amiss, such as a node that is left out and why.  `remote` sources are not always there, so what they said
    is to be kept.  Register `fileno()` for reading, and call `changed()` when it is ready.
    """

    nodes: tuple[Node, ...]
    error: PodnetError | None
    remarks: Sequence[str]
    remote: bool

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        ...

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether nodes, error or remarks are other than before."""
        ...

    def serving(self) -> None:
        """Tell the cluster, where it wants to know, that pods of this node are served."""
        ...

    def tell(self, event: str) -> None:
        """Tell the cluster, where it wants to know, what happened on this node."""
        ...

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Have the cluster know `annotations` of this node, none of those that are None, where it keeps any."""
        ...

    def moved(self) -> None:
        """Tell the cluster, where it has them from the node itself, that this node's addresses may be others."""
        ...

    def close(self) -> None:
        """End."""
        ...


class PodsSource(Protocol):
    """The pods of this node as they are now, by what the API server tells of them.

    `error` is why they may be out of date; while it is None and they are `current`, who is not found is not there.
    Register `fileno()` for reading, and call `changed()` when it is ready.
    """

    error: PodnetError | None

    @property
    def current(self) -> bool:
        """Whether what is known is what the server has, as far as one can tell."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        ...

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether there was anything."""
        ...

    def find(self, pod: KubernetesPod) -> tuple[tuple[str, str], ...] | None:
        """Return podnet's annotations of a pod, None where it is not known."""
        ...

    def close(self) -> None:
        """End."""
        ...
