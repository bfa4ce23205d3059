"""Troubles made on a node: the doctor names each, and where its remedy is a command, that one ends it."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from podnet.testing.node import Node
from tests.doctor.conftest import PEER, ask

pytestmark = pytest.mark.live

STRICT = "sysctl -qw net.ipv4.conf.all.rp_filter=1"
ELSEWHERE = "ip link add other0 type veth peer name other1; ip link set other1 up; ip link set other0 up"
NETWORKD = "mkdir -p /run/systemd/netif /etc/systemd/network; touch /run/systemd/netif/state"
UDEV = "mkdir -p /run/udev /etc/systemd/network; touch /run/udev/control"
MANAGER = "mkdir -p /run/NetworkManager /etc/NetworkManager/conf.d"


class Trouble(NamedTuple):
    """A script that makes it, the check that finds it and how grave it is, and a piece of what is said.

    With `cure` the remedy is a command, or begins with one and a comma, after which the finding is gone.
    """

    script: str
    check: str
    severity: str
    said: str
    cure: bool = True
    datapath: str = "ptp"
    more: str = ""
    peers: str = PEER


TROUBLES = {
    "IPv4 forwarding is off": Trouble(
        "sysctl -qw net.ipv4.ip_forward=0", "forwarding", "broken", "net.ipv4.ip_forward = 0"
    ),
    "IPv6 forwarding is off": Trouble(
        "sysctl -qw net.ipv6.conf.all.forwarding=0", "forwarding", "broken", "net.ipv6.conf.all.forwarding = 0"
    ),
    "one link does not forward": Trouble(
        "sysctl -qw net.ipv4.conf.up0.forwarding=0", "forwarding", "broken", "net.ipv4.conf.up0.forwarding = 0"
    ),
    "a link is without IPv6": Trouble(
        "sysctl -qw net.ipv6.conf.up0.disable_ipv6=1", "forwarding", "broken", "disable_ipv6 = 1"
    ),
    "a default route expires": Trouble(
        "sysctl -qw net.ipv6.conf.up0.accept_ra=1; ip -6 route replace default via fd99::1 dev up0 proto ra",
        "forwarding",
        "soon",
        "net.ipv6.conf.up0.accept_ra = 1",
    ),
    "a file switches forwarding off": Trouble(
        "mkdir -p /etc/sysctl.d; printf '# hardening\\nnet.ipv4.ip_forward=0\\n' > /etc/sysctl.d/99-x.conf",
        "forwarding",
        "note",
        "/etc/sysctl.d/99-x.conf:2",
        cure=False,
    ),
    "strict rp_filter on the bridge": Trouble(
        f"{STRICT}; sysctl -qw net.ipv4.conf.br0.rp_filter=0", "rp_filter", "broken", "on br0", datapath="bridge"
    ),
    "strict rp_filter, and the way back to a pod is another": Trouble(
        f"{ELSEWHERE}; {STRICT}; ip route replace 10.244.1.2/32 dev other0", "rp_filter", "broken", "container red"
    ),
    "strict rp_filter, and the way back to a node is another": Trouble(
        f"{ELSEWHERE}; sysctl -qw net.ipv4.conf.up0.rp_filter=1; ip route add 10.99.0.1/32 dev other0",
        "rp_filter",
        "broken",
        "node n2",
    ),
    "another list comes first": Trouble(
        """printf '{"cniVersion":"1.0.0","name":"x","type":"bridge"}' > /etc/cni/net.d/05-x.conf""",
        "lists",
        "broken",
        "/etc/cni/net.d/05-x.conf",
    ),
    "the first list does not load": Trouble(
        "echo '{' > /etc/cni/net.d/05-x.conf", "lists", "broken", "05-x.conf", cure=False
    ),
    "the runtime looks for plugins elsewhere": Trouble(
        """printf '[plugins.cri.cni]\nbin_dir = "/usr/lib/none"\n' > /etc/containerd/config.toml""",
        "lists",
        "broken",
        "without plugin podnet",
        cure=False,
    ),
    "the runtime looks for lists elsewhere": Trouble(
        """printf '[plugins.cri.cni]\nconf_dir = "/etc/none"\n' > /etc/containerd/config.toml""",
        "lists",
        "broken",
        "podnet install --cni-conf-dir /etc/none",
        cure=False,
    ),
    "another link's subnet is pods'": Trouble(
        f"{ELSEWHERE}; ip addr add 10.244.2.99/25 dev other0", "overlap", "broken", "10.244.2.0/25", cure=False
    ),
    "a route takes what goes to a pod": Trouble(
        f"{ELSEWHERE}; ip addr add 10.98.0.1/24 dev other0; ip route add 10.244.2.128/25 via 10.98.0.2",
        "overlap",
        "broken",
        "10.244.2.128/25 via 10.98.0.2 dev other0",
    ),
    "a wider route leads into pods' addresses": Trouble(
        f"{ELSEWHERE}; ip addr add 10.98.0.1/24 dev other0; ip route add 10.244.0.0/14 via 10.98.0.2",
        "overlap",
        "note",
        "10.244.0.0/14 via 10.98.0.2",
        cure=False,
    ),
    "a name server is a pod's address": Trouble(
        "rm -f /etc/resolv.conf; echo nameserver 10.244.2.10 > /etc/resolv.conf",
        "overlap",
        "broken",
        "10.244.2.10",
        cure=False,
    ),
    "wide packets vanish": Trouble(
        "ip -n outside link set up1 mtu 1400", "path_mtu", "broken", "write `mtu: 1400` into podnet.yaml", cure=False
    ),
    "pods are wider than the way": Trouble(
        "true", "path_mtu", "note", "podnet.yaml: mtu: 9000", cure=False, more="mtu: 9000"
    ),
    "a node does not answer": Trouble(
        "true",
        "path_mtu",
        "note",
        "n3 cannot be told",
        cure=False,
        peers=PEER + "  - {name: n3, addresses: [10.99.0.3], pod-cidrs: [10.244.3.0/24]}\n",
    ),
    "this node has another address than the list says": Trouble(
        "ip addr del 10.99.0.11/24 dev up0; ip addr add 10.99.0.12/24 dev up0",
        "uplink",
        "broken",
        "10.99.0.11",
        cure=False,
    ),
    "the uplink is down": Trouble("ip link set up0 down", "uplink", "broken", "ip link show up0"),
    "the uplink has no carrier": Trouble(
        "ip -n outside link set up1 down", "uplink", "broken", "NO-CARRIER", cure=False
    ),
    "other nodes are elsewhere than the uplink": Trouble(
        f"{ELSEWHERE}; ip route add 10.99.0.1/32 dev other0", "uplink", "broken", "`uplink: other0`", cure=False
    ),
    "there is no way to a node": Trouble(
        "ip route add unreachable 10.99.0.1/32", "uplink", "broken", "no way to node n2", cure=False
    ),
    "networkd has podnet's links": Trouble(
        f"{NETWORKD}; printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' > /etc/systemd/network/50-all.network",
        "link_daemons",
        "soon",
        "/etc/systemd/network/50-all.network",
        cure=False,
    ),
    "networkd has the uplink, and takes routes away": Trouble(
        f"{NETWORKD}; mkdir /run/systemd/netif/links; at=$(ip -o link show up0 | cut -d: -f1); "
        "echo NETWORK_FILE=/x.network > /run/systemd/netif/links/$at",
        "link_daemons",
        "note",
        "/x.network is applied to up0",
    ),
    "udev gives podnet's links an alias": Trouble(
        f"{UDEV}; printf '[Match]\nDriver=veth\n[Link]\nAlias=mine\n' > /etc/systemd/network/10-x.link",
        "link_daemons",
        "broken",
        "Alias=mine",
        cure=False,
    ),
    "NetworkManager is not told to leave links alone": Trouble(
        MANAGER, "link_daemons", "soon", "unmanaged-devices", cure=False
    ),
    "this node is not listed": Trouble(
        "sed -i 's/name: n1/name: n7/' /etc/podnet/nodes.yaml", "nodes", "broken", "n7, n2", cure=False
    ),
    "a node is on no subnet of the uplink": Trouble(
        "true",
        "nodes",
        "broken",
        "n3",
        cure=False,
        peers=PEER + "  - {name: n3, addresses: [10.98.0.3], pod-cidrs: [10.244.3.0/24]}\n",
    ),
    "the uplink that podnet.yaml names is not there": Trouble(
        "sed -i 's/uplink: up0/uplink: up7/' /etc/podnet/podnet.yaml", "settings", "broken", "uplink up7", cure=False
    ),
    "nodes.yaml is wrong": Trouble(
        "sed -i 's/10.244.2.0/10.244.1.0/' /etc/podnet/nodes.yaml", "settings", "broken", "overlaps", cure=False
    ),
    "podnet.yaml is wrong": Trouble(
        "echo 'backend: vxlam' >> /etc/podnet/podnet.yaml", "settings", "broken", "vxlam", cure=False
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_trouble_is_named_with_its_remedy(serving: Callable[..., Node], trouble: Trouble) -> None:
    """The check finds one thing, as grave as it is, by the exit status too; the remedy, run, takes it away."""
    node = serving(trouble.datapath, trouble.more, trouble.peers)
    node.sh(trouble.script)
    told = ask(node)
    found = [finding for finding in told.of(trouble.check) if trouble.said in " ".join(finding.values())]
    assert [finding["severity"] for finding in found] == [trouble.severity], told.findings
    assert told.status == any(finding["severity"] == "broken" for finding in told.findings)
    if trouble.cure:
        node.sh(found[0]["remedy"].partition(",")[0])
        assert [finding for finding in ask(node).of(trouble.check) if trouble.said in " ".join(finding.values())] == []


def test_what_is_amiss_is_left_as_it_is(serving: Callable[..., Node]) -> None:
    """No switch is turned on, no route put back, though podnet's own plans are tried meanwhile."""
    node = serving("bridge", "backend: vxlan")
    node.stop()
    node.sh(
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv4.conf.br0.rp_filter=1\n"
        "ip route flush proto 112; ip link del podnet-vx4; nft delete table inet podnet"
    )
    before = node.state(), node.state("red"), node.leases()
    assert {"forwarding", "rp_filter", "daemon"} <= {finding["check"] for finding in ask(node).findings}
    assert (node.state(), node.state("red"), node.leases()) == before
