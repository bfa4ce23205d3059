"""Waiting for IPv6 addresses to be a pod's own: the kernel makes them so some time after it has taken them.

Without duplicate address detection too, the route by which an address is local is added by a work queue
(addrconf_dad_work, net/ipv6/addrconf.c) that waits for the rtnl lock, on a busy node for as long as others hold it.
What comes before is dropped as not for this host.  The route's own notification tells when it is there.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address
from select import POLLIN, poll
from time import monotonic

from podnet.errors import DecodeError
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import NETLINK_ROUTE, envelopes
from podnet.netlink.rtnl import Route
from podnet.netlink.rtnl.groups import RTNLGRP_IPV6_ROUTE
from podnet.netlink.rtnl.route import RTM_NEWROUTE, RTN_LOCAL

PATIENCE = 1.0
"""Seconds after which an ADD goes on all the same: the addresses are there, and will be heard at some time."""


class Settling:
    """Listens in the namespace in which it is opened, from before the `addresses` are added."""

    def __init__(self, addresses: Iterable[IPv6Address]) -> None:
        """Begin to listen; raise `IOFailure`."""
        self._awaited = set(addresses)
        self._events = NetlinkSocket(NETLINK_ROUTE, groups=(RTNLGRP_IPV6_ROUTE,))

    def wait(self) -> None:
        """Return when all addresses are local."""
        deadline = monotonic() + PATIENCE
        readable = poll()
        readable.register(self._events, POLLIN)
        while self._awaited and (left := deadline - monotonic()) > 0:
            readable.poll(left * 1000)
            for datagram in self._events.events():
                if not datagram:
                    return  # events were lost, the awaited one maybe with them
                self._awaited.difference_update(_made_local(datagram))

    def close(self) -> None:
        """Stop listening."""
        self._events.close()


def _made_local(datagram: bytes) -> Iterable[object]:
    """Yield the addresses that the notifications in `datagram` tell to be local now."""
    try:
        for envelope in envelopes(datagram):
            if envelope.type == RTM_NEWROUTE:
                route = Route.decode(envelope.payload, only=("dst",))
                if route.type == RTN_LOCAL:
                    yield route.dst
    except DecodeError:
        return
