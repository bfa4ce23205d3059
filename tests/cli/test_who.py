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

from podnet.cli import who
from podnet.daemon.paths import Paths
from podnet.model import Attachment, Lease, PodAddress
from podnet.store.reader import Holding

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
    """A row says container, interface, network, from, to, state and namespace; JSON the same in Unix seconds."""
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
    )
    cut = Holding(lease, None, "")
    assert who.row(cut) == (
        *("red", "eth0", "podnet"),
        *("1970-01-01 02:00:00+02:00", "1970-01-01 02:01:00+02:00", "cut", "/run/netns/red"),
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
    }
    assert who.row(Holding(lease, 61.0, "its namespace was gone"))[5] == "closed (its namespace was gone)"
