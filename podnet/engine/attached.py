"""What an ADD tells the runtime: a pure function of network, node and lease, so nothing has to be read back."""

from ipaddress import IPv4Address, IPv6Address

from podnet.cni import Attached, Interface, IPConfig
from podnet.datapath import bridge_mac, gateway_of, host_mac, mtu_of, pod_mac, pod_routes
from podnet.model import Lease, Network, NodeFacts, PodRoute


def attached_of(network: Network, facts: NodeFacts, lease: Lease) -> Attached:
    """Return the result of attaching the holder of `lease`: interfaces as the reference plugins order them.

    An IPAM plugin's result has addresses alone (SPEC.md, "Delegated plugins (IPAM)").
    """
    if network.datapath == "none":
        given = tuple(IPConfig(a.address, a.prefixlen, a.gateway) for a in lease.addresses)
        return Attached((), given, network.routes, lease.terms.dns or network.dns)
    mtu = mtu_of(network, facts)
    host = Interface(lease.link, host_mac(network, lease), "", mtu)
    pod = Interface(lease.attachment.ifname, pod_mac(lease), lease.netns_path, mtu)
    bridged = network.datapath == "bridge"
    interfaces = (Interface(network.bridge, bridge_mac(network.bridge), "", mtu), host, pod) if bridged else (host, pod)
    pod_index = len(interfaces) - 1
    ips = tuple(
        IPConfig(
            address=leased.address,
            prefixlen=leased.prefixlen if bridged else leased.host_prefixlen,
            gateway=gateway_of(network, leased),
            interface=pod_index,
        )
        for leased in lease.addresses
    )
    routes = tuple(PodRoute(dst, via) for dst, via in pod_routes(network, lease))
    return Attached(interfaces, ips, routes, lease.terms.dns or network.dns)


def loopback_of(netns: str) -> Attached:
    """Return the result of setting `lo` up in the namespace `netns`."""
    interface = Interface("lo", "00:00:00:00:00:00", netns)
    addresses = (IPConfig(IPv4Address("127.0.0.1"), 8, None, 0), IPConfig(IPv6Address("::1"), 128, None, 0))
    return Attached((interface,), addresses)
