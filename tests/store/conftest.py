"""A database in a folder of the test's own, and makers of what goes into it."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from podnet.model import Attachment, Lease, NamespaceId, Network, Range
from podnet.store import Store


def make_network(*subnets: str, name: str = "podnet", quarantine: float = 60.0, bridge: bool = False) -> Network:
    """Return a network with one range set for each of `subnets`, `a b` meaning a set of two ranges."""
    return Network(
        name=name,
        datapath="bridge" if bridge else "ptp",
        quarantine=quarantine,
        ranges=tuple(
            tuple(
                Range(subnet=net, first=net[1], last=net[-1], gateway=net[1])
                for net in map(ip_network, subnet_set.split())
            )
            for subnet_set in subnets
        ),
    )


def make_attachment(number: int, network: str = "podnet", ifname: str = "eth0") -> Attachment:
    """Return the attachment of a container whose id is a hash, as runtimes' ids are."""
    return Attachment(network, sha256(str(number).encode()).hexdigest(), ifname)


def reserve(store: Store, number: int, network: Network, now: float = 1000.0, *requested: str) -> Lease:
    """Reserve for container `number`."""
    return store.reserve(
        make_attachment(number, network.name),
        network,
        tuple(map(ip_address, requested)),
        NamespaceId(4, 4026532000 + number),
        f"/run/netns/cni-{number}",
        now,
    )


Opener = Callable[..., Store]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database will be: in a folder that does not exist yet."""
    return tmp_path / "podnet" / "podnet.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Return a new store in its first boot."""
    with Store.open(path, "boot-1", 1000.0) as opened:
        yield opened


@pytest.fixture(scope="session")
def network_of() -> Callable[..., Network]:
    """Return the maker of networks."""
    return make_network


@pytest.fixture(scope="session")
def attachment_of() -> Callable[..., Attachment]:
    """Return the maker of attachments."""
    return make_attachment


@pytest.fixture(scope="session")
def add() -> Callable[..., Lease]:
    """Return a short form of `Store.reserve`."""
    return reserve
