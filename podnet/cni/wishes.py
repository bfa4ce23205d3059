"""What a pod asks for by annotations of its object in the Kubernetes API, and the request that makes of an ADD.

=================== ===================================================================================================
``podnet.dev/ip``   the pod's address: one of IPv4, one of IPv6, or both with a comma between
``podnet.dev/pool`` the pool of podnet.yaml that the pod's addresses are from
=================== ===================================================================================================

Other keys that begin with ``podnet.dev/`` are an error: a slip in one of these would else go unnoticed.  Annotations
are for the node's own network alone; a further network of a pod, or one whose addresses another plugin gives, has its
own ways to ask.  What the runtime itself asks for goes before them.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from msgspec import structs

from podnet.cni.ranges import address
from podnet.cni.request import Add
from podnet.errors import AddressUnavailable, InvalidConfiguration, TryAgainLater
from podnet.model import NamedPool, Network, Range

IPAddress = IPv4Address | IPv6Address

IP = "podnet.dev/ip"
POOL = "podnet.dev/pool"
KNOWN = (IP, POOL)
PREFIX = "podnet.dev/"


class Wishes(NamedTuple):
    """The addresses that a pod asks for, one of a family at most, and the pool, "" for none."""

    addresses: tuple[IPAddress, ...] = ()
    pool: str = ""

    @property
    def where(self) -> str:
        """The annotation that an address which cannot be had is due to."""
        return IP if self.addresses else POOL


def wishes_of(annotations: Iterable[tuple[str, str]]) -> Wishes:
    """Return what `annotations` ask for; raise InvalidConfiguration, which names the annotation."""
    given = {key: value.strip() for key, value in annotations if key.startswith(PREFIX)}
    unknown = sorted(given.keys() - set(KNOWN))
    if unknown:
        raise InvalidConfiguration(f"annotation {unknown[0][:80]} is not known; known are {', '.join(KNOWN)}")
    addresses = [address(text.strip(), f"annotation {IP}") for text in given[IP].split(",")] if IP in given else []
    versions = [found.version for found in addresses]
    for version in (4, 6):
        if versions.count(version) > 1:
            raise InvalidConfiguration(f"annotation {IP} has two IPv{version} addresses; keep one of each family")
    if given.get(POOL) == "":
        raise InvalidConfiguration(f"annotation {POOL} is empty; name a pool of podnet.yaml, or leave it out")
    return Wishes(tuple(addresses), given.get(POOL, ""))


def concerns(request: Add, default: Network) -> bool:
    """Tell whether annotations count for `request`: it is for the node's `default` network, with its addresses."""
    own = request.configuration
    return request.network.name == default.name and not own.delegate and own.role != "loopback"


def with_wishes(request: Add, wishes: Wishes, pools: Mapping[str, NamedPool]) -> Add:
    """Return `request` for the addresses that its pod wishes for.

    Raises InvalidConfiguration, AddressUnavailable or TryAgainLater, each naming annotation and remedy.
    """
    network = request.network
    if wishes.pool:
        network = _of_pool(network, wishes.pool, pools)
    elif wishes.addresses:
        network = _with_all_pools(network, {found.version for found in wishes.addresses}, pools)
    for wanted in wishes.addresses:
        _require(wanted, network)
    configuration = request.configuration
    if network is not request.network:
        configuration = structs.replace(configuration, network=network)
    return structs.replace(request, configuration=configuration, addresses=request.addresses or wishes.addresses)


def _of_pool(network: Network, name: str, pools: Mapping[str, NamedPool]) -> Network:
    """Return `network` with the ranges of a pool in place of its own, in those families in which the pool has any."""
    pool = pools.get(name)
    if pool is None:
        known = ", ".join(sorted(pools)) or "none"
        raise InvalidConfiguration(f"annotation {POOL}: podnet.yaml has no pool {name[:80]!r} (it has: {known})")
    if not pool.ranges:
        why = "; ".join(pool.amiss) or "it has no CIDR"
        if pool.pending:
            raise TryAgainLater(f"annotation {POOL}: pool {name} has no addresses on this node yet: {why}")
        raise AddressUnavailable(
            f"annotation {POOL}: pool {name} has no addresses on this node: {why}; have the pod scheduled where it has "
            "some, or give the pool a CIDR for this node in podnet.yaml"
        )
    sets = tuple(_family(pool.ranges, ranges[0].subnet.version) or ranges for ranges in network.ranges)
    return structs.replace(network, ranges=sets)


def _with_all_pools(network: Network, versions: set[int], pools: Mapping[str, NamedPool]) -> Network:
    """Return `network` with every pool's ranges behind its own: who names an address need not name its pool."""
    every = tuple(one for pool in pools.values() for one in pool.ranges)
    sets = tuple(
        (*ranges, *_family(every, version)) if (version := ranges[0].subnet.version) in versions else ranges
        for ranges in network.ranges
    )
    return structs.replace(network, ranges=sets) if sets != network.ranges else network


def _family(ranges: Iterable[Range], version: int) -> tuple[Range, ...]:
    return tuple(one for one in ranges if one.subnet.version == version)


def _require(wanted: IPAddress, network: Network) -> None:
    """Raise AddressUnavailable where no range of `network` has the address that is wanted."""
    ranges = [one for one_set in network.ranges for one in _family(one_set, wanted.version)]
    if not any(int(one.first) <= int(wanted) <= int(one.last) for one in ranges):
        there = ", ".join(f"{one.first} to {one.last}" for one in ranges) or f"no IPv{wanted.version} at all"
        raise AddressUnavailable(
            f"annotation {IP}: {wanted} is not this node's to give (it has {there}); ask for one that is, or have the "
            "pod scheduled to the node that has it"
        )
