"""What ``runtimeConfig`` asks for besides addresses, checked: CONVENTIONS.md, "Dynamic plugin specific fields".

=================== ===================================================================================================
``portMappings``    ports of the node that lead to the pod; `hostPort` 0 asks for none and is passed over
``bandwidth``       bits and bits per second, as the bandwidth plugin has them; a burst left out, or one that holds
                    nothing back (runtimes without an opinion send 2^31-1 or 2^32-1), is a fiftieth of a second's worth
``mac``             the pod's hardware address
``aliases``         names under which the pod is to be found
``dns``             name servers of this pod, which the result repeats in place of the network's
=================== ===================================================================================================
"""

import re

from podnet.cni.document import BandwidthEntry, PortEntry, RuntimeEntry
from podnet.cni.ranges import address, limited
from podnet.errors import InvalidConfiguration
from podnet.model import DNS, PLAIN, Bandwidth, PortMapping, Rate, Terms
from podnet.model.terms import Protocol

PORT_MOST = 65535
BYTE = 8
UNBOUNDED = (1 << 31) - 1
"""Bits: what a runtime that has no opinion on bursts sends, or more."""
BURST_LEAST = 128 << 10
"""Bytes: two of the largest packets that a veth passes on unsegmented (GSO_LEGACY_MAX_SIZE)."""
RATE_LEAST = 1000
"""Bits per second."""
RATE_MOST = 1 << 40
"""Bits per second: a hundred times what a node's links carry; tbf's fields end somewhere above."""
_U32 = (1 << 32) - 1

_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ALIAS = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.IGNORECASE | re.ASCII
)


def terms_of(runtime: RuntimeEntry | None, network: str, mac: str | None = None) -> Terms:
    """Return what `runtime` asks of `network`; `mac` is what ``args.cni`` says, which counts where `runtime` has none.

    Raise InvalidConfiguration naming the entry.
    """
    if runtime is None:
        return Terms(mac=mac_of(mac, "args.cni.mac")) if mac else PLAIN
    own = runtime.mac
    terms = Terms(
        ports=_ports(runtime.port_mappings or []),
        bandwidth=_bandwidth(runtime.bandwidth) if runtime.bandwidth else PLAIN.bandwidth,
        mac=mac_of(own, "runtimeConfig.mac") if own else mac_of(mac, "args.cni.mac") if mac else "",
        aliases=_aliases(runtime.aliases or [], network),
        dns=dns_of(runtime.dns.servers, None, runtime.dns.searches, runtime.dns.options) if runtime.dns else None,
    )
    return PLAIN if terms == PLAIN else terms


def mac_of(text: str, where: str) -> str:
    """Return a hardware address in the kernel's spelling; raise InvalidConfiguration for one that no link can have."""
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise InvalidConfiguration(f"{where}: {text[:80]!r} is no MAC address: write six octets, as 0a:58:0a:f4:01:02")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InvalidConfiguration(
            f"{where}: {mac} is no single link's address (multicast or all zero): choose another"
        )
    return mac


def dns_of(servers: list[str] | None, domain: str | None, search: list[str] | None, options: list[str] | None) -> DNS:
    """Return what the result tells of name servers, which are addresses; raise InvalidConfiguration."""
    servers = limited(servers or [], "dns.nameservers")
    for index, server in enumerate(servers):
        address(server, f"dns.nameservers[{index}]")
    return DNS(tuple(servers), domain or "", tuple(search or ()), tuple(options or ()))


def _ports(entries: list[PortEntry]) -> tuple[PortMapping, ...]:
    found: dict[PortMapping, None] = {}
    leads: dict[tuple[object, ...], PortMapping] = {}
    for index, entry in enumerate(limited(entries, "runtimeConfig.portMappings")):
        where = f"runtimeConfig.portMappings[{index}]"
        if not entry.host_port:
            continue
        mapping = PortMapping(
            protocol=_protocol(entry.protocol, where),
            host_port=_port(entry.host_port, f"{where}.hostPort"),
            container_port=_port(entry.container_port, f"{where}.containerPort"),
            host_ip=address(entry.host_ip, f"{where}.hostIP") if entry.host_ip else None,
        )
        for version in (4, 6):
            if not mapping.serves(version):
                continue
            # 0.0.0.0 and no address at all are the same place of IPv4
            other = leads.setdefault((mapping.protocol, mapping.host_port, version, mapping.only_at), mapping)
            if other.container_port != mapping.container_port:
                raise InvalidConfiguration(
                    f"{where}: host port {mapping} leads to the pod's port {other.container_port} already, "
                    f"and cannot lead to {mapping.container_port} too: drop one"
                )
        found[mapping] = None
    return tuple(found)


def _protocol(text: str | None, where: str) -> Protocol:
    protocol = _PROTOCOLS.get((text or "tcp").lower())
    if protocol is None:
        raise InvalidConfiguration(f"{where}.protocol: {(text or '')[:80]!r} is none of {', '.join(_PROTOCOLS)}")
    return protocol


def _port(number: int, where: str) -> int:
    if not 0 < number <= PORT_MOST:
        raise InvalidConfiguration(f"{where}: {number} is no port: write 1 to {PORT_MOST}")
    return number


def _bandwidth(entry: BandwidthEntry) -> Bandwidth:
    return Bandwidth(
        ingress=_rate(entry.ingress_rate, entry.ingress_burst, "ingress"),
        egress=_rate(entry.egress_rate, entry.egress_burst, "egress"),
    )


def _rate(rate: int | None, burst: int | None, way: str) -> Rate | None:
    """Return the limit of one direction, given in bits; None where no rate is given."""
    where = f"runtimeConfig.bandwidth.{way}"
    if not rate:
        if burst and burst < UNBOUNDED:
            raise InvalidConfiguration(f"{where}Burst: {burst} without a rate limits nothing: add {way}Rate")
        return None
    if not RATE_LEAST <= rate <= RATE_MOST:
        raise InvalidConfiguration(
            f"{where}Rate: {rate} bits per second is out of range: write {RATE_LEAST} to {RATE_MOST}"
        )
    if burst is not None and burst < 0:
        raise InvalidConfiguration(f"{where}Burst: {burst} is no number of bits: leave it out for the default")
    bytes_per_second = rate // BYTE
    asked = burst // BYTE if burst and burst < UNBOUNDED else bytes_per_second // 50
    # The time in which a burst is earned must fit 32 bits of the scheduler's 64 ns ticks.
    earned = bytes_per_second * 64 * _U32 // 1_000_000_000
    return Rate(bytes_per_second, min(max(asked, BURST_LEAST), earned))


def _aliases(told: list[str] | dict[str, list[str]], network: str) -> tuple[str, ...]:
    names = told.get(network, []) if isinstance(told, dict) else told
    for index, name in enumerate(limited(names, "runtimeConfig.aliases")):
        if not _ALIAS.fullmatch(name):
            raise InvalidConfiguration(
                f"runtimeConfig.aliases[{index}]: {name[:80]!r} is no host name: letters, digits, '-', '_' and '.'"
            )
    return tuple(dict.fromkeys(names))
