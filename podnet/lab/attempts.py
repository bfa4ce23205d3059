"""The probes and the servers that answer them, as generators over sockets.

Every client's first bytes are a token of its own; the server that gets it notes who it is itself and which source
address it saw, and sends the bytes back.  So a probe knows not only that an answer came, but from whom, and as whom
it was seen.
"""

import errno
import os
import selectors
import socket
import struct
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from podnet.lab.matrix import Kind, Probe
from podnet.lab.topology import IPAddress

PORT = 9110
BULK = 8192  # bytes that a TCP probe sends and wants back: several segments, whatever the MTU
TOKEN = 8

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
PMTUDISC_PROBE = 3  # DF on every packet, and sizes up to the link's own MTU whatever is cached: each check asks anew
IP_RECVERR, IPV6_RECVERR = 11, 25
IPV6_DONTFRAG = 62
ICMP_FILTER, ICMPV6_FILTER = 1, 1
ICMP_ECHO, ICMP_ECHOREPLY = 8, 0
ICMPV6_ECHO, ICMPV6_ECHOREPLY = 128, 129
SO_EE_ORIGIN_LOCAL = 1
_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err, linux/errqueue.h
_ECHO = struct.Struct("!BBHHH")
UDP_HEADER = 8
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Failed(Exception):  # noqa: N818 - a finding about the network, not a fault of this program
    """What was found instead of what was expected."""


class Wait(NamedTuple):
    """What a generator waits for; `spawned` are further generators to begin, without a deadline."""

    socket: socket.socket
    events: int
    spawned: tuple["Steps", ...] = ()


Steps = Generator[Wait, None, None]


class Seen:
    """Which server got which token, and from which address."""

    def __init__(self) -> None:
        self._notes: dict[bytes, tuple[str, IPAddress]] = {}

    def note(self, token: bytes, server: str, source: str) -> None:
        """Note that the server of endpoint `server` got `token` from address `source`."""
        self._notes[token] = (server, ip_address(source.split("%", maxsplit=1)[0]))

    def compare(self, token: bytes, probe: Probe) -> None:
        """Raise `Failed` unless the probe's target got `token` from an address that was expected."""
        server, source = self._notes[token]
        if server != probe.target:
            raise Failed(f"{server} answered in its place")
        if probe.seen and source not in probe.seen:
            raise Failed(f"the target saw {source}, not {' or '.join(map(str, probe.seen))}")


def family(address: IPAddress) -> socket.AddressFamily:
    """Return the socket family of `address`."""
    return socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET


def attempt(probe: Probe, seen: Seen) -> Steps:
    """Return the generator that carries out `probe`."""
    if probe.to is None:
        return _no_address(probe)
    return {
        Kind.TCP: _tcp,
        Kind.UDP: _udp,
        Kind.ICMP: _icmp,
        Kind.FULL: _udp,
        Kind.TOO_BIG: _too_big,
    }[probe.kind](probe, probe.to, seen)


def _no_address(probe: Probe) -> Steps:
    raise Failed(f"{probe.target} has no IPv{probe.version} address")
    yield  # a generator like the others


def _tcp(probe: Probe, to: IPAddress, seen: Seen) -> Steps:
    token = os.urandom(TOKEN)
    with closing(_open(to, socket.SOCK_STREAM)) as client:
        number = client.connect_ex((str(to), PORT))
        if number not in {0, errno.EINPROGRESS}:
            raise OSError(number, os.strerror(number))
        yield Wait(client, WRITE)
        number = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        left = token + os.urandom(BULK - TOKEN)
        want = left
        while left:
            left = left[client.send(left) :]
            if left:
                yield Wait(client, WRITE)
        got = b""
        while len(got) < BULK:
            yield Wait(client, READ)
            data = client.recv(BULK)
            if not data:
                raise Failed(f"the connection ended after {len(got)} of {BULK} bytes")
            got += data
        if got != want:
            raise Failed("what came back is not what was sent")
        seen.compare(token, probe)


def _udp(probe: Probe, to: IPAddress, seen: Seen) -> Steps:
    token = os.urandom(TOKEN)
    with closing(_open(to, socket.SOCK_DGRAM)) as client:
        if probe.size:
            _never_fragment(client)
        client.connect((str(to), PORT))
        try:
            client.send(token.ljust(payload(probe), b"\0"))
            yield Wait(client, READ)
            if client.recv(TOKEN) != token:
                raise Failed("what came back is not what was sent")
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise Failed(f"{probe.size} bytes are too big: {_too_big_news(client)}") from error
            raise
        seen.compare(token, probe)


def _too_big(probe: Probe, to: IPAddress, _seen: Seen) -> Steps:
    with closing(_open(to, socket.SOCK_DGRAM)) as client:
        _never_fragment(client)
        client.connect((str(to), PORT))
        try:
            client.send(os.urandom(TOKEN).ljust(payload(probe), b"\0"))
            yield Wait(client, READ)
            client.recv(TOKEN)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
        else:
            raise Failed(f"{probe.size} bytes with DF arrived, larger than the path's MTU of {probe.mtu}")
        news = _too_big_news(client)
        if news.mtu != probe.mtu:
            raise Failed(f"{news}; expected MTU {probe.mtu}")
        if news.local is probe.by_router:
            raise Failed(f"{news}; expected that of {'a router' if probe.by_router else 'the own link'}")


