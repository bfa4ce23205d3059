"""What checks are told of, each gathered when it is first asked for: what cannot be is nobody's but who asks."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from podnet.bird import PROTOCOL_BIRD, PROTOCOL_FLOATING
from podnet.cluster import Settings
from podnet.daemon import speaking
from podnet.daemon.node import list_nodes, network_of, node_settings, own_addresses, own_node_of, wayfinder
from podnet.daemon.paths import Paths
from podnet.doctor.place import Place
from podnet.doctor.surroundings import Router, Surroundings
from podnet.ipam import Occupancy
from podnet.kernel.facts import boot_id, node_facts
from podnet.mesh import Mesh
from podnet.model import Lease, Network, Node, NodeFacts
from podnet.plan import PROTOCOL
from podnet.store import Reader

IPAddress = IPv4Address | IPv6Address
SERVICE = "KUBERNETES_PORT"
"""The variable with the address of the service `kubernetes`, which nothing else in a pod's environment goes over."""


MOST = 16
"""Pods and other nodes that are asked or looked up: what is amiss with all of them is seen by some."""


class Kept(NamedTuple):
    """What the database has: live leases, and the newest time in it."""

    live: tuple[Lease, ...] = ()
    latest: float | None = None


class Machine:
    """This node, as its files and its kernel tell; every property may raise `PodnetError` or OSError."""

    def __init__(self, paths: Paths, now: float, stack: ExitStack) -> None:
        """Take where the files are, the time in Unix seconds, and what closes what is opened."""
        self.paths = paths
        self.now = now
        self.place = Place(os.environ)
        self._stack = stack

    @cached_property
    def settings(self) -> Settings:
        """podnet.yaml, with what else the daemon was told."""
        return node_settings(self.paths)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's nodes."""
        return list_nodes(self.settings, self.paths)

    @property
    def own(self) -> Node | None:
        """This node as it is listed."""
        return own_node_of(self.nodes, self.settings.node)

    @property
    def others(self) -> tuple[Node, ...]:
        """The nodes but this one."""
        return tuple(node for node in self.nodes if node.name != self.settings.node)

    @cached_property
    def facts(self) -> NodeFacts:
        """What this machine knows of itself; with what it would encrypt is left out."""
        addresses = own_addresses(self.nodes, self.settings.node)
        return node_facts(self.settings.node, uplink=self.settings.uplink, addresses=addresses)

    @cached_property
    def network(self) -> Network:
        """The node's own network."""
        return network_of(self.settings, self.nodes, self.facts)

    @cached_property
    def mesh(self) -> Mesh:
        """The ways to other nodes."""
        return wayfinder(self.settings, self.nodes, self.facts).mesh(self.nodes)

    @property
    def protocols(self) -> frozenset[int]:
        """The protocols of podnet's routes: with BGP those that BIRD has made for it are podnet's too."""
        return frozenset({PROTOCOL, *([PROTOCOL_BIRD, PROTOCOL_FLOATING] if self.settings.backend == "bgp" else [])})

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of other nodes, such as that their pods are not reached."""
        return (*self.mesh.remarks, *speaking.remarks(self.settings, self.nodes, self.facts))

    @cached_property
    def router(self) -> Router:
        """The kernel, to be asked for routes."""
        router = Router()
        self._stack.callback(router.close)
        return router

    @cached_property
    def surroundings(self) -> Surroundings:
        """Links, addresses and routes."""
        return self.router.surroundings()

    @cached_property
    def kept(self) -> Kept:
        """What the database has, nothing where there is none yet; read beside the daemon that has it open."""
        path = Path(self.paths.database)
        if not path.exists():
            return Kept()
        with Reader.read(path) as reader:
            return Kept(tuple(reader.live()), reader.latest())

    @property
    def ranges(self) -> tuple[Occupancy, ...]:
        """How the ranges of the node's network are used."""
        path = Path(self.paths.database)
        if not path.exists():
            return ()
        with Reader.read(path) as reader:
            return reader.counts(self.network, self.now)

    @property
    def leases(self) -> list[Lease]:
        """The live leases of this boot."""
        here = boot_id()
        return [lease for lease in self.kept.live if lease.boot_id == here]

    @property
    def versions(self) -> set[int]:
        """The IP versions in which pods have addresses here."""
        own = {cidr.version for cidr in self.own.cidrs} if self.own else set()
        return own | {leased.address.version for lease in self.leases for leased in lease.addresses}

    def links(self) -> list[str]:
        """Return the links by which pods' packets come and go: the uplink, and podnet's own."""
        uplink = [self.facts.uplink] if self.facts.uplink else []
        return [*uplink, *self.surroundings.own()]


def service_address(environment: Mapping[str, str]) -> IPAddress | None:
    """Return the address of the service `kubernetes`, which is one of the services', None out of a pod.

    Not KUBERNETES_SERVICE_HOST: an operator may have it name a server instead (deploy/podnet.yaml).
    """
    from ipaddress import ip_address  # noqa: PLC0415 - asked once

    try:
        return ip_address(urlsplit(environment.get(SERVICE, "")).hostname or "")
    except ValueError:
        return None


def some(others: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return at most `MOST` of the nodes, from all over the list."""
    return others[:: max(1, -(-len(others) // MOST))]
