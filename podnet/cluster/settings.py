"""podnet.yaml: what a node's owner decides about this node.  Every key has a default, so the file may be missing."""

import re
from collections.abc import Mapping
from os.path import abspath, dirname, join
from socket import gethostname
from typing import Any, Literal

import msgspec

from podnet.cluster.bgp import BGPEntry, parse_bgp
from podnet.cluster.document import Document, IPNetwork, read_text
from podnet.cluster.named import PoolPart, parse_pools, valid_name
from podnet.errors import InvalidConfiguration, IOFailure
from podnet.model import BGP, Backend, Tunnel, WireGuardPort

Datapath = Literal["ptp", "bridge"]
ToldBy = Literal["", "kubernetes", "etcd"]

PATH = "/etc/podnet/podnet.yaml"

# net/core/dev.c, dev_valid_name: what may not be part of an interface's name; IFNAMSIZ counts the NUL.
_IFNAME = re.compile(r"(?!\.{1,2}\Z)[^\s/:]{1,15}")
_VNI_MOST, _PORT_MOST = (1 << 24) - 1, (1 << 16) - 1  # RFC 7348 (5), RFC 768
_ETCD_PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_FILES = frozenset({"ca", "cert", "key", "password_file"})
_GRACE_LEAST, _GRACE_MOST = 10, 9_000_000_000  # a lease must outlive an election; etcd's MaxLeaseTTL
_MASK_SIZES = {4: (8, 30), 6: (48, 126)}  # as of nodes.yaml's pod CIDRs
_MTU_IPV4, _MTU_IPV6, _MTU_MOST = 68, 1280, 65535  # RFC 791 (3.2), RFC 8200 (5), a 16-bit length


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How much of the past the database keeps: released leases of that many `days`, that many `rows` at most."""

    days: float = 30.0
    rows: int = 1_000_000


class GC(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How often pods are looked for that are gone without a DEL (`interval` in seconds, 0: never), and after how long.

    A pod is collected when its namespace has been gone for `grace` seconds: its runtime may still say DEL until then.
    """

    interval: float = 10.0
    grace: float = 60.0


