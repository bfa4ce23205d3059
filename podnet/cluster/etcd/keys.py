"""What podnet keeps in etcd, below one prefix: keys, and values in JSON that a person can read with etcdctl(1).

::

    config             the cluster's range, and how long the prefixes are that nodes have of it
    claims/10.244.3.0/24   who has this prefix: the key is the prefix, so nobody else can
    nodes/n1           what others must know of n1; goes with a lease of the grace, which n1 keeps alive: as long as it
                       is there, nobody may take over what n1 claims
    alive/n1           which machine is n1 now; goes with a lease of half a minute

A claim stays when its node is gone.  Only that the record is gone as well, which etcd itself measures, makes it
available to others: no clock of any node has a part in it.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

import msgspec

from podnet.cluster.etcd.wire import KeyValue
from podnet.cluster.named import valid_name
from podnet.errors import InvalidConfiguration

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

CONFIG = "config"
CLAIMS, NODES, ALIVE = "claims/", "nodes/", "alive/"


class ClusterRange(msgspec.Struct, frozen=True, gc=False):
    """Where pods have their addresses, and the prefix length of a node's part by IP version, of versions that occur."""

    cidrs: tuple[IPNetwork, ...]
    length4: int = 0
    length6: int = 0

    def length(self, version: int) -> int:
        """Return the prefix length of IP `version` 4 or 6."""
        return self.length4 if version == 4 else self.length6  # noqa: PLR2004 - the IP version

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions, of each of which a node has one prefix."""
        return tuple(sorted({cidr.version for cidr in self.cidrs}))

    def __str__(self) -> str:
        """Return it as errors name it."""
        return ", ".join(f"{cidr} in /{self.length(cidr.version)}" for cidr in self.cidrs)


def cluster_range(cidrs: Sequence[IPNetwork], length4: int, length6: int, *, source: str) -> ClusterRange:
    """Return the range of `cidrs`, of which nodes have parts of these lengths; raise InvalidConfiguration.

    `source` is where that is written.
    """
    if not cidrs:
        raise InvalidConfiguration(
            f"{source}: etcd tells the nodes and cluster-cidrs is not there: give the range that all nodes' pods have "
            "their addresses from, such as [10.244.0.0/16], the same on every node"
        )
    versions = {cidr.version for cidr in cidrs}
    lengths = {4: length4, 6: length6}
    for cidr in cidrs:
        if cidr.prefixlen > lengths[cidr.version]:
            raise InvalidConfiguration(
                f"{source}: cluster-cidrs: {cidr} has no room for a node's /{lengths[cidr.version]}; make it larger, "
                f"or etcd.node-cidr-mask-size-ipv{cidr.version}"
            )
    ordered = tuple(sorted(cidrs, key=lambda cidr: (cidr.version, cidr)))
    return ClusterRange(ordered, *(lengths[version] if version in versions else 0 for version in (4, 6)))


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Who has a prefix."""

    node: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """What others must know of a node: its addresses, key of WireGuard, pools, and whether it reflects routes."""

    addresses: tuple[IPAddress, ...] = ()
    wireguard: str = ""
    pools: tuple[IPNetwork, ...] = ()
    reflector: bool = False


class Session(msgspec.Struct, frozen=True, gc=False):
    """Which machine has a node's name: that boot of it, and one daemon on it."""

    boot: str
    session: str


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A value that is none of ours, and why."""

    reason: str


Value = ClusterRange | Claim | Record | Session | Malformed


class Entry(NamedTuple):
    """A value, when its key was created and last changed, and the lease that it goes with."""

    value: Value
    created: int
    mod: int
    lease: int


class _Range(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True, gc=False):
    cluster_cidrs: tuple[str, ...]
    node_cidr_mask_size_ipv4: int = 0
    node_cidr_mask_size_ipv6: int = 0


class _Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    addresses: tuple[str, ...] = ()
    wireguard: str = ""
    pools: tuple[str, ...] = ()
    reflector: bool = msgspec.field(default=False, name="route-reflector")


def decode_entry(key: str, kv: KeyValue) -> Entry:
    """Return what etcd has at `key`, which is without the cluster's prefix; never raise."""
    try:
        value = _decode(key, kv.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        value = Malformed(str(error))
    return Entry(value, kv.create_revision, kv.mod_revision, kv.lease)


def claim_key(prefix: IPNetwork) -> str:
    """Return the key of the claim to `prefix`."""
    return f"{CLAIMS}{prefix}"


def claimed_prefix(key: str) -> IPNetwork | None:
    """Return the prefix that `key` claims, None where it is no such key."""
    if not key.startswith(CLAIMS):
        return None
    text = key.removeprefix(CLAIMS)
    try:
        prefix = ip_network(text)
    except ValueError:
        return None
    return prefix if str(prefix) == text else None


def node_key(name: str) -> str:
    """Return the key of a node's record."""
    return f"{NODES}{name}"


def alive_key(name: str) -> str:
    """Return the key that says which machine has a node's name."""
    return f"{ALIVE}{name}"


def encode_value(value: Value) -> bytes:
    """Return a value as etcd has it."""
    if isinstance(value, ClusterRange):
        return msgspec.json.encode(_Range(tuple(map(str, value.cidrs)), value.length4, value.length6))
    if isinstance(value, Record):
        addresses, pools = tuple(map(str, value.addresses)), tuple(map(str, value.pools))
        return msgspec.json.encode(_Record(addresses, value.wireguard, pools, value.reflector))
    return msgspec.json.encode(value)


def _decode(key: str, data: bytes) -> Value:
    if key == CONFIG:
        written = msgspec.json.decode(data, type=_Range)
        cidrs = tuple(map(ip_network, written.cluster_cidrs))
        return ClusterRange(cidrs, written.node_cidr_mask_size_ipv4, written.node_cidr_mask_size_ipv6)
    if key.startswith(CLAIMS):
        if claimed_prefix(key) is None:
            raise ValueError("its key is no prefix")
        return msgspec.json.decode(data, type=Claim)
    if key.startswith(ALIVE):
        return msgspec.json.decode(data, type=Session)
    if not key.startswith(NODES) or not valid_name(key.removeprefix(NODES)):
        raise ValueError("its key is none of podnet's")
    record = msgspec.json.decode(data, type=_Record)
    addresses, pools = tuple(map(ip_address, record.addresses)), tuple(map(ip_network, record.pools))
    return Record(addresses, record.wireguard, pools, record.reflector)
