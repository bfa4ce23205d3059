"""Reaping: all doomed links ended by one message.

Deleting a link waits for the kernel's RCU grace period, 13 to 20 ms; one RTM_DELLINK by IFLA_GROUP shares that wait
among all links of the group (1 link 13 ms, 100 links 33, 500 links 68).  A group is only a number that anyone may
set, so what is in it is looked at first: a link without podnet's alias is moved out and reported.
"""

from typing import NamedTuple

from podnet.errors import KernelError
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.rtnl.link import RTEXT_FILTER_SKIP_STATS
from podnet.plan import GROUP_DOOMED

ALIAS = "podnet:"
DEFAULT_GROUP = 0


class Reaped(NamedTuple):
    """Names of the links that were ended, and of strangers that were moved out of the doomed group."""

    links: tuple[str, ...]
    strangers: tuple[str, ...]


def reap(route: NetlinkSocket) -> Reaped:
    """Delete the links of the doomed group; raise `KernelError` where the kernel refuses."""
    like = LinkMessage(ext_mask=RTEXT_FILTER_SKIP_STATS)  # of every kind: a stranger's bridge would go with the group
    doomed: list[LinkMessage] = []
    strangers: list[LinkMessage] = []
    for envelope in route.dump(like.dump()):
        link = LinkMessage.decode(envelope.payload, only=("ifname", "group", "alias"))
        if link.group == GROUP_DOOMED:
            (doomed if (link.alias or "").startswith(ALIAS) else strangers).append(link)
    requests = [LinkMessage(index=link.index, group=DEFAULT_GROUP).set() for link in strangers]
    if doomed:
        requests.append(LinkMessage(group=GROUP_DOOMED).delete())
    if requests:
        for refusal in route.transact(requests).failures:
            step = "ip link del group" if refusal.index == len(strangers) else "ip link set group default"
            raise KernelError(f"{step} {GROUP_DOOMED}", refusal.errno, refusal.extack)
    return Reaped(tuple(link.ifname or "" for link in doomed), tuple(link.ifname or "" for link in strangers))
