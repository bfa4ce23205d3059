"""Pod sandboxes by containerd: what kubelet asks for, made by the runtime that clusters use."""

import pytest

from podnet.testing.node import Node
from tests.runtimes.containerd import Containerd
from tests.runtimes.traffic import connect, ping, rate

pytestmark = pytest.mark.live

MANY = 50
FIRST_PORT = 30000
NODE, OUTSIDE = "10.99.0.11", "10.99.0.1"


def test_fifty_sandboxes_at_once(node: Node, containerd: Containerd) -> None:
    """Each has an address of its own that node and outside reach by ICMP, UDP and TCP; their end leaves nothing."""
    before = node.state()
    calls = [containerd.begin(f"pod{number}") for number in range(MANY)]
    sandboxes = [containerd.made(call) for call in calls]
    addresses = [sandbox.address for sandbox in sandboxes]
    assert len(set(addresses)) == MANY
    assert all(address.startswith("10.244.1.") for address in addresses)
    ping(node, "", addresses)
    ping(node, "outside", addresses)
    for sandbox in sandboxes:
        assert node.exchange("", sandbox.place, sandbox.address) == NODE
        assert node.exchange("outside", sandbox.place, sandbox.address) == OUTSIDE
        assert node.exchange(sandbox.place, "outside", OUTSIDE) == NODE
        assert connect(node, "", sandbox.place, sandbox.address) == NODE
        assert connect(node, "outside", sandbox.place, sandbox.address) == OUTSIDE
    containerd.remove(sandbox.id for sandbox in sandboxes)
    containerd.assert_nothing_left(before)


def test_host_ports_of_fifty_sandboxes(node: Node, containerd: Containerd) -> None:
    """A port of the node leads to each pod, from outside with the asker's address; later it leads nowhere."""
    before = node.state()
    ports = range(FIRST_PORT, FIRST_PORT + MANY)
    calls = [containerd.begin(f"pod{port}", ports=[{"host_port": port, "container_port": 80}]) for port in ports]
    sandboxes = [containerd.made(call) for call in calls]
    for port, sandbox in zip(ports, sandboxes, strict=True):
        assert connect(node, "outside", sandbox.place, NODE, port) == OUTSIDE
        assert connect(node, "", sandbox.place, NODE, port)
        assert connect(node, "", sandbox.place, "127.0.0.1", port)
    containerd.remove(sandbox.id for sandbox in sandboxes)
    containerd.assert_nothing_left(before)


def test_a_host_port_of_one_address_and_protocol(node: Node, containerd: Containerd) -> None:
    """A mapping with hostIP is for that address of the node only, one of UDP not for TCP; without hostPort is none."""
    node.run("ip", "addr", "add", "10.99.0.12/24", "dev", "up0")
    udp = {"protocol": 1, "host_port": 7, "container_port": 4007, "host_ip": "10.99.0.12"}
    red = containerd.run("red", ports=[udp, {"container_port": 4008}])
    assert node.exchange("outside", red.place, "10.99.0.12", heard=4007) == OUTSIDE
    with pytest.raises(ConnectionRefusedError):
        connect(node, "outside", red.place, "10.99.0.12", 7)
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
        node.exchange("outside", red.place, NODE, heard=4007)


def test_bandwidth_annotations_hold(node: Node, containerd: Containerd) -> None:
    """What kubelet's annotations allow gets to a pod and from it, and about no more, though containerd's burst is 2^32.

    A pod without them, beside it, is as fast as ever.
    """
    before = node.state()
    limits = {"kubernetes.io/ingress-bandwidth": "20M", "kubernetes.io/egress-bandwidth": "40M"}
    red, blue = containerd.run("red", annotations=limits), containerd.run("blue")
    assert 10 < rate(node, "", red.place, red.address) < 24
    assert 20 < rate(node, "outside", red.place, red.address, back=True) < 48
    assert rate(node, "", blue.place, blue.address) > 200
    containerd.remove([red.id, blue.id])
    containerd.assert_nothing_left(before)


def test_podnet_is_all_that_containerd_needs(node: Node, containerd: Containerd) -> None:
    """Sandboxes come up in a bin folder of podnet's making: lo, which containerd asks `loopback` for, is up."""
    before = node.state()
    assert sorted(plugin.name for plugin in (node.root / "opt/cni/bin").iterdir()) == ["loopback", "podnet"]
    red = containerd.run("red")
    (lo,) = node.json("ip", "-j", "addr", "show", "lo", pod=red.place)
    assert "UP" in lo["flags"]
    assert "127.0.0.1" in [address["local"] for address in lo["addr_info"]]
    assert connect(node, red.place, red.place, "127.0.0.1") == "127.0.0.1"
    told = red.result["Interfaces"]
    assert "127.0.0.1" in [config["IP"] for config in told["lo"]["IPConfigs"]]
    assert [config["IP"] for config in told["eth0"]["IPConfigs"]] == [red.address]
    containerd.remove([red.id])
    containerd.assert_nothing_left(before)


def test_a_node_is_ready_when_podnet_serves(waiting: Containerd) -> None:
    """There is no network to a containerd that was there first until podnet's list appears, by itself."""
    node = waiting.node
    assert not waiting.condition("NetworkReady")["status"]
    node.start()
    waiting.wait_network()
    assert waiting.condition("RuntimeReady")["status"]