def payload(probe: Probe) -> int:
    """Return the bytes of UDP payload that make an IP packet of the probe's size."""
    if not probe.size:
        return TOKEN
    return probe.size - (40 if probe.version == 6 else 20) - UDP_HEADER  # noqa: PLR2004 - RFC 8200, RFC 791


class News(NamedTuple):
    """What the error queue says of a packet that was too big: the MTU, and who said so."""

    mtu: int
    local: bool
    teller: str

    def __str__(self) -> str:
        return f"MTU {self.mtu} says {self.teller}"


def _too_big_news(client: socket.socket) -> News:
    """Return the newest EMSGSIZE in the socket's error queue (ip(7), IP_RECVERR)."""
    try:
        _, control, _, _ = client.recvmsg(1, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError as error:
        raise Failed("refused as too big, but nobody said by whom") from error
    for level, kind, data in control:
        if (level, kind) in {(socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)}:
            number, origin, _type, _code, _pad, mtu, _data = _ERROR.unpack_from(data)
            if number == errno.EMSGSIZE:
                local = origin == SO_EE_ORIGIN_LOCAL
                return News(mtu, local, "the own stack" if local else _offender(data[_ERROR.size :]))
    raise Failed("refused as too big, but the error queue holds something else")


def _offender(sockaddr: bytes) -> str:
    """Return the address in a struct sockaddr_in or sockaddr_in6."""
    (number,) = struct.unpack_from("=H", sockaddr)
    if number == socket.AF_INET:
        return str(ip_address(sockaddr[4:8]))
    if number == socket.AF_INET6:
        return str(ip_address(sockaddr[8:24]))
    return "somebody without an address"


def _icmp(_probe: Probe, to: IPAddress, _seen: Seen) -> Steps:
    six = isinstance(to, IPv6Address)
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    with closing(socket.socket(family(to), socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)) as client:
        # A raw socket hears all ICMP of its namespace; the filters (icmp(7), RFC 3542) leave replies.
        if six:
            wanted = [0xFFFFFFFF] * 8
            wanted[ICMPV6_ECHOREPLY >> 5] ^= 1 << (ICMPV6_ECHOREPLY & 31)
            client.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *wanted))
        else:
            client.setsockopt(socket.IPPROTO_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF ^ (1 << ICMP_ECHOREPLY)))
        client.connect((str(to), 0))
        token = os.urandom(TOKEN)
        identity = int.from_bytes(token[:2], "big")
        client.send(echo_request(six, identity, token))
        while True:
            yield Wait(client, READ)
            packet = client.recv(512)
            message = packet if six else packet[(packet[0] & 15) * 4 :]
            if message[4:6] == token[:2] and message[_ECHO.size :] == token:
                return


def echo_request(six: bool, identity: int, data: bytes) -> bytes:
    """Return an ICMP echo request; the kernel itself fills in the checksum of ICMPv6, not that of ICMP."""
    kind = ICMPV6_ECHO if six else ICMP_ECHO
    blank = _ECHO.pack(kind, 0, 0, identity, 1) + data
    return blank if six else _ECHO.pack(kind, 0, checksum(blank), identity, 1) + data


def checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _open(to: IPAddress, kind: int) -> socket.socket:
    return socket.socket(family(to), kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _never_fragment(client: socket.socket) -> None:
    if client.family == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def tcp_server(kind: socket.AddressFamily, where: Any, name: str, seen: Seen) -> Steps:
    """Return the server of endpoint `name` at socket address `where`: it sends back what it gets."""
    with ExitStack() as stack:
        server = stack.enter_context(closing(socket.socket(kind, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(where)
        server.listen(512)
        accepted: Iterable[Steps] = ()
        while True:
            yield Wait(server, READ, tuple(accepted))
            accepted = [_serve(connection, source[0], name, seen) for connection, source in _accepted(server)]


def _accepted(server: socket.socket) -> list[tuple[socket.socket, Any]]:
    found: list[tuple[socket.socket, Any]] = []
    while True:
        try:
            connection, source = server.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return found
        connection.setblocking(False)
        found.append((connection, source))


def _serve(connection: socket.socket, source: str, name: str, seen: Seen) -> Steps:
    with closing(connection):
        got = b""
        while len(got) < BULK:
            yield Wait(connection, READ)
            data = connection.recv(BULK)
            if not data:
                return
            got += data
        seen.note(got[:TOKEN], name, source)
        while got:
            yield Wait(connection, WRITE)
            got = got[connection.send(got) :]


def udp_server(kind: socket.AddressFamily, where: Any, name: str, seen: Seen) -> Steps:
    """Return the server of endpoint `name` at socket address `where`: it sends back the token of what it gets."""
    with closing(socket.socket(kind, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) as server:
        server.bind(where)
        while True:
            yield Wait(server, READ)
            try:
                data, source = server.recvfrom(65535)
                seen.note(data[:TOKEN], name, source[0])
                server.sendto(data[:TOKEN], source)
            except OSError:
                continue
