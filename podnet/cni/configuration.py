"""The network configuration: from a plugin's JSON to `model.Network`, over the node's own defaults, and back to a file.

=========================== =========================================================================================
``datapath``, ``bridge``    how pods are attached: ``ptp`` or ``bridge``, and the bridge's name
``mtu``                     of pods' links; 0 or left out: the node's
``masquerade``, ``ipMasq``  whether traffic that leaves the cluster takes the node's address
``nonMasqueradeCIDRs``      destinations that see the pod's own address all the same
``hairpin``, ``hairpinMode`` whether a pod may reach itself through its own service or host port
``isDefaultGateway``        true: a default route per family is added to ``ipam.routes`` where those have none
``dns``                     handed through to the result
``ipam.ranges``             range sets in host-local's shape; ``ipam.subnet`` and its kin: one more set before them
``ipam.routes``             routes for pods; left out: a default route per family
``ipam.quarantine``         seconds before a released address is given again
``runtimeConfig.ipRanges``  range sets before all others; ``ips`` asks for addresses
``args.cni.ips``, ``.mac``  ask for addresses, and for a hardware address
=========================== =========================================================================================

What is left out comes from the defaults.  The other capabilities of ``runtimeConfig`` are read in `capabilities`.

An ``ipam.type`` other than podnet is the name of a plugin that is asked for addresses (`delegate`); its keys are its
own.  A ``type`` other than podnet with ``ipam.type`` podnet is the configuration of another plugin which asks podnet.
"""

import msgspec

from podnet.cni.capabilities import dns_of, terms_of
from podnet.cni.decoding import (
    PLUGIN,
    Role,
    decode,
    decode_as,
    decode_runtime,
    part_of,
    stated_part,
    stated_version,
    with_runtime_config,
)
from podnet.cni.document import (
    Document,
    Identity,
    IpamEntry,
    ListFile,
    PluginType,
    RangeEntry,
    RouteEntry,
    RuntimeEntry,
)
from podnet.cni.names import check_link_name, check_network_name
from podnet.cni.ranges import SINGLE, IPAddress, IPNetwork, NamedSet, address, limited, network, range_sets
from podnet.cni.versions import HIGHEST, INSTALLED, UNSTATED, VERSIONS, ordinal, select, supported
from podnet.errors import IncompatibleVersion, InvalidConfiguration, RequestError, UnsupportedField
from podnet.model import DNS, PLAIN, Network, PodRoute, Range, Terms
from podnet.model.network import Datapath

CAPABILITIES = ("portMappings", "bandwidth", "ips", "mac", "dns", "aliases")
"""What the installed list declares.  Not ipRanges: with it containerd would send the node's own range for every pod."""

_DATAPATHS: dict[str, Datapath] = {"ptp": "ptp", "bridge": "bridge"}
_MTU_LEAST = {4: 68, 6: 1280}  # RFC 791, RFC 8200: what a link must carry
_MTU_MOST = 65535  # the kernel's ETH_MAX_MTU


