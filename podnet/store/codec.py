"""Values in rows: addresses as BLOBs that sort, a lease's addresses as one BLOB, a Network as one JSON document.

A lease's addresses BLOB is, for each of them (network order, one after the other)::

    u8 version | address, 4 or 16 bytes | u8 prefixlen | gateway, 4 or 16 bytes
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias

import msgspec

from podnet.errors import StateError
from podnet.model import (
    DNS,
    PLAIN,
    Attachment,
    Bandwidth,
    Delegation,
    KubernetesPod,
    Lease,
    NamespaceId,
    Network,
    PodAddress,
    PodRoute,
    PortMapping,
    Range,
    Terms,
)
from podnet.model.terms import Protocol

IPAddress = IPv4Address | IPv6Address
V4 = 4

LEASE_COLUMNS = (
    "network, container, ifname, addresses, link, device, inode, path, "
    "boot.boot_id, created, cut, closed, reason, terms"
)
LeaseRow: TypeAlias = tuple[
    str, str, str, bytes, str, int | None, int | None, str, str, float, float | None, float | None, str, bytes
]


def address_key(version: int, address: int) -> bytes:
    """Return the BLOB of an address given as an integer: 5 bytes for IPv4, 17 for IPv6."""
    return b"\x04" + address.to_bytes(4, "big") if version == V4 else b"\x06" + address.to_bytes(16, "big")


def key_address(key: bytes) -> int:
    """Return the integer of an address BLOB."""
    return int.from_bytes(key[1:], "big")


def encode_addresses(addresses: Sequence[PodAddress]) -> bytes:
    """Return the addresses BLOB of a lease."""
    return b"".join(
        b"%c%b%c%b" % (a.address.version, a.address.packed, a.prefixlen, a.gateway.packed) for a in addresses
    )


def decode_addresses(blob: bytes) -> tuple[PodAddress, ...]:
    """Return the addresses of a lease.  Raises StateError where the BLOB is none of ours."""
    found = []
    at = 0
    try:
        while at < len(blob):
            kind, width = (IPv4Address, 4) if blob[at] == V4 else (IPv6Address, 16)
            middle, end = at + 1 + width, at + 2 + 2 * width
            found.append(PodAddress(kind(blob[at + 1 : middle]), blob[middle], kind(blob[middle + 1 : end])))
            at = end
    except (IndexError, ValueError) as error:
        raise StateError(f"a lease's addresses are damaged at byte {at}: {error}", blob.hex()) from error
    return tuple(found)


def decode_lease(row: LeaseRow) -> Lease:
    """Return the Lease of a row of LEASE_COLUMNS; `released` is the time of the cut."""
    return Lease(
        attachment=Attachment(row[0], row[1], row[2]),
        addresses=decode_addresses(row[3]),
        link=row[4],
        netns=None if row[5] is None or row[6] is None else NamespaceId(_unsigned(row[5]), _unsigned(row[6])),
        netns_path=row[7],
        boot_id=row[8],
        created=row[9],
        released=row[10],
        terms=decode_terms(row[13]),
    )


def encode_terms(terms: Terms) -> bytes:
    """Return `terms` as a JSON document, empty where nothing was asked for."""
    return b"" if terms is PLAIN or terms == PLAIN else msgspec.json.encode(terms, enc_hook=str)


def decode_terms(document: bytes) -> Terms:
    """Return the terms of a document of `encode_terms`.  Raises StateError where it is none."""
    if not document:
        return PLAIN
    try:
        fields: dict[str, Any] = msgspec.json.decode(document)
        return Terms(
            ports=tuple(map(_port, fields["ports"])),
            bandwidth=msgspec.convert(fields["bandwidth"], Bandwidth),
            mac=msgspec.convert(fields["mac"], str),
            aliases=msgspec.convert(fields["aliases"], tuple[str, ...]),
            dns=msgspec.convert(fields["dns"], DNS | None),
            pod=msgspec.convert(fields["pod"], KubernetesPod | None),
            delegation=msgspec.convert(fields["delegation"], Delegation | None),
        )
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(f"the terms of a lease are damaged: {error}", repr(document)) from error


def _port(fields: dict[str, Any]) -> PortMapping:
    """Return a PortMapping of its document."""
    host_ip = fields["host_ip"]
    return PortMapping(
        msgspec.convert(fields["protocol"], Protocol),
        msgspec.convert(fields["host_port"], int),
        msgspec.convert(fields["container_port"], int),
        None if host_ip is None else ip_address(host_ip),
    )


def signed(number: int | None) -> int | None:
    """Return a 64-bit unsigned number (a dev_t, an ino_t) as the signed one that SQLite keeps."""
    return number if number is None or number < 1 << 63 else number - (1 << 64)


def _unsigned(number: int) -> int:
    """Return the inverse of `signed`."""
    return number if number >= 0 else number + (1 << 64)


def encode_network(network: Network) -> bytes:
    """Return a Network as a JSON document; equal networks give equal documents."""
    return msgspec.json.encode(network, enc_hook=str)


def decode_network(document: bytes) -> Network:
    """Return the Network of a document of `encode_network`.  Raises StateError where it is none."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(document)
        fields["non_masquerade"] = tuple(map(ip_network, fields["non_masquerade"]))
        fields["ranges"] = tuple(tuple(map(_range, ranges)) for ranges in fields["ranges"])
        fields["routes"] = tuple(map(_route, fields["routes"]))
        fields["dns"] = msgspec.convert(fields["dns"], DNS)
        return Network(**fields)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(f"a stored network is damaged: {error}", repr(document)) from error


def _range(fields: dict[str, Any]) -> Range:
    """Return a Range of its document."""
    return Range(
        subnet=ip_network(fields["subnet"]),
        first=ip_address(fields["first"]),
        last=ip_address(fields["last"]),
        gateway=ip_address(fields["gateway"]),
        exclude=tuple(map(ip_network, fields["exclude"])),
    )


def _route(fields: dict[str, Any]) -> PodRoute:
    """Return a PodRoute of its document."""
    via = fields["via"]
    return PodRoute(ip_network(fields["dst"]), None if via is None else ip_address(via))
