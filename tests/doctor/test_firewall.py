"""Others' firewalls on a node with a pod: the kernel drops, the diagnosis names the rule, the remedy lets pass."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from podnet.diagnosis import Finding
from podnet.diagnosis.firewall import Port
from podnet.diagnosis.firewall.ways import OUTSIDE
from podnet.testing.node import Node
from tests.doctor.conftest import ask
from tests.doctor.walled import NODE, OTHER_POD, OWN, PEER, VXLAN, Walled
from tests.live.conftest import make_node

pytestmark = pytest.mark.live

TUNNEL = Port("udp", VXLAN, "VXLAN")
PROGRAMS: dict[str, dict[int, str]] = {
    "nft": {4: "iptables-nft", 6: "ip6tables-nft"},
    "legacy": {4: "iptables-legacy", 6: "ip6tables-legacy"},
}

DOCKER = """
{0} -P FORWARD DROP
{0} -N DOCKER; {0} -N DOCKER-USER; {0} -N DOCKER-FORWARD; {0} -N DOCKER-ISOLATION-STAGE-1
{0} -A FORWARD -j DOCKER-USER
{0} -A FORWARD -j DOCKER-FORWARD
{0} -A DOCKER-USER -j RETURN
{0} -A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
{0} -A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{0} -A DOCKER-FORWARD -o docker0 -j DOCKER
{0} -A DOCKER-FORWARD -i docker0 -j ACCEPT
{0} -A DOCKER ! -i docker0 -o docker0 -j DROP
{0} -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j RETURN
"""

FIREWALLD = """
table inet firewalld {
    chain mangle_PREROUTING {
        type filter hook prerouting priority mangle + 10; policy accept;
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_INPUT_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT_ZONES {
        ip saddr 10.244.0.0/16 goto filter_IN_trusted
        goto filter_IN_public
    }
    chain filter_IN_trusted { accept; }
    chain filter_IN_public {
        tcp dport 22 ct state { new, untracked } accept
        meta l4proto { icmp, ipv6-icmp } accept
    }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002:a00::/24 } reject with icmpv6 addr-unreachable
        jump filter_FORWARD_IN_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD_IN_ZONES {
    }
}
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def bare(stack: ExitStack) -> Node:
    """Give a node without a configuration or a daemon."""
    return make_node(stack)


@pytest.fixture
def make(bare: Node) -> Callable[..., Walled]:
    """Give a function that starts podnet and attaches a pod."""

    def start(versions: tuple[int, ...] = (4,), datapath: str = "ptp") -> Walled:
        return Walled(bare, versions, datapath)

    return start


@pytest.fixture
def walled(make: Callable[..., Walled]) -> Walled:
    """Give a node with a pod: ptp, IPv4."""
    return make()


def only(found: list[Finding]) -> Finding:
    """Return the one finding there is."""
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_node_without_a_firewall_has_no_finding(make: Callable[..., Walled], datapath: str) -> None:
    """Podnet's own tables are not another's."""
    walled = make((4, 6), datapath)
    assert walled.findings(TUNNEL) == []
    for version in (4, 6):
        assert walled.passes("red", OTHER_POD[version])
        assert walled.passes("outside", walled.pod[version])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_dockers_policy_is_named_and_docker_user_opens_it(make: Callable[..., Walled], kind: str, version: int) -> None:
    """What docker does to FORWARD drops pods' packets both ways; its own chain for users lets them pass."""
    walled = make((version,))
    walled.node.sh(DOCKER.format(PROGRAMS[kind][version]))
    assert not walled.passes("red", OTHER_POD[version])
    assert not walled.passes("outside", walled.pod[version])
    found = only(walled.findings(TUNNEL))
    assert found.severity == "broken"
    assert "-P FORWARD DROP" in found.evidence
    assert "docker" in found.what
    for option in "sd":
        assert f"-I DOCKER-USER -{option} {OWN[version]} -j ACCEPT" in found.remedy
    walled.type(found.remedy)
    assert walled.passes("red", OTHER_POD[version])
    assert walled.passes("red", str(OUTSIDE[version]))
    assert walled.passes("outside", walled.pod[version])
    assert walled.findings(TUNNEL) == []


def test_firewallds_reject_is_named_and_the_trusted_zone_opens_it(walled: Walled) -> None:
    """Firewalld ends its chain for what is forwarded with a reject; sources of the trusted zone do not come there."""
    walled.nft(FIREWALLD)
    assert not walled.passes("red", OTHER_POD[4])
    assert not walled.passes("outside", walled.pod[4])
    found = only([f for f in walled.findings() if f.severity == "broken"])
    assert "firewalld" in found.what
    assert "chain inet firewalld filter_FORWARD: reject with icmpx admin-prohibited # handle " in found.evidence
    assert handle_of(walled, "inet firewalld filter_FORWARD", "reject with icmpx admin-prohibited") in found.evidence
    for cidr in ("10.244.1.0/24", "10.244.2.0/24"):
        assert f"firewall-cmd --permanent --zone=trusted --add-source={cidr}" in found.remedy
        walled.nft(f"add rule inet firewalld filter_FORWARD_IN_ZONES ip saddr {cidr} accept")  # what that comes to
    assert found.remedy.endswith("firewall-cmd --reload")
    assert walled.passes("red", OTHER_POD[4])
    assert walled.passes("outside", walled.pod[4])
    assert walled.findings() == []


