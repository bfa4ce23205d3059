"""What the design assumes of the kernel's rtnetlink, each claim sent to the real one."""

import errno
from collections.abc import Callable
from ipaddress import ip_address as ip
from ipaddress import ip_network as network
from typing import Any, Protocol

import pytest

from podnet.netlink.message import NETLINK_ROUTE, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, Request, envelopes
from podnet.netlink.rtnl import Addr, AfSpec, BridgePort, Inet6, Link, LinkInfo, Neigh, Route, Veth
from podnet.netlink.rtnl.addr import IFA_F_NODAD
from podnet.netlink.rtnl.groups import RTNLGRP_LINK
from podnet.netlink.rtnl.link import IFF_UP
from podnet.netlink.rtnl.linkinfo import Bridge
from podnet.netlink.rtnl.route import RT_SCOPE_LINK, RTNH_F_ONLINK
from podnet.netlink.transaction import Refusal, Transaction, decode_reply

pytestmark = pytest.mark.live


class Netns(Protocol):
    """What these tests use of a namespace."""

    fd: int

    def run_transaction(self, *requests: Request, protocol: int = NETLINK_ROUTE, strict: bool = False) -> Transaction:
        """Send requests there and wait for the answers."""

    def send(self, *requests: Request) -> None:
        """Send requests there; none may be refused."""

    def json(self, command: str) -> Any:
        """Run a command there and decode its output."""

    def shell(self, script: str) -> str:
        """Run a script there."""

    def socket(self) -> Any:
        """Return the socket there."""

    def join(self, group: int) -> None:
        """Let the socket hear a multicast group."""


def veth(name: str, index: int, peer_index: int, *, group: int | None = None, peer_fd: int | None = None) -> Link:
    """Return a veth pair with both ifindexes named."""
    peer = Link(ifname=f"{name}p", index=peer_index, net_ns_fd=peer_fd, address="02:00:00:00:00:02")
    return Link(ifname=name, index=index, group=group, linkinfo=LinkInfo("veth", Veth(peer=peer)))


def names(netns: Netns) -> list[str]:
    """Return the names of all links but lo."""
    return [link["ifname"] for link in netns.json("ip -j link show") if link["ifname"] != "lo"]


def up(index: int) -> Request:
    """Return the request that sets a link up."""
    return Link(index=index, flags=IFF_UP, change=IFF_UP).set()


def test_a_pod_is_one_batch_per_namespace(new_netns: Callable[[], Netns]) -> None:
    """With both ifindexes named, link, addresses, neighbours and routes go in one send each, with no read-back."""
    host, pod = new_netns(), new_netns()
    host.send(
        veth("pod0", 50, 2, peer_fd=pod.fd).add(),
        up(50),
        Addr.of(ip("169.254.1.1"), 32, 50, scope=RT_SCOPE_LINK).add(),
        Addr.of(ip("fe80::1"), 64, 50, flags=IFA_F_NODAD).add(),
        Neigh.permanent(ip("10.244.1.5"), "02:00:00:00:00:02", 50).replace(),
        Route.to(network("10.244.1.5/32"), oif=50, scope=RT_SCOPE_LINK).add(),
        Route.to(network("fd00:10:244:1::5/128"), oif=50).add(),
    )
    gateway = ip("169.254.1.1")
    pod.send(
        Link(index=2, ifname="eth0", flags=IFF_UP, change=IFF_UP).set(),
        Addr.of(ip("10.244.1.5"), 32, 2).add(),
        Addr.of(ip("fd00:10:244:1::5"), 128, 2, flags=IFA_F_NODAD).add(),
        Route.to(network("0.0.0.0/0"), gateway=gateway, oif=2, flags=RTNH_F_ONLINK).add(),
        Route.to(network("::/0"), gateway=ip("fe80::1"), oif=2).add(),
    )
    assert names(pod) == ["eth0"]
    assert pod.json("ip -j route show default")[0]["gateway"] == "169.254.1.1"
    assert pod.json("ip -j -6 route show default")[0]["gateway"] == "fe80::1"
    assert "bytes from 169.254.1.1" in pod.shell("ping -c 5 -i 0.2 -w 10 169.254.1.1")


def test_a_taken_index_leaves_nothing_behind(new_netns: Callable[[], Netns]) -> None:
    """A taken own index answers EEXIST, a taken peer's index EBUSY, and neither end is there afterwards."""
    host, pod = new_netns(), new_netns()
    host.send(veth("first", 50, 2, peer_fd=pod.fd).add())
    own = host.run_transaction(veth("own", 50, 77).add())
    peer = host.run_transaction(veth("peer", 51, 2, peer_fd=pod.fd).add())
    assert [f.errno for f in own.failures] == [errno.EEXIST]
    assert [f.errno for f in peer.failures] == [errno.EBUSY]
    assert (names(host), names(pod)) == (["first"], ["firstp"])


def test_a_batch_is_not_atomic(netns: Netns) -> None:
    """Requests after a failed one still run; each failure is reported though only the last request asked."""
    transaction = netns.run_transaction(
        veth("e0", 50, 51).add(),
        Addr.of(ip("10.0.0.1"), 24, 99).add(),
        Addr.of(ip("10.0.0.1"), 24, 50).add(),
        Addr.of(ip("10.0.0.1"), 24, 50).add(),
        up(50),
    )
    assert [(f.index, f.errno) for f in transaction.failures] == [(1, errno.ENODEV), (3, errno.EEXIST)]
    assert transaction.failures[0].extack == "ipv4: Device not found"
    shown = netns.json("ip -j addr show dev e0")[0]
    assert (shown["addr_info"][0]["local"], "UP" in shown["flags"]) == ("10.0.0.1", True)


