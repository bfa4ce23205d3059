"""What an ADD tells the runtime: a pure function of network, node and lease, so nothing has to be read back."""

from podnet.cni import Attached, Interface, IPConfig
from podnet.datapath import bridge_mac, gateway_of, host_mac, mtu_of, pod_mac, pod_routes
from podnet.model import Lease, Network, NodeFacts, PodRoute


def attached_of(network: Network, facts: NodeFacts, lease: Lease) -> Attached:
    """Return the result of attaching the holder of `lease`: interfaces as the reference plugins order them."""
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
    return Attached(interfaces, ips, routes, network.dns)
