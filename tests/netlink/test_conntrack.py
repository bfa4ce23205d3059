"""Tracked connections: reading them, hearing of them, and forgetting those of one address inside the kernel."""

import errno
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

import pytest

from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, Request, envelopes
from podnet.netlink.netfilter.conntrack import (
    CTA_FILTER_F_CTA_IP_SRC,
    IPCTNL_MSG_CT_DELETE,
    IPS_ASSURED,
    NFPROTO_IPV4,
    Conntrack,
    Filter,
    Tuple,
    forget,
    forget_among,
    involving,
)
from podnet.netlink.netfilter.groups import NFNLGRP_CONNTRACK_DESTROY
from podnet.netlink.transaction import Transaction, decode_reply


class Netns(Protocol):
    """What these tests use of a namespace."""

    def run_transaction(self, *requests: Request, protocol: int = NETLINK_ROUTE) -> Transaction:
        """Send requests there and wait for the answers."""

    def socket(self, protocol: int) -> Any:
        """Return the socket there."""

    def join(self, group: int, protocol: int) -> None:
        """Let the socket hear a multicast group."""

    def shell(self, script: str) -> str:
        """Run a script there."""


INSERT = "conntrack -I -p tcp --state ESTABLISHED -u ASSURED -t 600 --orig-port-dst 80 --reply-port-src 80"
# The pod 10.244.1.5 as source, as destination, behind a service (reply source), as masquerade (reply destination);
# then two that are none of it, one of them with a neighbouring address.  Each has a port of its own.
ADDRESSES = {
    "source": "-s 10.244.1.5 -d 1.1.1.1",
    "destination": "-s 10.244.2.9 -d 10.244.1.5",
    "service": "-s 10.244.2.9 -d 10.96.0.1 -r 10.244.1.5 -q 10.244.2.9",
    "masquerade": "-s 10.244.2.10 -d 1.1.1.1 -r 1.1.1.1 -q 10.244.1.5",
    "other": "-s 10.244.2.9 -d 10.244.2.10",
    "neighbour": "-s 10.244.1.50 -d 1.1.1.1",
}
ENTRIES = [
    f"{INSERT} --orig-port-src {port} --reply-port-dst {port} {addresses}"
    for port, addresses in enumerate(ADDRESSES.values(), start=1000)
]
SIX = "conntrack -I -p udp --sport 53 --dport 53 -t 600"
POD, POD6 = IPv4Address("10.244.1.5"), IPv6Address("fd00::5")


def entries(netns: Netns, which: Conntrack) -> list[Conntrack]:
    """Return the entries that a dump by `which` gives."""
    transaction = netns.run_transaction(which.dump(), protocol=NETLINK_NETFILTER)
    assert transaction.failures == []
    found = [decode_reply(NETLINK_NETFILTER, e) for e in transaction.replies]
    return [entry for entry in found if isinstance(entry, Conntrack)]


@pytest.fixture
def tracked(netns: Netns) -> Netns:
    """Give a namespace that tracks `ENTRIES` and two IPv6 connections."""
    netns.shell("; ".join(ENTRIES))
    netns.shell(f"{SIX} -s fd00::5 -d fd00::9; {SIX} -s fd00::9 -d fd00::10")
    return netns


@pytest.mark.live
def test_forgetting_an_address_takes_all_its_connections(tracked: Netns) -> None:
    """Every entry in which the address stands is gone, those of others are not, and no dump was needed."""
    requests = forget(POD)
    assert len(requests) == 4
    assert tracked.run_transaction(*requests, protocol=NETLINK_NETFILTER).failures == []
    assert {(str(e.orig.src), str(e.orig.dst)) for e in entries(tracked, Conntrack()) if e.orig is not None} == {
        ("10.244.2.9", "10.244.2.10"),
        ("10.244.1.50", "1.1.1.1"),
        ("fd00::5", "fd00::9"),
        ("fd00::9", "fd00::10"),
    }


@pytest.mark.live
@pytest.mark.parametrize("address", [POD, POD6], ids=str)
def test_forgetting_from_a_dump(address: IPv4Address | IPv6Address, tracked: Netns) -> None:
    """Of dumped entries exactly those with the address are deleted: the same as by filter, and right for IPv6 too."""
    dump = tracked.run_transaction(Conntrack().dump(), protocol=NETLINK_NETFILTER)
    requests = forget_among(dump.replies, address)
    before = len(entries(tracked, Conntrack()))
    assert tracked.run_transaction(*requests, protocol=NETLINK_NETFILTER).failures == []
    left = entries(tracked, Conntrack())
    assert before - len(left) == len(requests) == {4: 4, 6: 1}[address.version]
    for entry in left:
        for way in (entry.orig, entry.reply):
            assert way is not None
            assert address not in {way.src, way.dst}


