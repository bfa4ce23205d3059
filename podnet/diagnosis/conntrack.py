"""The table of connections: full, every new connection of pods, services and masquerade is dropped."""

from collections.abc import Iterator

from podnet.diagnosis.finding import Finding

CHECK = "conntrack"
NEARLY = 0.8
"""The part of the table from which it counts as nearly full."""


def conntrack(count: int, most: int, dropped: int = 0) -> Iterator[Finding]:
    """Yield what the table's `count` of entries, of `most` at most (0: no bound), means.

    `dropped` is how many packets have been dropped for want of an entry, or entries to make room, since the boot.
    """
    evidence = f"net.netfilter.nf_conntrack_count = {count}, nf_conntrack_max = {most}"
    remedy = (
        f"sysctl -w net.netfilter.nf_conntrack_max={2 * most}; `conntrack -L` shows whose they are; with kube-proxy, "
        "which sets it, conntrack.maxPerCore"
    )
    if most and count >= most:
        what = "the table of connections is full: new connections of pods are dropped"
        yield Finding(CHECK, "broken", what, evidence, remedy)
    elif most and count >= NEARLY * most:
        what = f"the table of connections is {100 * count // most} % full; full, it drops new connections of pods"
        yield Finding(CHECK, "soon", what, evidence, remedy)
    elif dropped:
        what = "the table of connections has been full since the boot: connections of pods were dropped then"
        yield Finding(CHECK, "note", what, f"/proc/net/stat/nf_conntrack: drop + early_drop = {dropped}", remedy)


def lost(statistics: str) -> int:
    """Return what /proc/net/stat/nf_conntrack has in its columns `drop` and `early_drop`: a line per CPU, in hex."""
    lines = [line.split() for line in statistics.splitlines()]
    if not lines:
        return 0
    wanted = [index for index, name in enumerate(lines[0]) if name in {"drop", "early_drop"}]
    return sum(int(line[index], 16) for line in lines[1:] for index in wanted if index < len(line))
