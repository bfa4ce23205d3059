"""Which address a pod gets: pure decisions over what somebody else remembers.

Belongs here: the arithmetic of a `model.Range` without enumerating it, the order in which addresses are given, the
quarantine rule, static requests.  Does not: remembering anything (a `Ledger` does: the store's, or a dict in a test),
clocks, and the parsing of configurations.

Why not the peers' round robin over a folder or a bitmap: a bitmap of a /64 does not exist, and round robin gives an
address again as soon as the cursor comes by, however lately it was released.
"""

from podnet.ipam.allocate import Choice, Free, Holder, Ledger, Occupancy, choose, match_requested
from podnet.ipam.quarantine import effective_quarantine
from podnet.ipam.ranges import Pool, Span, pool_of, pools_of

__all__ = [
    "Choice",
    "Free",
    "Holder",
    "Ledger",
    "Occupancy",
    "Pool",
    "Span",
    "choose",
    "effective_quarantine",
    "match_requested",
    "pool_of",
    "pools_of",
]
