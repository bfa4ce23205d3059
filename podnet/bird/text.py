"""A configuration as BIRD reads it (BIRD 2.0 User's Guide, "Configuration", "Filters" and "Protocols").

::

    function podnet_owns4(ip at)     whose prefix a route's is: its next hop is searched for
    filter podnet_learned4           of the kernel's routes: the way to neighbours, and pods outside of their prefix
    protocol static podnet_own4      this node's prefixes, told and not followed: podnet has routes to its pods
    template bgp podnet_…            what sessions of one kind have in common
    protocol bgp 'podnet.n2.4'       one for each neighbour and family

Text of what does not change stays the same, byte for byte, and BIRD leaves a session alone whose text is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from podnet.bird.configuration import Configuration, IPAddress, IPNetwork, Session
from podnet.errors import InvalidConfiguration
from podnet.plan import PROTOCOL

METRIC = 179
"""The metric of routes that BIRD gives to the kernel: BGP's port, by which they are known in `ip route`."""
PROTOCOL_BIRD = 12
"""RTPROT_BIRD (linux/rtnetlink.h): the rtm_protocol of those routes."""
PREFIX = "podnet."
"""What the names of podnet's sessions begin with."""

RESTART_SECONDS = 600
"""How long neighbours keep the routes of a node whose BIRD is away, with `graceful`: kubelet starts a container that
keeps failing every 5 minutes."""
_RECOVERY_SECONDS = 60
"""How long a new BIRD waits for neighbours that do not come, before it tells routes and takes out of the kernel those
that it has not heard; 240 unless said."""

_LEAF = 8
"""Nodes compared one by one at the end of a search.  Not BIRD's `case`: 5,000 take it 0.7 s to read, so 10 ms."""
_NAME_MOST = 50  # BIRD's symbols have 63 characters (conf/conf.h, SYM_MAX_LEN)
_PASSWORD_MOST = 80  # TCP_MD5SIG_MAXKEYLEN, linux/tcp.h

_FAST = "hold time 9; keepalive time 3; graceful restart off; bfd on;"
"""BFD: 4 packets of 100 ms each are missed before a neighbour is down."""
_GRACEFUL = "hold time 3; keepalive time 1; graceful restart on;"
_LONG_LIVED = f"graceful restart time 0; long lived graceful restart on; long lived stale time {RESTART_SECONDS};"
"""RFC 9494, from the first moment on: by RFC 4724 alone (section 4.2) what neighbours keep goes when a BIRD dies again
before it has told its routes, while its node's pods are there."""
_SHORT_LIVED = f"graceful restart time {RESTART_SECONDS}; long lived graceful restart aware;"
"""Towards somebody else's router, which may know of RFC 4724 alone."""
_PATIENCE = "connect delay time 1; connect retry time 2; error wait time 1, 10; error forget time 30;"
_BFD = "interval 100 ms; multiplier 4;"
_TAKES = {
    "own": "where bgp_next_hop = from && podnet_owns{v}(bgp_next_hop)",
    "each": "where podnet_owns{v}(bgp_next_hop)",
    "known": "where podnet_known{v}()",
    "nothing": "none",
}
_TELLS = {"own": "where podnet_tells{v}()", "all": "none", "nothing": "none"}


class _Kind(NamedTuple):
    """What sessions of one template have in common."""

    version: int
    takes: str
    tells: str
    client: bool
    hops: str
    internal: bool

    @property
    def name(self) -> str:
        words = [self.takes, self.tells, *(["client"] if self.client else [])]
        return f"podnet_{'_'.join((*words, self.hops))}{'' if self.internal else '_external'}{self.version}"


def render(configuration: Configuration, passwords: Mapping[str, str] = {}) -> str:
    """Return the file's text; `passwords` are the contents of their files, by path.

    Raises InvalidConfiguration for a password that BIRD cannot be told.
    """
    sections = [
        _head(configuration),
        *(_family(configuration, version) for version in configuration.families),
        *([] if configuration.hosted else [_machine(configuration)]),
        *_templates(configuration),
        *(_session(session, passwords) for session in configuration.sessions),
    ]
    return "\n".join(sections)


def protocol_name(node: str, version: int) -> str:
    """Return what the session with `node` is called in BIRD."""
    if len(node) > _NAME_MOST:
        node = f"{node[: _NAME_MOST - 9]}-{sha256(node.encode()).hexdigest()[:8]}"
    return f"{PREFIX}{node}.{version}"


