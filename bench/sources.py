"""Who tells the measured node of all others, each in its own way: an API server, etcd, a file; nodes change.

Each yields the words by which `bench.following` finds it.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from pathlib import Path

from bench import api
from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import Claim, Record, claim_key, encode_value, node_key
from podnet.errors import PodnetError

ETCD_PORT = 2379
PREFIX = "/podnet/podnet"
IN_A_WRITE = 100
"""Keys of one transaction; etcd takes 128."""

Way = tuple[str, IPv4Network, IPv4Address]
"""A node's name, its pods' prefix and its address."""


def way(i: int) -> Way:
    """Return the node that `bench.api` has at `i`."""
    made = api.node(i)
    return (
        made["metadata"]["name"],
        IPv4Network(made["spec"]["podCIDRs"][0]),
        IPv4Address(made["status"]["addresses"][0]["address"]),
    )


def moved(n: int) -> Way:
    """Return the n-th other node at another address, as `bench.api` moves it."""
    event = api.node_moved(n, 0)["object"]
    return way(n + 1)[0], way(n + 1)[1], IPv4Address(event["status"]["addresses"][0]["address"])


@contextmanager
def kubernetes(count: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Have an API server for the block."""
    del folder
    with api.serving("nodes", count) as port:
        yield "kubernetes", port


@contextmanager
def file(count: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Have a nodes.yaml for the block."""
    path = folder / "nodes.yaml"
    nodes = [way(i) for i in range(count)]

    def write() -> None:
        new = path.with_suffix(".new")
        new.write_text("nodes:\n" + "".join(map(_entry, nodes)), encoding="utf-8")
        new.rename(path)

    def change(n: int) -> None:
        nodes[n + 1] = moved(n)
        write()

    write()
    with _one_by_one(change):
        yield "file", str(path)


@contextmanager
def etcd(count: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Have an etcd for the block, in which all nodes but the first have a record and their claim."""
    url = f"http://127.0.0.1:{ETCD_PORT}"
    peers = ("--listen-peer-urls", "http://127.0.0.1:2380")
    words = ("etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url)
    server = subprocess.Popen(
        [*words, *peers, "--unsafe-no-fsync"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        client = EtcdClient(Endpoints(source="bench", urls=(url,)), PREFIX)
        keys = [key for i in range(1, count) for key in _keys(way(i))]
        _when_there(lambda: client.write({}, keys[:1]))
        for at in range(0, len(keys), IN_A_WRITE):
            client.write({}, keys[at : at + IN_A_WRITE])
        with _one_by_one(lambda n: client.write({}, _keys(moved(n))[:1])):
            yield "etcd", url
    finally:
        server.kill()
        server.wait()


def _entry(node: Way) -> str:
    name, cidr, address = node
    return f"  - {{name: {name}, addresses: [{address}], pod-cidrs: [{cidr}]}}\n"


def _keys(node: Way) -> list[tuple[str, bytes, int]]:
    name, cidr, address = node
    record = Record(addresses=(ip_address(str(address)),))
    return [
        (node_key(name), encode_value(record), 0),
        (claim_key(ip_network(str(cidr))), encode_value(Claim(name)), 0),
    ]


def _when_there(ask: Callable[[], object]) -> None:
    """Call until the server answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            ask()
        except PodnetError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def _one_by_one(change: Callable[[int], object]) -> Iterator[None]:
    """Call `change` with 0, 1 and so on for the block: some with a rest before each, then soon after each other."""
    over = threading.Event()

    def run() -> None:
        n = 0
        while not over.wait(api.REST if n < api.RESTED else api.SOON):
            change(n)
            n += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
