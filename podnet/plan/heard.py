"""What was heard of the kernel's objects being changed by others than podnet."""

from collections.abc import Iterator
from typing import NamedTuple

from podnet.plan.diff import place_of
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

    def parts(self, links: int) -> "Iterator[Heard]":
        """Yield what was heard in parts that speak of so many links each, the ruleset's writers with the first.

        What was lost has no parts.
        """
        if self.lost:
            yield self
            return
        of: dict[str, list[Object]] = {name: [] for name in sorted(self.links)}
        for thing in self.objects:
            of.setdefault(place_of(thing)[1], []).append(thing)
        names = list(of)
        for first in range(0, len(names) or 1, links):
            part = names[first : first + links]
            objects = tuple(thing for name in part for thing in of[name])
            yield Heard(objects, self.links.intersection(part), () if first else self.writers)
