"""On a real cluster packets of every size get there, or their sender is told; and what bandwidth allows holds."""

import errno
import socket
from contextlib import ExitStack

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAIRS, on
from tests.cluster.paths import pod_mtu
from tests.cluster.probes import ANY, SHORT, transferred
from tests.cluster.throughput import megabits
from tests.cluster.workload import Pod, Workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

HEADERS = {4: 20 + 8, 6: 40 + 8}
"""IP and UDP (RFC 791, RFC 8200, RFC 768)."""
DISCOVER = {4: (socket.IPPROTO_IP, 10, 2), 6: (socket.IPPROTO_IPV6, 23, 2)}
"""IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_DO, no fragments (linux/in.h, linux/in6.h)."""
MEGABYTE = 1 << 20


def across(workload: Workload) -> list[tuple[Pod, Pod]]:
    """Return a pod of each node, with one of the next node and one of its own."""
    first = {pod.node.name: pod for pod in workload.web}
    names = sorted(first)
    return [(first[name], first[names[(place + 1) % len(names)]]) for place, name in enumerate(names)]


def test_a_megabyte_by_tcp(cluster: Cluster, workload: Workload) -> None:
    """A megabyte arrives whole, from pods of every node on another, and from the nodes themselves."""
    for family in cluster.configuration.families:
        for source, target in across(workload):
            for network in (source.network, source.node.host.network):
                assert transferred(cluster, network, target.network, target.addresses[family], MEGABYTE) == MEGABYTE


def test_the_largest_packet_arrives_unbroken(cluster: Cluster, workload: Workload) -> None:
    """A datagram as large as a pod's MTU that may not be broken arrives, and is answered by one as large."""
    for family in cluster.configuration.families:
        size = pod_mtu(cluster) - HEADERS[family]
        for source, target in across(workload):
            assert echoed(cluster, source, target, family, size) == size


def test_one_byte_more_is_refused_where_it_is_sent(cluster: Cluster, workload: Workload) -> None:
    """A datagram of one byte more than the MTU that may not be broken is an error at once, not a silence."""
    for family in cluster.configuration.families:
        source, target = across(workload)[0]
        with pytest.raises(OSError, match="Message too long") as refused:
            echoed(cluster, source, target, family, pod_mtu(cluster) - HEADERS[family] + 1)
        assert refused.value.errno == errno.EMSGSIZE


def echoed(cluster: Cluster, source: Pod, target: Pod, family: int, size: int) -> int:
    """Send a datagram that may not be broken, have it sent back, and return its size."""
    with ExitStack() as ends:
        server, client = (
            ends.enter_context(cluster.open_socket(pod.network, family, socket.SOCK_DGRAM)) for pod in (target, source)
        )
        server.bind((ANY[family], 0))
        for end in (server, client):
            end.setsockopt(*DISCOVER[family])
            end.settimeout(SHORT)
        client.connect((target.addresses[family], server.getsockname()[1]))
        client.send(bytes(size))
        data, sender = server.recvfrom(1 << 16)
        server.sendto(data, sender)
        return len(client.recv(1 << 16))


@on(PAIRS[0], PAIRS[3])
def test_bandwidth_annotations_hold(cluster: Cluster, workload: Workload) -> None:
    """What a pod's annotations allow gets to it and from it, and about no more; others are as fast as ever."""
    shaped, other = workload.shaped, workload.alone
    assert 10 < megabits(cluster, other, shaped) < 24
    assert 20 < megabits(cluster, shaped, other) < 48
    assert megabits(cluster, workload.ported, other) > 200
