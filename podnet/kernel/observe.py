"""Observing: the kernel's state as the plan's objects, asked for as narrowly as the kernel allows.

For CHECK a plan's own objects are asked for by name, link or key.  For the node's start and repair everything that is
podnet's is dumped once.
"""

import errno
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from podnet.errors import KernelError
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import Message, Request
from podnet.netlink.rtnl import AF_BRIDGE, Addr, Filter, Neigh, Qdisc
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.netlink.rtnl.route import RT_TABLE_MAIN, RTN_UNREACHABLE
from podnet.netlink.rtnl.tc import CLSACT_INGRESS
from podnet.nft import Element, Table, dump
from podnet.nft.element import message_elements
from podnet.nft.message import ChainMessage, ElementsMessage, RuleMessage, SetMessage
from podnet.nft.set import ANONYMOUS, CONSTANT
from podnet.plan import (
    GROUP_MESH,
    GROUP_PODS,
    PROTOCOL,
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Redirect,
    Route,
    State,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
    decode,
    state_of,
)
from podnet.plan.diff import TUNNELS
from podnet.plan.objects import TUN, WIREGUARD, Place

M = TypeVar("M", bound=Message)

SINGLE = 16
"""Elements of one set that are asked for one by one: a set may hold some for each pod, or for each of many nodes."""
OWN_GROUPS = frozenset({GROUP_PODS, GROUP_MESH})
OWN_TABLES = (Table("inet", "podnet"), Table("bridge", "podnet"))


