"""Asking what is served on the cluster, from any network of it; every answer says whom the server saw."""

import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException

from podnet.testing.node import RESEND
from tests.cluster.cluster import Cluster

ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - in a namespace
SHORT = 3.0
"""Seconds that what is near may take, on a machine that has other things to do."""
REPEATS = 6


def family_of(address: str) -> int:
    """Return the IP version of an address as written."""
    return 6 if ":" in address else 4


def asked(cluster: Cluster, network: int, address: str, port: int, path: str = "/clientip") -> str:
    """Ask a pod's server by HTTP; return what it says, of `/clientip` the address that it saw."""
    with closing(cluster.open_socket(network, family_of(address))) as made:
        made.settimeout(SHORT)
        made.connect((address, port))
        connection = HTTPConnection(address, port)
        connection.sock = made
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
    return text.rpartition(":")[0].strip("[]") if path == "/clientip" else text


def asked_by_datagram(cluster: Cluster, network: int, address: str, port: int, question: str = "clientip") -> str:
    """Ask a pod's server by a datagram, as DNS does: again where no answer comes."""
    with closing(cluster.open_socket(network, family_of(address), socket.SOCK_DGRAM)) as made:
        made.settimeout(RESEND)
        made.connect((address, port))
        for _ in range(REPEATS):
            made.send(question.encode())
            try:
                text = made.recv(1 << 16).decode().strip()
            except TimeoutError:
                continue
            return text.rpartition(":")[0].strip("[]") if question == "clientip" else text
    raise TimeoutError(f"{address} port {port}/udp does not answer")


def outcome(cluster: Cluster, network: int, address: str, port: int) -> str:
    """Return whom the server saw, or why there was no answer."""
    try:
        return asked(cluster, network, address, port)
    except (OSError, HTTPException) as error:
        return f"no answer from {address} port {port}: {type(error).__name__} {error}"


def transferred(cluster: Cluster, source: int, target: int, address: str, size: int) -> int:
    """Send `size` bytes by TCP to `address` in the network `target`; return how many arrived."""
    family = family_of(address)
    with closing(cluster.open_socket(target, family)) as server, closing(cluster.open_socket(source, family)) as client:
        server.bind((ANY[family], 0))
        server.listen()
        client.connect((address, server.getsockname()[1]))
        accepted, _ = server.accept()
        with closing(accepted):
            arrived = 0
            accepted.settimeout(SHORT)
            for begin in range(0, size, CHUNK):
                client.sendall(bytes(min(CHUNK, size - begin)))
                arrived += _drained(accepted, min(CHUNK, size - begin))
        return arrived


CHUNK = 1 << 16


def _drained(connection: socket.socket, size: int) -> int:
    left = size
    while left and (data := connection.recv(left)):
        left -= len(data)
    return size - left