def test_an_ipv6_filter_is_refused() -> None:
    """The kernel compares IPv6 addresses the wrong way round: a filter would forget all the others' connections."""
    with pytest.raises(ValueError, match="opposite"):
        forget(POD6)  # type: ignore[arg-type]  # what a caller without type checks could do


@pytest.mark.live
def test_forgetting_where_nothing_is_tracked(netns: Netns) -> None:
    """That there was nothing to forget is no failure."""
    assert netns.run_transaction(*forget(POD), protocol=NETLINK_NETFILTER).failures == []


@pytest.mark.live
@pytest.mark.parametrize(
    ("position", "expected"),
    list(enumerate([{"source"}, {"destination"}, {"destination", "service"}, {"source", "masquerade"}])),
)
def test_each_filter_matches_one_position(position: int, expected: set[str], tracked: Netns) -> None:
    """Each of the four filters finds the entries with the address in its position, as conntrack(8) does."""
    options = ("-s", "-d", "-r", "-q")[position]
    listed = tracked.shell(f"conntrack -L {options} 10.244.1.5 2>/dev/null").splitlines()
    found = entries(tracked, involving(POD)[position])
    assert len(found) == len(listed) == len(expected)


@pytest.mark.live
def test_an_entry_is_read_as_it_was_made(tracked: Netns) -> None:
    """Addresses, ports, protocol, status and timeout of an entry come back."""
    (entry,) = entries(tracked, involving(POD)[0])
    assert entry.orig is not None
    assert entry.reply is not None
    assert entry.orig.protocol is not None
    assert (entry.orig.dst, entry.reply.src, entry.reply.dst) == (IPv4Address("1.1.1.1"), IPv4Address("1.1.1.1"), POD)
    assert (entry.orig.protocol.number, entry.orig.protocol.sport, entry.orig.protocol.dport) == (6, 1000, 80)
    assert (entry.status or 0) & IPS_ASSURED
    assert 590 <= (entry.timeout or 0) <= 600


@pytest.mark.live
def test_one_entry_is_deleted_by_its_tuple(tracked: Netns) -> None:
    """A delete by a whole tuple takes that entry; a second one answers ENOENT."""
    (entry,) = entries(tracked, involving(POD)[0])
    request = Conntrack(family=NFPROTO_IPV4, orig=entry.orig).delete()
    assert tracked.run_transaction(request, protocol=NETLINK_NETFILTER).failures == []
    (refusal,) = tracked.run_transaction(request, protocol=NETLINK_NETFILTER).failures
    assert refusal.errno == errno.ENOENT
    assert len(entries(tracked, Conntrack(family=NFPROTO_IPV4))) == len(ENTRIES) - 1


@pytest.mark.live
def test_a_forgotten_connection_is_heard(netns: Netns) -> None:
    """The group of destroyed connections tells what was forgotten, of connections made while someone listened."""
    netns.join(NFNLGRP_CONNTRACK_DESTROY, NETLINK_NETFILTER)
    netns.shell("; ".join(ENTRIES))
    sock = netns.socket(NETLINK_NETFILTER)
    sock.send(Transaction(forget(POD), 1, protocol=NETLINK_NETFILTER).request())
    heard: set[str] = set()
    while len(heard) < 4:
        for envelope in envelopes(sock.recv(1 << 16)):
            if envelope.type == IPCTNL_MSG_CT_DELETE:
                entry = decode_reply(NETLINK_NETFILTER, envelope)
                assert isinstance(entry, Conntrack)
                assert entry.orig is not None
                heard.add(f"{entry.orig.src} {entry.orig.dst}")
    assert heard == {
        "10.244.1.5 1.1.1.1",
        "10.244.2.9 10.244.1.5",
        "10.244.2.9 10.96.0.1",
        "10.244.2.10 1.1.1.1",
    }


def test_a_delete_that_would_flush_everything_is_refused() -> None:
    """Without a tuple the kernel deletes the whole table, which nobody here means."""
    with pytest.raises(ValueError, match="every entry"):
        Conntrack(family=NFPROTO_IPV4).delete()


def test_the_bytes_of_a_filter() -> None:
    """The first filter of an address: nfgenmsg, the nested tuple with one address, the flag that says compare it."""
    expected = "02000000100001800c000180080001000af401050c0019800800010001000000"  # conntrack -D -s 10.244.1.5
    assert involving(POD)[0].delete().payload.hex() == expected
    assert Conntrack.decode(bytes.fromhex(expected)) == Conntrack(
        family=NFPROTO_IPV4, orig=Tuple.of(src=POD), filter=Filter(orig_flags=CTA_FILTER_F_CTA_IP_SRC)
    )