class Observer:
    """Asks through the sockets of one namespace; `netfilter` is None where no nftables object will be asked for."""

    def __init__(self, route: NetlinkSocket, netfilter: NetlinkSocket | None) -> None:
        """Take open sockets; they stay the caller's."""
        self._route = route
        self._netfilter = netfilter

    def observe(self, wanted: Sequence[Object], at: Place) -> State:
        """Return those objects of the kernel that have the keys of `wanted`, or stand beside them on the same link."""
        names = dict.fromkeys(name for thing in wanted for name in _links_of(thing))
        links = {name: message for name in names if (message := self._link(name)) is not None}
        by_index = {message.index: name for name, message in links.items()}
        found: list[Object] = [decode.link(message, by_index, at) for message in links.values()]
        kinds = {type(thing) for thing in wanted}
        routed = {thing.dev for thing in wanted if isinstance(thing, Route)}
        for message in links.values():
            index = message.index
            if Address in kinds:
                found += self._addresses(Addr(index=index), by_index, at)
            if Neighbour in kinds:
                found += self._neighbours(Neigh(by_ifindex=index), by_index, at)
            if Fdb in kinds and _kind(message) == "vxlan":
                found += self._forwarding(index, by_index, at)
            if kinds & {WireGuard, WireGuardPeer}:
                found += _wireguard(message, at)
            if message.ifname in routed:
                found += self._routes(RouteMessage.matching(oif=index, table=RT_TABLE_MAIN), by_index, at)
        if any(isinstance(thing, Route) and not thing.dev for thing in wanted):
            own = RouteMessage.matching(protocol=PROTOCOL, type=RTN_UNREACHABLE, table=RT_TABLE_MAIN)
            found += self._routes(own, by_index, at)
        if Tbf in kinds or Redirect in kinds:
            shaping = self._shaping(by_index, by_index, at, filters=Redirect in kinds)
            found += [thing for thing in shaping if type(thing) in kinds]
        found += [_read(thing) for thing in wanted if isinstance(thing, Sysctl)]
        found += self._netfilter_objects(wanted)
        return state_of(found)

    def owned(self) -> State:
        """Return every object here that is provably podnet's.

        Links by group and alias, with their neighbours and, where one of them is shaped, their qdiscs, of tunnels also
        the addresses and who is at the other ends; routes by protocol; whatever is in podnet's tables.
        """
        links = self._route.dump(LinkMessage(ext_mask=RTEXT_FILTER_SKIP_STATS).dump())
        messages = [LinkMessage.decode(envelope.payload) for envelope in links]
        names = {message.index: message.ifname or "" for message in messages}
        own = [m for m in messages if m.group in OWN_GROUPS and (m.alias or "").startswith("podnet:")]
        own_names = {m.index: m.ifname or "" for m in own}
        found: list[Object] = [decode.link(message, names, "node") for message in own]
        for message in (message for message in own if _kind(message) in TUNNELS):
            found += self._addresses(Addr(index=message.index), own_names, "node")
            if _kind(message) == "vxlan":
                found += self._forwarding(message.index, own_names, "node")
            found += [thing for thing in _wireguard(message, "node") if isinstance(thing, WireGuardPeer)]
        found += self._neighbours(Neigh(), own_names, "node")
        if any(_is_shaped(message) for message in own):
            found += self._shaping(own_names, names, "node")
        found += self._routes(RouteMessage.matching(protocol=PROTOCOL, table=RT_TABLE_MAIN), names, "node")
        for table in OWN_TABLES:
            found += self._table(table)
        return state_of(found)

    def routes(self, protocol: int) -> list[Route]:
        """Return the routes of the main table that have this rtm_protocol."""
        links = self._route.dump(LinkMessage(ext_mask=RTEXT_FILTER_SKIP_STATS).dump())
        messages = (LinkMessage.decode(envelope.payload, only=("ifname",)) for envelope in links)
        names = {message.index: message.ifname or "" for message in messages}
        return self._routes(RouteMessage.matching(protocol=protocol, table=RT_TABLE_MAIN), names, "node")

    # rtnetlink

    def _link(self, name: str) -> LinkMessage | None:
        transaction = self._route.transact([LinkMessage(ifname=name, ext_mask=RTEXT_FILTER_SKIP_STATS).get()])
        for refusal in transaction.failures:
            if refusal.errno == errno.ENODEV:
                return None
            raise KernelError(f"ip link show {name}", refusal.errno, refusal.extack)
        return LinkMessage.decode(transaction.replies[0].payload)

    def _addresses(self, like: Addr, names: decode.Names, at: Place) -> list[Object]:
        messages = (Addr.decode(e.payload) for e in self._route.dump(like.dump()))
        return [found for m in messages if (found := decode.address(m, names, at)) is not None]

    def _routes(self, like: RouteMessage, names: decode.Names, at: Place) -> list[Route]:
        messages = (RouteMessage.decode(e.payload) for e in self._route.dump(like.dump()))
        main = (m for m in messages if m.table == RT_TABLE_MAIN)
        return [found for m in main if (found := decode.route(m, names, at)) is not None]

    def _neighbours(self, like: Neigh, names: decode.Names, at: Place) -> list[Object]:
        messages = (Neigh.decode(e.payload) for e in self._route.dump(like.dump()))
        return [found for m in messages if (found := decode.neighbour(m, names, at)) is not None]

    def _forwarding(self, index: int, names: decode.Names, at: Place) -> list[Object]:
        """Return the forwarding table of the VXLAN device `index`."""
        messages = (Neigh.decode(e.payload) for e in self._route.dump(Neigh(family=AF_BRIDGE, ifindex=index).dump()))
        return [found for m in messages if (found := decode.fdb(m, names, at)) is not None]

    def _shaping(
        self, names: decode.Names, targets: decode.Names, at: Place, *, filters: bool = True
    ) -> Iterator[Tbf | Redirect]:
        """Yield the qdiscs of the links `names`: one dump of those of all links, and one of filters per redirect."""
        for envelope in self._route.dump(Qdisc().dump()):
            if Qdisc.decode(envelope.payload, only=("kind",)).ifindex not in names:
                continue
            message = Qdisc.decode(envelope.payload)
            if (tbf := decode.tbf(message, names, at)) is not None:
                yield tbf
            elif filters and message.kind == "ingress":
                listed = self._route.dump(Filter(ifindex=message.ifindex, parent=CLSACT_INGRESS).dump())
                found = (Filter.decode(e.payload) for e in listed)
                if (redirect := decode.redirect(message, found, names, targets, at)) is not None:
                    yield redirect

    # nftables

    def _netfilter_objects(self, wanted: Sequence[Object]) -> list[Object]:
        """Return elements one by one where that is all that is asked, or where few of a set are; else tables."""
        tables = [thing for thing in wanted if isinstance(thing, Table)]
        elements = [thing for thing in wanted if isinstance(thing, Element)]
        asked = Counter(element.set for element in elements)
        # Of a set of intervals it matters what else there is.
        listed = {key for key, count in asked.items() if key.interval or count > SINGLE} if tables else set()
        found: list[Object] = [one for e in elements if e.set not in listed and (one := self._element(e))]
        for table in tables:
            found += self._table(table, {key.name for key in listed if key.table == table})
        return found

    def _element(self, element: Element) -> Element | None:
        assert self._netfilter is not None  # noqa: S101 - nftables objects are the node's
        transaction = self._netfilter.transact([element.get()])
        for refusal in transaction.failures:
            if refusal.errno == errno.ENOENT:
                return None
            raise KernelError(f"nft {element.nft('get')}", refusal.errno, refusal.extack)
        replies = (ElementsMessage.decode(e.payload) for e in transaction.replies)
        return next(iter(message_elements(element.set, replies)), None)

    def _table(self, table: Table, asked: Collection[str] | None = None) -> list[Object]:
        """Return `table` with all that is in it, empty if there is none.

        Where it is said which sets' elements are `asked` for, those alone are listed, and what belongs to rules:
        anonymous sets.  The others hold some elements for each pod or node.
        """
        assert self._netfilter is not None  # noqa: S101 - nftables objects are the node's
        if self._netfilter.transact([dump.get_table(table)]).failures:
            return []
        sets = self._listed(dump.list_sets(table), SetMessage)
        names = [
            s.name or ""
            for s in sets
            if s.table == table.name and (asked is None or s.name in asked or (s.flags or 0) & (ANONYMOUS | CONSTANT))
        ]
        content = dump.content(
            table,
            self._listed(dump.list_chains(table), ChainMessage),
            sets,
            {name: self._listed(dump.list_elements(table, name), ElementsMessage) for name in names},
            self._listed(dump.list_rules(table), RuleMessage),
        )
        return [table, *content.sets, *content.chains, *content.elements, *content.rules]

    def _listed(self, request: Request, cls: type[M]) -> list[M]:
        assert self._netfilter is not None  # noqa: S101 - nftables objects are the node's
        return [cls.decode(envelope.payload) for envelope in self._netfilter.dump(request)]


