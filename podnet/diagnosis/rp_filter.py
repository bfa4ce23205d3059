"""Reverse path filtering: strict, it drops what comes by another link than the way back leads over (RFC 3704).

The kernel is asked itself: a route is looked up as for a packet that came by a link, and the lookup is refused where
the filter would drop the packet.  So other routes and rules of policy routing count as they do for packets.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import msgspec

from podnet.diagnosis.finding import Finding
from podnet.diagnosis.sysctl import Assignment, command, dotted, last_word

CHECK = "rp_filter"
STRICT, LOOSE = "1", "2"


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Packets of `whom`, from `source`, that come by `link`; `refused` if the kernel would not take one."""

    whom: str
    source: IPv4Address | IPv6Address
    link: str
    refused: bool


def strict(values: Mapping[str, str], link: str) -> bool:
    """Tell whether `link` filters strictly: the larger of its own value and that of all links counts."""
    own, common = (values.get(f"net/ipv4/conf/{name}/rp_filter", "0") for name in (link, "all"))
    return max(own, common) == STRICT


def rp_filter(
    values: Mapping[str, str], bridges: Collection[str], arrivals: Sequence[Arrival], files: Sequence[Assignment] = ()
) -> Iterator[Finding]:
    """Yield each link by which packets are dropped.

    `values` are sysctls by their path.  By `bridges` pods' packets come and go by their ports, so that a strict filter
    drops all of them; of other links `arrivals` tell.  `files` are what sysctl.d(5) sets.
    """
    for bridge in sorted(bridges):
        if strict(values, bridge):
            what = f"strict rp_filter on {bridge} drops what its pods send: packets to them leave by its ports"
            yield _finding(values, bridge, what, "")
        elif (found := last_word(files, f"net/ipv4/conf/{bridge}/rp_filter")) and found.value == STRICT:
            yield Finding(
                CHECK,
                "note",
                f"strict rp_filter on {bridge} is set whenever sysctl.d is loaded, and drops what its pods send until "
                "the daemon notices",
                f"{found.place}: {dotted(found.name)} = {found.value}",
                f"write {dotted(f'net/ipv4/conf/{bridge}/rp_filter')} = {LOOSE} in {found.path}",
            )
    refused: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        if arrival.refused and arrival.link not in bridges and strict(values, arrival.link):
            refused.setdefault(arrival.link, []).append(arrival)
    for link, dropped in refused.items():
        first = dropped[0]
        more = f", and {len(dropped) - 1} more" if len(dropped) > 1 else ""
        what = f"strict rp_filter on {link} drops what comes from {first.whom}{more}: the way back is by another link"
        yield _finding(values, link, what, f", `ip route get` refuses from {first.source} iif {link}")


def _finding(values: Mapping[str, str], link: str, what: str, more: str) -> Finding:
    names = [f"net/ipv4/conf/{name}/rp_filter" for name in ("all", link)]
    evidence = ", ".join(f"{dotted(name)} = {values.get(name, '0')}" for name in names) + more
    return Finding(CHECK, "broken", what, evidence, command(names[1], LOOSE))
