"""The default network: a pure function of the settings, the nodes and the machine."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster import Settings, default_network, standalone_network
from podnet.errors import NodeNotReady
from podnet.model import Network, Node, NodeFacts, Range

ONE = Node("n1", (ip_address("10.99.0.11"),), (ip_network("10.244.1.0/24"), ip_network("fd00:10:244:1::/64")))
TWO = Node("n2", (ip_address("10.99.0.12"), ip_address("fd99::12")), (ip_network("10.244.2.0/24"),))


def facts(name: str) -> NodeFacts:
    """Return the facts of a machine called `name`."""
    return NodeFacts(name=name, boot_id="boot")


def test_settings_and_nodes_make_the_network() -> None:
    """Ranges are the node's own CIDRs; the cluster's CIDRs and the owner's own list are not masqueraded."""
    settings = Settings(
        node="n1",
        network="pods",
        datapath="bridge",
        bridge="br7",
        mtu=1400,
        cluster_cidrs=(ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
        masquerade=False,
        non_masquerade_cidrs=(ip_network("192.168.0.0/16"), ip_network("10.99.0.0/30")),
        quarantine=7.0,
    )
    assert default_network(settings, (ONE, TWO), facts("n1")) == Network(
        name="pods",
        datapath="bridge",
        bridge="br7",
        mtu=1400,
        masquerade=False,
        non_masquerade=(
            ip_network("10.99.0.0/30"),
            ip_network("10.244.0.0/16"),
            ip_network("192.168.0.0/16"),
            ip_network("fd00:10:244::/56"),
        ),
        ranges=(
            (
                Range(
                    subnet=ip_network("10.244.1.0/24"),
                    first=ip_address("10.244.1.1"),
                    last=ip_address("10.244.1.254"),
                    gateway=ip_address("10.244.1.1"),
                ),
            ),
            (
                Range(
                    subnet=ip_network("fd00:10:244:1::/64"),
                    first=ip_address("fd00:10:244:1::1"),
                    last=ip_address("fd00:10:244:1:ffff:ffff:ffff:ffff"),
                    gateway=ip_address("fd00:10:244:1::1"),
                ),
            ),
        ),
        quarantine=7.0,
    )


def test_what_the_nodes_are_is_not_the_networks_business() -> None:
    """A network does not change with every node that comes or goes: that they see pods' addresses is for the mesh."""
    alone, beside = (default_network(Settings(node="n2"), nodes, facts("n2")) for nodes in ((TWO,), (ONE, TWO)))
    assert alone == beside
    assert (alone.non_masquerade, alone.mtu) == ((), 0)


def test_pods_links_leave_room_for_the_tunnel_also_where_the_node_is_not_listed() -> None:
    """A configuration that brings its own ranges has the same links; an MTU that is set is kept."""
    six = NodeFacts(name="n1", boot_id="b", addresses=(ip_address("fd99::11"),))
    network = standalone_network(Settings(node="n1", backend="vxlan", mtu=1300), six)
    assert (network.mtu, network.overhead) == (1300, 70)


@pytest.mark.parametrize(("cidr", "last"), [("10.0.0.0/30", "10.0.0.2"), ("fd00::/126", "fd00::3")])
def test_the_smallest_pools(cidr: str, last: str) -> None:
    """A /30 has one address beside its gateway, a /126 has two."""
    node = Node("n", (ip_address("192.0.2.1"),), (ip_network(cidr),))
    ((only,),) = default_network(Settings(node="n"), (node,), facts("n")).ranges
    assert (only.gateway, only.last) == (only.first, ip_address(last))


def test_the_machine_decides_which_node_it_is() -> None:
    """A machine that is not listed, or has no pod CIDR, has no network yet."""
    with pytest.raises(NodeNotReady, match="called n3"):
        default_network(Settings(node="n3"), (ONE, TWO), facts("n3"))


@given(data=st.data())
def test_any_cluster(data: st.DataObject, clusters: st.SearchStrategy[list[Node]]) -> None:
    """Each family is one range set in the node's order."""
    nodes = data.draw(clusters)
    for node in nodes:
        if not node.pod_cidrs:
            continue
        network = default_network(Settings(node=node.name), nodes, facts(node.name))
        assert [r.subnet for ranges in network.ranges for r in ranges] == sorted(
            node.pod_cidrs, key=lambda cidr: cidr.version
        )
        assert all(len({r.subnet.version for r in ranges}) == 1 for ranges in network.ranges)
