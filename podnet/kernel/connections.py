"""Forgetting connections: an address that is given again must not inherit what conntrack remembers of it.

An entry begins at its original source and ends at the source of its replies, also behind DNAT; a pod's address can be
either, so two messages per address delete all that is its own, each with one walk of the kernel's table.  Where the
kernel cannot be asked so (before 6.11, and for IPv6 at all) one dump serves all addresses of the call.
"""

import errno
from collections.abc import Sequence
from ipaddress import IPv4Address

from podnet.errors import KernelError
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.attributes import IPAddress
from podnet.netlink.netfilter.conntrack import NFPROTO_IPV4, NFPROTO_IPV6, Conntrack, forget_among, involving
from podnet.netlink.transaction import Refusal

FAMILIES = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}


def forget(netfilter: NetlinkSocket, addresses: Sequence[IPAddress]) -> None:
    """Delete the entries that begin or end at one of `addresses`; raise `KernelError` where the kernel refuses."""
    by_dump = [a for a in addresses if not (isinstance(a, IPv4Address) and _forget_in_kernel(netfilter, a))]
    for version in {a.version for a in by_dump}:
        replies = netfilter.dump(Conntrack(family=FAMILIES[version]).dump())
        for address in by_dump:
            for request in forget_among(replies, address) if address.version == version else ():
                for refusal in netfilter.transact([request]).failures:
                    _raise_unless(errno.ENOENT, refusal, address)


def _forget_in_kernel(netfilter: NetlinkSocket, address: IPv4Address) -> bool:
    """Let the kernel find the entries itself; tell whether it can."""
    begins, _, ends, _ = involving(address)
    for entry in (begins, ends):
        for refusal in netfilter.transact([entry.delete()]).failures:
            if refusal.errno == errno.EINVAL:
                return False
            _raise_unless(errno.ENOENT, refusal, address)
    return True


def _raise_unless(tolerated: int, refusal: Refusal, address: IPAddress) -> None:
    if refusal.errno != tolerated:
        raise KernelError(f"conntrack -D --src {address}", refusal.errno, refusal.extack)
