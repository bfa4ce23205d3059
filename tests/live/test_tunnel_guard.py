"""Pods speak no VXLAN to nodes: what comes out of a tunnel is believed, whatever its source inside."""

from collections.abc import Callable

import pytest

from podnet.testing.node import RESEND, Node

pytestmark = pytest.mark.live

PORT = 4789
PEER = {4: "10.99.0.12", 6: "fd99::12"}
ELSEWHERE = {4: "10.99.0.1", 6: "fd99::1"}
CIDRS = {4: "10.244.2.0/24", 6: "fd00:10:244:2::/64"}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_pod_does_not_reach_a_nodes_vxlan_port(serving: Callable[..., Node], datapath: str, version: int) -> None:
    """The node itself does; and a pod reaches that port of who is no node, and other ports of nodes."""
    peer = f'  - name: n2\n    addresses: ["{PEER[version]}"]\n    pod-cidrs: ["{CIDRS[version]}"]\n'
    node = serving(datapath, (version,), more="backend: vxlan", peers=peer)
    red = node.attach("red")
    length = 24 if version == 4 else 64
    node.run("ip", "addr", "add", f"{PEER[version]}/{length}", "dev", "up1", *["nodad"][: version // 6], pod="outside")
    peer_port, peer_other, other = (
        node.udp("outside", at, port)
        for at, port in ((PEER[version], PORT), (PEER[version], PORT + 1), (ELSEWHERE[version], PORT))
    )
    pod = node.udp("red", red)
    pod.sendto(b"forged", peer_port.getsockname()[:2])
    for receiver in (peer_other, other):
        pod.sendto(b"own", receiver.getsockname()[:2])
        assert receiver.recv(64) == b"own"
    node.udp("", node_address(version)).sendto(b"node", peer_port.getsockname()[:2])
    assert peer_port.recv(64) == b"node", "the pod's datagram, which was sent before, did not arrive"
    peer_port.settimeout(RESEND)
    with pytest.raises(TimeoutError):
        peer_port.recv(64)


def node_address(version: int) -> str:
    """Return the node's own address on the uplink."""
    return {4: "10.99.0.11", 6: "fd99::11"}[version]
