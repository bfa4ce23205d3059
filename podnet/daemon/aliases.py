"""Aliases published: a hosts(5) file per network, for a resolver to serve (dnsmasq's addn-hosts, CoreDNS's hosts).

podnet runs no resolver.  The files are written whole and renamed, so that a reader never sees half of one.
"""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress

from podnet.engine import Engine
from podnet.errors import PodnetError
from podnet.model import Lease
from podnet.store import Store

SUFFIX = ".hosts"

log = logging.getLogger("podnet")


class Aliases:
    """The names of live leases in `folder`, written whenever one came or went."""

    def __init__(self, engine: Engine, store: Store, folder: str) -> None:
        """Begin with nothing written."""
        self._engine = engine
        self._store = store
        self._folder = folder
        self._named = -1

    def wait(self, _idle: float) -> None:
        """Return None: names change with requests, and nobody has to wake for them."""

    def step(self, _idle: float) -> None:
        """Write, where there is something new."""
        if self._named == self._engine.named:
            return
        self._named = self._engine.named
        try:
            publish(self._folder, self._store.live())
        except (OSError, PodnetError) as error:
            log.warning("aliases cannot be published in %s: %s", self._folder, error)


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
