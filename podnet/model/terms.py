"""The terms of a lease: what the runtime asked for besides addresses, and through whom the addresses came.

They are kept with the lease, so that its plan can be rebuilt, compared and taken back without the runtime.
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import msgspec

from podnet.model.network import DNS

IPAddress = IPv4Address | IPv6Address
Protocol = Literal["tcp", "udp", "sctp"]


class PortMapping(msgspec.Struct, frozen=True, gc=False):
    """One of ``runtimeConfig.portMappings``: a port of the node that leads to a port of the pod.

    `host_ip` None means every address of the node, 0.0.0.0 and :: every one of their family; else that one alone.
    """

    protocol: Protocol
    host_port: int
    container_port: int
    host_ip: IPAddress | None = None

    def serves(self, version: int) -> bool:
        """Tell whether it leads to the pod's address of IP `version`."""
        return self.host_ip is None or self.host_ip.version == version

    @property
    def only_at(self) -> IPAddress | None:
        """The one address of the node at which the port is asked for, None for any."""
        return None if self.host_ip is None or self.host_ip.is_unspecified else self.host_ip

    def __str__(self) -> str:
        """Return the node's side as errors call it: ``8080/tcp``, ``192.0.2.11:8080/tcp``."""
        if self.host_ip is None:
            return f"{self.host_port}/{self.protocol}"
        return f"{bracketed(self.host_ip)}:{self.host_port}/{self.protocol}"


def bracketed(address: IPAddress) -> str:
    """Return an address as it stands before a port (RFC 3986, 3.2.2)."""
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IP version


class Rate(msgspec.Struct, frozen=True, gc=False):
    """What one direction is held to: `rate` in bytes per second, `burst` in bytes at once."""

    rate: int
    burst: int


class Bandwidth(msgspec.Struct, frozen=True, gc=False):
    """``runtimeConfig.bandwidth``: `ingress` is what the pod receives, `egress` what it sends; None: no limit."""

    ingress: Rate | None = None
    egress: Rate | None = None


class KubernetesPod(msgspec.Struct, frozen=True, gc=False):
    """Which pod the container is, by CNI_ARGS ``K8S_POD_NAMESPACE``, ``K8S_POD_NAME`` and ``K8S_POD_UID``.

    `annotations` are podnet's of its object in the API, as they were at ADD.
    """

    namespace: str
    name: str
    uid: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Delegation(msgspec.Struct, frozen=True, gc=False):
    """How another plugin was asked for the addresses, so that it can be told when they are no longer needed.

    `plugin` is ``ipam.type``; `configuration` the JSON that ADD brought, `args` CNI_ARGS, `path` CNI_PATH.
    """

    plugin: str
    configuration: str
    args: str = ""
    path: str = ""


class Terms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All of it.

    `mac` "" means the one that follows from the address; `aliases` are names for a resolver; `dns` None: the network's.
    """

    ports: tuple[PortMapping, ...] = ()
    bandwidth: Bandwidth = Bandwidth()
    mac: str = ""
    aliases: tuple[str, ...] = ()
    dns: DNS | None = None
    pod: KubernetesPod | None = None
    delegation: Delegation | None = None


PLAIN = Terms()
"""The terms of an attachment of which nothing special was asked."""
