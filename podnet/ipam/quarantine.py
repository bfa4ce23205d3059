"""How long a released address rests before it is given again, and how that yields when addresses run short.

A released address may still be spoken to: by peers that have not noticed, by other nodes' connection tracking, by a
name server's cache.  So it rests.  But a rest that is never cut short empties a small range under a burst of short
jobs, and a pod that cannot start is worse than one that gets a few stray packets, which it answers with a reset.  Hence

    effective quarantine = configured x free / size

where `free` counts the addresses of the range that nobody holds, resting ones included, and `size` all usable ones.
An empty range rests its addresses for the whole time, a full one not at all, and between them it is linear: the more
pods, the shorter, without a threshold at which behaviour jumps.

Quarantine orders, it never refuses: where every free address of a range set rests, the one that has rested longest is
given.  What is refused is an address whose link and connections are not removed yet; that takes milliseconds.
"""


def effective_quarantine(configured: float, free: int, size: int) -> float:
    """Return for how many seconds after its release an address rests.

    `free` of the range's `size` usable addresses are held by nobody, 0 <= free <= size, size >= 1.  The result lies
    in 0 to `configured`, grows with `free`, is 0 where nothing is free and `configured` where everything is.
    """
    return configured * (free / size)
