"""The nftables table `inet podnet`: rules once per node, pods as elements.

::

    prerouting (raw)     a packet from a pod's link must have an address of that link      pods4, pods6
                         a packet with a pod's address must come from a pod's link         own4, own6
                         ptp's gateway address is a signpost, never a destination
                         127.0.0.0/8 is this machine's own, whatever link asks for it
    discovery            with its link-local address, or none, a pod asks for neighbours
                         and joins multicast groups; it is no router, and says nothing else
    dstnat, output       a host port of an address of this node leads to the pod that      hostports*, hostips*
    (dstnat)             asked for it, from outside, from pods and from the node itself
    postrouting (srcnat) a pod that reaches itself through a service sees the node         hairpin4, hairpin6
                         so does one that is reached by the node's 127.0.0.1
                         pods' packets that leave the cluster get the node's address       masquerade*, cluster*
                                                                                           remote*, nodes*

Adding a pod adds elements and no rule, so a node with 500 pods matches packets as fast as one with five, and pods
come and go without the rules ever being rebuilt.

Which sources are a node's own is told by its pods' addresses and not by its CIDRs: another plugin may give addresses
of a subnet that all nodes share, and an address may move to another node with its pod.

A host port is matched where the destination is an address of this node (`fib daddr type local`) and nowhere else: what
pods send to a server outside on such a port, or to a service's address, is not touched.  `[::1]` does not lead to a
pod: the kernel has no route_localnet for IPv6, so the node's own answer, connection refused, is left to be seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from podnet.datapath.hardware import link_local, pod_mac
from podnet.model import Lease, Network, bracketed
from podnet.nft import ACCEPT, DROP, RETURN, Base, Chain, Element, Rule, Set, goto, jump
from podnet.nft.datatype import PROTOCOLS
from podnet.nft.statement import Dnat, Masquerade, Match, Statement
from podnet.plan import GROUP_PODS, NODES, REMOTE, TABLE, Step

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

PTP_GATEWAY4 = IPv4Address("169.254.1.1")
PTP_GATEWAY6 = IPv6Address("fe80::1")

PODS = {v: Set(table=TABLE, name=f"pods{v}", key=("ifname", f"ipv{v}_addr")) for v in (4, 6)}
OWN = {v: Set(table=TABLE, name=f"own{v}", key=(f"ipv{v}_addr",)) for v in (4, 6)}
HAIRPIN = {v: Set(table=TABLE, name=f"hairpin{v}", key=(f"ipv{v}_addr", f"ipv{v}_addr")) for v in (4, 6)}
MASQUERADE = {v: Set(table=TABLE, name=f"masquerade{v}", key=(f"ipv{v}_addr",), interval=True) for v in (4, 6)}
HOSTPORTS = {
    v: Set(table=TABLE, name=f"hostports{v}", key=("inet_proto", "inet_service"), data=(f"ipv{v}_addr", "inet_service"))
    for v in (4, 6)
}
HOSTIPS = {
    v: Set(
        table=TABLE,
        name=f"hostips{v}",
        key=(f"ipv{v}_addr", "inet_proto", "inet_service"),
        data=(f"ipv{v}_addr", "inet_service"),
    )
    for v in (4, 6)
}
CLUSTER = {v: Set(table=TABLE, name=f"cluster{v}", key=(f"ipv{v}_addr",), interval=True) for v in (4, 6)}

PREROUTING = Chain(TABLE, "prerouting", Base("filter", "prerouting", -300))
DISCOVERY = Chain(TABLE, "discovery")
HOSTPORT = Chain(TABLE, "hostport")
DSTNAT = Chain(TABLE, "dstnat", Base("nat", "prerouting", -100))
OUTPUT = Chain(TABLE, "output", Base("nat", "output", -100))
POSTROUTING = Chain(TABLE, "postrouting", Base("nat", "postrouting", 100))

LOOPBACK4 = IPv4Network("127.0.0.0/8")
LOOPBACK6 = IPv6Address("::1")

UNSPECIFIED6 = IPv6Address("::")
LINK_LOCAL6 = IPv6Network("fe80::/10")
ASKED = (
    *("mld-listener-query", "mld-listener-report", "mld-listener-done", "mld2-listener-report"),
    *("nd-router-solicit", "nd-neighbor-solicit", "nd-neighbor-advert"),
)
"""What hosts say of themselves and ask for (RFC 4861, 2710, 3810): not what routers say, advertisement and redirect."""

_FROM_POD = Match("iifgroup", GROUP_PODS)
_FROM_ELSEWHERE = (Match("iifgroup", GROUP_PODS, "!="), Match("iifname", "lo", "!="))
_FAMILIES = {4: "ipv4", 6: "ipv6"}
_TO_SOURCE = Masquerade(fully_random=True)
_WORDS = {4: "ip", 6: "ip6"}


def skeleton(versions: Sequence[int]) -> Iterator[Step]:
    """Yield table, sets and rules for the IP `versions` in use; nothing in them is a pod's or a network's."""
    yield Step(TABLE, "everything of podnet's is in one table of its own")
    for version in versions:
        yield Step(PODS[version], f"which IPv{version} addresses may come from which link")
        yield Step(OWN[version], f"IPv{version} addresses of this node's pods")
        yield Step(HAIRPIN[version], f"pods as a pair with themselves, IPv{version}")
        yield Step(HOSTPORTS[version], f"which IPv{version} address and port a port of this node leads to")
        yield Step(HOSTIPS[version], f"the same for ports of one IPv{version} address of this node")
        yield Step(MASQUERADE[version], f"IPv{version} sources that leave the cluster with the node's address")
        yield Step(CLUSTER[version], f"IPv{version} destinations that see the pod's own address")
        yield Step(REMOTE[version], f"IPv{version} addresses of other nodes' pods, which do so too")
        yield Step(NODES[version], f"IPv{version} addresses of nodes that do so")
    yield Step(PREROUTING, "packets are judged before anything else is done with them")
    if 6 in versions:  # noqa: PLR2004 - IPv6
        yield Step(DISCOVERY, "what a pod may say without an address of its own network")
    yield Step(HOSTPORT, "host ports: one list of rules for what comes to the node and what it sends to itself")
    yield Step(DSTNAT, "destination addresses are rewritten before a route is looked for")
    yield Step(OUTPUT, "the node reaches host ports as others do")
    yield Step(POSTROUTING, "source addresses are rewritten last")
    for rule, reason in (*_prerouting(versions), *_discovery(versions), *_hostport(versions), *_postrouting(versions)):
        yield Step(rule, reason)


def _prerouting(versions: Sequence[int]) -> Iterator[tuple[Rule, str]]:
    for version in versions:
        ip = _WORDS[version]
        if version == 4:  # noqa: PLR2004 - IPv4
            yield (
                _rule(PREROUTING, _FROM_POD, Match("ip daddr", PTP_GATEWAY4), DROP, comment="ptp gateway"),
                f"{PTP_GATEWAY4} is where ptp pods' routes point; it is never forwarded to",
            )
            yield (
                _rule(
                    PREROUTING,
                    Match("iifname", "lo", "!="),
                    Match("ip daddr", LOOPBACK4),
                    DROP,
                    comment="loopback address from elsewhere",
                ),
                f"route_localnet lets host ports be reached at 127.0.0.1; {LOOPBACK4} stays this machine's own",
            )
        else:
            anonymous = Match("ip6 saddr", (LINK_LOCAL6, UNSPECIFIED6))
            yield (
                _rule(PREROUTING, _FROM_POD, anonymous, goto(DISCOVERY.name), comment="no address of the network"),
                "link-local and unspecified sources are for neighbour discovery and MLD alone",
            )
        spoofed = Match(f"iifname . {ip} saddr", PODS[version], "!=")
        yield (
            _rule(PREROUTING, _FROM_POD, spoofed, DROP, comment="spoofed source"),
            "a pod sends with its own addresses only",
        )
        forged = Match(f"{ip} saddr", OWN[version])
        yield (
            _rule(PREROUTING, *_FROM_ELSEWHERE, forged, DROP, comment="pod's source from elsewhere"),
            "whoever else sends with the address of a pod of this node is not that pod",
        )
    for version in sorted({4, 6} - set(versions)):
        yield (
            _rule(
                PREROUTING, _FROM_POD, Match("meta nfproto", _FAMILIES[version]), DROP, comment=f"no pods in {version}"
            ),
            f"no pod has an IPv{version} address to send with",
        )


def _discovery(versions: Sequence[int]) -> Iterator[tuple[Rule, str]]:
    if 6 not in versions:  # noqa: PLR2004 - IPv6
        return
    asked = Match("icmpv6 type", ASKED)
    for source, what in (
        (Match("ip6 saddr", UNSPECIFIED6), "no source yet"),
        (Match("iifname . ip6 saddr", PODS[6]), "own link-local"),
    ):
        yield (
            _rule(DISCOVERY, asked, source, ACCEPT, comment=what),
            "neighbour discovery and MLD as hosts speak them (RFC 4861, 3810): a pod is no router",
        )
    yield _rule(DISCOVERY, DROP, comment="neither discovery nor MLD"), "nothing else has such a source"


def _hostport(versions: Sequence[int]) -> Iterator[tuple[Rule, str]]:
    for version in versions:
        ip = _WORDS[version]
        if version == 6:  # noqa: PLR2004 - IPv6
            yield (
                _rule(HOSTPORT, Match("ip6 daddr", LOOPBACK6), RETURN, comment="no host ports at ::1"),
                "an IPv6 packet from ::1 cannot leave the machine: a connection is refused instead of lost",
            )
        port = "meta l4proto . th dport"
        for selector, owner, what in (
            (f"{ip} daddr . {port}", HOSTIPS[version], "host ports of one address"),
            (port, HOSTPORTS[version], "host ports"),
        ):
            nat = Dnat(selector=selector, map=owner)
            yield _rule(HOSTPORT, nat, comment=f"{what}, {ip}"), "portMappings: the element says where it leads"
    for chain in (DSTNAT, OUTPUT):
        yield (
            _rule(chain, Match("fib daddr type", "local"), jump(HOSTPORT.name), comment="host ports of this node"),
            "a port of another machine, or of a service's address, is not this node's",
        )


def _postrouting(versions: Sequence[int]) -> Iterator[tuple[Rule, str]]:
    for version in versions:
        ip = _WORDS[version]
        itself = Match(f"{ip} saddr . {ip} daddr", HAIRPIN[version])
        yield (
            _rule(POSTROUTING, Match("ct status", "dnat"), itself, _TO_SOURCE, comment="hairpin"),
            "hairpin: a pod would drop packets from its own address",
        )
        if version == 4:  # noqa: PLR2004 - IPv4
            to_pod = (Match("oifgroup", GROUP_PODS), Match("ct status", "dnat"), Match("ip saddr", LOOPBACK4))
            yield (
                _rule(POSTROUTING, *to_pod, _TO_SOURCE, comment="host port from 127.0.0.1"),
                "no pod can answer 127.0.0.1: it sees the node's address",
            )
        inside = (CLUSTER[version], REMOTE[version], NODES[version])
        leaving = (Match(f"{ip} saddr", MASQUERADE[version]), *(Match(f"{ip} daddr", s, "!=") for s in inside))
        yield (
            _rule(POSTROUTING, *leaving, _TO_SOURCE, comment="pods leaving the cluster"),
            "masquerade: outside the cluster nobody has a route back to a pod",
        )


def _rule(chain: Chain, *statements: Statement, comment: str) -> Rule:
    return Rule.new(chain, *statements, comment=comment)


def network_elements(networks: Iterable[Network]) -> Iterator[Step]:
    """Yield the elements by which `networks` are masqueraded, or not."""
    networks = tuple(networks)
    for version in (4, 6):
        sources = (s for n in networks if n.masquerade for s in n.subnets)
        for cidr in _collapsed(sources, version):
            yield Step(Element(MASQUERADE[version], (cidr,)), f"masquerade: {cidr} are this node's pods")
        inside = (d for n in networks for d in (*n.subnets, *n.non_masquerade))
        if any(version in n.families for n in networks):
            for cidr in _collapsed(inside, version):
                reason = f"within the cluster (cluster-cidrs, non-masquerade-cidrs): {cidr} sees pods' own addresses"
                yield Step(Element(CLUSTER[version], (cidr,)), reason)


def _collapsed(cidrs: Iterable[IPNetwork], version: int) -> Iterator[IPNetwork]:
    """Yield the fewest networks of IP `version` that cover `cidrs`: an interval set takes no overlaps."""
    return collapse_addresses([c for c in cidrs if c.version == version])  # type: ignore[type-var]


def pod_elements(network: Network, lease: Lease, interface: str) -> Iterator[Step]:
    """Yield a pod's elements; `interface` is the link of the node by which its packets come."""
    for leased in lease.addresses:
        address = leased.address
        reason = f"ipam: {address} is leased to container {lease.attachment.container}"
        yield Step(Element(PODS[address.version], (interface, address)), reason)
        yield Step(Element(OWN[address.version], (address,)), reason)
        if network.hairpin:
            yield Step(Element(HAIRPIN[address.version], (address, address)), "hairpin: the pod may reach itself")
    if any(leased.address.version == 6 for leased in lease.addresses):  # noqa: PLR2004 - IPv6
        local = Element(PODS[6], (interface, link_local(pod_mac(lease))))
        yield Step(local, "IPv6: the pod's link-local address, for neighbour discovery and MLD")
    if lease.terms.ports:
        yield from _port_elements(lease)


def _port_elements(lease: Lease) -> Iterator[Step]:
    """Yield an element for each host port and family of the pod, which leads to its first address of that family."""
    first = {leased.address.version: leased.address for leased in reversed(lease.addresses)}
    for mapping in lease.terms.ports:
        for version, address in sorted(first.items()):
            if not mapping.serves(version):
                continue
            only = mapping.only_at
            port = mapping.protocol, mapping.host_port
            element = (
                Element(HOSTPORTS[version], _numbered(port), (address, mapping.container_port))
                if only is None
                else Element(HOSTIPS[version], (only, *_numbered(port)), (address, mapping.container_port))
            )
            to = f"{bracketed(address)}:{mapping.container_port}"
            yield Step(element, f"portMappings: {mapping} leads to {to}")


def _numbered(port: tuple[str, int]) -> tuple[int, int]:
    """Return a protocol by its number, as the kernel lists it, and the port."""
    return PROTOCOLS[port[0]], port[1]
