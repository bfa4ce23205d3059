"""What each object and verb is as netlink requests, read back by the registry; and how requests are batched."""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from podnet.netlink.message import Message
from podnet.netlink.rtnl import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    IPV4_DEVCONF,
    Addr,
    AfSpec,
    Bridge,
    BridgePort,
    Inet6,
    LinkInfo,
    Neigh,
    Veth,
)
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl import Vxlan as VxlanOptions
from podnet.netlink.rtnl.addr import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, RTM_DELADDR, RTM_NEWADDR
from podnet.netlink.rtnl.afspec import IN6_ADDR_GEN_MODE_NONE
from podnet.netlink.rtnl.link import IFF_UP, RTM_DELLINK, RTM_NEWLINK
from podnet.netlink.rtnl.neigh import NTF_SELF, NUD_PERMANENT, RTM_DELNEIGH, RTM_NEWNEIGH
from podnet.netlink.rtnl.route import (
    RT_SCOPE_LINK,
    RT_TABLE_MAIN,
    RTM_DELROUTE,
    RTM_NEWROUTE,
    RTN_UNREACHABLE,
    RTNH_F_ONLINK,
)
from podnet.nft import DROP, Chain, Element, Rule, Set, Table
from podnet.plan import (
    Address,
    Batch,
    Fdb,
    Link,
    Neighbour,
    Object,
    Plan,
    Route,
    Step,
    Sysctl,
    Vxlan,
    WireGuard,
    WireGuardPeer,
    encode,
)
from tests.plan.said import CREATE, INDEXES, REPLACE, links, read, requests_of

MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
BRIDGE = Link(at="node", name="br0", kind="bridge", mac=MAC, mtu=1400, group=5, alias="podnet:network:n")
HOST_END = Link(
    at="node", name="veth-a", kind="veth", peer="eth0", mac=MAC, mtu=1400, queues=1, master="br0", ipv6_autoconf=False
)
POD_END = Link(at="pod", name="eth0", kind="veth", mac=PEER_MAC, mtu=1400, queues=1, ipv6_autoconf=False)
V4 = Address(at="pod", dev="eth0", address=ip_address("10.0.0.2"), prefixlen=24, prefix_route=False)
V6 = Address(at="node", dev="br0", address=ip_address("fd00::1"), prefixlen=64)
ROUTE = Route(at="pod", dst=ip_network("0.0.0.0/0"), dev="eth0", via=ip_address("10.0.0.1"), onlink=True)
DIRECT = Route(
    at="node", dst=ip_network("10.0.0.2/32"), dev="veth-a", src=ip_address("10.9.0.1"), protocol=112, metric=3
)
NOWHERE = Route(at="node", dst=ip_network("fd00::/64"), type="unreachable", protocol=112, metric=9)
NEIGHBOUR = Neighbour(at="pod", dev="eth0", address=ip_address("fe80::1"), mac=MAC)
ENTRY = Fdb(at="node", dev="br0", mac=MAC, dst=ip_address("192.0.2.2"))
FORWARD = Sysctl(at="node", name="net/ipv4/ip_forward", value="1")
TABLE = Table("inet", "podnet")
CHAIN = Chain(TABLE, "forward")
PODS = Set(table=TABLE, name="pods4", key=("ipv4_addr",))

BORN = Bridge(mcast_snooping=0, multi_boolopt=bytes.fromhex("01000000 01000000"))  # no_linklocal_learn on, of a mask


def test_a_bridge_is_born_then_set_up() -> None:
    """`ip link add` with MAC, MTU and group, exclusively; then the alias, which is told to nobody yet; then up."""
    first, *rest = requests_of(BRIDGE)
    assert (first.type, first.flags) == (RTM_NEWLINK, CREATE)
    assert read(first) == LinkMessage(
        index=7, ifname="br0", address=MAC, mtu=1400, group=5, linkinfo=LinkInfo("bridge", BORN)
    )
    assert {(request.type, request.flags) for request in rest} == {(RTM_NEWLINK, 0)}
    assert [read(request) for request in rest] == [
        LinkMessage(index=7, alias="podnet:network:n"),
        LinkMessage(index=7, flags=IFF_UP, change=IFF_UP),
    ]