def _is_shaped(message: LinkMessage) -> bool:
    """Tell whether a link is an ifb or has a token bucket filter: a node that shapes nothing asks for no qdiscs."""
    return message.qdisc == "tbf" or (message.linkinfo is not None and message.linkinfo.kind == "ifb")


def _kind(message: LinkMessage) -> str:
    return (message.linkinfo.kind if message.linkinfo else None) or ""


def _wireguard(message: LinkMessage, at: Place) -> list[Object]:
    """Return what a link that speaks WireGuard is and its peers; nothing for another link."""
    kind = _kind(message)
    if kind not in {WIREGUARD, TUN}:
        return []
    from podnet.kernel.wireguard import read  # noqa: PLC0415 - only nodes with that backend need it
    from podnet.plan.wireguard import shown  # noqa: PLC0415 - likewise

    name = message.ifname or ""
    device = read(name, kind)
    return [] if device is None else shown(device, name, at)


def _links_of(thing: Object) -> Iterable[str]:
    """Return the names of the links that `thing` speaks of."""
    if isinstance(thing, Link):
        others = (thing.master, thing.vxlan.dev if thing.vxlan else "")
        return (thing.name, *filter(None, others))
    if isinstance(thing, Address | Neighbour | Fdb | WireGuard | WireGuardPeer | Tbf):
        return (thing.dev,)
    if isinstance(thing, Redirect):
        return (thing.dev, thing.to) if thing.to else (thing.dev,)
    if isinstance(thing, Route):
        return (thing.dev,) if thing.dev else ()
    return ()


def _read(sysctl: Sysctl) -> Sysctl:
    """Return `sysctl` with the value that its file has; one that cannot be read has none."""
    try:
        with open(f"/proc/sys/{sysctl.name}", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms to import
            return Sysctl(at=sysctl.at, name=sysctl.name, value=file.read().strip())
    except OSError:
        return Sysctl(at=sysctl.at, name=sysctl.name, value="")
