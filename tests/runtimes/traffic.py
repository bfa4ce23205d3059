"""Whether packets arrive: many pings at once, one TCP connection, and a rate."""

import json
import socket

import pytest

from podnet.testing.node import Node

PING = """
for address in "$@"; do ping -nqc 1 -W 10 $address >/dev/null & began="$began $!"; done
for one in $began; do wait $one; done
"""
TBF = ("rate", "1gbit", "burst", "1mb", "limit", "1mb")


def ping(node: Node, source: str, addresses: list[str]) -> None:
    """Ping all `addresses` at once; raise `RuntimeError` where one does not answer."""
    node.run("sh", "-euc", "began=" + PING, "sh", *addresses, pod=source)


def connect(node: Node, source: str, target: str, address: str, port: int = 80) -> str:
    """Connect from `source` to `address`, `port`, where `target` listens at port 80; return whom it saw ask."""
    with node.open_socket(target, socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", 80))
        server.listen()
        with node.open_socket(source, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((address, port))
            client.sendall(b"question")
            served, asker = server.accept()
            with served:
                assert served.recv(64) == b"question"
                served.sendall(b"answer")
            assert client.recv(64) == b"answer"
    return str(asker[0])


def rate(node: Node, source: str, target: str, address: str, *, back: bool = False) -> float:
    """Return the megabits per second that get from `source` to `target` at `address`, or `back`; skip without tbf."""
    try:
        node.run("tc", "qdisc", "replace", "dev", "lo", "root", "tbf", *TBF, pod="outside")
    except RuntimeError as error:
        pytest.skip(f"the kernel has no token bucket filter (sch_tbf): {error}")
    serve = ("ip", "netns", "exec", target, "iperf3", "--server", "--one-off", "--forceflush")
    with node.background(*serve):
        command = ["iperf3", "--client", address, "--time", "2", "--json", *(["--reverse"] if back else [])]
        told = json.loads(node.run(*command, pod=source))
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e6