def test_a_veths_peer_is_born_in_the_namespace_that_is_given() -> None:
    """One message makes both ends: the peer's name, MAC, MTU, index and namespace ride in the host end's."""
    first = links(HOST_END, POD_END, namespace=42)[0]
    assert first.ifname == "veth-a"
    assert first.master == 7
    assert (first.num_tx_queues, first.num_rx_queues) == (1, 1)
    peer = LinkMessage(
        index=2, ifname="eth0", address=PEER_MAC, mtu=1400, num_tx_queues=1, num_rx_queues=1, net_ns_fd=42
    )
    assert first.linkinfo == LinkInfo("veth", Veth(peer=peer))


def test_a_peer_that_the_plan_does_not_describe_has_only_its_name() -> None:
    """A host end alone makes its peer as the kernel makes one."""
    first = links(HOST_END, namespace=42)[0]
    assert first.linkinfo == LinkInfo("veth", Veth(peer=LinkMessage(index=2, ifname="eth0", net_ns_fd=42)))


@pytest.mark.parametrize("things", [(BRIDGE,), (HOST_END, POD_END)], ids=["bridge", "veth"])
def test_a_created_link_is_named_once_and_by_index_after_that(things: tuple[Link, ...]) -> None:
    """Only the message that makes a link has its name: should it fail, the others meet no link of somebody else's."""
    first, *rest = links(*things)
    assert first.ifname == things[0].name
    assert [message.ifname for message in rest] == [None] * len(rest)
    assert all(message.index for message in rest)


def test_no_link_comes_up_before_it_is_told_to_make_no_address() -> None:
    """Addrgenmode none is there, in a message before or with IFF_UP at the node, before it in the pod."""
    host = [m for m in links(HOST_END, POD_END) if m.index == 8]
    pod = [m for m in links(HOST_END, POD_END) if m.index == 2]
    for messages, together in ((host, True), (pod, False)):
        silent = next(n for n, m in enumerate(messages) if m.af_spec and m.af_spec.inet6)
        mode = messages[silent].af_spec
        assert mode is not None
        assert mode.inet6 is not None
        assert mode.inet6.addr_gen_mode == IN6_ADDR_GEN_MODE_NONE
        up = next(n for n, m in enumerate(messages) if m.change & IFF_UP)
        assert silent < up or (together and silent == up)


def test_a_port_is_isolated_before_it_is_up() -> None:
    """The port's option goes as `bridge link set` sends it, while the port is still down."""
    port = Link(at="node", name="veth-a", kind="veth", peer="eth0", master="br0", isolated=True)
    messages = links(port)
    (isolated,) = [n for n, m in enumerate(messages) if m.family == AF_BRIDGE]
    assert messages[isolated] == LinkMessage(family=AF_BRIDGE, index=8, port=BridgePort(isolated=1))
    assert [n for n, m in enumerate(messages) if m.flags & IFF_UP] == [isolated + 1]


def test_a_link_is_set_by_messages_that_create_nothing() -> None:
    """Verb set has every field that is not open, and no kind; then the link is set up."""
    requests = requests_of(BRIDGE, verb="set")
    assert {(request.type, request.flags) for request in requests} == {(RTM_NEWLINK, 0)}
    assert [read(request) for request in requests] == [
        LinkMessage(index=7, address=MAC, mtu=1400, group=5, alias="podnet:network:n"),
        LinkMessage(index=7, flags=IFF_UP, change=IFF_UP),
    ]
    port, _ = links(Link(at="node", name="veth-a", master="br0"), verb="set")
    assert port.master == 7


def test_a_link_that_is_there_already_is_not_created() -> None:
    """`lo`, and a pod's end without the host end that would bring it, are only set; down clears IFF_UP."""
    (lo,) = links(Link(at="pod", name="lo"))
    assert lo == LinkMessage(index=1, flags=IFF_UP, change=IFF_UP)
    assert {m.linkinfo for m in links(POD_END)} == {None}
    assert links(POD_END)[0].address == PEER_MAC
    (down,) = links(Link(at="node", name="veth-a", up=False), verb="set")
    assert (down.flags, down.change) == (0, IFF_UP)


