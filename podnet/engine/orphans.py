"""Orphans: attachments of pods that the cluster has deleted, whose runtime never said DEL, and whose namespace stays.

A namespace that ends takes its link along, and that lease is collected by the sweep (:mod:`podnet.engine.upkeep`).  But
runtimes pin namespaces to files, and a file outlives the runtime that was killed, reinstalled or lost its state: link,
address and host ports would stay for ever.  An address must never be taken from a container that runs, so a lease is
collected only where

- the cluster says, and is known to be current, that there is no pod of that uid on this node;
- no process is in the pod's namespace, and all processes can be seen: what has no process runs nothing;
- both have been so for the whole grace, at every look.

The runtime's own list of sandboxes would say less: it may be gone with the runtime, and a sandbox in it without a
process is as dead as one that is not.  What its DEL finds later is that there is nothing to do.
"""

from collections.abc import Callable, Iterable, Sequence

from podnet.model import Attachment, KubernetesPod, Lease

Life = tuple[Attachment, float]
"""What tells one life of an attachment from the next: the attachment, and when its lease was made."""


class Orphans:
    """Since when leases have been orphans."""

    def __init__(self) -> None:
        """Begin with none."""
        self._since: dict[Life, float] = {}

    def due(
        self,
        leases: Iterable[Lease],
        gone: Callable[[KubernetesPod], bool],
        inhabited: Callable[[Sequence[Lease]], Sequence[Lease]],
        now: float,
        grace: float,
    ) -> list[Lease]:
        """Return those of `leases` that have been orphans for `grace` seconds.

        `gone` tells whether a pod is certainly no more; `inhabited`, which costs more and is asked of such alone, in
        which of them something runs, or may run for all one can tell.
        """
        before, self._since = self._since, {}
        suspects = [lease for lease in leases if lease.terms.pod and lease.terms.pod.uid and gone(lease.terms.pod)]
        running = inhabited(suspects) if suspects else ()
        due = []
        for lease in suspects:
            if lease in running:
                continue
            life = lease.attachment, lease.created
            since = self._since[life] = before.get(life, now)
            if now - since >= grace:
                due.append(lease)
        return due
