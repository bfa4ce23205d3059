"""Forgetting connections: an address that is given again must not inherit what conntrack remembers of it.

An entry begins at its original source and ends at the source of its replies, also behind DNAT; a pod's address can be
either, so two messages per address delete all that is its own, each with one walk of the kernel's table.  Where the
kernel cannot be asked so (before 6.11, and for IPv6 at all) one dump serves all addresses of the call.
"""

import errno
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from podnet.errors import KernelError
from podnet.kernel.socket import NetlinkSocket
from podnet.model import PortMapping
from podnet.netlink.attributes import IPAddress
from podnet.netlink.message import Request
from podnet.netlink.netfilter.conntrack import (
    IPPROTO_UDP,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    Conntrack,
    forget_among,
    involving,
    to_port,
)
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


def forget_ports(netfilter: NetlinkSocket, ports: Sequence[PortMapping]) -> None:
    """Delete the entries of datagrams to host `ports`; raise `KernelError` where the kernel refuses.

    A UDP flow goes where its first datagram went, for as long as it goes on: past a mapping that came later too.
    """
    for number in sorted({mapping.host_port for mapping in ports if mapping.protocol == "udp"}):
        for family in FAMILIES.values():
            for request in _to_port(netfilter, family, number):
                for refusal in netfilter.transact([request]).failures:
                    if refusal.errno != errno.ENOENT:
                        raise KernelError(f"conntrack -D -p udp --dport {number}", refusal.errno, refusal.extack)


def _to_port(netfilter: NetlinkSocket, family: int, number: int) -> Iterator[Request]:
    """Let the kernel delete what goes to UDP port `number`; where it cannot, yield a request for each entry."""
    entry = to_port(family, IPPROTO_UDP, number)
    failures = netfilter.transact([entry.delete()]).failures
    if not any(refusal.errno == errno.EINVAL for refusal in failures):
        return
    for reply in netfilter.dump(Conntrack(family=family).dump()):
        found = Conntrack.decode(reply.payload, only=("orig", "id", "zone"))
        protocol = found.orig.protocol if found.orig else None
        if protocol is not None and (protocol.number, protocol.dport) == (IPPROTO_UDP, number):
            yield Conntrack(family=family, orig=found.orig, id=found.id, zone=found.zone).delete()


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
