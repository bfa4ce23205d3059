"""Lists of nodes, valid by construction."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import strategies as st

from podnet.model import Node


def a_node(number: int, families: str, pools: int) -> Node:
    """Return the node of that `number`: its addresses and pod CIDRs follow from it, so no two nodes share any."""
    addresses, cidrs = [], []
    if "4" in families:
        addresses.append(ip_address(f"10.99.{number // 250}.{number % 250 + 1}"))
        cidrs += [ip_network(f"10.{100 + pool}.{number}.0/24") for pool in range(pools)]
    if "6" in families:
        addresses.append(ip_address(f"fd99::{number + 1:x}"))
        cidrs += [ip_network(f"fd00:10:{pool:x}:{number:x}::/64") for pool in range(pools)]
    return Node(f"node-{number}", tuple(addresses), tuple(cidrs))


@pytest.fixture(scope="session")
def clusters() -> st.SearchStrategy[list[Node]]:
    """Return a strategy of clusters that contradict themselves nowhere."""
    node = st.builds(a_node, st.integers(0, 250), st.sampled_from(["4", "6", "46"]), st.integers(0, 3))
    return st.lists(node, max_size=8, unique_by=lambda node: node.name)
