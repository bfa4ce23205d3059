"""What Kubernetes' own programs have in the firewall drops none of what pods need, and is no finding."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from podnet.diagnosis.firewall import Port
from tests.doctor.walled import OTHER_POD, VXLAN, Walled
from tests.live.conftest import make_node

pytestmark = pytest.mark.live

TUNNEL = Port("udp", VXLAN, "VXLAN")

KUBE_PROXY_IPTABLES = """
{0}-restore --noflush <<'E'
*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" \
-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FIREWALL -m comment --comment "drops marked packets" -m mark --mark 0x8000/0x8000 -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.77/32 -p tcp -m comment --comment "default/web has no endpoints" -m tcp --dport 80 -j REJECT
COMMIT
E
"""

KUBE_PROXY_NFTABLES = """
table ip kube-proxy {
    set cluster-ips { type ipv4_addr; elements = { 10.96.0.1, 10.96.0.10 }; }
    set nodeport-ips { type ipv4_addr; elements = { 10.99.0.11 }; }
    map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
    map no-endpoint-services {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 10.96.0.77 . tcp . 80 : goto reject-chain }
    }
    map no-endpoint-nodeports {
        type inet_proto . inet_service : verdict
        elements = { tcp . 31000 : drop }
    }
    map service-ips {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 10.96.0.1 . tcp . 443 : goto service-kubernetes }
    }
    chain reject-chain { reject; }
    chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
    chain service-kubernetes { ip saddr != 10.244.0.0/16 jump mark-for-masquerade; }
    chain cluster-ips-check {
        ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
        ip daddr { 10.96.0.0/16 } drop comment "Drop traffic to unallocated ClusterIPs"
    }
    chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
    chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports; }
    chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
    chain filter-prerouting {
        type filter hook prerouting priority -110; policy accept;
        ct state new jump firewall-check
    }
    chain filter-input {
        type filter hook input priority -110; policy accept;
        ct state new jump nodeport-endpoints-check
        ct state new jump service-endpoints-check
    }
    chain filter-forward {
        type filter hook forward priority -110; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump cluster-ips-check
    }
    chain filter-output {
        type filter hook output priority -110; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump firewall-check
    }
    chain filter-output-post-dnat {
        type filter hook output priority -90; policy accept;
        ct state new jump cluster-ips-check
    }
    chain nat-prerouting {
        type nat hook prerouting priority -100; policy accept;
        ip daddr . meta l4proto . th dport vmap @service-ips
    }
    chain nat-postrouting {
        type nat hook postrouting priority 100; policy accept;
        meta mark & 0x4000 != 0 masquerade fully-random
    }
}
"""

OF_OTHER_KINDS = """
table inet f2b-table {
    set addr-set-sshd { type ipv4_addr; flags interval; elements = { 203.0.113.0/24, 198.51.100.7 }; }
    chain f2b-chain {
        type filter hook input priority -1; policy accept;
        tcp dport { 22 } ip saddr @addr-set-sshd reject with icmp port-unreachable
    }
}
table inet hardened {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iif lo accept
        ip saddr 10.244.0.0/16 accept
        udp dport 4789 accept
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "veth-*" accept
        oifname "veth-*" ip daddr { 10.244.1.0/25, 10.244.1.128/25 } accept
    }
}
"""


@pytest.fixture
def walled() -> Iterator[Walled]:
    """Give a node with a pod: ptp, IPv4."""
    with ExitStack() as ends:
        yield Walled(make_node(ends))


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_kube_proxys_rules_of_iptables(walled: Walled, program: str) -> None:
    """Marks, invalid packets and localnet are not what pods send."""
    walled.node.sh(KUBE_PROXY_IPTABLES.format(program))
    assert walled.findings(TUNNEL) == []
    assert walled.passes("red", OTHER_POD[4])


def test_kube_proxys_table(walled: Walled) -> None:
    """Services without endpoints and addresses of no service are none of pods' or nodes'."""
    walled.nft(KUBE_PROXY_NFTABLES)
    assert walled.findings(TUNNEL) == []
    assert walled.passes("red", OTHER_POD[4])


def test_firewalls_that_let_pods_pass(walled: Walled) -> None:
    """A policy that drops is no finding where rules before it accept all that pods and nodes send."""
    walled.nft(OF_OTHER_KINDS)
    assert walled.findings(TUNNEL) == []
    assert walled.passes("red", OTHER_POD[4])
    assert walled.passes("outside", walled.pod[4])


def test_policies_are_told_in_one_note(walled: Walled) -> None:
    """A program that enforces NetworkPolicies drops some pods' packets on purpose: one note, however many rules."""
    lines = ["iptables-nft -N KUBE-ROUTER-FORWARD", "iptables-nft -A FORWARD -j KUBE-ROUTER-FORWARD"]
    for last in range(2, 6):
        chain = f"KUBE-POD-FW-{last}"
        lines += [
            f"iptables-nft -N {chain}",
            f"iptables-nft -A {chain} -m mark ! --mark 0x10000/0x10000 -j REJECT",
            f"iptables-nft -A KUBE-ROUTER-FORWARD -d 10.244.1.{last} -j {chain}",
        ]
    walled.node.sh("\n".join(lines))
    (found,) = walled.findings(TUNNEL)
    assert found.severity == "note"
    assert found.what.startswith("4 rules of kube-router")
