"""Rules as the tools print them, and iptables-legacy's lines as iptables-nft has them, both read from the kernel."""

from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from uuid import uuid4

import pytest

from podnet.diagnosis.firewall.iptables import tables
from podnet.diagnosis.firewall.judging import judge
from podnet.diagnosis.firewall.packet import Ends, Link, Packet, packet
from podnet.diagnosis.firewall.ruleset import Ruleset
from podnet.diagnosis.firewall.saved import saved
from podnet.diagnosis.firewall.words import nft
from podnet.doctor.rulesets import read
from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live

NFT_RULES = [
    "ip saddr 10.0.0.0/9 drop",
    "ip saddr 10.1.0.0/16 ip daddr != 10.1.2.0/24 reject",
    "ip6 saddr fd00::/8 accept",
    'iifname "up0" oifname != "veth-*" counter drop',
    "ct state established,related accept",
    "ct state vmap { invalid : drop, established : accept }",
    "tcp dport 22 accept",
    "udp dport { 53, 4789 } accept",
    "tcp sport 1000-2000 drop",
    "meta l4proto { tcp, udp } th dport 53 drop",
    "ip saddr { 10.0.0.0/8, 192.168.0.0/16 } drop",
    "ip saddr @bad drop",
    "ip saddr != @bad jump other",
    "meta mark & 0x00004000 == 0x00004000 goto other",
    "meta mark 0x00000001 return",
    "fib daddr type local drop",
    "iifgroup 28782 drop",
    'log prefix "dropped " drop',
    "limit rate 5/second accept",
    "reject with icmpx admin-prohibited",
    "meta nfproto ipv4 reject with icmp host-prohibited",
    "meta l4proto tcp reject with tcp reset",
    "iif 77 oif 78 drop",
    'ip daddr 1.1.1.1 drop comment "of someone"',
]

LINES = [
    "-A FORWARD -s 10.0.0.0/9 -j DROP",
    "-A FORWARD ! -s 10.1.0.0/16 -d 10.244.2.7/32 -i br-+ ! -o docker0 -j ACCEPT",
    "-A FORWARD -p tcp -m tcp --dport 80 -j DROP",
    "-A FORWARD -p udp -m udp ! --sport 1000:2000 -j DROP",
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A FORWARD -m conntrack ! --ctstate NEW -j DROP",
    "-A FORWARD -m conntrack --ctstate NEW,DNAT -j DROP",
    "-A FORWARD -m state --state NEW -j DROP",
    "-A FORWARD -m addrtype --dst-type LOCAL -j DROP",
    "-A FORWARD -m addrtype ! --src-type LOCAL,BROADCAST -j DROP",
    "-A FORWARD -m mark --mark 0x8000/0x8000 -j DROP",
    "-A FORWARD -m mark ! --mark 0x1 -j DROP",
    "-A FORWARD -p tcp -m multiport --dports 80,8000:9000 -j DROP",
    "-A FORWARD -p tcp -m multiport ! --sports 80 -j DROP",
    "-A FORWARD -p tcp -m multiport --ports 40000 -j DROP",
    '-A FORWARD -m comment --comment "kept for later" -j REJECT --reject-with icmp-host-prohibited',
    "-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset",
    "-A FORWARD -j OTHER",
    "-A FORWARD -g OTHER",
    "-A FORWARD -j MARK --set-xmark 0x4000/0x4000",
    "-A FORWARD -m statistic --mode random --probability 0.50000000000 -j DROP",
    "-A FORWARD -m physdev --physdev-is-bridged -j ACCEPT",
]
NOT_PRINTED_ALIKE = ("statistic", "physdev", "--tcp-flags", "MARK", "mark ! --mark 0x1", "udp ! --sport")


@pytest.fixture
def space() -> Iterator[NodeNamespace]:
    """Give a fresh namespace."""
    with ExitStack() as ends:
        yield NodeNamespace(f"firewall-{uuid4().hex[:8]}", ends)