def test_firewalld_before_the_port_of_vxlan(walled: Walled) -> None:
    """Nodes do not hear each other past firewalld until the port is added."""
    walled.nft(FIREWALLD)
    walled.nft("add rule inet firewalld filter_FORWARD_IN_ZONES accept")
    assert not walled.passes("outside", NODE[4], VXLAN)
    found = only(walled.findings(TUNNEL))
    assert "filter_INPUT" in found.evidence
    assert found.remedy == "firewall-cmd --permanent --add-port=4789/udp && firewall-cmd --reload"
    walled.nft("insert rule inet firewalld filter_IN_public udp dport 4789 accept")
    assert walled.passes("outside", NODE[4], VXLAN)
    assert walled.findings(TUNNEL) == []


def handle_of(walled: Walled, chain: str, rule: str) -> str:
    """Return ``# handle N`` of the rule as nft itself lists it."""
    listed = walled.node.run("nft", "-s", "-a", "list", "chain", *chain.split())
    (line,) = [line.strip() for line in listed.splitlines() if line.strip().startswith(f"{rule} # handle")]
    return line


@pytest.mark.parametrize(
    ("rule", "source", "target"),
    [
        ("ip saddr 10.244.0.0/16 ip daddr 10.244.2.0/24 drop", "red", OTHER_POD[4]),
        ("ip daddr 10.244.1.0/24 ct state new counter drop", "outside", "red"),
        ('iifname "up0" oifname "veth-*" reject', "outside", "red"),
        ('ip saddr { 10.0.0.0/8, 192.168.0.0/16 } ip daddr != 10.244.1.0/24 drop comment "no private"', "red", "world"),
        ("ct state vmap { established : accept, new : drop }", "red", "world"),
    ],
)
def test_a_rule_of_nft_is_named_as_nft_prints_it(walled: Walled, rule: str, source: str, target: str) -> None:
    """By its handle, and the remedy's rule goes before it."""
    walled.rules("inet mine forward", "forward", "udp dport 9 accept", rule, "tcp dport 9 drop")
    address = {"red": walled.pod[4], "world": str(OUTSIDE[4])}.get(target, target)
    assert not walled.passes(source, address)
    found = only(walled.findings(TUNNEL))
    assert found.severity == "broken"
    assert handle_of(walled, "inet mine forward", rule) in found.evidence
    walled.type(found.remedy)
    assert walled.passes(source, address)
    assert walled.findings(TUNNEL) == []


@pytest.mark.parametrize(
    ("hook", "rule", "source", "target"),
    [
        ("input", "udp dport 4789 drop", "outside", NODE[4]),
        ("output", "ip daddr 10.99.0.0/24 udp dport 4000-5000 drop", "", PEER[4]),
    ],
)
def test_the_nodes_own_port(walled: Walled, hook: str, rule: str, source: str, target: str) -> None:
    """What nodes send each other is judged at input and output."""
    walled.rules("ip mine mine", hook, rule)
    assert walled.findings() == []
    assert not walled.passes(source, target, VXLAN)
    found = only(walled.findings(TUNNEL))
    assert found.severity == "broken"
    assert "VXLAN (UDP 4789)" in found.what
    assert handle_of(walled, "ip mine mine", rule) in found.evidence
    walled.type(found.remedy)
    assert walled.passes(source, target, VXLAN)
    assert walled.findings(TUNNEL) == []


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize(
    ("line", "source", "target"),
    [
        ("-A OUTPUT -d 10.244.1.0/24 -o veth-+ -j DROP", "", "red"),
        ("-A INPUT -s 10.244.0.0/16 -j DROP", "red", NODE[4]),
        (
            (
                "-A FORWARD -s 10.244.1.0/24 ! -d 10.244.0.0/16 -o up0 -p udp -m conntrack --ctstate NEW "
                '-m comment --comment "not out" -j REJECT --reject-with icmp-host-prohibited'
            ),
            "red",
            "world",
        ),
        ("-A FORWARD -p udp -m addrtype ! --dst-type LOCAL -m mark ! --mark 0x1/0x1 -j DROP", "red", OTHER_POD[4]),
    ],
)
def test_a_line_of_iptables_is_named_as_it_prints_it(
    walled: Walled, kind: str, line: str, source: str, target: str
) -> None:
    """Whichever of the two it is; the remedy's line goes before it."""
    program = PROGRAMS[kind][4]
    chain = line.split()[1]
    walled.node.sh(f"{program} -A {chain} -p tcp --dport 9 -j DROP; {program} {line}")
    assert line in walled.node.run(program, "-S", chain)
    address = {"red": walled.pod[4], "world": str(OUTSIDE[4])}.get(target, target)
    assert not walled.passes(source, address)
    found = only(walled.findings(TUNNEL))
    assert line in found.evidence
    walled.type(found.remedy)
    assert walled.passes(source, address)
    assert walled.findings(TUNNEL) == []


