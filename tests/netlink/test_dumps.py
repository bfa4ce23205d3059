"""Dumps that the kernel itself filters (NETLINK_GET_STRICT_CHK): each request gets these objects and no others."""

import errno
from collections.abc import Callable
from ipaddress import ip_address as ip
from typing import Any, NamedTuple, Protocol

import pytest

from podnet.netlink.message import NETLINK_ROUTE, Request
from podnet.netlink.rtnl import AF_BRIDGE, AF_INET, AF_INET6, Addr, Link, LinkInfo, Neigh, Qdisc, Route, Rule
from podnet.netlink.rtnl import neigh as n
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.netlink.transaction import Transaction, decode_reply

pytestmark = pytest.mark.live


class Netns(Protocol):
    """What these tests use of a namespace."""

    def run_transaction(self, *requests: Request, strict: bool = False) -> Transaction:
        """Send requests there and wait for the answers."""

    def shell(self, script: str) -> str:
        """Run a script there."""


SCENE = """
ip link add e0 index 50 address 02:00:00:00:00:01 type veth peer name p0 index 51 address 02:00:00:00:00:02
ip link add br0 index 60 type bridge
ip link set e0 addrgenmode none; ip link set p0 addrgenmode none
ip link set e0 master br0
ip link set e0 up; ip link set p0 up
for end in e0 p0; do timeout 10 sh -c "until ip -o link show $end | grep -q 'state UP'; do :; done"; done
ip addr add 10.0.0.1/24 dev e0; ip addr add 10.0.1.1/24 dev p0
ip addr add fd00::1/64 dev e0 nodad; ip addr add fd01::1/64 dev p0 nodad
ip route add 10.9.0.0/16 dev e0 proto 99
ip route add blackhole 10.7.0.0/16 table 100 proto 99
ip route add 10.8.0.0/16 dev p0 table 100
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev e0
ip neigh add 10.0.1.9 lladdr 02:00:00:00:00:0a dev p0
ip neigh add proxy 10.0.0.77 dev e0
bridge fdb add 02:00:00:00:00:08 dev e0 master static
ip rule add pref 77 lookup 99
tc qdisc add dev e0 clsact
"""


class Dump(NamedTuple):
    """A dump `request` answers messages of which `of` makes `expected`."""

    name: str
    request: Request
    of: Callable[[Any], Any]
    expected: set[Any]


def ifname(link: Link) -> str | None:
    """Return a link's name."""
    return link.ifname


def prefix(route: Route) -> str:
    """Return a route's destination with its table."""
    return f"{route.dst}/{route.dst_len} {route.table}"


def own(addr: Addr) -> str:
    """Return an address of a link."""
    return str(addr.own)


def dst(neigh: Neigh) -> str:
    """Return a neighbour's address."""
    return str(neigh.dst)


LOCAL = {"10.0.0.1/32 255", "10.0.0.255/32 255"}

