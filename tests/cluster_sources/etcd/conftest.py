"""What tests of etcd as the cluster source share: servers, and nodes that are followed and claim."""

import os
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from podnet.cluster.etcd import Endpoints, EtcdMember, Self
from podnet.cluster.etcd.keys import ClusterRange
from podnet.cluster.remote.backoff import Backoff
from podnet.kernel.namespace import OWN, entered, open_namespace
from podnet.model import Node
from podnet.testing.namespaces import make_namespace
from tests.cluster_sources.etcd.relay import Relay
from tests.cluster_sources.etcd.server import Etcd

PREFIX = "/podnet/podnet"


@pytest.fixture
def loopback() -> Iterator[ExitStack]:
    """Be in a network namespace that has a loopback and nothing else; give what ends things before it does."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as ends:
        name = f"etcd-{secrets.token_hex(4)}"
        make_namespace(name, ends)
        descriptor, home = open_namespace(name), open_namespace(OWN)
        ends.callback(os.close, descriptor)
        ends.callback(os.close, home)
        ends.enter_context(entered(descriptor, home))
        assert os.system("ip link set lo up") == 0  # noqa: S605 - no shell's input
        yield ends


@pytest.fixture
def serve(loopback: ExitStack, tmp_path: Path) -> Callable[..., list[Etcd]]:
    """Give a function that starts a cluster of so many members."""

    def start(members: int = 1, *arguments: str) -> list[Etcd]:
        servers = [Etcd(tmp_path, number, members, arguments) for number in range(1, members + 1)]
        for server in servers:
            loopback.callback(server.end)
            server.launch()
        for server in servers:
            server.wait()
        return servers

    return start


@pytest.fixture
def etcd(serve: Callable[..., list[Etcd]]) -> Etcd:
    """Give a server."""
    return serve()[0]


@pytest.fixture
def relay(etcd: Etcd, loopback: ExitStack) -> Relay:
    """Give a way to the server that can be cut."""
    made = Relay(etcd.port)
    loopback.callback(made.close)
    return made


SINGLE = ClusterRange((ip_network("10.244.0.0/16"),), 24)
DUAL = ClusterRange((ip_network("10.244.0.0/16"), ip_network("fd00:244::/48")), 24, 64)


@pytest.fixture
def join(loopback: ExitStack) -> Callable[..., EtcdMember]:
    """Give a function that has a node join."""

    def begin(name: str, *servers: Etcd | Relay, cluster: ClusterRange = SINGLE, **more: Any) -> EtcdMember:
        number = int(name.removeprefix("n") or 0) if name[1:].isdecimal() else 250
        own = Self(
            name=name,
            boot=more.pop("boot", f"boot of {name}"),
            wireguard=more.pop("wireguard", ""),
            reflector=more.pop("reflector", False),
            addresses=more.pop("addresses", lambda: (ip_address(f"10.99.0.{number}"),)),
        )
        known: tuple[Node, ...] = more.pop("known", ())
        grace = more.pop("grace", 3600)
        endpoints = Endpoints(source="podnet.yaml: etcd", urls=tuple(s.url for s in servers), **more)
        nodes = EtcdMember(endpoints, PREFIX, cluster, own, known, grace=grace, down=Backoff(random.random))
        loopback.callback(nodes.close)
        nodes.begin()
        return nodes

    return begin
