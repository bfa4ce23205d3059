"""A plan as netlink requests: one batch per namespace and channel, in the plan's order.

Objects name links; messages need ifindexes.  The caller gives both: ``indexes`` maps (place, name) to an ifindex,
including those it has drawn for links that this plan creates.  Because a created link's index is known before the
link is, its addresses and routes ride in the same send.  They name it by index and never by name: should its creation
fail, what follows finds no link rather than somebody else's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from podnet.netlink.message import Request
from podnet.netlink.rtnl import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    IPV4_DEVCONF,
    U32,
    Action,
    Addr,
    AfSpec,
    Bridge,
    BridgePort,
    Filter,
    Inet6,
    LinkInfo,
    Neigh,
    Qdisc,
    Selector,
    Veth,
)
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl import Tbf as TbfOptions
from podnet.netlink.rtnl import Vxlan as VxlanOptions
from podnet.netlink.rtnl.addr import IFA_F_NODAD, IFA_F_NOPREFIXROUTE
from podnet.netlink.rtnl.afspec import IN6_ADDR_GEN_MODE_NONE
from podnet.netlink.rtnl.filter import info as filter_info
from podnet.netlink.rtnl.link import IFF_UP
from podnet.netlink.rtnl.linkinfo import BR_BOOLOPT_NO_LL_LEARN, boolopt
from podnet.netlink.rtnl.neigh import NTF_SELF, NUD_PERMANENT
from podnet.netlink.rtnl.route import (
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RT_TABLE_MAIN,
    RTN_UNICAST,
    RTN_UNREACHABLE,
    RTNH_F_ONLINK,
)
from podnet.netlink.rtnl.tc import CLSACT_INGRESS, TC_H_CLSACT, TC_H_ROOT
from podnet.plan.objects import (
    WIREGUARD,
    Address,
    Fdb,
    Link,
    Neighbour,
    Place,
    Redirect,
    Route,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
)
from podnet.plan.plan import Plan, Verb, peers_made

IPV4 = 4

Channel = Literal["route", "netfilter", "sysctl", "wireguard"]
Indexes = Mapping[tuple[Place, str], int]

_NO_AUTOCONF = Inet6(addr_gen_mode=IN6_ADDR_GEN_MODE_NONE)
_ROUTE_LOCALNET = {IPV4_DEVCONF["route_localnet"]: 1}
_BRIDGE = LinkInfo("bridge", Bridge(mcast_snooping=0, multi_boolopt=boolopt(BR_BOOLOPT_NO_LL_LEARN, on=True)))
"""Ports are isolated, so no multicast goes between them; watching it would cost each port that joins.

Frames to the next bridge alone (01:80:c2:00:00:0x) are taken in past every hook: nothing is to be learned from them.
"""
_IFB = LinkInfo("ifb")
_WIREGUARD = LinkInfo(WIREGUARD)
_ISOLATED = BridgePort(isolated=1)

REDIRECT_HANDLE = 0x80000800
"""The filter of a Redirect, 800::800 to tc(8): without a handle, adding it twice would make two."""
REDIRECT_INFO = filter_info(1)


class Batch(NamedTuple):
    """Requests that go to the kernel in one send; `requests[i]` belongs to the plan's step `steps[i]`."""

    channel: Channel
    at: Place
    requests: list[Request]
    steps: list[int]


def encode(plan: Plan, indexes: Indexes, namespace: int | None = None) -> list[Batch]:
    """Return the batches of `plan`; `namespace` is a descriptor of the pod's, needed where a veth's peer is born there.

    A batch ends where the next step belongs to another namespace or channel.  Steps of channels ``sysctl`` and
    ``wireguard`` have no request: files are written, and keys read, by the edge that carries the batch out; see
    :mod:`podnet.plan.wireguard`.  Raise `KeyError` for a link without index.
    """
    links = [s for s in plan.steps if isinstance(s.object, Link)]
    context = _Context(
        indexes,
        namespace,
        {s.object.name: s.object for s in links if isinstance(s.object, Link) and s.object.at == "pod"},
        peers_made(plan),
    )
    batches: list[Batch] = []
    batch: Batch | None = None
    for number, step in enumerate(plan.steps):
        thing = step.object
        channel, encoder = _ENCODERS.get(type(thing), _NFT)
        at: Place = getattr(thing, "at", "node")
        if batch is None or batch.channel != channel or batch.at != at:
            batch = Batch(channel, at, [], [])
            batches.append(batch)
        requests = encoder(thing, step.verb, context)
        batch.requests.extend(requests)
        batch.steps.extend([number] * (len(requests) or 1))
    return batches