def _head(configuration: Configuration) -> str:
    lines = ["# Written by podnet, which writes it anew with every change of the cluster: changes by hand are lost."]
    if not configuration.hosted:
        lines.append(f"router id {configuration.router_id};")
        if configuration.log:
            lines.append(f'log "{configuration.log}" 1000000 "{configuration.log}.1" all;')
        lines += ["timeformat protocol iso long ms;", "debug protocols { states };"]
        if configuration.profile == "graceful":
            lines.append(f"graceful restart wait {_RECOVERY_SECONDS};")
    return "\n".join([*lines, ""])


def _machine(configuration: Configuration) -> str:
    """Return what a BIRD of podnet's own needs besides: to know links, and to give its routes to the kernel."""
    families = " ".join(f"ipv{version};" for version in configuration.families)
    links = ", ".join(f'"{link}"' for link in configuration.links) or '"*"'
    graceful = " graceful restart;" if configuration.profile == "graceful" else ""
    lines = [
        "protocol device podnet_links { scan time 10; }",
        f"protocol direct podnet_subnets {{ {families} interface {links}; }}",
    ]
    lines += [
        # A BIRD that has just started hears from the kernel how routers are reached after it has given routes to it.
        f"protocol kernel podnet_kernel{v} {{ learn; scan time 10; metric {METRIC};{graceful}\n"
        f"  ipv{v} {{ import filter podnet_learned{v};"
        " export where source = RTS_BGP && dest != RTD_UNREACHABLE; };\n}"
        for v in configuration.families
    ]
    if configuration.profile == "fast":
        lines.append(f'protocol bfd podnet_bfd {{ interface "*" {{ {_BFD} }}; multihop {{ {_BFD} }}; }}')
    return "\n".join([*lines, ""])


def _family(configuration: Configuration, version: int) -> str:
    """Return the functions and the static routes of an IP version."""
    v, longest = version, 32 if version == 4 else 128  # noqa: PLR2004 - the IP version
    owners = {at: _of(cidrs, v) for at, cidrs in configuration.owners.items() if at.version == v}
    own = _of(configuration.own, v)
    pods = [cidr for cidrs in (own, *owners.values()) for cidr in cidrs]
    cluster = _of(configuration.cluster, v)
    stray = f"net.len = {longest} && net ~ {_within(cluster)} && ! (net ~ PODNET_PODS{v})" if cluster else "false"
    # In brackets: BIRD's && and || bind alike, from the left (filter/config.Y).
    learned = f"(source = RTS_INHERIT && krt_source = {PROTOCOL} && podnet_stray{v}())"
    said = "".join(f" bgp_community.add(({one}, {other}));" for one, other in configuration.communities)
    return "\n".join([
        f"define PODNET_PODS{v} = {_within(pods) if pods else '[ ' + _NOWHERE[v] + ' ]'};",
        f"function podnet_stray{v}() {{ return {stray}; }}",
        *_owners(owners, v),
        f"function podnet_known{v}() {{",
        *([f"  if net ~ {_within(own)} then return false;"] if own else []),
        f"  return podnet_stray{v}() || net ~ {_exactly([c for cidrs in owners.values() for c in cidrs], v)};",
        "}",
        f"function podnet_tells{v}() {{",
        f'  if ! (proto = "podnet_own{v}" || {learned}) then return false;',
        f" {said} return true;",
        "}",
        *([] if configuration.hosted else [
            f"filter podnet_learned{v} {{",
            f"  if krt_source = {PROTOCOL} then {{ if podnet_stray{v}() then accept; reject; }}",
            *([f"  if net ~ {_within(cluster)} then reject;"] if cluster else []),
            "  accept;",
            "}",
        ]),
        f"protocol static podnet_own{v} {{ ipv{v};",
        *(f"  route {cidr} unreachable;" for cidr in own),
        "}",
        "",
    ])  # fmt: skip


_NOWHERE = {4: "255.255.255.255/32", 6: "::/128"}
"""An element for sets that have none, which BIRD does not take: no pod is there."""


def _owners(owners: Mapping[IPAddress, Sequence[IPNetwork]], version: int) -> Iterator[str]:
    """Yield the function that tells whether the route's prefix is that of the node `at`."""
    yield f"function podnet_owns{version}(ip at) {{"
    yield from _search(sorted(owners), owners, version)
    yield "  return false;\n}"


