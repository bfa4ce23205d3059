"""Nodes that speak WireGuard greet each other, one side first, before all of them are asked to speak at once.

Two nodes that begin a handshake within the same round trip each take the other's for the newer one and answer it, and
neither answer is of use: the protocol begins anew after five seconds (REKEY_TIMEOUT of the WireGuard paper, section
6.1, and a third of a second at random).  Between pods that is rare; a check begins everything at the same moment.
"""

import select
import socket
import time
from contextlib import ExitStack
from itertools import combinations

from podnet.lab.namespaces import inside
from podnet.lab.topology import Endpoint

PATIENCE = 8.0  # seconds; a handshake takes a millisecond, one that met another's begins anew after five
DISCARD = 9  # a TCP port at which nobody listens: that it is refused was answered by the tunnel
IPV4 = 4


def greet(ends: tuple[Endpoint, ...]) -> None:
    """Have of each two nodes the first ask something of the other's end of the tunnel, and wait for all answers."""
    nodes = [end for end in ends if end.role == "node"]
    with ExitStack() as stack:
        waiting = [stack.enter_context(_greeting(one, other)) for one, other in combinations(nodes, 2) if other.tunnel]
        deadline = time.monotonic() + PATIENCE
        while waiting and (left := deadline - time.monotonic()) > 0:
            for answered in select.select([], waiting, [], left)[1]:
                waiting.remove(answered)


def _greeting(one: Endpoint, other: Endpoint) -> socket.socket:
    """Return a socket of `one` that is connecting to `other`, where nobody listens: writable when that was answered."""
    address = other.tunnel[0]
    with inside(one.namespace):
        greeting = socket.socket(socket.AF_INET if address.version == IPV4 else socket.AF_INET6)
    greeting.setblocking(False)
    greeting.connect_ex((str(address), DISCARD))
    return greeting
