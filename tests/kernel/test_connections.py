"""Forgetting connections: those of the addresses asked for, in both families and directions, and no others."""

import re
from ipaddress import ip_address

import pytest

from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live


def entry(port: int, source: str, destination: str, answers: str = "") -> str:
    """Return the command that tracks a connection from `port`; `answers` is who replies, where DNAT made it another."""
    reply = f"--reply-src {answers or destination} --reply-dst {source}"
    return (
        f"conntrack -I -p udp --timeout 600 --orig-src {source} --orig-dst {destination} {reply} --sport {port} "
        f"--dport 53 --reply-port-src 53 --reply-port-dst {port};"
    )


def tracked(space: NodeNamespace) -> set[str]:
    """Return SOURCE>DESTINATION of what is tracked."""
    listed = space.sh("conntrack -L -f ipv4 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")
    return {f"{source}>{target}" for source, target in re.findall(r"^udp.*?src=(\S+) dst=(\S+)", listed, re.MULTILINE)}


@pytest.mark.parametrize(
    ("gone", "peer", "stays", "service"),
    [
        ("10.244.1.2", "10.244.1.9", "10.244.1.20", "10.96.0.1"),
        ("fd00::2", "fd00::9", "fd00::20", "fd96::1"),
    ],
)
def test_the_connections_of_an_address_go(space: NodeNamespace, gone: str, peer: str, stays: str, service: str) -> None:
    """From it, to it, and to it behind a service's address; not those between others, nor of the other family."""
    other = "192.0.2.1>192.0.2.2" if ":" in gone else "2001:db8::1>2001:db8::2"
    space.sh(
        entry(1, gone, peer) + entry(2, peer, gone) + entry(3, peer, service, answers=gone) + entry(4, stays, peer)
        + entry(5, peer, stays) + entry(6, stays, service, answers=peer) + entry(7, *other.split(">"))
    )  # fmt: skip
    assert len(tracked(space)) == 7
    with space.inside():
        space.kernel.forget_connections([ip_address(gone)])
        assert tracked(space) == {f"{stays}>{peer}", f"{peer}>{stays}", f"{stays}>{service}", other}
        space.kernel.forget_connections([ip_address(gone)])
        space.kernel.forget_connections([])
        space.kernel.forget_connections([ip_address(stays), ip_address(peer)])
    assert tracked(space) == {other}
