"""Who listens: the daemon at its socket, and for datagrams whoever /proc/net/udp and udp6 have, by its descriptors."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from struct import pack, unpack

from podnet.diagnosis.tunnel_port import Listener

ANSWER_SECONDS = 2.0
FILES = ("/proc/net/udp", "/proc/net/udp6")


def listens(path: str) -> bool:
    """Tell whether somebody listens on the socket at `path`; raise OSError where that cannot be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, TimeoutError):
            return False
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
    return True


def listeners(port: int) -> list[Listener]:
    """Return the UDP sockets at `port` of this network."""
    found = [(address, inode) for path in FILES for address, number, inode in _listed(path) if number == port]
    programs = _programs({inode for _, inode in found}) if found else {}
    return [Listener(address, port, programs.get(inode, "")) for address, inode in found]


def _listed(path: str) -> Iterator[tuple[str, int, str]]:
    """Yield the local address, the port and the inode of each line."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:
        return  # a kernel without IPv6
    for fields in map(str.split, lines):
        address, _, port = fields[1].partition(":")
        yield _address(address), int(port, 16), fields[9]


def _address(text: str) -> str:
    """Return an address of which each 32 bits are printed as a number of this machine's byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = pack(f"={len(words)}I", *words)
    return str(IPv4Address(packed) if len(words) == 1 else IPv6Address(unpack("16s", packed)[0]))


def _programs(inodes: set[str]) -> dict[str, str]:
    """Return by inode which process has the socket, as far as that is seen."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            targets = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
            for target in targets & wanted.keys():
                found[wanted[target]] = f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # it has ended, or is another user's
    return found