def only(space: NodeNamespace) -> Ruleset:
    """Return the one table that is there."""
    with space.inside():
        (found,) = read().tables
    return found


def test_rules_of_nft_read_as_nft_lists_them(space: NodeNamespace) -> None:
    """Word by word, in a table of both families."""
    space.sh(
        "nft add table inet t; nft 'add chain inet t other'; "
        "nft 'add chain inet t c { type filter hook forward priority 0; }'; "
        "nft 'add set inet t bad { type ipv4_addr; }'"
    )
    for rule in NFT_RULES:
        space.sh(f"nft 'add rule inet t c {rule}'")
    listed = space.sh("nft -s list chain inet t c")
    lines = [line.strip() for line in listed.splitlines()[3:-2]]
    found = only(space)
    assert [nft(rule, found.sets, "inet") for rule in found.chains["c"].rules] == lines


def test_rules_of_iptables_nft_read_as_iptables_prints_them(space: NodeNamespace) -> None:
    """But for modules whose blobs podnet does not decode."""
    known = [line for line in LINES if not any(word in line for word in NOT_PRINTED_ALIKE)]
    space.sh("iptables-nft -N OTHER\n" + "\n".join(f"iptables-nft {line}" for line in known))
    printed = [line for line in space.sh("iptables-nft -S FORWARD").splitlines() if line.startswith("-A")]
    found = only(space)
    assert [saved(rule, found.sets, "ip", "FORWARD") for rule in found.chains["FORWARD"].rules] == printed


def packets() -> Iterator[Packet]:
    """Yield packets that the lines tell apart, one of which a CIDR is known alone."""
    for source, destination in (("10.244.1.0/24", "10.244.2.7/32"), ("10.1.2.3/32", "10.200.0.0/24")):
        for protocol in ("tcp", "udp"):
            for sport, dport in ((40000, 80), (1500, 8080), (80, 40000)):
                for answer in (False, True):
                    ends = Ends(ip_network(source), ip_network(destination))
                    of = packet(ends, protocol, sport, dport, answer=answer)
                    yield of.at(iif=Link("veth-", whole=False), oif=Link("up0"), destination_type="unicast")
                    yield of.at(iif=Link("br-1"), oif=Link("docker0"), destination_type="local", source_type="local")


@pytest.mark.parametrize("line", LINES)
def test_a_legacy_line_is_judged_as_the_same_line_of_iptables_nft(space: NodeNamespace, line: str) -> None:
    """What iptables-nft sent to the kernel is the oracle, and iptables-legacy's own listing is what is parsed."""
    for kind in ("nft", "legacy"):
        space.sh(f"iptables-{kind} -N OTHER; iptables-{kind} {line}")
    (legacy,) = tables(space.sh("iptables-legacy-save -t filter"), "ip")
    with space.inside():
        (nftables,) = (ruleset for ruleset in read().tables if not ruleset.legacy)
    (one,), (other,) = legacy.chains["FORWARD"].rules, nftables.chains["FORWARD"].rules
    judged = [(judge(one, of, {}), judge(other, of, nftables.sets)) for of in packets()]
    assert [a for a, _ in judged] == [b for _, b in judged]


def test_a_table_of_iptables_legacy_that_no_program_here_lists_is_told(
    space: NodeNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has its name; nothing is listed that would make tables."""
    space.sh("iptables-legacy -P FORWARD DROP")
    monkeypatch.setenv("PATH", "/nowhere")
    with space.inside():
        found = read()
    assert found.tables == ()
    assert [place.place for place in found.unread] == ["iptables-legacy (family ip)"]
    assert "no iptables-legacy-save" in found.unread[0].why


def test_reading_makes_no_table(space: NodeNamespace) -> None:
    """Where there were none before, there are none afterwards."""
    with space.inside():
        assert read().tables == ()
    assert space.sh("cat /proc/net/ip_tables_names; nft list ruleset").strip() == ""
