"""The network configuration as JSON has it: its keys and their types, and what is said of those that do not fit.

Values are text still: `configuration` makes addresses and networks of them.  A key that is null counts as left out.
"""

import msgspec


class RangeEntry(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    """One range in host-local's shape, with `exclude` besides."""

    subnet: str
    range_start: str | None = None
    range_end: str | None = None
    gateway: str | None = None
    exclude: list[str] | None = None


class RouteEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One route for pods."""

    dst: str
    gw: str | None = None


class IpamEntry(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    """The ``ipam`` object; `subnet` to `exclude` are host-local's older form of a single range."""

    type: str | None = None
    ranges: list[list[RangeEntry]] | None = None
    subnet: str | None = None
    range_start: str | None = None
    range_end: str | None = None
    gateway: str | None = None
    exclude: list[str] | None = None
    routes: list[RouteEntry] | None = None
    quarantine: float | None = None


class DNSEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The ``dns`` object (SPEC.md, "Plugin configuration objects")."""

    nameservers: list[str] | None = None
    domain: str | None = None
    search: list[str] | None = None
    options: list[str] | None = None


class RuntimeDNS(msgspec.Struct, gc=False):
    """``runtimeConfig.dns`` (CONVENTIONS.md), whose keys differ from ``dns``."""

    servers: list[str] | None = None
    searches: list[str] | None = None
    options: list[str] | None = None


class PortEntry(msgspec.Struct, gc=False):
    """One of ``runtimeConfig.portMappings``."""

    host_port: int | None = msgspec.field(default=None, name="hostPort")
    container_port: int = msgspec.field(default=0, name="containerPort")
    protocol: str | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")


class BandwidthEntry(msgspec.Struct, gc=False, rename="camel"):
    """``runtimeConfig.bandwidth``, in bits and bits per second."""

    ingress_rate: int | None = None
    ingress_burst: int | None = None
    egress_rate: int | None = None
    egress_burst: int | None = None


class RuntimeEntry(msgspec.Struct, gc=False, rename="camel"):
    """What podnet acts on in ``runtimeConfig``; other capabilities pass by.

    `aliases` are a list (CONVENTIONS.md), or lists by the network's name, as podman sends them.
    """

    ips: list[str] | None = None
    ip_ranges: list[list[RangeEntry]] | None = None
    dns: RuntimeDNS | None = None
    port_mappings: list[PortEntry] | None = None
    bandwidth: BandwidthEntry | None = None
    mac: str | None = None
    aliases: list[str] | dict[str, list[str]] | None = None


class CNIArgs(msgspec.Struct, gc=False):
    """What podnet acts on in ``args.cni``."""

    ips: list[str] | None = None
    mac: str | None = None


class ArgsEntry(msgspec.Struct, gc=False):
    """The ``args`` object: free for anyone's data, so unknown keys pass by."""

    cni: CNIArgs | None = None


class Document(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    """A plugin's configuration as a runtime sends it: protocol's keys first, then the well-known, then podnet's."""

    cni_version: str | None = None
    cni_versions: list[str] | None = None
    name: str | None = None
    type: str | None = None
    disable_check: bool | None = None
    disable_gc: bool | None = msgspec.field(default=None, name="disableGC")
    load_only_inlined_plugins: bool | None = None
    capabilities: dict[str, bool] | None = None
    runtime_config: RuntimeEntry | None = None
    args: ArgsEntry | None = None
    prev_result: msgspec.Raw = msgspec.Raw()
    valid_attachments: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="cni.dev/valid-attachments")

    dns: DNSEntry | None = None
    ipam: IpamEntry | None = None
    ip_masq: bool | None = None

    datapath: str | None = None
    bridge: str | None = None
    mtu: int | None = None
    masquerade: bool | None = None
    non_masquerade: list[str] | None = msgspec.field(default=None, name="nonMasqueradeCIDRs")
    hairpin: bool | None = None
    hairpin_mode: bool | None = None
    is_default_gateway: bool | None = None


class _Ipam(msgspec.Struct, gc=False):
    type: str | None = None


class Identity(msgspec.Struct, gc=False):
    """As much of a configuration as DEL cannot do without."""

    name: str | None = None


class Kind(msgspec.Struct, gc=False):
    """As much of a configuration as tells what podnet is in it."""

    type: str | None = None
    ipam: _Ipam | None = None


class AttachmentEntry(msgspec.Struct, gc=False):
    """One of ``cni.dev/valid-attachments`` (SPEC.md, "GC")."""

    container: str = msgspec.field(name="containerID")
    ifname: str = msgspec.field(name="ifname")


class Survivors(msgspec.Struct, gc=False):
    """The attachments that GC is to leave; the reference library sends them under both names, null for none.

    (The second name is from a misprint of the specification: containernetworking/cni#1101.)
    """

    valid: list[AttachmentEntry] | msgspec.UnsetType | None = msgspec.field(
        default=msgspec.UNSET, name="cni.dev/valid-attachments"
    )
    misprinted: list[AttachmentEntry] | msgspec.UnsetType | None = msgspec.field(
        default=msgspec.UNSET, name="cni.dev/attachments"
    )


class Version(msgspec.Struct, gc=False, rename="camel"):
    """The version that a configuration states."""

    cni_version: str | None = None


class RuntimeConfig(msgspec.Struct, gc=False, rename="camel"):
    """``runtimeConfig`` as text: the one part in which two pods' configurations differ."""

    runtime_config: msgspec.Raw = msgspec.Raw()


class ListFile(msgspec.Struct, gc=False, rename="camel"):
    """A ``.conflist``, or a ``.conf`` (no `plugins`), with its plugins still as text."""

    plugins: list[msgspec.Raw] | None = None
    cni_version: str | None = None
    cni_versions: list[str] | None = None
    name: str | None = None


class PluginType(msgspec.Struct, gc=False):
    """The one key every plugin's configuration has."""

    type: str