def test_an_acknowledgement_of_each_says_no_more(netns: Netns) -> None:
    """Asking every request for an acknowledgement adds answers of success only: the failures are the same."""
    requests = [Addr.of(ip("10.0.0.1"), 24, i).add() for i in (1, 98, 1, 99)]
    each = [request._replace(flags=request.flags | NLM_F_ACK) for request in requests]
    last_only = netns.run_transaction(*requests)
    netns.send(Addr.of(ip("10.0.0.1"), 24, 1).delete())
    assert netns.run_transaction(*each).failures == last_only.failures
    assert [f.index for f in last_only.failures] == [1, 2, 3]


def test_one_message_deletes_a_group(netns: Netns) -> None:
    """RTM_DELLINK with IFLA_GROUP deletes all links of the group, and no other."""
    netns.send(*(veth(f"e{i}", 50 + i, 150 + i, group=7 if i % 2 else 8).add() for i in range(6)))
    netns.send(Link(group=7).delete())
    assert sorted(names(netns)) == ["e0", "e0p", "e2", "e2p", "e4", "e4p"]


def test_settings_and_slave_options_need_a_second_message(netns: Netns) -> None:
    """At creation IFLA_AF_SPEC is refused and a bridge port's options are passed over; set afterwards both hold."""
    port = LinkInfo("veth", Veth(peer=Link(ifname="p0", index=51)), "bridge", BridgePort(isolated=1))
    spec = AfSpec({3: 1}, Inet6(1))
    netns.send(Link(ifname="br0", index=60, linkinfo=LinkInfo("bridge", Bridge(mcast_snooping=0))).add())
    refused = netns.run_transaction(Link(ifname="e0", index=50, linkinfo=port, af_spec=spec).add())
    assert [f.errno for f in refused.failures] == [errno.EAFNOSUPPORT]
    netns.send(Link(ifname="e0", index=50, master=60, linkinfo=port).add())
    assert netns.json("bridge -j -d link show dev e0")[0]["isolated"] is False
    again = Link(index=50, af_spec=spec, linkinfo=LinkInfo(slave_kind="bridge", slave_data=BridgePort(isolated=1)))
    netns.send(again.set())
    assert netns.json("bridge -j -d link show dev e0")[0]["isolated"] is True
    assert netns.shell("sysctl -n net.ipv4.conf.e0.proxy_arp") == "1\n"
    assert netns.json("ip -j -d link show dev e0")[0]["inet6_addr_gen_mode"] == "none"


def test_the_kernel_tells_its_words_and_the_place(netns: Netns) -> None:
    """A malformed attribute is refused with a text and the offset at which the kernel saw it."""
    short = Link(index=1).encode() + b"\x05\0\x04\0\1\0\0\0"  # IFLA_MTU of one byte
    (refusal,) = netns.run_transaction(Request(16, 0, short)).failures
    assert refusal == Refusal(0, errno.ERANGE, "Attribute failed policy validation", 32)


def test_links_are_read_back_as_they_were_made(netns: Netns) -> None:
    """A dump decodes to the links that were created: names, alias, group, kind, and the settings of both families."""
    link = veth("e0", 50, 51, group=7)
    netns.send(link.add(), Link(index=50, alias="podnet:c1:eth0", af_spec=AfSpec({26: 1}, Inet6(1))).set())
    transaction = netns.run_transaction(Link().dump())
    links = [decode_reply(NETLINK_ROUTE, e) for e in transaction.replies]
    found = {link.ifname: link for link in links if isinstance(link, Link)}
    e0 = found["e0"]
    assert (e0.index, e0.alias, e0.group, e0.link) == (50, "podnet:c1:eth0", 7, 51)
    assert e0.linkinfo is not None
    assert e0.linkinfo.kind == "veth"
    assert e0.af_spec is not None
    assert e0.af_spec.inet is not None
    assert e0.af_spec.inet6 is not None
    assert (e0.af_spec.inet[26], e0.af_spec.inet6.addr_gen_mode) == (1, 1)
    assert found["lo"].linkinfo is None


def test_a_change_is_heard_in_its_group(netns: Netns) -> None:
    """A socket in RTNLGRP_LINK hears a link that a command makes, and the message decodes to it."""
    netns.join(RTNLGRP_LINK)
    netns.shell("ip link add e9 index 59 type veth peer name p9")
    heard: set[str] = set()
    while "e9" not in heard:
        for envelope in envelopes(netns.socket().recv(1 << 16)):
            heard |= {link.ifname or "" for link in [decode_reply(NETLINK_ROUTE, envelope)] if isinstance(link, Link)}


def test_create_without_exclusive_changes_what_is_there(netns: Netns) -> None:
    """NLM_F_CREATE alone alters an existing link, NLM_F_EXCL refuses it."""
    netns.send(veth("e0", 50, 51).add())
    payload = Link(index=50, mtu=1300).encode()
    netns.send(Request(16, NLM_F_CREATE, payload))
    assert netns.json("ip -j link show dev e0")[0]["mtu"] == 1300
    (refusal,) = netns.run_transaction(Request(16, NLM_F_CREATE | NLM_F_EXCL, payload)).failures
    assert refusal.errno == errno.EEXIST
