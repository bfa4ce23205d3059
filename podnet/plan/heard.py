"""What was heard of the kernel's objects being changed by others than podnet."""

from typing import NamedTuple

from podnet.plan.plan import Object


class Heard(NamedTuple):
    """Changes since the last time, less podnet's own.

    `objects` are routes, neighbours, forwarding entries and addresses that went or were replaced; `links` the names of
    links that went or changed; `writers` who changed the ruleset of nftables, as ``nft (pid 4711)``.  `lost` tells
    that the kernel had more to say than was listened to: anything may have changed.
    """

    objects: tuple[Object, ...] = ()
    links: frozenset[str] = frozenset()
    writers: tuple[str, ...] = ()
    lost: bool = False

    def __bool__(self) -> bool:
        """Tell whether there was anything."""
        return bool(self.objects or self.links or self.writers or self.lost)
