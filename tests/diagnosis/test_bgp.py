"""Sessions that do not stand, and nodes to which nobody tells a way."""

from ipaddress import ip_network

import pytest

from podnet.bird import Protocol
from podnet.diagnosis import bgp, silent
from tests.diagnosis.values import node

OTHERS = (node("n2", 2), node("n3", 3))
ALL = {ip_network("10.244.2.0/24"), ip_network("10.244.3.0/24")}
VERSIONS = (4,)


def session(name: str, *, up: bool = True, error: str = "") -> Protocol:
    """Return a session of IPv4 with `name`."""
    return Protocol(
        name=f"podnet.{name}.4",
        kind="BGP",
        state="up" if up else "start",
        since="2026-01-02 03:04:05.678",
        session="Established" if up else "Active",
        neighbour="192.0.2.2",
        error=error,
    )


def test_all_stand_and_all_are_reached() -> None:
    """Nothing is found; of a family that this node does not speak nothing is asked for."""
    assert list(bgp([session("n2"), session("n3")], OTHERS, VERSIONS, ALL)) == []
    dual = (*OTHERS, node("n4", 4, cidr="fd00:10:244:4::/64"))
    assert list(bgp([session("n2"), session("n3")], dual, VERSIONS, ALL)) == []


def test_a_session_is_down_and_the_others_tell_all_ways() -> None:
    """It is for soon, and what BIRD said last is the evidence."""
    (found,) = bgp([session("n2"), session("n3", up=False, error="Socket: No route to host")], OTHERS, VERSIONS, ALL)
    assert (found.severity, found.evidence) == ("soon", "Socket: No route to host")
    assert "n3" in found.what
    assert "2026-01-02" in found.what


def test_a_session_is_down_and_a_way_is_missing() -> None:
    """Both are broken: the session, and the node whose pods are not reached."""
    sessions = [session("n2"), session("n3", up=False)]
    found = list(bgp(sessions, OTHERS, VERSIONS, ALL - {ip_network("10.244.3.0/24")}))
    assert [one.severity for one in found] == ["broken", "broken"]
    assert found[0].evidence == "it is Active"
    assert "10.244.3.0/24" in found[1].what
    assert "n3" in found[1].remedy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("Socket: Connection refused", "BIRD runs on n3"),
        ("Received: Bad peer AS", "its own AS number"),
        ("BGP Error: Hold timer expired", "ping 192.0.2.2"),
        ("", "same password"),
    ],
)
def test_the_remedy_follows_from_what_bird_says(error: str, remedy: str) -> None:
    """Nobody listens, another AS, no way, and a password, of which nothing is heard."""
    (found,) = bgp([session("n2"), session("n3", up=False, error=error)], OTHERS, VERSIONS, ALL)
    assert remedy in found.remedy


def test_nobody_to_speak_to() -> None:
    """Where other nodes are: podnet.yaml is named; alone, nothing is missing."""
    found = list(bgp([], OTHERS, VERSIONS, ALL))
    assert ["bgp" in one.remedy for one in found] == [True]
    assert list(bgp([], (), VERSIONS, ())) == []


def test_bird_does_not_answer() -> None:
    """What failed is the evidence."""
    found = silent("BIRD's control socket /run/podnet/bird/bird.ctl: No such file or directory; see that BIRD runs")
    assert found.severity == "broken"
    assert found.evidence.endswith("No such file or directory")
