"""The text by which a program that serves a device is told and asked (wireguard.com, "Cross-platform Userspace").

::

    set=1                                   get=1
    private_key=…hex…
    listen_port=51820                       private_key=…            what it answers to get=1, then its errno,
    public_key=…hex…                        public_key=…             and an empty line
    replace_allowed_ips=true                endpoint=192.0.2.12:51820
    endpoint=192.0.2.12:51820               allowed_ip=10.244.2.0/24
    allowed_ip=10.244.2.0/24                errno=0
    (an empty line)

Lines before the first public_key are the device's, those after one that peer's.  The values are those of the kernel's
own interface.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from podnet.errors import DecodeError
from podnet.netlink.generic.wireguard import (
    WGPEER_F_REMOVE_ME,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    Device,
    Endpoint,
    Peer,
    allowed,
    networks,
)
from podnet.wireguard.key import KEY_BYTES

GET = b"get=1\n\n"
END = b"\n\n"
_PORT_MOST = 0xFFFF


class Answer(NamedTuple):
    """What the program answered: a positive errno, 0 for none, and the device where it was asked for."""

    errno: int
    device: Device


def setting(device: Device) -> bytes:
    """Return the operation that changes what `device` names, and nothing else."""
    lines = ["set=1"]
    if device.private_key is not None:
        lines.append(f"private_key={device.private_key.hex()}")
    if device.listen_port is not None:
        lines.append(f"listen_port={device.listen_port}")
    for peer in device.peers or ():
        lines += _peer(peer)
    return "\n".join(lines).encode() + END


def _peer(peer: Peer) -> Iterator[str]:
    yield f"public_key={(peer.public_key or b'').hex()}"
    flags = peer.flags or 0
    if flags & WGPEER_F_REMOVE_ME:
        yield "remove=true"
        return
    if flags & WGPEER_F_REPLACE_ALLOWEDIPS:
        yield "replace_allowed_ips=true"
    if peer.endpoint is not None:
        address, port = peer.endpoint
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        yield f"endpoint={host}:{port}"
    for network in networks(peer.allowed_ips or ()):
        yield f"allowed_ip={network}"


def answer(text: bytes) -> Answer:
    """Return what an answer says, its empty line included or not; raise `DecodeError` for one that is none."""
    fields: dict[str, Any] = {}
    peers: list[dict[str, Any]] = []
    number: int | None = None
    try:
        for key, value in _lines(text.decode("ascii").splitlines()):
            if key == "errno":
                number = abs(int(value))
            elif key == "public_key":
                peers.append({"public_key": _key(value), "allowed_ips": []})
            elif peers:
                _take(peers[-1], key, value)
            elif key == "private_key":
                fields["private_key"] = _key(value)
            elif key == "listen_port":
                fields["listen_port"] = _port(value)
    except ValueError as error:
        raise DecodeError(f"WireGuard's program answers what cannot be read: {error}") from error
    if number is None:
        raise DecodeError("WireGuard's program answers without an errno")
    found = tuple(Peer(**peer | {"allowed_ips": allowed(peer["allowed_ips"])}) for peer in peers)
    return Answer(number, Device(**fields, peers=found))


def _lines(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line:
            key, separator, value = line.partition("=")
            if not separator:
                raise ValueError("a line without `=`")
            yield key, value


def _take(peer: dict[str, Any], key: str, value: str) -> None:
    if key == "endpoint":
        host, _, port = value.rpartition(":")
        # A link-local address has its link behind a `%`, which is another's way of telling the same.
        peer["endpoint"] = Endpoint(ip_address(host.strip("[]").partition("%")[0]), _port(port))
    elif key == "allowed_ip":
        peer["allowed_ips"].append(ip_network(value, strict=False))


def _key(value: str) -> bytes:
    key = bytes.fromhex(value)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")
    return key


def _port(value: str) -> int:
    port = int(value)
    if not 0 <= port <= _PORT_MOST:
        raise ValueError(f"port {port}")
    return port
