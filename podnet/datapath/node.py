"""The node's own part: what must be there before the first pod, whatever pods come."""

from collections.abc import Iterator, Sequence
from itertools import chain

from podnet.datapath.attachment import mtu_of, why_mtu
from podnet.datapath.hardware import bridge_mac
from podnet.datapath.ports import port_skeleton
from podnet.datapath.ruleset import network_elements, skeleton
from podnet.model import Network, NodeFacts, Range
from podnet.model.network import IPAddress, IPNetwork
from podnet.plan import GROUP_PODS, PROTOCOL, Address, Link, Plan, Route, Step, Sysctl

IPV4, IPV6 = 4, 6
UNREACHABLE_METRIC = 4_278_198_272
"""Behind every other route to the same prefix (0xff000000 + 8192, out of the way of what administrators choose)."""


def node_plan(networks: Sequence[Network], facts: NodeFacts) -> Plan:
    """Return what the node of `facts` needs to serve `networks`; a network without ranges needs nothing."""
    networks = [network for network in networks if network.ranges and network.datapath != "none"]
    versions = _versions(networks)
    if not versions:
        return Plan()
    bridges: dict[str, list[Network]] = {}
    for network in networks:
        if network.datapath == "bridge":
            bridges.setdefault(network.bridge, []).append(network)
    return Plan.of(
        *(_bridge(name, sharing, facts) for name, sharing in bridges.items()),
        _forwarding(versions, facts),
        skeleton(versions),
        port_skeleton(_versions(bridged)) if (bridged := list(chain(*bridges.values()))) else (),
        network_elements(networks),
        _unreachable(networks),
    )


def _versions(networks: Sequence[Network]) -> list[int]:
    """Return the IP versions in use, in order."""
    return sorted({version for network in networks for version in network.families})


def _bridge(name: str, networks: Sequence[Network], facts: NodeFacts) -> Iterator[Step]:
    """Yield the bridge `name` as all `networks` that share it need it, with each gateway once; the first says whose."""
    first = networks[0].name
    widest = max(networks, key=lambda network: mtu_of(network, facts))
    families = {version: network.name for network in reversed(networks) for version in network.families}
    yield Step(
        Link(
            at="node",
            name=name,
            kind="bridge",
            mac=bridge_mac(name),
            mtu=mtu_of(widest, facts),
            group=GROUP_PODS,
            alias=f"podnet:network:{first}",
            ipv6_autoconf=False,
            route_localnet=IPV4 in families,
        ),
        f"datapath bridge: network {first} has its pods on {name}{why_mtu(widest, facts)}",
    )
    if IPV6 in families:
        yield Step(
            Sysctl(at="node", name=f"net/ipv6/conf/{name}/disable_ipv6", value="0"),
            f"network {families[IPV6]} has an IPv6 subnet",
        )
    if IPV4 in families:
        yield Step(
            Sysctl(at="node", name=f"net/ipv4/conf/{name}/rp_filter", value="2"),
            f"pods' packets come by {name}, those to them leave by their ports: strict rp_filter would drop",
        )
    gateways: dict[IPAddress, Range] = {}
    for pool in (pool for network in networks for ranges in network.ranges for pool in ranges):
        gateways.setdefault(pool.gateway, pool)
    for pool in gateways.values():
        address = Address(
            at="node",
            dev=name,
            address=pool.gateway,
            prefixlen=pool.subnet.prefixlen,
            prefix_route=False,
        )
        yield Step(address, f"datapath bridge: the gateway of {pool.subnet}; each pod has a route of its own")


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


def _unreachable(networks: Sequence[Network]) -> Iterator[Step]:
    owners: dict[IPNetwork, str] = {}
    for network in networks:
        for subnet in network.subnets:
            owners.setdefault(subnet, network.name)
    for subnet, owner in owners.items():
        yield Step(
            Route(at="node", dst=subnet, type="unreachable", protocol=PROTOCOL, metric=UNREACHABLE_METRIC),
            f"network {owner}: an address of {subnet} that no pod has is answered here, not sent in circles",
        )
