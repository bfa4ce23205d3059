"""What a machine knows of itself."""

from ipaddress import ip_address

import pytest

from podnet.errors import NodeNotReady
from podnet.kernel.facts import boot_id, node_facts
from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live

V4, V6 = ip_address("10.99.0.11"), ip_address("fd99::11")
SECOND = (
    "ip link add up1 mtu 1400 type veth peer name far1; ip link set up1 up; ip link set far1 up; ip link set far0 up;"
    "ip addr add 10.98.0.11/24 dev up1"
)


def test_the_uplink_has_the_nodes_address(space: NodeNamespace) -> None:
    """With addresses listed, the link that has one is the uplink, whatever the default route; its MTU is the node's."""
    space.sh(f"{SECOND}; ip route add default via 10.99.0.1 dev up0")
    with space.inside():
        facts = node_facts("n1", addresses=[ip_address("10.98.0.11")])
    assert (facts.uplink, facts.mtu, facts.addresses) == ("up1", 1400, (ip_address("10.98.0.11"),))
    assert facts.boot_id == boot_id()


def test_else_the_default_route_tells(space: NodeNamespace) -> None:
    """Of several default routes that of the lowest metric leads over the uplink; its first addresses are the node's."""
    space.sh(
        f"{SECOND}; ip route add default via 10.99.0.1 dev up0 metric 200;"
        "ip route add default via 10.98.0.1 dev up1 metric 100"
    )
    with space.inside():
        facts = node_facts("n1")
        assert (facts.uplink, facts.mtu, facts.addresses) == ("up1", 1400, (ip_address("10.98.0.11"),))
        space.sh("ip route del default metric 100")
        facts = node_facts("n1")
    assert (facts.uplink, facts.mtu, facts.addresses) == ("up0", 1500, (V4, V6))


def test_an_address_on_lo_tells_no_uplink(space: NodeNamespace) -> None:
    """A node that is reached by an address on lo, as routing protocols have it, has its default route's uplink."""
    space.sh(f"{SECOND}; ip addr add 192.0.2.1/32 dev lo; ip route add default via 10.98.0.1 dev up1")
    with space.inside():
        facts = node_facts("n1", addresses=[ip_address("192.0.2.1")])
    assert (facts.uplink, facts.addresses) == ("up1", (ip_address("192.0.2.1"),))


def test_a_named_uplink_is_taken_or_missed(space: NodeNamespace) -> None:
    """The settings' uplink goes before all else; one that is not there is an error that says how to see which are."""
    space.sh(SECOND)
    with space.inside():
        assert node_facts("n1", uplink="up1", addresses=[V4]).uplink == "up1"
        with pytest.raises(NodeNotReady, match="uplink eth7: no such link; `ip link`"):
            node_facts("n1", uplink="eth7")


def test_subnets_are_what_the_uplink_reaches_without_a_gateway(space: NodeNamespace) -> None:
    """Its prefix routes, whoever made them; not what is behind a gateway, on another link, or link-local.

    A prefix length alone, without the route, does not count.
    """
    space.sh(
        f"{SECOND}; ip route add 10.97.0.0/16 dev up0; ip route add 10.96.0.0/16 via 10.99.0.1;"
        "ip route add default via 10.99.0.1; ip addr add 10.95.0.1/24 dev up0 noprefixroute;"
        "ip addr add fe80::7/64 dev up0 nodad; ip -6 route add fd98::/64 via fd99::1;"
        "ip route add unreachable 10.94.0.0/16"
    )
    with space.inside():
        facts = node_facts("n1", addresses=[V4])
        assert set(map(str, facts.subnets)) == {"10.99.0.0/24", "10.97.0.0/16", "fd99::/64"}
        assert [str(s) for s in node_facts("n1", uplink="up1").subnets] == ["10.98.0.0/24"]


def test_a_node_may_stand_alone(space: NodeNamespace) -> None:
    """Without addresses listed and without a default route there is no uplink, and the MTU is Ethernet's."""
    with space.inside():
        facts = node_facts("n1")
    assert (facts.uplink, facts.mtu, facts.addresses, facts.subnets) == ("", 1500, (), ())


def test_addresses_that_the_machine_does_not_have_do_not_count(space: NodeNamespace) -> None:
    """A listed address that is on no link is none of the node's own."""
    with space.inside():
        facts = node_facts("n1", addresses=[V4, ip_address("fd99::99")])
    assert (facts.uplink, facts.addresses) == ("up0", (V4,))


@pytest.mark.parametrize(
    ("accept_ra", "forwarding", "listens"), [(0, 0, False), (1, 0, True), (1, 1, False), (2, 0, True), (2, 1, True)]
)
def test_links_that_listen_to_routers_are_known(
    space: NodeNamespace, accept_ra: int, forwarding: int, listens: bool
) -> None:
    """accept_ra 1 counts only where the link does not forward; 2 always."""
    space.sh(f"sysctl -qw net.ipv6.conf.up0.forwarding={forwarding} net.ipv6.conf.up0.accept_ra={accept_ra}")
    with space.inside():
        assert ("up0" in node_facts("n1").ra_links) == listens
