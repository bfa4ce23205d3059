"""Reads the rules of others in the calling thread's network namespace: nf_tables' by netlink, iptables-legacy's by it.

No program is needed for the former.  Of iptables-legacy the kernel tells the names of the tables there are (in
/proc/net/ip_tables_names) and the rules in a form that is its module's own, so its own program is asked for them, and
for tables that are there alone: to ask for others would make them.
"""

import shutil
import subprocess
from collections.abc import Iterator

from podnet.diagnosis.firewall import Link, Reading, Ruleset, Rulesets, Unread
from podnet.diagnosis.firewall.iptables import PRIORITIES, tables
from podnet.errors import DecodeError, IOFailure
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, NLM_F_DUMP, Request
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.nft import Table
from podnet.nft.dump import list_elements
from podnet.nft.message import GETCHAIN, GETGEN, GETRULE, GETSET, NFGENMSG, GenerationMessage
from podnet.plan import TABLE

OWN = frozenset(Table(family, TABLE.name) for family in ("inet", "bridge", "ip", "ip6", "netdev"))
_ALL_FAMILIES = NFGENMSG.pack(0, 0, 0)  # NFPROTO_UNSPEC
_ATTEMPTS = 4
_LEGACY = {"ip": ("ip_tables_names", "iptables-legacy-save"), "ip6": ("ip6_tables_names", "ip6tables-legacy-save")}
_PATIENCE = 10
"""Seconds for a listing of iptables-legacy-save, which is there in milliseconds."""


def read() -> Rulesets:
    """Return the rules of others; what cannot be read is named among what is unread, and nothing is raised."""
    found: list[Ruleset] = []
    unread: list[Unread] = []
    try:
        listed = _listed()
        found += listed.tables
        unread += listed.unread
    except (IOFailure, OSError) as error:
        unread.append(Unread("nftables", str(error)))
    for family in _LEGACY:
        try:
            found += _legacy(family)
        except (DecodeError, OSError, subprocess.SubprocessError) as error:
            unread.append(Unread(f"iptables-legacy (family {family})", str(error)))
    return Rulesets(tuple(found), tuple(unread))


def link(name: str) -> Link:
    """Return a link as rules may name it, by index and group too; of one that is not there the name alone is known."""
    route = NetlinkSocket(NETLINK_ROUTE, brief=True)
    try:
        replies = route.transact([LinkMessage(ifname=name, ext_mask=RTEXT_FILTER_SKIP_STATS).get()]).replies
    finally:
        route.close()
    if not replies:
        return Link(name)
    found = LinkMessage.decode(replies[0].payload)
    kind = found.linkinfo.kind if found.linkinfo else None
    return Link(name, index=found.index, group=found.group or 0, kind=kind)


def _listed() -> Rulesets:
    """Read until nothing changed meanwhile; what is read last is taken where others change it all the time."""
    netfilter = NetlinkSocket(NETLINK_NETFILTER)
    try:
        for _ in range(_ATTEMPTS):
            before = _generation(netfilter)
            found = _once(netfilter)
            if _generation(netfilter) == before:
                break
        return found
    finally:
        netfilter.close()


def _generation(netfilter: NetlinkSocket) -> int:
    replies = netfilter.transact([Request(GETGEN, 0, _ALL_FAMILIES)]).replies
    return (GenerationMessage.decode(replies[0].payload).generation or 0) if replies else 0


def _once(netfilter: NetlinkSocket) -> Rulesets:
    chains, sets, rules = (_dumped(netfilter, Request(kind, 0, _ALL_FAMILIES)) for kind in (GETCHAIN, GETSET, GETRULE))
    reading = Reading(chains, sets, rules, OWN)
    while wanted := reading.wanted():
        for table, name in wanted:
            reading.tell((table, name), _dumped(netfilter, list_elements(table, name)))
    return reading.rulesets()


def _dumped(netfilter: NetlinkSocket, request: Request) -> Iterator[bytes]:
    return (envelope.payload for envelope in netfilter.dump(request._replace(flags=NLM_F_DUMP)))


def _legacy(family: str) -> tuple[Ruleset, ...]:
    names, program = _LEGACY[family]
    try:
        with open(f"/proc/thread-self/net/{names}", encoding="ascii") as file:  # noqa: PTH123 - as the other edges do
            present = file.read().split()
    except FileNotFoundError:
        return ()  # no module, no rules
    found: list[Ruleset] = []
    for name in present:
        if name not in PRIORITIES:
            continue
        if shutil.which(program) is None:
            raise FileNotFoundError(f"{names} has {' '.join(present)}, and there is no {program} here to list it")
        argv = [program, "-t", name]
        done = subprocess.run(argv, text=True, capture_output=True, check=True, timeout=_PATIENCE)
        found += tables(done.stdout, family)
    return tuple(found)
