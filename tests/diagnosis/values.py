"""Values that several tests of this room take."""

from ipaddress import ip_address, ip_network

from podnet.model import Node, NodeFacts


def node(name: str, number: int, *, cidr: str = "") -> Node:
    """Return a node at 192.0.2.`number` with pods in 10.244.`number`.0/24, or in `cidr`."""
    pods = ip_network(cidr or f"10.244.{number}.0/24")
    return Node(name, (ip_address(f"192.0.2.{number}"),), (pods,))


FACTS = NodeFacts(
    name="n1",
    boot_id="",
    uplink="eth0",
    addresses=(ip_address("192.0.2.1"),),
    subnets=(ip_network("192.0.2.0/24"),),
)
