"""Aliases published: a hosts(5) file per network, for a resolver to serve (dnsmasq's addn-hosts, CoreDNS's hosts).

podnet runs no resolver.  The files are written whole and renamed, so that a reader never sees half of one.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from podnet.model import Lease

SUFFIX = ".hosts"


def publish(folder: str, leases: Iterable[Lease]) -> None:
    """Write the names of live `leases` into `folder`; a network that has none any more loses its file."""
    networks: dict[str, list[str]] = {}
    for lease in leases:
        if lease.terms.aliases:
            lines = networks.setdefault(lease.attachment.network, [])
            lines += [f"{leased.address}\t{' '.join(lease.terms.aliases)}\n" for leased in lease.addresses]
    try:
        there = {name for name in os.listdir(folder) if name.endswith(SUFFIX)}  # noqa: PTH208 - no pathlib here
    except FileNotFoundError:
        there = set()
    if networks:
        os.makedirs(folder, mode=0o755, exist_ok=True)  # noqa: PTH103 - no pathlib here
    for network, lines in networks.items():
        path = f"{folder}/{network}{SUFFIX}"
        with open(f"{path}.tmp", "w", encoding="ascii") as file:  # noqa: PTH123 - no pathlib here
            file.writelines(lines)
        os.rename(f"{path}.tmp", path)  # noqa: PTH104 - no pathlib here
    for name in there - {f"{network}{SUFFIX}" for network in networks}:
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")  # noqa: PTH108 - no pathlib here