class _Context(NamedTuple):
    indexes: Indexes
    namespace: int | None
    pod_links: dict[str, Link]
    born: frozenset[str]
    """Pod links that a host link of the same plan brings about, MAC and MTU included."""


def _link(link: Link, verb: Verb, context: _Context) -> list[Request]:
    index = context.indexes[link.at, link.name]
    if verb == "delete":
        return [LinkMessage(index=index).delete()]
    created = verb == "add" and link.kind in _KINDS and not (link.kind == "veth" and not link.peer)
    requests = []
    if created:
        requests.append(
            LinkMessage(
                index=index,
                ifname=link.name,
                address=link.mac or None,
                mtu=link.mtu or None,
                num_tx_queues=link.queues or None,
                num_rx_queues=link.queues or None,
                group=link.group or None,
                master=context.indexes["node", link.master] if link.master else None,
                linkinfo=_KINDS[link.kind](link, context),
            ).add()
        )
    if link.isolated:
        requests.append(LinkMessage(family=AF_BRIDGE, index=index, port=_ISOLATED).set_port())
    born = created or (link.at == "pod" and link.name in context.born)
    settings = LinkMessage(
        index=index,
        address=None if born else link.mac or None,
        mtu=None if born else link.mtu or None,
        group=None if born else link.group or None,
        alias=link.alias or None,
        master=context.indexes["node", link.master] if link.master and not born else None,
        af_spec=_families(link),
    )
    if not link.up:
        requests.append(msgspec.structs.replace(settings, change=IFF_UP).set())
        return requests
    # Before it is up: what is set on a link that is up is told to everyone, and IFLA_AF_SPEC comes after IFF_UP within
    # one message, so that with a carrier there a link-local address would be made.
    if settings != LinkMessage(index=index):
        requests.append(settings.set())
    requests.append(LinkMessage(index=index, flags=IFF_UP, change=IFF_UP).set())
    return requests


def _families(link: Link) -> AfSpec | None:
    if link.ipv6_autoconf and not link.route_localnet:
        return None
    return AfSpec(_ROUTE_LOCALNET if link.route_localnet else None, None if link.ipv6_autoconf else _NO_AUTOCONF)


def _veth_info(link: Link, context: _Context) -> LinkInfo:
    peer = context.pod_links.get(link.peer) or Link(at="pod", name=link.peer)
    return LinkInfo(
        "veth",
        Veth(
            peer=LinkMessage(
                index=context.indexes["pod", peer.name],
                ifname=peer.name,
                address=peer.mac or None,
                mtu=peer.mtu or None,
                num_tx_queues=peer.queues or None,
                num_rx_queues=peer.queues or None,
                net_ns_fd=context.namespace,
            )
        ),
    )


def _bridge_info(_link: Link, _context: _Context) -> LinkInfo:
    return _BRIDGE


def _ifb_info(_link: Link, _context: _Context) -> LinkInfo:
    return _IFB


def _wireguard_info(_link: Link, _context: _Context) -> LinkInfo:
    return _WIREGUARD


def _vxlan_info(link: Link, context: _Context) -> LinkInfo:
    """Return the options of a VXLAN device.

    Over IPv4 its UDP checksum is 0, as RFC 7348 (section 5) has it; the inner packet has its own.  0 is the one that
    nothing on the way can spoil.  Where a rule of somebody else's masquerades the outer packet while the inner
    checksum is left to the device (flannel issue 1279), netfilter leaves a 0 alone since Linux 5.7, and corrects any
    other as if it were the one left to the device: seen on 6.18, where then neither TCP nor UDP arrived, ICMP did.
    Over IPv6 the kernel's default stays, a checksum both sent and asked for: IPv6 has none of its own (RFC 6936), and
    firewalls drop what has none.
    """
    wanted = link.vxlan
    if wanted is None:
        return LinkInfo("vxlan")
    index = context.indexes[link.at, wanted.dev] if wanted.dev else None
    common = VxlanOptions(id=wanted.vni, link=index, port=wanted.port, learning=0)
    if wanted.local.version == IPV4:
        return LinkInfo("vxlan", msgspec.structs.replace(common, local=wanted.local, udp_csum=0))
    return LinkInfo("vxlan", msgspec.structs.replace(common, local6=wanted.local))


_KINDS: dict[str, Callable[[Link, _Context], LinkInfo]] = {
    "veth": _veth_info,
    "bridge": _bridge_info,
    "ifb": _ifb_info,
    "vxlan": _vxlan_info,
    WIREGUARD: _wireguard_info,
}


