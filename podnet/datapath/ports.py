"""The nftables table `bridge podnet`: what a port of a pod lets in, its own pod's frames and nothing else.

::

    prerouting    IPv4       from the port's MAC and one of its addresses                      ports4
                  ARP        the same, and the same again as who sends it
                  IPv6       from the port's MAC and one of its addresses, `fe80::` and        ports6
                             `::` included, which table `inet podnet` judges further
                  all else   dropped: tagged frames, other protocols, neighbour advertisements

Table `inet podnet` sees br0 and not its ports, so there a pod could still pass for its neighbours.  Here an interface
is a port, before the bridge has learned anything from the frame.  Other bridges of the machine are left alone.

Frames to the next bridge alone (01:80:c2:00:00:0x) go past these rules: the bridge is born such that it learns nothing
from them, and what is inside comes to table `inet podnet` as from the port, which has no addresses there.

Neighbour advertisements are not let through even with a pod's own address: nft(8) has no word yet, in Debian 12, for
the address that they speak of, and nobody waits for one.  The node knows its pods by permanent neighbours, and pods do
not hear each other.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from podnet.datapath.hardware import link_local, pod_mac
from podnet.model import Lease
from podnet.nft import ACCEPT, DROP, Base, Chain, Element, Rule, Set, Table
from podnet.nft.statement import Match, Statement
from podnet.plan import GROUP_PODS, Step

IPV4, IPV6 = 4, 6
TABLE = Table("bridge", "podnet")
PORTS = {v: Set(table=TABLE, name=f"ports{v}", key=("ifname", "ether_addr", f"ipv{v}_addr")) for v in (IPV4, IPV6)}
PREROUTING = Chain(TABLE, "prerouting", Base("filter", "prerouting", -300))
UNSPECIFIED6 = IPv6Address("::")


def port_skeleton(versions: Sequence[int]) -> Iterator[Step]:
    """Yield table, sets and rules for the IP `versions` in use on bridges; nothing in them is a pod's."""
    yield Step(TABLE, "datapath bridge: table inet podnet sees the bridge, this one its ports")
    for version in versions:
        yield Step(PORTS[version], f"which MAC and IPv{version} address may come from which port")
    yield Step(PREROUTING, "frames are judged before the bridge learns from them")
    for rule, reason in _rules(versions):
        yield Step(rule, reason)


def _rules(versions: Sequence[int]) -> Iterator[tuple[Rule, str]]:
    others = Match("iifgroup", GROUP_PODS, "!=")
    yield _rule(others, ACCEPT, comment="another bridge's port"), "other bridges are not podnet's to judge"
    if IPV4 in versions:
        ip, arp = Match("ether type", "ip"), Match("ether type", "arp")
        owner = PORTS[IPV4]
        yield (
            _rule(ip, Match("iifname . ether saddr . ip saddr", owner), ACCEPT, comment="own IPv4"),
            "a port lets in its pod's MAC with its pod's IPv4 addresses",
        )
        told = Match("iifname . arp saddr ether . arp saddr ip", owner)
        yield (
            _rule(arp, Match("iifname . ether saddr . arp saddr ip", owner), told, ACCEPT, comment="own ARP"),
            "a pod speaks ARP for itself: nobody else's address is answered, asked with or announced",
        )
    if IPV6 in versions:
        advertisement = (Match("ether type", "ip6"), Match("icmpv6 type", "nd-neighbor-advert"))
        yield (
            _rule(*advertisement, DROP, comment="neighbour advertisement"),
            "nobody waits for one: pods' neighbour entries are permanent",
        )
        own = Match("iifname . ether saddr . ip6 saddr", PORTS[IPV6])
        yield (
            _rule(Match("ether type", "ip6"), own, ACCEPT, comment="own IPv6"),
            "a port lets in its pod's MAC with its pod's IPv6 addresses",
        )
    yield _rule(DROP, comment="not the pod's own"), "what is not said to be a pod's is not let in"


def _rule(*statements: Statement, comment: str) -> Rule:
    return Rule.new(PREROUTING, *statements, comment=comment)


def port_elements(lease: Lease) -> Iterator[Step]:
    """Yield the elements by which a pod's port lets its frames in."""
    mac = pod_mac(lease)
    versions = set()
    for leased in lease.addresses:
        versions.add(leased.address.version)
        yield Step(_element(lease, mac, leased.address), f"the port of container {lease.attachment.container}")
    if IPV6 in versions:
        local = _element(lease, mac, link_local(mac))
        yield Step(local, "IPv6: the pod's link-local address, for neighbour discovery and MLD")
        nobody = _element(lease, mac, UNSPECIFIED6)
        yield Step(nobody, "IPv6: no address yet, for neighbour discovery and MLD")


def _element(lease: Lease, mac: str, address: IPv4Address | IPv6Address) -> Element:
    return Element(PORTS[address.version], (lease.link, mac, address))