@pytest.mark.parametrize("link", [BRIDGE, HOST_END])
def test_a_link_is_deleted_by_index(link: Link) -> None:
    """`ip link del` needs nothing else."""
    (request,) = requests_of(link, verb="delete")
    assert request.type == RTM_DELLINK
    assert read(request) == LinkMessage(index=INDEXES[link.at, link.name])


VERBS = [("add", CREATE), ("set", REPLACE), ("delete", 0)]
DELETES = {RTM_NEWADDR: RTM_DELADDR, RTM_NEWROUTE: RTM_DELROUTE, RTM_NEWNEIGH: RTM_DELNEIGH}
MESSAGES_OF = [
    (
        V4,
        RTM_NEWADDR,
        Addr.of(ip_address("10.0.0.2"), 24, 2, flags=IFA_F_NOPREFIXROUTE),
    ),
    (V6, RTM_NEWADDR, Addr.of(ip_address("fd00::1"), 64, 7, flags=IFA_F_NODAD)),
    (
        ROUTE,
        RTM_NEWROUTE,
        RouteMessage(
            family=AF_INET, table=RT_TABLE_MAIN, flags=RTNH_F_ONLINK, gateway=ip_address("10.0.0.1"), oif=2, protocol=3
        ),
    ),
    (
        DIRECT,
        RTM_NEWROUTE,
        RouteMessage(
            family=AF_INET,
            dst=ip_address("10.0.0.2"),
            dst_len=32,
            table=RT_TABLE_MAIN,
            scope=RT_SCOPE_LINK,
            oif=8,
            prefsrc=ip_address("10.9.0.1"),
            protocol=112,
            priority=3,
        ),
    ),
    (
        NOWHERE,
        RTM_NEWROUTE,
        RouteMessage(
            family=AF_INET6,
            dst=ip_address("fd00::"),
            dst_len=64,
            table=RT_TABLE_MAIN,
            type=RTN_UNREACHABLE,
            protocol=112,
            priority=9,
        ),
    ),
    (
        NEIGHBOUR,
        RTM_NEWNEIGH,
        Neigh(family=AF_INET6, dst=ip_address("fe80::1"), lladdr=MAC, ifindex=2, state=NUD_PERMANENT),
    ),
    (
        ENTRY,
        RTM_NEWNEIGH,
        Neigh(
            family=AF_BRIDGE,
            ifindex=7,
            state=NUD_PERMANENT,
            flags=NTF_SELF,
            dst=ip_address("192.0.2.2"),
            lladdr=MAC,
        ),
    ),
]


@pytest.mark.parametrize(("verb", "flags"), VERBS)
@pytest.mark.parametrize(("thing", "new", "message"), MESSAGES_OF)
def test_addresses_routes_and_neighbours_are_one_message_each(
    thing: Object, new: int, message: Message, verb: str, flags: int
) -> None:
    """Add is exclusive, set replaces, delete deletes; the object is the same in all three."""
    (request,) = requests_of(thing, verb=verb)
    assert (request.type, request.flags) == (DELETES[new] if verb == "delete" else new, flags)
    assert read(request) == message


@pytest.mark.parametrize(
    ("local", "options"),
    [
        ("192.0.2.1", VxlanOptions(local=ip_address("192.0.2.1"), udp_csum=0)),
        ("2001:db8::1", VxlanOptions(local6=ip_address("2001:db8::1"))),
    ],
)
def test_a_tunnel_is_born_with_all_its_options(local: str, options: VxlanOptions) -> None:
    """VNI, port, own address and link, no learning; over IPv4 without a UDP checksum.  None of them is set later."""
    vxlan = Vxlan(vni=7, local=ip_address(local), port=8472, dev="br0")
    link = Link(at="node", name="veth-a", kind="vxlan", mac=MAC, mtu=1450, group=5, vxlan=vxlan)
    first, up = links(link)
    expected = msgspec.structs.replace(options, id=7, link=7, port=8472, learning=0)
    assert first.linkinfo == LinkInfo("vxlan", expected)
    assert (first.ifname, first.mtu, first.group, up.linkinfo) == ("veth-a", 1450, 5, None)
    assert [message.linkinfo for message in links(link, verb="set")] == [None, None]


