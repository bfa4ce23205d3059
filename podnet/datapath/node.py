"""The node's own part: what must be there before the first pod, whatever pods come."""

from collections.abc import Iterator, Sequence

from podnet.datapath.attachment import mtu_of
from podnet.datapath.hardware import bridge_mac
from podnet.datapath.ruleset import network_elements, skeleton
from podnet.model import Network, NodeFacts, Range
from podnet.plan import GROUP_PODS, PROTOCOL, Address, Link, Plan, Route, Step, Sysctl

IPV4, IPV6 = 4, 6
UNREACHABLE_METRIC = 4_278_198_272
"""Behind every other route to the same prefix (0xff000000 + 8192, out of the way of what administrators choose)."""


def node_plan(networks: Sequence[Network], facts: NodeFacts) -> Plan:
    """Return what the node of `facts` needs to serve `networks`; a network without ranges needs nothing."""
    networks = [network for network in networks if network.ranges]
    versions = sorted({version for network in networks for version in network.families})
    if not versions:
        return Plan()
    # Of networks that share a bridge the first shapes it: pods know its MAC.
    bridges = {network.bridge: network for network in reversed(networks) if network.datapath == "bridge"}
    return Plan.of(
        *(_bridge(network, facts) for network in bridges.values()),
        _forwarding(versions, facts),
        skeleton(versions),
        network_elements(networks),
        *(_unreachable(network) for network in networks),
    )


def _bridge(network: Network, facts: NodeFacts) -> Iterator[Step]:
    gateways = _gateways(network)
    yield Step(
        Link(
            at="node",
            name=network.bridge,
            kind="bridge",
            mac=bridge_mac(gateways[0].gateway),
            mtu=mtu_of(network, facts),
            group=GROUP_PODS,
            alias=f"podnet:network:{network.name}",
            ipv6_autoconf=False,
        ),
        f"datapath bridge: network {network.name} has its pods on {network.bridge}",
    )
    if IPV6 in network.families:
        yield Step(
            Sysctl(at="node", name=f"net/ipv6/conf/{network.bridge}/disable_ipv6", value="0"),
            f"network {network.name} has an IPv6 subnet",
        )
    if IPV4 in network.families:
        yield Step(
            Sysctl(at="node", name=f"net/ipv4/conf/{network.bridge}/rp_filter", value="2"),
            f"pods' packets come by {network.bridge}, those to them leave by their ports: strict rp_filter would drop",
        )
    for pool in gateways:
        address = Address(
            at="node",
            dev=network.bridge,
            address=pool.gateway,
            prefixlen=pool.subnet.prefixlen,
            prefix_route=False,
        )
        yield Step(address, f"datapath bridge: the gateway of {pool.subnet}; each pod has a route of its own")


def _gateways(network: Network) -> list[Range]:
    """Return the first range of each subnet, in order."""
    return list({r.subnet: r for ranges in reversed(network.ranges) for r in reversed(ranges)}.values())[::-1]


def _forwarding(versions: Sequence[int], facts: NodeFacts) -> Iterator[Step]:
    if IPV4 in versions:
        yield Step(Sysctl(at="node", name="net/ipv4/ip_forward", value="1"), "the node routes its pods' IPv4 packets")
    if IPV6 in versions:
        for link in facts.ra_links:
            yield Step(
                Sysctl(at="node", name=f"net/ipv6/conf/{link}/accept_ra", value="2"),
                f"a node that forwards drops a default route learned on {link}, unless accept_ra is 2 before",
            )
        yield Step(
            Sysctl(at="node", name="net/ipv6/conf/all/forwarding", value="1"), "the node routes its pods' IPv6 packets"
        )


def _unreachable(network: Network) -> Iterator[Step]:
    for subnet in network.subnets:
        yield Step(
            Route(at="node", dst=subnet, type="unreachable", protocol=PROTOCOL, metric=UNREACHABLE_METRIC),
            f"network {network.name}: an address of {subnet} that no pod has is answered here, not sent in circles",
        )
