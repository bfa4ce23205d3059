"""Talk between places of a :class:`podnet.testing.node.Node`: to a port here that is heard at a port there."""

import socket
from contextlib import ExitStack
from typing import Any

from podnet.testing.node import DEFAULT_CONFIGURATION, RESEND, Node
from podnet.testing.waiting import PATIENCE

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - in a namespace
QUESTION, ANSWER = b"question", b"answer"


def mapped(*ports: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with host ports, as containerd hands them in."""
    return {**DEFAULT_CONFIGURATION, "runtimeConfig": {"portMappings": list(ports)}}


def port(host: int, container: int, protocol: str = "tcp", ip: str | None = None) -> dict[str, Any]:
    """Return an entry of portMappings; a `hostIP` only where there is one."""
    entry: dict[str, Any] = {"hostPort": host, "containerPort": container, "protocol": protocol}
    return entry if ip is None else {**entry, "hostIP": ip}


def version_of(address: str) -> int:
    """Return the IP version of an address as text."""
    return 6 if ":" in address else 4


def listener(node: Node, protocol: str, place: str, address: str, port: int) -> socket.socket:
    """Return a socket that hears `protocol` at `port` of `address` in `place`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = node.open_socket(place, family, KINDS[protocol])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if protocol == "tcp":
        made.listen()
    return made


def client(node: Node, protocol: str, place: str, address: str) -> socket.socket:
    """Return a socket in `place` that can speak to `address`."""
    return node.open_socket(place, socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[protocol])


def asked(node: Node, protocol: str, source: str, address: str, port: int, *, at: tuple[str, int]) -> str:
    """Ask `port` of `address` from `source`, answer at a (place, port), and return whom that place saw ask.

    A datagram that is not heard is sent again, as whoever speaks UDP does.
    """
    place, heard = at
    with ExitStack() as ends:
        server = ends.enter_context(listener(node, protocol, place, ANY[version_of(address)], heard))
        asker = ends.enter_context(client(node, protocol, source, address))
        asker.connect((address, port))
        if protocol == "udp":
            return _by_datagrams(server, asker, f"{place or 'the node'} hears nothing at {heard}/udp")
        accepted, seen = server.accept()
        ends.enter_context(accepted)
        accepted.settimeout(PATIENCE)
        asker.sendall(QUESTION)
        assert accepted.recv(len(QUESTION), socket.MSG_WAITALL) == QUESTION  # noqa: S101 - a test asks
        accepted.sendall(ANSWER)
        assert asker.recv(len(ANSWER), socket.MSG_WAITALL) == ANSWER  # noqa: S101 - likewise
        return str(seen[0])


def refusal(node: Node, source: str, address: str, number: int) -> int:
    """Return the errno with which a TCP connection from `source` is refused, 0 where it is not."""
    with client(node, "tcp", source, address) as asker:
        return asker.connect_ex((address, number))


def _by_datagrams(server: socket.socket, asker: socket.socket, otherwise: str) -> str:
    server.settimeout(RESEND)
    for _ in range(int(PATIENCE / RESEND)):
        asker.send(QUESTION)
        try:
            question, seen = server.recvfrom(1 << 16)
        except TimeoutError:
            continue
        assert question == QUESTION  # noqa: S101 - a test asks
        server.sendto(ANSWER, seen)
        assert asker.recv(1 << 16) == ANSWER  # noqa: S101 - likewise
        return str(seen[0])
    raise TimeoutError(otherwise)