@pytest.mark.parametrize("autoconf", [True, False])
def test_localnet_is_routed_before_the_link_is_up(autoconf: bool) -> None:
    """IPV4_DEVCONF_ROUTE_LOCALNET rides with addrgenmode, in the message before IFF_UP."""
    end = Link(at="node", name="veth-a", kind="veth", peer="eth0", ipv6_autoconf=autoconf, route_localnet=True)
    _, settings, up = links(end)
    inet6 = None if autoconf else Inet6(addr_gen_mode=IN6_ADDR_GEN_MODE_NONE)
    assert settings.af_spec == AfSpec({IPV4_DEVCONF["route_localnet"]: 1}, inet6)
    assert (settings.change, up.change, up.af_spec) == (0, IFF_UP, None)


@pytest.mark.parametrize(
    ("thing", "verbs"),
    [
        (TABLE, ("add", "delete", "flush")),
        (CHAIN, ("add", "delete", "flush")),
        (PODS, ("add", "delete", "flush")),
        (Element(PODS, (ip_address("10.0.0.2"),)), ("add", "delete")),
        (Rule.new(CHAIN, DROP, comment="no"), ("add",)),
    ],
)
def test_nftables_objects_are_their_own_requests(thing: Any, verbs: tuple[str, ...]) -> None:
    """What nft has said of an object goes as it is; set is add, which nftables allows for what is there."""
    for verb in verbs:
        assert requests_of(thing, verb=verb) == list(thing.requests(verb))
    assert requests_of(thing, verb="set") == list(thing.requests("add"))


def test_batches_end_where_place_or_channel_changes() -> None:
    """In the plan's order; a sysctl is a batch without requests that still names its step."""
    things = (FORWARD, TABLE, CHAIN, BRIDGE, V6, HOST_END, POD_END, V4, DIRECT)
    batches = encode(Plan(tuple(Step(thing, "r") for thing in things)), INDEXES)
    assert [(b.channel, b.at, sorted(set(b.steps))) for b in batches] == [
        ("sysctl", "node", [0]),
        ("netfilter", "node", [1, 2]),
        ("route", "node", [3, 4, 5]),
        ("route", "pod", [6, 7]),
        ("route", "node", [8]),
    ]
    assert batches[0] == Batch("sysctl", "node", [], [0])


def test_keys_and_peers_are_a_batch_of_the_edges() -> None:
    """It has no requests, since a private key is read by whoever carries it out; the link is the kernel's or not."""
    key = WireGuard(at="node", dev="br0", private_key="/key", public_key="k", port=51820)
    peer = WireGuardPeer(at="node", dev="br0", public_key="k", endpoint=None, port=0, allowed_ips=())
    for kind, messages in (("wireguard", 2), ("tun", 1)):
        link = Link(at="node", name="br0", kind=kind)
        route, edge = encode(Plan(tuple(Step(thing, "r") for thing in (link, key, peer))), INDEXES)
        assert (route.channel, len(route.requests)) == ("route", messages)
        assert edge == Batch("wireguard", "node", [], [1, 2])
    (born, _) = links(Link(at="node", name="br0", kind="wireguard", mtu=1440))
    assert (born.linkinfo, born.mtu, born.address) == (LinkInfo("wireguard"), 1440, None)


def test_every_request_names_its_step() -> None:
    """`steps` is as long as `requests` where there are any, and never goes back."""
    things = (BRIDGE, V6, HOST_END, POD_END, V4, ROUTE)
    for batch in encode(Plan(tuple(Step(thing, "r") for thing in things)), INDEXES):
        assert len(batch.steps) == len(batch.requests)
        assert batch.steps == sorted(batch.steps)
    assert encode(Plan(), INDEXES) == []


@pytest.mark.parametrize(
    "thing",
    [Link(at="node", name="br9", kind="bridge"), Address(at="node", dev="br9", address=V4.address, prefixlen=24)],
)
def test_a_link_without_an_index_is_a_key_error(thing: Object) -> None:
    """Nothing is encoded that would name the wrong link."""
    with pytest.raises(KeyError):
        requests_of(thing)
