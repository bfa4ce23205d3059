"""What is left of pods: connections of addresses and host ports are forgotten, and no others; namespaces are known."""

import os
import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from podnet.kernel.namespace import reopened
from podnet.model import NamespaceId, PortMapping
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


def to_port(number: int, port: int, protocol: str, source: str, destination: str) -> str:
    """Return the command that tracks a connection of `source`'s port `number` to a `port` of `destination`."""
    state = " --state ESTABLISHED" if protocol == "tcp" else ""
    return (
        f"conntrack -I -p {protocol} --timeout 600 --orig-src {source} --orig-dst {destination} --reply-src "
        f"{destination} --reply-dst {source} --sport {number} --dport {port} --reply-port-src {port} "
        f"--reply-port-dst {number}{state};"
    )


def test_datagrams_to_a_host_port_are_forgotten(space: NodeNamespace) -> None:
    """UDP to that port in both families; not TCP, not what comes from that port, not other ports; none is no fault."""
    four, six = ("192.0.2.1", "10.99.0.11"), ("2001:db8::1", "fd99::11")
    space.sh(
        "".join(
            to_port(5353, 7, "udp", *pair) + to_port(9, 5353, "udp", *pair) + to_port(9, 5353, "tcp", *pair)
            + to_port(9, 5354, "udp", *pair)
            for pair in (four, six)
        )
    )  # fmt: skip

    def left() -> set[tuple[str, ...]]:
        """Return (protocol, source, source port, destination port)."""
        listed = space.sh("conntrack -L -f ipv4 2>/dev/null; conntrack -L -f ipv6 2>/dev/null")
        return set(re.findall(r"^(\w+) .*?src=(\S+) dst=\S+ sport=(\d+) dport=(\d+)", listed, re.MULTILINE))

    before = left()
    assert len(before) == 8
    with space.inside():
        space.kernel.forget_ports([PortMapping("tcp", 5354, 1)])
        assert left() == before
        for _ in range(2):
            space.kernel.forget_ports([PortMapping("udp", 5353, 1), PortMapping("udp", 5353, 2, ip_address("::"))])
            assert before - left() == {("udp", source, "9", "5353") for source, _ in (four, six)}


def test_the_namespace_of_a_lease_is_opened_where_its_path_leads_to_it(space: NodeNamespace, tmp_path: Path) -> None:
    """Another one there, or none in a folder that is there, is certain; a folder out of sight is not."""
    pod = space.pod(f"{space.name}-p")
    path = f"/run/netns/{pod.path}"
    with reopened(path, pod.id) as (found, certain):
        assert found is not None
        assert (found.id, found.path, certain) == (pod.id, path, True)
        descriptor = found.descriptor
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    for where, wanted, expected in (
        (path, NamespaceId(pod.id.device, pod.id.inode + 1), (None, True)),
        (str(tmp_path / "none"), pod.id, (None, True)),
        (str(tmp_path / "no" / "such"), pod.id, (None, False)),
        ("/proc/1/no/such", None, (None, False)),
    ):
        with reopened(where, wanted) as outcome:
            assert outcome == expected
