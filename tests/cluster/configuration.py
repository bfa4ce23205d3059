"""Which cluster a test is for: nodes and subnets, podnet's backend and datapath, families, kube-proxy's mode.

Not every combination is tried, but every pair of backend, datapath and families is.
"""

from typing import Literal, NamedTuple

import pytest

IPV4, DUAL = (4,), (4, 6)


class Configuration(NamedTuple):
    """A cluster's configuration; in two subnets the last node is alone in the second."""

    nodes: int
    backend: Literal["direct", "vxlan", "auto", "bgp"] = "direct"
    datapath: Literal["ptp", "bridge"] = "ptp"
    families: tuple[int, ...] = IPV4
    subnets: int = 1
    proxy: Literal["nftables", "iptables"] = "nftables"
    plugins: str = "/opt/cni/bin"
    """The folder in which containerd looks for plugins."""

    @property
    def name(self) -> str:
        """What tests are called by it."""
        stack = "dual" if self.families == DUAL else "ipv4"
        return f"{self.nodes}-{self.backend}-{self.datapath}-{stack}-{self.proxy}"


PAIRS = (
    Configuration(2, "direct", "ptp", DUAL),
    Configuration(2, "direct", "bridge", IPV4, proxy="iptables"),
    Configuration(2, "vxlan", "ptp", IPV4, subnets=2, proxy="iptables"),
    Configuration(3, "vxlan", "bridge", DUAL, subnets=2),
    Configuration(3, "auto", "ptp", DUAL, subnets=2, proxy="iptables"),
    Configuration(3, "auto", "bridge", IPV4, subnets=2),
    Configuration(2, "bgp", "ptp", DUAL),
    Configuration(2, "bgp", "bridge", IPV4, proxy="iptables"),
)


def on(*configurations: Configuration) -> pytest.MarkDecorator:
    """Have a test run on clusters of some configurations only: `cluster` is what it or a fixture of it takes."""
    names = [configuration.name for configuration in configurations]
    return pytest.mark.parametrize("cluster", configurations, ids=names, indirect=True, scope="session")