class Pods(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Whether pods' `annotations` count, and how many seconds an ADD waits for its pod's object to be known (`wait`).

    With annotations the API server is asked for the pods of this node; without, for none.
    """

    annotations: bool = True
    wait: float = 5.0


class Etcd(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, gc=False):
    """Where etcd is that tells the nodes, without `endpoints` nowhere, and who asks it.

    `ca`, `cert`, `key` and `password_file` are paths; `prefix` is where the cluster's keys are; others may have a
    node's part of the cluster's range when it has been away for `grace` seconds, and how long that part's prefix is
    the sizes say.  With `route_reflector` this node is one of the cluster's BGP.
    """

    endpoints: tuple[str, ...] = ()
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password_file: str = ""
    prefix: str = "/podnet/podnet"
    grace: int = 86400
    node_cidr_mask_size_ipv4: int = 24
    node_cidr_mask_size_ipv6: int = 64
    route_reflector: bool = False


class _File(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, gc=False):
    """podnet.yaml as written."""

    node: str = ""
    network: str = "podnet"
    datapath: Datapath = "ptp"
    bridge: str = "br0"
    mtu: int = 0
    uplink: str = ""
    backend: Backend = "direct"
    vxlan: Tunnel = Tunnel()
    wireguard: WireGuardPort = WireGuardPort()
    bgp: BGPEntry = BGPEntry()
    cluster_cidrs: tuple[str, ...] = ()
    masquerade: bool = True
    non_masquerade_cidrs: tuple[str, ...] = ()
    quarantine: float = 60.0
    history: History = History()
    gc: GC = GC()
    repair: bool = True
    pools: dict[str, Any] = {}
    pods: Pods = Pods()
    etcd: Etcd = Etcd()
    nodes: str = "nodes.yaml"


class Settings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node's settings, checked.

    `node` is this node's name; `mtu` 0 means the uplink's less what the backend takes; `uplink` "" means the default
    route's interface; `cluster_cidrs` hold every pod of every node; `non_masquerade_cidrs` are further destinations
    that see a pod's own address; `quarantine` is in seconds; without `repair` what others change is told and left;
    `pools` are CIDRs for pods that ask for them; `nodes` is the absolute path of the nodes' list, "" where somebody
    else tells the nodes: `told_by`.
    """

    node: str
    network: str = "podnet"
    datapath: Datapath = "ptp"
    bridge: str = "br0"
    mtu: int = 0
    uplink: str = ""
    backend: Backend = "direct"
    vxlan: Tunnel = Tunnel()
    wireguard: WireGuardPort = WireGuardPort()
    bgp: BGP = BGP()
    cluster_cidrs: tuple[IPNetwork, ...] = ()
    masquerade: bool = True
    non_masquerade_cidrs: tuple[IPNetwork, ...] = ()
    quarantine: float = 60.0
    history: History = History()
    gc: GC = GC()
    repair: bool = True
    pools: tuple[PoolPart, ...] = ()
    pods: Pods = Pods()
    etcd: Etcd = Etcd()
    nodes: str = "/etc/podnet/nodes.yaml"
    told_by: ToldBy = ""


def read_settings(path: str = PATH, *, required: bool = False) -> Settings:
    """Return the settings in the file at `path`; the defaults when the usual one does not exist and is not `required`.

    Raises IOFailure, DecodingFailure or InvalidConfiguration; each names the file and, where there is one, the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        if required or path != PATH:
            raise IOFailure(f"{path}: no such file; write it, or name another") from None
        text = ""
    return parse_settings(text, path, gethostname())


def parse_settings(text: str, path: str, hostname: str) -> Settings:
    """Return the settings in `text`, the content of the file at `path`, on a host called `hostname`.

    Raises DecodingFailure or InvalidConfiguration.
    """
    document = Document(text, path)
    file = document.convert(_File)
    cluster_cidrs = _networks(document, file.cluster_cidrs, ".cluster-cidrs")
    _check(document, file, cluster_cidrs)
    _check_tunnels(document, file)
    _check_etcd(document, file.etcd)
    return Settings(
        node=file.node or hostname,
        network=file.network,
        datapath=file.datapath,
        bridge=file.bridge,
        mtu=file.mtu,
        uplink=file.uplink,
        backend=file.backend,
        vxlan=file.vxlan,
        wireguard=file.wireguard,
        bgp=parse_bgp(document, file.bgp),
        cluster_cidrs=cluster_cidrs,
        masquerade=file.masquerade,
        non_masquerade_cidrs=_networks(document, file.non_masquerade_cidrs, ".non-masquerade-cidrs"),
        quarantine=file.quarantine,
        history=file.history,
        gc=file.gc,
        repair=file.repair,
        pools=parse_pools(document, file.pools, cluster_cidrs),
        pods=file.pods,
        etcd=_beside(path, file.etcd),
        nodes=join(abspath(dirname(path)), file.nodes),  # noqa: PTH100, PTH118, PTH120 - pathlib's import takes longer
    )


def with_etcd(settings: Settings, given: Mapping[str, str]) -> Settings:
    """Return `settings` with what is `given` on the command line of etcd in place of what podnet.yaml has.

    `endpoints` have commas between them; paths are relative to the working directory.  Raises
    InvalidConfiguration where it is left without endpoints.
    """
    etcd: dict[str, Any] = {key: value for key, value in given.items() if value}
    if "endpoints" in etcd:
        etcd["endpoints"] = tuple(url.strip() for url in etcd["endpoints"].split(",") if url.strip())
    for key in _FILES & etcd.keys():
        etcd[key] = abspath(etcd[key])  # noqa: PTH100 - as above
    found = msgspec.structs.replace(settings.etcd, **etcd)
    if etcd and not found.endpoints:
        raise InvalidConfiguration(f"{', '.join(sorted(etcd))} of etcd is given, and no etcd: name one with --etcd URL")
    return msgspec.structs.replace(settings, etcd=found)


def _beside(path: str, etcd: Etcd) -> Etcd:
    """Return `etcd` with the paths of its files relative to the file at `path` made absolute."""
    folder = abspath(dirname(path))  # noqa: PTH100, PTH120 - as above
    files = {name: getattr(etcd, name) for name in _FILES}
    return msgspec.structs.replace(etcd, **{name: join(folder, file) for name, file in files.items() if file})  # noqa: PTH118


def _networks(document: Document, texts: tuple[str, ...], path: str) -> tuple[IPNetwork, ...]:
    """Return the CIDRs at `path`; refuse two that overlap."""
    networks: list[IPNetwork] = []
    for index, text in enumerate(texts):
        network = document.network(text, f"{path}[{index}]")
        for other in networks:
            if network.version == other.version and network.overlaps(other):
                document.refuse(f"{path}[{index}]", f"{network} overlaps {other}; keep the larger")
        networks.append(network)
    return tuple(networks)


def _check(document: Document, file: _File, cluster_cidrs: tuple[IPNetwork, ...]) -> None:
    """Refuse values of the right type that cannot be meant."""
    for key, name in (("node", file.node), ("network", file.network)):
        if not valid_name(name) and not (key == "node" and name == ""):
            document.refuse(f".{key}", f"{name!r} is not a name; use letters, digits, '-', '_' and '.'")
    for key, name in (("bridge", file.bridge), ("uplink", file.uplink)):
        if not _IFNAME.fullmatch(name) and not (key == "uplink" and name == ""):
            document.refuse(f".{key}", f"{name!r} is not an interface's name; 1 to 15 characters without '/' and ':'")
    least = _MTU_IPV6 if any(cidr.version == 6 for cidr in cluster_cidrs) else _MTU_IPV4  # noqa: PLR2004
    if file.mtu and not least <= file.mtu <= _MTU_MOST:
        document.refuse(".mtu", f"{file.mtu} is out of range; use 0 (the uplink's) or {least} to {_MTU_MOST}")
    for path, number in (
        (".quarantine", file.quarantine),
        (".history.days", file.history.days),
        (".history.rows", file.history.rows),
        (".gc.interval", file.gc.interval),
        (".gc.grace", file.gc.grace),
        (".pods.wait", file.pods.wait),
    ):
        if not 0 <= number < float("inf"):
            document.refuse(path, f"{number} is out of range; use 0 or more")
    if not file.nodes:
        document.refuse(".nodes", "is empty; name a file, or leave the key out for nodes.yaml beside this one")


def _check_tunnels(document: Document, file: _File) -> None:
    """Refuse numbers that headers have no room for."""
    for path, number, most in (
        (".vxlan.vni", file.vxlan.vni, _VNI_MOST),
        (".vxlan.port", file.vxlan.port, _PORT_MOST),
        (".wireguard.port", file.wireguard.port, _PORT_MOST),
    ):
        if not 1 <= number <= most:
            document.refuse(path, f"{number} is out of range; use 1 to {most}")


def _check_etcd(document: Document, etcd: Etcd) -> None:
    """Refuse what can be meant of no etcd."""
    if not _ETCD_PREFIX.fullmatch(etcd.prefix):
        document.refuse(".etcd.prefix", f"{etcd.prefix!r} is no prefix of keys; write one such as /podnet/podnet")
    if not _GRACE_LEAST <= etcd.grace <= _GRACE_MOST:
        document.refuse(".etcd.grace", f"{etcd.grace} is out of range; use {_GRACE_LEAST} to {_GRACE_MOST} seconds")
    for path, number, (least, most) in (
        (".etcd.node-cidr-mask-size-ipv4", etcd.node_cidr_mask_size_ipv4, _MASK_SIZES[4]),
        (".etcd.node-cidr-mask-size-ipv6", etcd.node_cidr_mask_size_ipv6, _MASK_SIZES[6]),
    ):
        if not least <= number <= most:
            document.refuse(path, f"{number} is out of range; use {least} to {most}")