class Configuration(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One plugin's configuration as a runtime sends it, checked.

    `addresses` are those the configuration asks for (``args.cni.ips``, ``runtimeConfig.ips``), `terms` what else the
    runtime does.  `capabilities` are the names the administrator declared.  `prev_result` is JSON still, empty where
    there is none.  `delegate` is the ``ipam.type`` of another plugin, "" where podnet gives the addresses itself.
    """

    cni_version: str
    network: Network
    addresses: tuple[IPAddress, ...] = ()
    capabilities: frozenset[str] = frozenset()
    prev_result: bytes = b""
    role: Role = "interface"
    delegate: str = ""
    terms: Terms = PLAIN


_recent: dict[tuple[bytes, bool], tuple[Network, Configuration]] = {}
"""By the bytes less those of ``runtimeConfig``, and whether there were any: without it they are JSON no more."""
_RECENT = 64  # configurations: a node has one or two, each with a few forms
_RECENT_BYTES = 4096  # longer ones are parsed every time


def parse(stdin: bytes, defaults: Network) -> Configuration:
    """Return the configuration in `stdin`, over the node's `defaults`.

    Raise IncompatibleVersion, DecodingFailure, UnsupportedField or InvalidConfiguration.  Runtimes send the same bytes
    for every pod but for ``runtimeConfig``, so what was parsed last is remembered without that.
    """
    stdin, part = with_runtime_config(stdin)
    static = (stdin.replace(part, b"", 1), True) if part else (stdin, False)
    known = _recent.get(static)
    if known is not None and known[0] is defaults:
        if not part:
            return known[1]
        runtime = decode_runtime(part)
        if runtime is not None and runtime.ip_ranges is None:
            return _for_pod(known[1], runtime)
    try:
        document = decode(stdin)
    except RequestError:
        # A version from after podnet's time may well have keys podnet does not know: say the cause, not the symptom.
        check_version(stated_version(stdin) or "")
        raise
    configuration = _configuration(document, defaults)
    if len(static[0]) <= _RECENT_BYTES and not configuration.prev_result:  # which differs for every pod
        _remember(static, defaults, document, configuration)
    return configuration


def _remember(static: tuple[bytes, bool], defaults: Network, document: Document, configuration: Configuration) -> None:
    """Keep what `configuration` is without ``runtimeConfig``, unless that changes the network too."""
    changing = document.runtime_config
    if changing is not None and changing.ip_ranges is not None:
        return
    if len(_recent) >= _RECENT:
        _recent.clear()
    if changing is not None:
        document.runtime_config = None
        configuration = _configuration(document, defaults, configuration.network)
    _recent[static] = (defaults, configuration)


def _for_pod(static: Configuration, runtime: RuntimeEntry) -> Configuration:
    """Return a remembered configuration with what `runtime` asks for one pod."""
    terms = terms_of(runtime, static.network.name, static.terms.mac)
    if not runtime.ips:
        return static if terms is PLAIN is static.terms else msgspec.structs.replace(static, terms=terms)
    asked = _requested(limited(runtime.ips, "runtimeConfig.ips"))
    return msgspec.structs.replace(static, terms=terms, addresses=tuple(dict.fromkeys((*static.addresses, *asked))))


def identify(stdin: bytes, defaults: Network) -> Configuration:
    """Return what DEL and GC need: the network's name and podnet's role, over the `defaults`.

    A configuration that was changed for the worse since ADD must not keep a pod from being removed.  Raise
    DecodingFailure where `stdin` is no JSON, InvalidConfiguration where it has no usable name.
    """
    name = check_network_name(decode_as(stdin, Identity).name)
    version = stated_version(stdin) or UNSTATED
    role, delegate = stated_part(stdin)
    return Configuration(
        cni_version=version if supported(version) else HIGHEST,
        network=defaults if defaults.name == name else msgspec.structs.replace(defaults, name=name),
        role=role,
        delegate=delegate,
    )


def check_version(stated: str) -> str:
    """Return the version a configuration states, or what leaving it out means; raise IncompatibleVersion."""
    version = stated or UNSTATED
    if supported(version):
        return version
    raise IncompatibleVersion(
        f"cniVersion {version[:80]!r} is none that podnet speaks: write {HIGHEST} or lower",
        f"supported: {', '.join(VERSIONS)}",
    )


def load(document: bytes, defaults: Network) -> Network:
    """Return the network of a whole ``.conf`` or ``.conflist`` file, over the node's `defaults`.

    Raise as `parse` does, and InvalidConfiguration where no plugin of a list is podnet.
    """
    outer = decode_as(document, ListFile)
    plugins = [document] if outer.plugins is None else [bytes(plugin) for plugin in outer.plugins]
    types = [decode_as(plugin, PluginType).type for plugin in plugins]
    if PLUGIN not in types:
        told = ", ".join(types)[:80] or "none"
        raise InvalidConfiguration(f"the file has no plugin of type {PLUGIN!r}: its plugins' types are {told}")
    if outer.plugins is None:
        return parse(document, defaults).network
    # What no version in common means is told by the stated one.
    version = select(outer.cni_version or "", outer.cni_versions or ()) or check_version(outer.cni_version or "")
    return parse(_derive(plugins[types.index(PLUGIN)], outer.name, version), defaults).network


def _derive(plugin: bytes, name: str | None, version: str) -> bytes:
    """Return a plugin's configuration as the runtime would send it (SPEC.md, "Deriving request configuration")."""
    derived = decode_as(plugin, dict[str, msgspec.Raw])
    derived["name"] = msgspec.Raw(msgspec.json.encode(name))
    derived["cniVersion"] = msgspec.Raw(msgspec.json.encode(version))
    return msgspec.json.encode(derived)


def render_conflist(name: str, plugin: dict[str, object] | None = None) -> bytes:
    """Return the ``.conflist`` file podnet installs for the network `name`; `plugin` holds keys besides ``type``."""
    document = {
        "cniVersion": INSTALLED,
        "cniVersions": [version for version in VERSIONS if ordinal(version) >= ordinal("0.3.1")],
        "name": check_network_name(name),
        "plugins": [{"type": PLUGIN, "capabilities": dict.fromkeys(CAPABILITIES, True), **(plugin or {})}],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _configuration(document: Document, defaults: Network, network: Network | None = None) -> Configuration:
    """Return what `document` says; `network` is the one it amounts to, where that is known."""
    version = check_version(document.cni_version or "")
    name = check_network_name(document.name)
    role, delegate = part_of(document.type, document.ipam.type if document.ipam else None)
    asked = document.args.cni if document.args else None
    addresses: list[IPAddress] = []
    if asked and asked.ips:
        addresses += _requested(limited(asked.ips, "args.cni.ips"))
    if document.runtime_config and document.runtime_config.ips:
        addresses += _requested(limited(document.runtime_config.ips, "runtimeConfig.ips"))
    previous = bytes(document.prev_result)
    return Configuration(
        cni_version=version,
        network=network or _network(document, name, defaults, role, delegate),
        addresses=tuple(dict.fromkeys(addresses)),
        capabilities=frozenset([key for key, on in (document.capabilities or {}).items() if on]),
        prev_result=b"" if previous == b"null" else previous,
        role=role,
        delegate=delegate,
        terms=terms_of(document.runtime_config, name, asked.mac if asked else None),
    )


def _requested(texts: list[str]) -> list[IPAddress]:
    return [requested_address(text, "an address asked for") for text in texts]


def requested_address(text: str, where: str) -> IPAddress:
    """Return an address asked for, as ``10.1.2.3`` or ``10.1.2.3/24``: its range says the prefix length."""
    return address(text.partition("/")[0], where)


def _network(document: Document, name: str, defaults: Network, role: Role, delegate: str) -> Network:
    """Merge the configuration over the `defaults`, and check what only shows together."""
    if role == "loopback":
        return Network(name=name)
    ipam = document.ipam or IpamEntry()
    own = IpamEntry() if delegate else ipam
    pooled = Network(
        name=name,
        datapath="none",
        ranges=() if delegate else _ranges(document, own) or defaults.ranges,
        routes=defaults.routes if own.routes is None else _routes(own.routes),
        dns=_dns(document, defaults),
        quarantine=defaults.quarantine if own.quarantine is None else _quarantine(own.quarantine),
    )
    if own.routes and pooled.ranges:
        _check_families(pooled)
    if role == "ipam":
        return pooled
    merged = msgspec.structs.replace(
        pooled,
        datapath=_datapath(document.datapath, defaults),
        bridge=defaults.bridge if document.bridge is None else check_link_name(document.bridge, "bridge"),
        mtu=defaults.mtu if document.mtu is None else document.mtu,
        masquerade=_either(document.masquerade, document.ip_masq, "masquerade", "ipMasq", defaults.masquerade),
        non_masquerade=_non_masquerade(document, defaults),
        hairpin=_either(document.hairpin, document.hairpin_mode, "hairpin", "hairpinMode", defaults.hairpin),
    )
    if document.mtu:
        _check_mtu(document.mtu, merged)
    if document.is_default_gateway is not None and not delegate:
        return _default_gateway(merged, wanted=document.is_default_gateway)
    return merged


def require_addresses(configuration: Configuration) -> None:
    """Raise InvalidConfiguration where nothing says which addresses pods may have."""
    if not configuration.network.ranges and not configuration.delegate:
        raise InvalidConfiguration(
            f"network {configuration.network.name!r} has no address ranges: give ipam.subnet or ipam.ranges, "
            "or pod-cidrs in the node's nodes.yaml"
        )


def _ranges(document: Document, ipam: IpamEntry) -> tuple[tuple[Range, ...], ...]:
    sets: list[NamedSet] = []
    if document.runtime_config and document.runtime_config.ip_ranges:
        sets += [
            (f"runtimeConfig.ipRanges[{i}]", entries) for i, entries in enumerate(document.runtime_config.ip_ranges)
        ]
    if ipam.subnet is not None:
        single = RangeEntry(ipam.subnet, ipam.range_start, ipam.range_end, ipam.gateway, ipam.exclude)
        sets.append((SINGLE, [single]))
    elif ipam.range_start or ipam.range_end or ipam.gateway or ipam.exclude:
        raise InvalidConfiguration("ipam has rangeStart, rangeEnd, gateway or exclude, but no subnet: add it")
    sets += [(f"ipam.ranges[{i}]", entries) for i, entries in enumerate(ipam.ranges or ())]
    return range_sets(sets) if sets else ()


def _datapath(text: str | None, defaults: Network) -> Datapath:
    if text is None:
        return defaults.datapath
    known = _DATAPATHS.get(text)
    if known is None:
        raise UnsupportedField(f"network configuration: datapath {text[:80]!r} is unknown: say 'ptp' or 'bridge'")
    return known


def _either(own: bool | None, alias: bool | None, own_name: str, alias_name: str, default: bool) -> bool:
    if own is None:
        return default if alias is None else alias
    if alias is not None and alias != own:
        raise InvalidConfiguration(
            f"{own_name} and {alias_name} mean the same and contradict each other: leave one out"
        )
    return own


def _non_masquerade(document: Document, defaults: Network) -> tuple[IPNetwork, ...]:
    if document.non_masquerade is None:
        return defaults.non_masquerade
    texts = limited(document.non_masquerade, "nonMasqueradeCIDRs")
    return tuple([network(text, f"nonMasqueradeCIDRs[{index}]") for index, text in enumerate(texts)])


def _routes(entries: list[RouteEntry]) -> tuple[PodRoute, ...]:
    routes = []
    for index, entry in enumerate(limited(entries, "ipam.routes")):
        dst = network(entry.dst, f"ipam.routes[{index}].dst")
        via = address(entry.gw, f"ipam.routes[{index}].gw") if entry.gw else None
        if via is not None and via.version != dst.version:
            raise InvalidConfiguration(
                f"ipam.routes[{index}]: dst {dst} and gw {via} are of different families: give a gw of dst's, or none"
            )
        routes.append(PodRoute(dst, via))
    return tuple(routes)


def _dns(document: Document, defaults: Network) -> DNS:
    if not document.dns:
        return defaults.dns
    entry = document.dns
    return dns_of(entry.nameservers, entry.domain, entry.search, entry.options)


def _quarantine(seconds: float) -> float:
    if seconds < 0:
        raise InvalidConfiguration(f"ipam.quarantine: {seconds} is no time to wait: give seconds, 0 for none")
    return float(seconds)


def _check_mtu(mtu: int, merged: Network) -> None:
    """Raise InvalidConfiguration for an `mtu` that no link of the network's families can have."""
    least = max([_MTU_LEAST[family] for family in merged.families], default=_MTU_LEAST[4])
    if not least <= mtu <= _MTU_MOST:
        raise InvalidConfiguration(
            f"mtu: {str(mtu)[:80]} is out of range: give {least} to {_MTU_MOST}, or 0 for the node's own"
        )


def _check_families(merged: Network) -> None:
    """Raise InvalidConfiguration for a route in a family that pods have no address of."""
    for index, route in enumerate(merged.routes):
        if route.dst.version not in merged.families:
            raise InvalidConfiguration(
                f"ipam.routes[{index}]: pods have no IPv{route.dst.version} address for {route.dst}: "
                "add a range of that family, or leave the route out"
            )


def _default_gateway(merged: Network, *, wanted: bool) -> Network:
    """Add, as the bridge plugin's isDefaultGateway does, a default route per family where ``ipam.routes`` has none."""
    if not wanted:
        if merged.routes:
            return merged
        raise UnsupportedField(
            "network configuration: isDefaultGateway false: without ipam.routes podnet gives "
            "a default route per family: name the routes wanted in ipam.routes"
        )
    if not merged.routes:
        return merged
    have = {route.dst.version for route in merged.routes if route.dst.prefixlen == 0}
    added = [PodRoute(network("0.0.0.0/0" if v == 4 else "::/0", "")) for v in sorted(merged.families - have)]  # noqa: PLR2004
    return msgspec.structs.replace(merged, routes=merged.routes + tuple(added))
