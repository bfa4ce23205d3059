"""Whether this node routes at all: what arrives for a pod, and what a pod sends, is neither's own packet."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from podnet.diagnosis.finding import Finding
from podnet.diagnosis.sysctl import Assignment, command, dotted, last_word

CHECK = "forwarding"
SWITCHES = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""By IP version; of IPv6 a link's own `forwarding` says only whether it behaves as a router's (ip-sysctl.rst)."""
LISTED = 4


def forwarding(
    values: Mapping[str, str],
    versions: Collection[int],
    links: Sequence[str],
    learned: Collection[str] = (),
    files: Sequence[Assignment] = (),
) -> Iterator[Finding]:
    """Yield what keeps packets of pods, who have addresses of the IP `versions`, from being routed.

    `values` are sysctls by their path; `links` those by which pods' packets come and go; `learned` the links whose
    default route is a router's advertisement; `files` what sysctl.d(5) sets, in the order in which it is set.
    """
    for version in sorted(versions):
        name = SWITCHES[version]
        if values.get(name) == "0":
            yield Finding(
                CHECK,
                "broken",
                f"IPv{version} forwarding is off: pods reach this node alone, and nobody else reaches them",
                f"{dotted(name)} = 0",
                command(name, "1"),
            )
        yield from _later(name, version, files)
    if 4 in versions:  # noqa: PLR2004 - IPv4
        yield from _links(values, links)
    if 6 in versions:  # noqa: PLR2004 - IPv6
        yield from _without_ipv6(values, links)
        yield from _forgetting(values, learned)


def _later(name: str, version: int, files: Sequence[Assignment]) -> Iterator[Finding]:
    """Yield a finding where a file switches forwarding off when it is loaded."""
    found = last_word(files, name)
    if found is not None and found.value == "0":
        yield Finding(
            CHECK,
            "note",
            f"IPv{version} forwarding is switched off whenever sysctl.d is loaded, at boot or by `sysctl --system`; "
            "until the daemon notices, no pod is reached",
            f"{found.place}: {dotted(name)} = 0",
            f"write {dotted(name)} = 1 in {found.path}",
        )


def _links(values: Mapping[str, str], links: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding where links do not forward though the node does."""
    if values.get(SWITCHES[4]) == "0":
        return
    names = [link for link in links if values.get(f"net/ipv4/conf/{link}/forwarding") == "0"]
    if names:
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        yield Finding(
            CHECK,
            "broken",
            f"what arrives by {', '.join(names[:LISTED])}{more} is not forwarded, though the node forwards",
            "; ".join(f"{dotted(f'net/ipv4/conf/{name}/forwarding')} = 0" for name in names[:LISTED]),
            "; ".join(command(f"net/ipv4/conf/{name}/forwarding", "1") for name in names[:LISTED]),
        )


def _without_ipv6(values: Mapping[str, str], links: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each link that has pods' IPv6 packets to carry and is without IPv6."""
    for link in links:
        name = f"net/ipv6/conf/{link}/disable_ipv6"
        if values.get(name) == "1":
            yield Finding(
                CHECK,
                "broken",
                f"{link} is without IPv6, and pods' IPv6 packets are to go by it",
                f"{dotted(name)} = 1",
                command(name, "0"),
            )


def _forgetting(values: Mapping[str, str], learned: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each link that loses the default route it has learned, since the node forwards."""
    if values.get(SWITCHES[6]) != "1":
        return
    for link in sorted(learned):
        name = f"net/ipv6/conf/{link}/accept_ra"
        if values.get(name) == "1":
            yield Finding(
                CHECK,
                "soon",
                f"the IPv6 default route by {link} is a router's advertisement, and a node that forwards hears no more "
                "of them: it expires",
                f"{dotted(name)} = 1, {dotted(SWITCHES[6])} = 1",
                command(name, "2"),
            )
