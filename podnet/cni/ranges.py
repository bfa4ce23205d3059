"""Ranges in host-local's shape → `model.Range`, checked.

What host-local defaults, podnet defaults alike: the gateway is the subnet's first address, a range begins there and
ends at the last address (IPv4: the one before broadcast).  Stricter than host-local: the gateway must lie in the
subnet, no bound may be the network's or the broadcast address, and a range must have an address to give.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise
from typing import TypeVar

from podnet.cni.document import RangeEntry
from podnet.errors import InvalidConfiguration
from podnet.model import Range

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
T = TypeVar("T")

LIMIT = 1000
"""Entries a list may have: far more than anyone means, few enough that a megabyte of them cannot stall a node."""

NamedSet = tuple[str, list[RangeEntry]]

SINGLE = "ipam"
"""The path of a range whose keys stand in ``ipam`` itself, host-local's older form."""

WIDEST = 8
"""The shortest prefix a pool may have: a wider one holds addresses that can never be pods'."""


def limited(entries: list[T], where: str) -> list[T]:
    """Return `entries`; raise InvalidConfiguration where they are too many to be meant."""
    if len(entries) > LIMIT:
        raise InvalidConfiguration(f"{where} has {len(entries)} entries: at most {LIMIT} are taken")
    return entries


def address(text: str, where: str) -> IPAddress:
    """Return the address `text` says; raise InvalidConfiguration naming `where` it stands."""
    try:
        value = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        raise InvalidConfiguration(f"{where}: {text[:80]!r} is no IP address") from None
    if isinstance(value, IPv6Address) and value.scope_id is not None:
        raise InvalidConfiguration(f"{where}: {text[:80]!r} names a link after '%': give the address alone")
    return value


def network(text: str, where: str) -> IPNetwork:
    """Return the network `text` says (a bare address is a network of one); raise InvalidConfiguration."""
    try:
        return IPv6Network(text) if ":" in text else IPv4Network(text)
    except ValueError:
        pass
    try:
        meant = (IPv6Network if ":" in text else IPv4Network)(text, strict=False)
    except ValueError:
        raise InvalidConfiguration(f"{where}: {text[:80]!r} is no IP network, as 10.244.1.0/24 is one") from None
    raise InvalidConfiguration(f"{where}: {text} has host bits set: the network's address is {meant}")


def range_sets(sets: list[NamedSet]) -> tuple[tuple[Range, ...], ...]:
    """Return the range sets, each given with the JSON path it stands under.

    Raise InvalidConfiguration for a range that is none, a set of both families, and ranges that overlap.
    """
    total = sum([len(entries) for _, entries in sets])
    if len(sets) > LIMIT or total > LIMIT:
        raise InvalidConfiguration(f"ipam.ranges has {max(len(sets), total)} ranges: at most {LIMIT} are taken")
    checked = tuple([_range_set(where, entries) for where, entries in sets])
    if total > 1:
        _disjoint(sets, checked)
    return checked


def _disjoint(sets: list[NamedSet], checked: tuple[tuple[Range, ...], ...]) -> None:
    """Raise InvalidConfiguration where two ranges share an address: two pods, or a pod twice, would get it."""
    spans = sorted(
        (entry.subnet.version, int(entry.first), int(entry.last), _path(where, index), entry)
        for (where, _), ranges in zip(sets, checked, strict=True)
        for index, entry in enumerate(ranges)
    )
    for one, other in pairwise(spans):
        (version, _, last, path, entry), (next_version, first, _, next_path, next_entry) = one, other
        if version == next_version and first <= last:
            raise InvalidConfiguration(
                f"{path} {_span(entry)} and {next_path} {_span(next_entry)} overlap: give each address to one range"
            )


def _path(where: str, index: int) -> str:
    return where if where == SINGLE else f"{where}[{index}]"


def _span(entry: Range) -> str:
    return f"({entry.first} to {entry.last})"