def _search(
    addresses: Sequence[IPAddress], owners: Mapping[IPAddress, Sequence[IPNetwork]], version: int
) -> Iterator[str]:
    """Yield a binary search for `at` among sorted `addresses`."""
    if len(addresses) <= _LEAF:
        for at in addresses:
            yield f"  if at = {at} then return {_own_or_stray(owners[at], version)};"
        return
    middle = len(addresses) // 2
    yield f"  if at < {addresses[middle]} then {{"
    yield from _search(addresses[:middle], owners, version)
    yield "  } else {"
    yield from _search(addresses[middle:], owners, version)
    yield "  }"


def _own_or_stray(cidrs: Sequence[IPNetwork], version: int) -> str:
    return " || ".join([*(f"net = {cidr}" for cidr in cidrs if cidr.version == version), f"podnet_stray{version}()"])


def _of(cidrs: Sequence[IPNetwork], version: int) -> list[IPNetwork]:
    return [cidr for cidr in cidrs if cidr.version == version]


def _within(cidrs: Sequence[IPNetwork]) -> str:
    """Return the set of all prefixes in `cidrs`."""
    return f"[ {', '.join(f'{cidr}+' for cidr in cidrs)} ]"


def _exactly(cidrs: Sequence[IPNetwork], version: int) -> str:
    return f"[ {', '.join(map(str, cidrs)) or _NOWHERE[version]} ]"


def _kind(session: Session) -> _Kind:
    # Both ends must say the same for BFD, and a node's list does not say what is adjacent to a router.
    hops = "direct" if session.adjacent and not session.internal else "multihop"
    return _Kind(session.neighbour.version, session.takes, session.tells, session.client, hops, session.internal)


def _templates(configuration: Configuration) -> Iterator[str]:
    for kind in sorted({_kind(session) for session in configuration.sessions}):
        v = kind.version
        takes, tells = _TAKES[kind.takes].format(v=v), _TELLS[kind.tells].format(v=v)
        # A next hop that a reflector tells is another node: where it is, the kernel's other routes say.
        gateway = " gateway recursive;" if kind.internal else ""
        # Nodes are of one AS, so what another told the router has it in its path (RFC 4271 section 9.1.2).
        own = "" if kind.internal or kind.takes == "nothing" else " allow local as 1;"
        # What is refused is kept, marked, so that it is counted; the import table has it anyway.
        again = " import table on; import keep filtered on;" if kind.takes != "nothing" else ""
        yield "\n".join([
            f"template bgp {kind.name} {{",
            f"  {_profile(configuration, kind)}",
            f"  {_PATIENCE}{' debug { states };' if configuration.hosted else ''}",
            f"  {kind.hops};{' rr client;' if kind.client else ''}{own}",
            f"  ipv{v} {{{gateway}{again} import {takes}; export {tells}; }};",
            "}",
        ])  # fmt: skip


def _profile(configuration: Configuration, kind: _Kind) -> str:
    if configuration.profile == "fast":
        return _FAST
    return f"{_GRACEFUL} {_SHORT_LIVED if kind.takes == 'known' else _LONG_LIVED}"


def _session(session: Session, passwords: Mapping[str, str]) -> str:
    v, neighbour = session.neighbour.version, session.neighbour
    more = ""
    if session.password.file:
        more = f' password "{_checked(passwords[session.password.file], session.password.file)}";'
    if session.tells == "all":  # but its own routes, heard from another reflector, which BIRD would log as an error
        all_ = f"(source = RTS_BGP && bgp_next_hop != {neighbour}) || podnet_tells{v}()"
        more += f" ipv{v} {{ export where {all_}; }};"
    return (
        f"protocol bgp '{protocol_name(session.name, v)}' from {_kind(session).name} {{ local {session.local} as "
        f"{session.asn[0]}; neighbor {neighbour} as {session.asn[1]};{more} }}"
    )


def _checked(password: str, file: str) -> str:
    """Return the password in a `file`; refuse one that BIRD's quotes or the kernel have no room for."""
    password = password.removesuffix("\n")
    if not password or len(password.encode()) > _PASSWORD_MOST or '"' in password or not password.isprintable():
        remedy = f"write one line of 1 to {_PASSWORD_MOST} bytes without a double quote"
        raise InvalidConfiguration(f"{file}: is no password for BGP; {remedy}")
    return password