HARD = """
table inet hard {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established accept
        tcp dport 22 accept
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
    }
}
"""


def test_a_policy_of_nfts_that_drops(walled: Walled) -> None:
    """As on a node that was hardened: what is accepted for pods comes at the end, before the policy."""
    walled.nft(HARD)
    assert not walled.passes("red", OTHER_POD[4])
    assert not walled.passes("outside", NODE[4], VXLAN)
    assert not walled.passes("red", NODE[4])
    found = walled.findings(TUNNEL)
    assert {f.evidence for f in found} == {
        f"nft -a list chain inet hard {chain}: policy drop" for chain in ("input", "forward")
    }
    for finding in found:
        walled.type(finding.remedy)
    assert walled.passes("red", OTHER_POD[4])
    assert walled.passes("outside", NODE[4], VXLAN)
    assert walled.passes("red", NODE[4])
    assert walled.findings(TUNNEL) == []


MAPPED = """
table ip mapped {
    map targets {
        type ipv4_addr . inet_proto : verdict
        flags interval
        elements = { 10.244.2.0/24 . udp : goto closed }
    }
    chain closed {
        counter drop comment "closed"
    }
    chain forward {
        type filter hook forward priority 0; policy accept;
        ip daddr . meta l4proto vmap @targets
    }
}
"""


def test_a_chain_that_a_map_alone_leads_to(walled: Walled) -> None:
    """Its rule is read and named as well."""
    walled.nft(MAPPED)
    assert not walled.passes("red", OTHER_POD[4])
    assert walled.passes("red", str(OUTSIDE[4]))
    found = only(walled.findings())
    assert found.severity == "broken"
    assert handle_of(walled, "ip mapped closed", 'counter drop comment "closed"') in found.evidence
    walled.type(found.remedy)
    assert walled.passes("red", OTHER_POD[4])
    assert walled.findings() == []


def test_a_rule_by_a_links_index(walled: Walled) -> None:
    """What nft calls `iif` and not `iifname` is a number that the link has now."""
    walled.rules("inet mine forward", "forward", 'iif "up0" drop')
    assert not walled.passes("outside", walled.pod[4])
    found = only(walled.findings())
    assert found.severity == "broken"
    walled.type(found.remedy)
    assert walled.passes("outside", walled.pod[4])
    assert walled.findings() == []


def test_a_chain_that_cannot_be_told_hides_no_drop(walled: Walled) -> None:
    """A rule with a module that podnet does not know may drop; the one behind it surely does, and is named so."""
    walled.rules("ip mine mine", "forward", "numgen random mod 2 0 drop", "meta cpu != 4000 drop")
    walled.node.sh("iptables-nft -A FORWARD -m string --algo bm --string x -j DROP; iptables-nft -A FORWARD -j DROP")
    found = walled.findings()
    assert [f.severity for f in found if "table ip mine" in f.what] == ["note", "note"]
    assert [f.severity for f in found if "table ip filter" in f.what] == ["note", "broken"]
    assert not walled.passes("red", OTHER_POD[4])


@pytest.mark.parametrize("backend", ["direct", "vxlan", "auto"])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_the_doctor_is_told_which_links_and_ports_are_meant(
    serving: Callable[..., Node], datapath: str, backend: str
) -> None:
    """A firewall that knows them by name and lets them pass is no finding; one that knows none of them is."""
    node = serving(datapath, f"backend: {backend}")
    way = "podnet-vx4" if backend == "vxlan" else "up0"
    bridged = "br0" if datapath == "bridge" else "veth-*"
    base = "add chain inet wall {0} {{ type filter hook {0} priority 0; policy drop; }}"
    node.sh("nft 'add table inet wall; " + "; ".join(base.format(hook) for hook in ("input", "forward")) + "'")
    broken = {finding["evidence"] for finding in ask(node).of("firewall") if finding["severity"] == "broken"}
    assert broken == {f"nft -a list chain inet wall {hook}: policy drop" for hook in ("input", "forward")}
    for rule in (
        f'forward iifname "{bridged}" oifname {{ "up0", "{way}" }} accept',
        f'forward iifname {{ "up0", "{way}" }} oifname "veth-*" accept',
        f'input iifname "{bridged}" accept',
        'input iifname "up0" udp dport 4789 accept',
    ):
        node.run("nft", f"add rule inet wall {rule}")
    assert ask(node).of("firewall") == []