def _range_set(where: str, entries: list[RangeEntry]) -> tuple[Range, ...]:
    if not entries:
        raise InvalidConfiguration(f"{where} is an empty range set: give it a range, or leave it out")
    ranges = tuple([one_range(entry, _path(where, index)) for index, entry in enumerate(entries)])
    if len({entry.subnet.version for entry in ranges}) > 1:
        raise InvalidConfiguration(
            f"{where} mixes IPv4 and IPv6: a pod gets one address of each set, so give each family a set of its own"
        )
    return ranges


def one_range(entry: RangeEntry, where: str) -> Range:
    """Return one range, its defaults filled in; raise InvalidConfiguration where it cannot be meant."""
    subnet = _subnet(entry.subnet, where)
    lowest: IPAddress = subnet[1]
    highest: IPAddress = subnet[-2] if subnet.version == 4 else subnet[-1]  # noqa: PLR2004 - only IPv4 has a broadcast address
    hosts = (lowest, highest)
    gateway = lowest if entry.gateway is None else _host(entry.gateway, hosts, f"{where}.gateway", subnet)
    first = lowest if entry.range_start is None else _host(entry.range_start, hosts, f"{where}.rangeStart", subnet)
    last = highest if entry.range_end is None else _host(entry.range_end, hosts, f"{where}.rangeEnd", subnet)
    if int(first) > int(last):
        raise InvalidConfiguration(f"{where}: rangeStart {first} comes after rangeEnd {last}")
    exclude = _excluded(entry.exclude, subnet, where) if entry.exclude else ()
    _leave_some(first, last, gateway, exclude, where)
    return Range(subnet, first, last, gateway, exclude)


def _subnet(text: str, where: str) -> IPNetwork:
    subnet = network(text, f"{where}.subnet")
    if subnet.prefixlen > subnet.max_prefixlen - 2:
        raise InvalidConfiguration(
            f"{where}.subnet: {subnet} is too small to allocate from: give at least a /{subnet.max_prefixlen - 2}"
        )
    if subnet.prefixlen < WIDEST:
        raise InvalidConfiguration(f"{where}.subnet: {subnet} is too wide: give at most a /{WIDEST}")
    if subnet.is_multicast or subnet.is_loopback or subnet.is_link_local:
        raise InvalidConfiguration(f"{where}.subnet: {subnet} is no range for pods: give a private or global one")
    return subnet


def _host(text: str, hosts: tuple[IPAddress, IPAddress], where: str, subnet: IPNetwork) -> IPAddress:
    """Return the address `text` says, which must be one of the `subnet`'s `hosts`, lowest to highest."""
    value = address(text, where)
    lowest, highest = hosts
    if value.version != subnet.version or not int(lowest) <= int(value) <= int(highest):
        raise InvalidConfiguration(
            f"{where}: {value} is no host address of {subnet}: give one of {lowest} to {highest}"
        )
    return value


def _excluded(texts: list[str], subnet: IPNetwork, where: str) -> tuple[IPNetwork, ...]:
    excluded = []
    for index, text in enumerate(limited(texts, f"{where}.exclude")):
        net = network(text, f"{where}.exclude[{index}]")
        if net.version != subnet.version or net[0] not in subnet or net[-1] not in subnet:
            raise InvalidConfiguration(f"{where}.exclude[{index}]: {net} is not within {subnet}")
        excluded.append(net)
    return tuple(excluded)


def _leave_some(
    first: IPAddress, last: IPAddress, gateway: IPAddress, exclude: tuple[IPNetwork, ...], where: str
) -> None:
    """Raise InvalidConfiguration where gateway and excludes leave no address from first to last."""
    if not exclude and first != last:
        return
    free = int(first)
    for begin, end in _sorted(exclude, gateway):
        if begin > free:
            break
        free = max(free, end + 1)
    if free > int(last):
        raise InvalidConfiguration(f"{where}: gateway and exclude leave no address of {first} to {last}")


def _sorted(exclude: tuple[IPNetwork, ...], gateway: IPAddress) -> list[tuple[int, int]]:
    """Return the first and last address of all that is taken, in order."""
    return sorted([(int(net[0]), int(net[-1])) for net in exclude] + [(int(gateway), int(gateway))])
