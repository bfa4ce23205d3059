"""Two networks on one bridge, in the kernel: their pods reach their gateways and each other."""

import subprocess
from contextlib import ExitStack
from uuid import uuid4

import pytest

from podnet import datapath
from podnet.model import Attachment, Lease, Namespace, Network, PodAddress, link_name
from podnet.plan import diff
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.values import FACTS, a_range

pytestmark = pytest.mark.live


def a_shared_network(name: str, *subnets: str) -> Network:
    """Return a network of `subnets` on br0."""
    return Network(name=name, datapath="bridge", ranges=tuple((a_range(subnet),) for subnet in subnets))


def lease_of(network: Network, container: str) -> Lease:
    """Return a lease of the seventh address of each range."""
    attachment = Attachment(network.name, container, "eth0")
    return Lease(
        attachment=attachment,
        addresses=tuple(PodAddress(r.subnet[7], r.subnet.prefixlen, r.gateway) for (r,) in network.ranges),
        link=link_name(attachment, "-br"),
        netns=None,
        netns_path=container,
        boot_id="b",
        created=0.0,
    )


def replies(pod: Namespace, address: str) -> bool:
    """Tell whether `address` answers a ping from `pod` within two seconds."""
    argv = ["nsenter", f"--net=/run/netns/{pod.path}", "ping", "-n", "-c", "1", "-W", "2", address]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_pods_of_two_networks_on_one_bridge_reach_gateways_and_each_other() -> None:
    """The second network comes when the first has a pod already, and neither suffers from the other."""
    one, two = a_shared_network("one", "10.1.0.0/24"), a_shared_network("two", "10.2.0.0/24", "fd00:2::/64")
    with ExitStack() as stack:
        node = NodeNamespace(f"shared-{uuid4().hex[:8]}", stack)
        red, blue = (node.pod(f"{node.name}-{colour}") for colour in ("red", "blue"))
        with node.inside():
            node.kernel.apply(datapath.node_plan([one], FACTS))
            node.kernel.apply(datapath.attach(one, FACTS, lease_of(one, "red")), red)
            both = datapath.node_plan([one, two], FACTS)
            node.kernel.apply(diff(node.kernel.observe(both), both))
            node.kernel.apply(datapath.attach(two, FACTS, lease_of(two, "blue")), blue)
        reached = {
            f"{pod.path.removeprefix(node.name)} {address}": replies(pod, address)
            for pod, addresses in (
                (red, ("10.1.0.1", "10.2.0.1", "10.2.0.7")),
                (blue, ("10.2.0.1", "fd00:2::1", "10.1.0.1", "10.1.0.7")),
            )
            for address in addresses
        }
    assert [what for what, did in reached.items() if not did] == []
