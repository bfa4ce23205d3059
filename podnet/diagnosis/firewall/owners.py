"""Whose a rule is, told by the names that its maker gives to tables and chains."""

import msgspec

from podnet.diagnosis.firewall.ruleset import IPTABLES_CHAINS, Ruleset

UFW_CHAINS, DOCKER_USER = "ufw", "DOCKER-USER"


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Who makes rules: `name`, how its tables and chains begin, and whether its rules are the cluster's policies."""

    name: str
    tables: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    policy: bool = False


UFW = Owner("ufw", chains=(UFW_CHAINS,))
DOCKER = Owner("docker", tables=("docker",), chains=("DOCKER",))
FIREWALLD = Owner("firewalld", tables=("firewalld",))
UNKNOWN = Owner("somebody")

_OWNERS = (
    FIREWALLD,
    UFW,
    Owner("kube-router", tables=("kube-router",), chains=("KUBE-ROUTER", "KUBE-POD-FW", "KUBE-NWPLCY"), policy=True),
    Owner("Calico", tables=("calico",), chains=("cali-",), policy=True),
    Owner("Cilium", tables=("cilium",), chains=("CILIUM",), policy=True),
    Owner("kube-network-policies", tables=("kube-network-policies", "kindnet-network-policies"), policy=True),
    Owner("Antrea", chains=("ANTREA",), policy=True),
    Owner("kube-proxy", tables=("kube-proxy",), chains=("KUBE-",)),
    Owner("flannel", tables=("flannel",), chains=("FLANNEL",)),
    Owner("libvirt", tables=("libvirt",), chains=("LIBVIRT", "LIBVIRT_")),
    Owner("podman", tables=("netavark",), chains=("NETAVARK", "CNI-")),
    Owner("Tailscale", chains=("ts-",)),
    Owner("fail2ban", tables=("f2b",), chains=("f2b",)),
    Owner("CrowdSec", tables=("crowdsec", "crowdsec6"), chains=("CROWDSEC",)),
    DOCKER,
)
_OF_POLICIES = (UFW, DOCKER)
"""Who sets the policy of iptables' own chains, as far as it is known."""


def owner(ruleset: Ruleset, chain: str, text: str) -> Owner:
    """Return who made the rule `text` of `chain`, or the chain's policy where there is no text.

    In iptables' own chains everybody has rules: whose a rule there is its text tells (docker0), and of a policy those
    chains tell that are beside it.
    """
    for one in _OWNERS:
        if any(ruleset.table.name.startswith(name) for name in one.tables):
            return one
        if any(chain.startswith(name) for name in one.chains):
            return one
    if text:
        return DOCKER if "docker" in text else UNKNOWN
    if chain in IPTABLES_CHAINS:
        for one in _OF_POLICIES:
            if any(other.startswith(one.chains) for other in ruleset.chains):
                return one
    return UNKNOWN
