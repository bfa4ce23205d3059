"""How much goes from a pod to another."""

import socket
import threading
from contextlib import ExitStack
from time import monotonic

from tests.cluster.cluster import Cluster
from tests.cluster.probes import ANY
from tests.cluster.workload import Pod

BEGIN, MEASURED = 0.5, 1.5
"""Seconds until a bucket's first tokens are spent, and of the measurement."""


def megabits(cluster: Cluster, source: Pod, target: Pod, family: int = 4) -> float:
    """Send by TCP for some seconds; return how many Mbit/s arrive once what a burst allows is over."""
    with ExitStack() as ends:
        listener = ends.enter_context(cluster.open_socket(target.network, family))
        listener.bind((ANY[family], 0))
        listener.listen()
        client = ends.enter_context(cluster.open_socket(source.network, family))
        client.connect((target.addresses[family], listener.getsockname()[1]))
        accepted, _ = listener.accept()
        ends.enter_context(accepted)
        over = threading.Event()
        sender = threading.Thread(target=_send, args=(client, over))
        sender.start()
        try:
            _received(accepted, BEGIN)
            began = monotonic()
            arrived = _received(accepted, MEASURED)
            return arrived * 8 / 1e6 / (monotonic() - began)
        finally:
            over.set()
            accepted.close()
            sender.join()


def _send(client: socket.socket, over: threading.Event) -> None:
    try:
        while not over.is_set():
            client.sendall(bytes(1 << 16))
    except OSError:
        return  # the other end has enough


def _received(connection: socket.socket, seconds: float) -> int:
    until, arrived = monotonic() + seconds, 0
    while monotonic() < until:
        arrived += len(connection.recv(1 << 18))
    return arrived
