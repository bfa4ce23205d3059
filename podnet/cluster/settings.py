"""podnet.yaml: what a node's owner decides about this node.  Every key has a default, so the file may be missing."""

import re
from os.path import abspath, dirname, join
from socket import gethostname
from typing import Any, Literal

import msgspec

from podnet.cluster.bgp import BGPEntry, parse_bgp
from podnet.cluster.document import Document, IPNetwork, read_text
from podnet.cluster.named import PoolPart, parse_pools, valid_name
from podnet.errors import IOFailure
from podnet.model import BGP, Backend, Tunnel, WireGuardPort

Datapath = Literal["ptp", "bridge"]

PATH = "/etc/podnet/podnet.yaml"

# net/core/dev.c, dev_valid_name: what may not be part of an interface's name; IFNAMSIZ counts the NUL.
_IFNAME = re.compile(r"(?!\.{1,2}\Z)[^\s/:]{1,15}")
_VNI_MOST, _PORT_MOST = (1 << 24) - 1, (1 << 16) - 1  # RFC 7348 (5), RFC 768
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
    nodes: str = "nodes.yaml"


class Settings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node's settings, checked.

    `node` is this node's name; `mtu` 0 means the uplink's less what the backend takes; `uplink` "" means the default
    route's interface; `cluster_cidrs` hold every pod of every node; `non_masquerade_cidrs` are further destinations
    that see a pod's own address; `quarantine` is in seconds; without `repair` what others change is told and left;
    `pools` are CIDRs for pods that ask for them; `nodes` is the absolute path of the nodes' list, "" where Kubernetes
    tells the nodes.
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
    nodes: str = "/etc/podnet/nodes.yaml"


def read_settings(path: str = PATH, *, required: bool = False) -> Settings:
    """Return the settings in the file at `path`, or the defaults when it does not exist and is not `required`.

    Raises IOFailure, DecodingFailure or InvalidConfiguration; each names the file and, where there is one, the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        if required:
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
        nodes=join(abspath(dirname(path)), file.nodes),  # noqa: PTH100, PTH118, PTH120 - pathlib's import takes longer
    )


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
