"""`podnet who`: times as users write them, and history as a table and as JSON."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from podnet.cli import who
from podnet.daemon.paths import Paths
from podnet.model import PLAIN, Attachment, KubernetesPod, Lease, PodAddress, PortMapping, Terms
from podnet.store import Store
from podnet.store.reader import Holding
from podnet.testing.values import a_network

Run = Callable[..., Result]
NOW = datetime(2026, 5, 2, 10, 0, 0).timestamp()  # noqa: DTZ001 - local time is what users write


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("09:59", datetime(2026, 5, 2, 9, 59)),  # noqa: DTZ001 - local time is what users write
        ("10:00", datetime(2026, 5, 2, 10, 0)),  # noqa: DTZ001 - likewise
        ("10:01", datetime(2026, 5, 1, 10, 1)),  # noqa: DTZ001 - likewise
        ("23:59:59", datetime(2026, 5, 1, 23, 59, 59)),  # noqa: DTZ001 - likewise
        ("2026-01-01T00:00", datetime(2026, 1, 1)),  # noqa: DTZ001 - likewise
        ("2026-01-01 12:30:05", datetime(2026, 1, 1, 12, 30, 5)),  # noqa: DTZ001 - likewise
    ],
)
def test_a_time_of_day_is_the_latest_that_has_passed(text: str, meant: datetime) -> None:
    """Hours and minutes mean today, or yesterday where today's are still to come; dates mean themselves."""
    assert who.when(text, NOW) == meant.timestamp()


@given(st.floats(0, 4e9))
def test_unix_seconds_mean_themselves(moment: float) -> None:
    """After an @ there are seconds since 1970."""
    assert who.when(f"@{moment!r}", NOW) == moment


def test_a_time_with_a_zone_is_of_that_zone() -> None:
    """An offset is honoured whatever the machine's own zone is."""
    assert who.when("2026-01-01T00:00+00:00", NOW) == 1767225600.0


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-13-01", "@x"])
def test_what_is_no_time_is_refused(podnet: Run, text: str) -> None:
    """Anything else is refused as a usage error."""
    result = podnet("who", "10.0.0.1", "--at", text)
    assert result.exit_code == 2


def test_what_is_no_address_is_refused(podnet: Run) -> None:
    """A name is not looked up."""
    result = podnet("who", "localhost")
    assert result.exit_code == 2
    assert "'localhost'" in result.output


def test_a_node_that_gave_no_address_says_so(podnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database there is a line, and exit status 1."""
    monkeypatch.setattr(who, "Paths", lambda config: Paths(config, database=str(tmp_path / "none.db")))
    result = podnet("who", "10.0.0.1")
    assert result.exit_code == 1
    assert "none.db does not exist" in result.stderr


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Give a store which `podnet who` reads."""
    path = tmp_path / "podnet.db"
    monkeypatch.setattr(who, "Paths", lambda config: Paths(config, database=str(path)))
    with Store.open(path, "boot", 0.0) as store:
        yield store


def test_a_host_ports_holders_are_shown(podnet: Run, database: Store) -> None:
    """8080/tcp is held by whoever has it now, at each address of the node; other ports, and it after DEL, by nobody."""
    network = a_network()
    attachments = [Attachment(network.name, name, "eth0") for name in ("red", "blue")]
    for attachment, address in zip(attachments, ("192.0.2.11", "192.0.2.12"), strict=True):
        terms = Terms(ports=(PortMapping("tcp", 8080, 80, ip_address(address)),))
        database.reserve(attachment, network, (), None, "", 1.0, terms)
    told = podnet("who", "8080/TCP").output
    assert [line.split()[0] for line in told.splitlines()] == ["container", "red", "blue"]
    assert "192.0.2.12:8080/tcp" in told
    assert "Nobody holds host port 8080/udp" in podnet("who", "8080/udp").output
    database.cut(attachments[:1], 2.0)
    assert [one["container"] for one in json.loads(podnet("who", "--json", "8080/tcp").output)] == ["blue"]
    assert podnet("who", "8080/tcp", "--at", "@1").exit_code == 2


@pytest.fixture
def zone() -> Iterator[None]:
    """Have the machine in a zone with an offset, for the test."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "XYZ-02"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_holding_is_told_with_the_users_clock() -> None:
    """A row says container to namespace, pod and host ports, under the header; JSON the same in Unix seconds."""
    subnet = ip_network("10.244.1.0/24")
    lease = Lease(
        attachment=Attachment("podnet", "red", "eth0"),
        addresses=(PodAddress(ip_address("10.244.1.2"), subnet.prefixlen, ip_address("10.244.1.1")),),
        link="veth-abc",
        netns=None,
        netns_path="/run/netns/red",
        boot_id="boot",
        created=0.0,
        released=60.0,
        terms=Terms(
            ports=(PortMapping("tcp", 8080, 80), PortMapping("udp", 53, 53, ip_address("192.0.2.11"))),
            pod=KubernetesPod("shop", "web-0", "77"),
        ),
    )
    cut = Holding(lease, None, "")
    assert who.row(cut) == (
        *("red", "eth0", "podnet"),
        *("1970-01-01 02:00:00+02:00", "1970-01-01 02:01:00+02:00", "cut", "/run/netns/red"),
        *("shop/web-0", "8080/tcp 192.0.2.11:53/udp"),
    )
    collected = who.document(Holding(lease, 61.0, "its namespace was gone"))
    assert json.loads(json.dumps(collected)) == {
        "container": "red",
        "interface": "eth0",
        "network": "podnet",
        "addresses": ["10.244.1.2/24"],
        "netns": "/run/netns/red",
        "link": "veth-abc",
        "bootId": "boot",
        "from": 0.0,
        "to": 60.0,
        "closed": 61.0,
        "state": "closed",
        "reason": "its namespace was gone",
        "pod": {"namespace": "shop", "name": "web-0", "uid": "77"},
        "hostPorts": ["8080/tcp", "192.0.2.11:53/udp"],
    }
    assert len(who.row(cut)) == len(who.HEADER)
    plain = structs.replace(lease, terms=PLAIN)
    assert who.row(Holding(plain, None, ""))[7:] == ("", "")
    assert who.document(Holding(plain, None, ""))["pod"] is None
    assert who.row(Holding(lease, 61.0, "its namespace was gone"))[5] == "closed (its namespace was gone)"