def _address(address: Address, verb: Verb, context: _Context) -> list[Request]:
    flags = (IFA_F_NODAD if address.address.version != IPV4 else 0) | (
        0 if address.prefix_route else IFA_F_NOPREFIXROUTE
    )
    message = Addr.of(address.address, address.prefixlen, context.indexes[address.at, address.dev], flags=flags)
    return [_said(message, verb)]


def _route(route: Route, verb: Verb, context: _Context) -> list[Request]:
    unreachable = route.type == "unreachable"
    on_link = route.via is None and not unreachable and route.dst.version == IPV4
    message = RouteMessage(
        family=AF_INET if route.dst.version == IPV4 else AF_INET6,
        dst_len=route.dst.prefixlen,
        table=RT_TABLE_MAIN,
        protocol=route.protocol,
        scope=RT_SCOPE_LINK if on_link else RT_SCOPE_UNIVERSE,
        type=RTN_UNREACHABLE if unreachable else RTN_UNICAST,
        flags=RTNH_F_ONLINK if route.onlink else 0,
        dst=route.dst.network_address if route.dst.prefixlen else None,
        gateway=route.via,
        oif=context.indexes[route.at, route.dev] if route.dev else None,
        prefsrc=route.src,
        priority=route.metric or None,
    )
    return [_said(message, verb)]


def _neighbour(entry: Neighbour, verb: Verb, context: _Context) -> list[Request]:
    return [_said(Neigh.permanent(entry.address, entry.mac, context.indexes[entry.at, entry.dev]), verb)]


def _fdb(entry: Fdb, verb: Verb, context: _Context) -> list[Request]:
    message = Neigh(
        family=AF_BRIDGE,
        ifindex=context.indexes[entry.at, entry.dev],
        state=NUD_PERMANENT,
        flags=NTF_SELF,
        dst=entry.dst,
        lladdr=entry.mac,
    )
    return [_said(message, verb)]


def _said(message: Addr | RouteMessage | Neigh, verb: Verb) -> Request:
    if verb == "add":
        return message.add()
    return message.delete() if verb == "delete" else message.replace()


def _tbf(tbf: Tbf, verb: Verb, context: _Context) -> list[Request]:
    index = context.indexes[tbf.at, tbf.dev]
    if verb == "delete":
        return [Qdisc(ifindex=index, parent=TC_H_ROOT).delete()]
    options = TbfOptions.of(tbf.rate, tbf.burst, tbf.limit)
    return [Qdisc(ifindex=index, parent=TC_H_ROOT, kind="tbf", options=options).replace()]


def _redirect(redirect: Redirect, verb: Verb, context: _Context) -> list[Request]:
    index = context.indexes[redirect.at, redirect.dev]
    if verb == "delete":
        return [Qdisc(ifindex=index, parent=TC_H_CLSACT).delete()]
    qdisc = Qdisc.ingress(index)
    redirection = Filter(
        ifindex=index,
        handle=REDIRECT_HANDLE,
        parent=CLSACT_INGRESS,
        info=REDIRECT_INFO,
        kind="u32",
        options=U32(sel=Selector(), act=(Action.redirect(context.indexes[redirect.at, redirect.to]),)),
    )
    if verb == "add":
        return [qdisc.add(), redirection.add()]
    # Without priority and handle: all filters there go, whoever's they are.
    return [qdisc.replace(), Filter(ifindex=index, parent=CLSACT_INGRESS).delete(), redirection.add()]


def _by_the_edge(_thing: Sysctl | WireGuard | WireGuardPeer, _verb: Verb, _context: _Context) -> list[Request]:
    return []


def _nft(thing: Any, verb: Verb, _context: _Context) -> list[Request]:
    requests: list[Request] = thing.requests("add" if verb == "set" else verb)
    return requests


Encoder = Callable[[Any, Verb, _Context], list[Request]]

_NFT: tuple[Channel, Encoder] = ("netfilter", _nft)
_ENCODERS: dict[type, tuple[Channel, Encoder]] = {
    Link: ("route", _link),
    Address: ("route", _address),
    Route: ("route", _route),
    Neighbour: ("route", _neighbour),
    Fdb: ("route", _fdb),
    Tbf: ("route", _tbf),
    Redirect: ("route", _redirect),
    Sysctl: ("sysctl", _by_the_edge),
    WireGuard: ("wireguard", _by_the_edge),
    WireGuardPeer: ("wireguard", _by_the_edge),
}