DUMPS = (
    Dump("links", Link().dump(), ifname, {"lo", "e0", "p0", "br0"}),
    Dump("links without counters", Link(ext_mask=RTEXT_FILTER_SKIP_STATS).dump(), ifname, {"lo", "e0", "p0", "br0"}),
    Dump("links of a master", Link(master=60).dump(), ifname, {"e0"}),
    Dump("links of a kind", Link(linkinfo=LinkInfo("veth")).dump(), ifname, {"e0", "p0"}),
    Dump("bridge ports", Link(family=AF_BRIDGE).dump(), lambda p: (p.ifname, p.port and p.port.learning), {("e0", 1)}),
    Dump("addresses of a link", Addr(family=AF_INET, index=50).dump(), own, {"10.0.0.1"}),
    Dump("addresses of a link, both families", Addr(index=50).dump(), own, {"10.0.0.1", "fd00::1"}),
    Dump("addresses of a family", Addr(family=AF_INET6).dump(), own, {"fd00::1", "fd01::1"}),
    Dump(
        "routes of a link",
        Route.matching(AF_INET, oif=50).dump(),
        prefix,
        LOCAL | {"10.0.0.0/24 254", "10.9.0.0/16 254"},
    ),
    Dump(
        "routes of a table", Route.matching(AF_INET, table=100).dump(), prefix, {"10.7.0.0/16 100", "10.8.0.0/16 100"}
    ),
    Dump("routes of a protocol", Route.matching(protocol=99).dump(), prefix, {"10.7.0.0/16 100", "10.9.0.0/16 254"}),
    Dump("routes of a type", Route.matching(AF_INET, type=6).dump(), prefix, {"10.7.0.0/16 100"}),
    Dump(
        "routes of a protocol and table",
        Route.matching(AF_INET, protocol=99, table=254).dump(),
        prefix,
        {"10.9.0.0/16 254"},
    ),
    Dump("neighbours of a link", Neigh(family=AF_INET, by_ifindex=50).dump(), dst, {"10.0.0.9"}),
    Dump("neighbours of a master", Neigh(family=AF_INET, master=60).dump(), dst, {"10.0.0.9"}),
    Dump("neighbours", Neigh(family=AF_INET).dump(), dst, {"10.0.0.9", "10.0.1.9"}),
    Dump("proxies", Neigh(family=AF_INET, flags=n.NTF_PROXY).dump(), dst, {"10.0.0.77"}),
    Dump("proxies of a link", Neigh(family=AF_INET, flags=n.NTF_PROXY, by_ifindex=51).dump(), dst, set()),
    Dump("forwarding entries of a port", Neigh(family=AF_BRIDGE, ifindex=50).dump(), lambda e: e.ifindex, {50}),
    Dump(
        "forwarding entries of a bridge",
        Neigh(family=AF_BRIDGE, master=60).dump(),
        lambda e: e.lladdr == "02:00:00:00:00:08" and e.master == 60,
        {True, False},
    ),
    Dump(
        "rules",
        Rule.every(AF_INET).dump(),
        lambda r: (r.priority or 0, r.table),
        {(0, 255), (77, 99), (32766, 254), (32767, 253)},
    ),
    Dump("qdiscs", Qdisc().dump(), lambda q: (q.ifindex, q.kind), {(50, "noqueue"), (51, "noqueue"), (50, "clsact")}),
)


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.name)
def test_a_strict_dump_gives_what_matches(dump: Dump, netns: Netns) -> None:
    """The kernel answers a filtered dump with the matching objects only, and they decode."""
    netns.shell(SCENE)
    transaction = netns.run_transaction(dump.request, strict=True)
    assert transaction.failures == []
    assert {dump.of(decode_reply(NETLINK_ROUTE, e)) for e in transaction.replies} == dump.expected


REFUSED = (
    ("a table that is not there", Route.matching(AF_INET, table=4711).dump(), errno.ENOENT, "FIB table does not exist"),
    ("links of a group", Link(group=7).dump(), errno.EINVAL, "Unsupported attribute in link dump request"),
    ("a header that must be 0", Neigh(family=AF_INET, ifindex=1).dump(), errno.EINVAL, "Invalid values in header"),
)


@pytest.mark.parametrize(("name", "request_", "number", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_filter_the_kernel_lacks_is_refused(
    name: str, request_: Request, number: int, words: str, netns: Netns
) -> None:
    """What the kernel cannot filter by is refused in its own words, never answered with everything."""
    (refusal,) = netns.run_transaction(request_, strict=True).failures
    assert (refusal.errno, name) == (number, name)
    assert words in refusal.extack


def test_a_get_answers_one(netns: Netns) -> None:
    """A get by index, by name, or of the route to an address gives that one object."""
    netns.shell(SCENE)
    requests = (
        Link(index=50).get(),
        Link(ifname="p0").get(),
        Route.matching(AF_INET, dst=ip("10.9.1.1"), dst_len=32).get(),
    )
    link, named, route = (
        decode_reply(NETLINK_ROUTE, netns.run_transaction(r, strict=True).replies[0]) for r in requests
    )
    assert isinstance(link, Link)
    assert isinstance(named, Link)
    assert isinstance(route, Route)
    assert (link.ifname, named.index, route.oif, route.prefsrc) == ("e0", 51, 50, ip("10.0.0.1"))


def test_only_some_fields_of_a_long_dump(netns: Netns) -> None:
    """Decoding three fields of every link finds the same as decoding them all."""
    netns.shell("for i in 0 1 2 3 4 5 6 7; do ip link add e$i group $i type veth peer name p$i; done")
    transaction = netns.run_transaction(Link(ext_mask=RTEXT_FILTER_SKIP_STATS).dump(), strict=True)
    only = ("ifname", "group", "alias")
    some = [Link.decode(e.payload, only=only) for e in transaction.replies]
    whole = [Link.decode(e.payload) for e in transaction.replies]
    assert [(x.index, x.ifname, x.group, x.alias) for x in some] == [
        (x.index, x.ifname, x.group, x.alias) for x in whole
    ]
    assert len(some) == 17
    assert all(x.mtu is None and x.linkinfo is None for x in some)
