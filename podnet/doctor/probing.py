"""How wide the ways to other nodes are: datagrams that may not be fragmented, to a port at which nobody listens.

The other node answers each that arrives (ICMP: port unreachable), a router each that is too wide for it.  What is
answered where a small one is but a wide one is not, vanishes on the way.
"""

import errno
import select
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import NamedTuple

from podnet.diagnosis.path_mtu import Probe

IPAddress = IPv4Address | IPv6Address

PORT = 33434
"""traceroute(8)'s first port: nobody listens there, and who filters by port knows it."""
SMALL = 64
ATTEMPTS, INTERVAL = 3, 0.3
"""How often a datagram is sent, and after how many seconds again."""
SIZES = (8950, 4000, 2000, 1500, 1492, 1480, 1450, 1430, 1400, 1350, 1280)
"""What is tried where the widest does not arrive: Ethernet, and what goes around packets on the way."""
SEARCHED = 3
"""Ways of which it is searched how wide they are."""
HEADERS = {4: 28, 6: 48}  # IP and UDP

# linux/in.h, linux/in6.h: with IP_PMTUDISC_PROBE a datagram is as wide as the link allows, whatever is known already.
IP_MTU_DISCOVER, IP_RECVERR, IP_PMTUDISC_PROBE = 10, 11, 3
IPV6_MTU_DISCOVER, IPV6_RECVERR, IPV6_DONTFRAG = 23, 25, 62
MSG_ERRQUEUE = 0x2000
# linux/errqueue.h, struct sock_extended_err: errno, origin, type, code, pad, info, data; then who sent it.
_ERROR = Struct("=IBBBxII")
_LOCAL, _ICMP, _ICMP6 = 1, 2, 3
_OFFENDER = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}  # of struct sockaddr_in and sockaddr_in6


class Target(NamedTuple):
    """Another node and the address by which it is reached."""

    node: str
    address: IPAddress


class _Answer(NamedTuple):
    """Whether a datagram arrived and, if it was too wide, the MTU that was told."""

    arrived: bool
    mtu: int = 0


def probe(targets: Sequence[Target], size: int) -> list[Probe]:
    """Return for each of `targets` what becomes of packets of `size` bytes; takes some seconds at most."""
    asked = [(target, each) for target in targets for each in (SMALL, size)]
    answers = _ask(asked)
    found, searched = [], 0
    for target in targets:
        small, wide = answers.get((target, SMALL)), answers.get((target, size))
        if wide is not None and wide.arrived:
            found.append(Probe(target.node, target.address, size, "whole", size))
        elif wide is not None and wide.mtu:
            found.append(Probe(target.node, target.address, size, "narrower", wide.mtu))
        elif small is not None and small.arrived:
            mtu = _search(target, size) if searched < SEARCHED else 0
            searched += 1
            found.append(Probe(target.node, target.address, size, "vanished", mtu))
        else:
            found.append(Probe(target.node, target.address, size, "silent"))
    return found


def _search(target: Target, size: int) -> int:
    """Return the widest of `SIZES` below `size` that arrives, 0 where none does; by halving, since answers are rare."""
    sizes = sorted(each for each in SIZES if each < size)
    low, high, widest = 0, len(sizes) - 1, 0
    while low <= high:
        middle = (low + high) // 2
        answer = _ask([(target, sizes[middle])]).get((target, sizes[middle]))
        if answer is not None and answer.arrived:
            widest, low = sizes[middle], middle + 1
        else:
            high = middle - 1
    return widest


def _ask(asked: Sequence[tuple[Target, int]]) -> dict[tuple[Target, int], _Answer]:
    """Send what is `asked` until it is answered or has been sent often enough; return the answers."""
    answers: dict[tuple[Target, int], _Answer] = {}
    sockets = {each: _open(each[0].address) for each in asked}
    try:
        poll = select.poll()
        for made in sockets.values():
            poll.register(made, 0)  # errors are always told (poll(2))
        for _ in range(ATTEMPTS):
            for each in sockets.keys() - answers.keys():
                if (refused := _send(sockets[each], *each)) is not None:
                    answers[each] = refused
            _collect(poll, sockets, answers)
    finally:
        for made in sockets.values():
            made.close()
    return answers


def _collect(
    poll: select.poll, sockets: dict[tuple[Target, int], socket.socket], answers: dict[tuple[Target, int], _Answer]
) -> None:
    """Take answers until all are there, or the time has come to send again."""
    asked = {made.fileno(): each for each, made in sockets.items()}
    deadline = time.monotonic() + INTERVAL
    while len(answers) < len(sockets) and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(1000 * left):
            each = asked[descriptor]
            if (answer := _received(sockets[each], each[0].address)) is not None:
                answers[each] = answer


def _open(address: IPAddress) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    return made


def _send(made: socket.socket, target: Target, size: int) -> _Answer | None:
    """Send a datagram; return what this machine itself says of it, None where it goes."""
    for _ in range(2):
        try:
            made.sendto(b"\0" * (size - HEADERS[target.address.version]), (str(target.address), PORT))
        except OSError as error:
            answer = _received(made, target.address)  # an earlier one's error is told first
            if answer is not None:
                return answer
            if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
                return None
        else:
            return None
    return None


def _received(made: socket.socket, address: IPAddress) -> _Answer | None:
    """Return what the socket's next error says of the datagram, None where it says nothing."""
    try:
        _, ancillary, _, _ = made.recvmsg(1 << 16, 512, MSG_ERRQUEUE)
    except OSError:
        return None
    for _, kind, content in ancillary:
        if kind in {IP_RECVERR, IPV6_RECVERR} and len(content) >= _ERROR.size:
            number, origin, _, _, info, _ = _ERROR.unpack_from(content)
            if number == errno.EMSGSIZE:
                return _Answer(arrived=False, mtu=info)
            start, length = _OFFENDER[made.family]
            offender = content[_ERROR.size + start : _ERROR.size + start + length]
            if origin in {_ICMP, _ICMP6} and offender == address.packed:
                return _Answer(arrived=True)
    return None
