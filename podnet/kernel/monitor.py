"""Listening to the kernel: what others than podnet take away or replace of links, addresses, routes, neighbours, rules.

What the kernel tells is kept as it came and decoded when somebody has the time, for it may tell much while pods come
in a burst.  Where it had to drop something (ENOBUFS), that is said instead, and all has to be looked at.
"""

from collections.abc import Iterator

from podnet.errors import DecodeError
from podnet.kernel.births import Births
from podnet.kernel.earshot import route_changes, ruleset_changes
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, Envelope, Request, envelopes
from podnet.netlink.netfilter.groups import NFNLGRP_NFTABLES
from podnet.netlink.rtnl import AF_BRIDGE, Addr, Neigh
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl import Route as RouteMessage
from podnet.netlink.rtnl.addr import RTM_DELADDR, RTM_NEWADDR
from podnet.netlink.rtnl.groups import (
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
)
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS, RTM_DELLINK, RTM_NEWLINK
from podnet.netlink.rtnl.neigh import RTM_DELNEIGH, RTM_NEWNEIGH
from podnet.netlink.rtnl.route import RT_TABLE_MAIN, RTM_DELROUTE, RTM_NEWROUTE
from podnet.nft.message import GETGEN, GenerationMessage
from podnet.plan import Heard, Object, decode
from podnet.plan.objects import Fdb, Neighbour

ROUTE_GROUPS = (
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
)
MOST = 4096
"""Messages that are kept: more is as good as lost, for all has to be looked at then anyway."""


class Monitor:
    """Listens in the calling thread's namespace; two descriptors, `route` and `netfilter`, are readable on news."""

    def __init__(self, own: NetlinkSocket) -> None:
        """Begin to listen; `own` is the socket by which podnet changes links, routes and neighbours itself.

        The calling thread is the one whose changes to nftables are podnet's.  Raise `IOFailure`.
        """
        self.route = NetlinkSocket(NETLINK_ROUTE, groups=ROUTE_GROUPS, program=route_changes([own.port]))
        process = _process()
        self.netfilter = NetlinkSocket(NETLINK_NETFILTER, groups=(NFNLGRP_NFTABLES,), program=ruleset_changes(process))
        self._own = own
        self._kept: list[bytes] = []
        self._generations: list[bytes] = []
        self._lost = False
        self._names: dict[int, str] = {}
        self._births = Births()

    def close(self) -> None:
        """Listen no longer."""
        self.route.close()
        self.netfilter.close()

    def listen(self) -> None:
        """Take what has come, to be told by :meth:`heard`."""
        for datagram in self.route.events():
            if not self._births.told(datagram):
                self._keep(self._kept, datagram)
        for datagram in self.netfilter.events():
            self._keep(self._generations, datagram)

    def _keep(self, kept: list[bytes], datagram: bytes) -> None:
        if not datagram or len(kept) >= MOST:
            self._lost = True
        else:
            kept.append(datagram)

    def heard(self) -> Heard:
        """Return what has come since the last time."""
        kept, self._kept = self._kept, []
        generations, self._generations = self._generations, []
        lost, self._lost = self._lost, False
        objects: list[Object] = []
        links: dict[str, None] = {}
        writers: dict[str, None] = {}
        try:
            for envelope in (envelope for datagram in kept for envelope in envelopes(datagram)):
                if envelope.type in {RTM_NEWLINK, RTM_DELLINK}:
                    links[self._link(envelope)] = None
                else:
                    objects += self._objects(envelope)
            for envelope in (envelope for datagram in generations for envelope in envelopes(datagram)):
                made = GenerationMessage.decode(envelope.payload)
                writers[f"{made.process_name or 'a process'} (pid {made.process})"] = None
        except DecodeError:
            lost = True
        return Heard(tuple(objects), frozenset(links) - {""}, tuple(writers), lost)

    def _link(self, envelope: Envelope) -> str:
        message = LinkMessage.decode(envelope.payload, only=("ifname",))
        if envelope.type == RTM_DELLINK:
            self._names.pop(message.index, None)
        elif message.family != AF_BRIDGE:
            self._names[message.index] = message.ifname or ""
        return message.ifname or ""

    def _objects(self, envelope: Envelope) -> Iterator[Object]:
        """Yield the object that a notification is of, if plans have such, on a link that is still there."""
        found: Object | None = None
        if envelope.type in {RTM_NEWROUTE, RTM_DELROUTE}:
            route = RouteMessage.decode(envelope.payload)
            if route.table == RT_TABLE_MAIN:
                self._know(route.oif or 0)
                found = decode.route(route, self._names, "node")
        elif envelope.type in {RTM_NEWADDR, RTM_DELADDR}:
            address = Addr.decode(envelope.payload)
            self._know(address.index)
            found = decode.address(address, self._names, "node")
        elif envelope.type in {RTM_NEWNEIGH, RTM_DELNEIGH}:
            found = self._neighbour(Neigh.decode(envelope.payload))
        if found is not None:
            yield found

    def _neighbour(self, message: Neigh) -> Object | None:
        """Return the neighbour or forwarding entry, of whatever state: one that goes is not permanent any more."""
        self._know(message.ifindex)
        name = self._names.get(message.ifindex)
        if name is None:
            return None
        if message.family == AF_BRIDGE:
            if message.lladdr is None or message.dst is None:
                return None
            return Fdb(at="node", dev=name, mac=message.lladdr, dst=message.dst)
        return None if message.dst is None else Neighbour(at="node", dev=name, address=message.dst, mac="")

    def _know(self, index: int) -> None:
        """Learn the name of the link `index`, if it is there and not known yet."""
        if index and index not in self._names:
            asked = self._own.transact([LinkMessage(index=index, ext_mask=RTEXT_FILTER_SKIP_STATS).get()])
            for reply in asked.replies:  # none: it is gone, and that is told of the link itself
                self._names[index] = LinkMessage.decode(reply.payload, only=("ifname",)).ifname or ""


def _process() -> int:
    """Return the number by which the kernel calls this thread in what it tells of nftables (task_pid_nr)."""
    asking = NetlinkSocket(NETLINK_NETFILTER)
    try:
        transaction = asking.transact([Request(GETGEN, 0, GenerationMessage(family=0).encode())])
        answers = [GenerationMessage.decode(envelope.payload) for envelope in transaction.replies]
        return next((answer.process or 0 for answer in answers), 0)
    finally:
        asking.close()
