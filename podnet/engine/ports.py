"""What the engine needs of the world: Protocols that the edges satisfy without importing the engine."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from podnet.errors import PodnetError
from podnet.model import PLAIN, Attachment, Lease, Namespace, NamespaceId, Network, PortMapping, Terms
from podnet.netlink.attributes import IPAddress
from podnet.plan import Plan, State

__all__ = ["Clock", "Kernel", "Namespace", "Reaped", "Store"]


class Reaped(Protocol):
    """What one reaping ended: names of links, and of strangers that were found in the doomed group and moved out."""

    @property
    def links(self) -> tuple[str, ...]:
        """Links that are gone."""

    @property
    def strangers(self) -> tuple[str, ...]:
        """Links that are not podnet's and stay."""


class Kernel(Protocol):
    """Carries out plans and says what is there."""

    def apply(self, plan: Plan, namespace: Namespace | None = None) -> None:
        """Carry out `plan`; raise `KernelError` at the first refusal, with the steps that took effect in `done`."""

    def apply_together(self, jobs: Sequence[tuple[Plan, Namespace | None]]) -> Sequence[PodnetError | None]:
        """Carry out several plans; return for each what `apply` would raise, or None."""

    def dismantle(self, plan: Plan) -> None:
        """Carry out a plan that takes away: what is gone already is no refusal."""

    def observe(self, plan: Plan, namespace: Namespace | None = None) -> State:
        """Return the state of those objects that `plan` speaks of."""

    def owned(self) -> State:
        """Return every object of the node that is provably podnet's."""

    def own_links(self) -> frozenset[str]:
        """Return the names of the node's links that are provably podnet's, by group and alias."""

    def namespace_of(self, lease: Lease) -> AbstractContextManager[tuple[Namespace | None, bool]]:
        """Open the namespace of `lease` for the block, where its path still leads to it.

        The second tells whether it is certain that the path leads nowhere, or elsewhere: it may be out of sight.
        """

    def reap(self) -> Reaped:
        """Delete the doomed links, all with one message."""

    def forget_connections(self, addresses: Sequence[IPAddress]) -> None:
        """Delete the conntrack entries of `addresses`."""

    def forget_ports(self, ports: Sequence[PortMapping]) -> None:
        """Delete the conntrack entries of datagrams to host `ports`, which lead elsewhere from now on."""


class Store(Protocol):
    """Leases, durable; times are Unix times in seconds."""

    def transaction(self) -> AbstractContextManager[None]:
        """Group what is done in the block into one commit."""

    def reserve(  # noqa: PLR0917 - a row of the table, in its order
        self,
        attachment: Attachment,
        network: Network,
        requested: Sequence[IPAddress],
        netns: NamespaceId | None,
        netns_path: str,
        now: float,
        terms: Terms = PLAIN,
    ) -> Lease:
        """Return a new live lease.

        Raise `AddressUnavailable`, `PortTaken`, or `InterfaceExists` where the attachment has one already.
        """

    def find(self, attachment: Attachment) -> Lease | None:
        """Return the live lease of `attachment`."""

    def network_of(self, lease: Lease) -> Network:
        """Return the network as it was when `lease` was made."""

    def live(self) -> Sequence[Lease]:
        """Return every live lease."""

    def pending(self) -> Sequence[Lease]:
        """Return the leases that are cut and not closed."""

    def cut(self, attachments: Sequence[Attachment], now: float) -> Sequence[Lease]:
        """Begin the quarantine of the addresses of `attachments`."""

    def close(self, leases: Sequence[Lease], now: float, reason: str = "") -> int:
        """Record that nothing of `leases` is left in the kernel."""

    def undo(self, lease: Lease, now: float, reason: str) -> None:
        """Take back the lease of an ADD that failed for `reason`."""


class Clock(Protocol):
    """The time."""

    def now(self) -> float:
        """Return Unix time in seconds."""
