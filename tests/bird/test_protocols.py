"""What BIRD tells of its sessions: as BIRD 2.0.12 has told it, and whatever else may come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.bird import Protocol, parse_protocols, protocol_name, session_of

SHORT = """\
Name       Proto      Table      State  Since         Info
podnet_own4 Static     master4    up     2026-11-29 18:18:01.994  
podnet_links Device     ---        up     2026-11-29 18:18:01.994  
podnet_kernel4 Kernel     master4    up     2026-11-29 18:18:01.994  
podnet.s0.4 BGP        ---        up     2026-11-29 18:18:02.952  Established   
podnet.s1.4 BGP        ---        start  2026-11-29 18:17:24.181  Active        Socket: Connection closed
podnet.s2.6 BGP        ---        start  2026-11-29 18:17:24.181  Connect       
podnet.s3.4 BGP        ---        down   2026-11-29 18:17:24.181  
"""  # noqa: W291 - so it is told
SETTLED = """\
podnet.n2.4 BGP        ---        up     2026-11-29 18:18:02.831  Established   
  BGP state:          Established
    Neighbor address: 10.99.0.101
    Neighbor AS:      64512
    Local AS:         64512
    Neighbor ID:      10.99.0.200
    Local capabilities
      Multiprotocol
        AF announced: ipv4
      Route refresh
      4-octet AS numbers
    Neighbor capabilities
      Multiprotocol
        AF announced: ipv4
      Graceful restart
      Long-lived graceful restart
    Session:          internal multihop AS4
    Source address:   10.99.0.2
    Hold timer:       4.584/9
    Keepalive timer:  2.595/3
  Channel ipv4
    State:          UP
    Table:          master4
    Preference:     100
    Input filter:   (unnamed)
    Output filter:  (unnamed)
    Routes:         2 imported, 5 filtered, 1 exported, 2 preferred
    Route change stats:     received   rejected   filtered    ignored   accepted
      Import updates:              7          0          5          0          2
      Import withdraws:            0          0        ---          2          0
      Export updates:             10          8          1        ---          1
      Export withdraws:            0        ---        ---        ---          0
    BGP Next hop:   10.99.0.2
    IGP IPv4 table: master4

"""  # noqa: W291
FAILING = """\
podnet.n3.4 BGP        ---        start  2026-11-29 18:18:01.994  Active        Socket: Connection closed
  BGP state:          Active
    Neighbor address: 10.99.0.102
    Neighbor AS:      4200000000
    Local AS:         64512
    Connect delay:    0.349/1
    Last error:       Socket: Connection closed
  Channel ipv4
    State:          DOWN
    Table:          master4
    Preference:     100
    Input filter:   (unnamed)
    Output filter:  (unnamed)
    IGP IPv4 table: master4

"""
RESTARTING = """\
podnet.n3.4 BGP        ---        up     2026-11-29 18:18:01.994  Established   
  BGP state:          Established
    Neighbor address: 10.99.0.103
    Neighbor AS:      64512
    Local AS:         64512
    Neighbor graceful restart active
    Session:          internal multihop AS4
  Channel ipv4
    State:          UP
    Routes:         1 imported, 0 filtered, 1 exported, 1 preferred
    Neighbor GR:    Active

"""  # noqa: W291
HOSTED = """\
tor        BGP        ---        up     18:18:02.831  Established   
  BGP state:          Established
    Neighbor address: fe80::1%up0
    Neighbor AS:      65001
    Local AS:         64512
  Channel ipv4
    State:          UP
    Routes:         3 imported, 1 exported, 2 preferred
  Channel ipv6
    State:          UP
    Routes:         4 imported, 2 filtered, 5 exported, 0 preferred
podnet_bfd BFD        ---        up     2026-11-28  
"""  # noqa: W291


def parsed(text: str) -> dict[str, Protocol]:
    """Return the protocols of a reply's text by name."""
    return {one.name: one for one in parse_protocols(text.splitlines())}


def told(protocol: Protocol, *fields: str) -> tuple[Any, ...]:
    """Return the named fields."""
    return tuple(getattr(protocol, field) for field in fields)


def test_a_line_each() -> None:
    """The header is none; states and what went wrong are those of BGP alone."""
    found = parsed(SHORT)
    assert {name: told(one, "kind", "state", "session", "error") for name, one in found.items()} == {
        "podnet_own4": ("Static", "up", "", ""),
        "podnet_links": ("Device", "up", "", ""),
        "podnet_kernel4": ("Kernel", "up", "", ""),
        "podnet.s0.4": ("BGP", "up", "Established", ""),
        "podnet.s1.4": ("BGP", "start", "Active", "Socket: Connection closed"),
        "podnet.s2.6": ("BGP", "start", "Connect", ""),
        "podnet.s3.4": ("BGP", "down", "", ""),
    }
    assert [one.established for one in found.values()] == [False, False, False, True, False, False, False]
    assert found["podnet.s1.4"].since == "2026-11-29 18:17:24.181"


def test_a_session_that_stands() -> None:
    """Everything of it: the neighbour, its AS and not this one's, the routes and not their changes."""
    assert parse_protocols(SETTLED.splitlines()) == [
        Protocol(
            name="podnet.n2.4", kind="BGP", state="up", since="2026-11-29 18:18:02.831", session="Established",
            neighbour="10.99.0.101", asn=64512, imported=2, filtered=5, exported=1,
        )
    ]  # fmt: skip


def test_a_session_that_does_not_stand() -> None:
    """Its last error, and an AS number of 32 bits; nothing is taken."""
    assert parse_protocols((SETTLED + FAILING).splitlines())[1] == Protocol(
        name="podnet.n3.4", kind="BGP", state="start", since="2026-11-29 18:18:01.994", session="Active",
        neighbour="10.99.0.102", asn=4200000000, error="Socket: Connection closed",
    )  # fmt: skip


def test_a_session_whose_neighbour_restarts() -> None:
    """It stands, and what the neighbour told before is kept until it has told its routes again."""
    one, other = parse_protocols((SETTLED + RESTARTING).splitlines())
    assert (one.established, one.restarting, one.silent) == (True, False, False)
    assert (other.established, other.restarting, other.silent) == (True, True, False)


@pytest.mark.parametrize("away", ["its BIRD died", "its node died"])
def test_a_neighbour_that_is_away_is_silent_where_its_node_is_dead(away: str) -> None:
    """BIRD keeps what it told either way, and has an error where the connection was closed: its kernel did that."""
    lines = FAILING.replace("    Connect delay", "    Neighbor graceful restart active\n    Connect delay").splitlines()
    if away == "its node died":
        lines = [line.replace("Socket: Connection closed", "") for line in lines if "Last error" not in line]
    (one,) = parse_protocols(lines)
    assert (one.established, one.restarting, one.silent) == (False, True, away == "its node died")
    (never,) = parse_protocols(line for line in lines if "restart active" not in line)
    assert not never.silent


def test_a_hosts_own_sessions() -> None:
    """Routes of two channels are added up; the neighbour is link-local, and times are as BIRD writes them by itself."""
    found = parsed(HOSTED)
    assert told(found["tor"], "neighbour", "since") == ("fe80::1", "18:18:02.831")
    assert told(found["tor"], "imported", "filtered", "exported") == (7, 2, 6)
    assert found["podnet_bfd"].since == "2026-11-28"


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (protocol_name("n2", 4), "BGP", ("n2", 4)),
        (protocol_name("n2.example.org", 6), "BGP", ("n2.example.org", 6)),
        (protocol_name("4", 6), "BGP", ("4", 6)),
        ("podnet.n2.4", "Static", None),
        ("podnet.n2.5", "BGP", None),
        ("podnet.n2", "BGP", None),
        ("podnet_own4", "Static", None),
        ("tor.4", "BGP", None),
        ("podnet.4", "BGP", None),
        ("", "BGP", None),
    ],
)
def test_sessions_of_podnets_are_known_by_their_names(name: str, kind: str, expected: tuple[str, int] | None) -> None:
    """A host's BIRD has others besides."""
    assert session_of(Protocol(name=name, kind=kind, state="up", since="")) == expected


def test_names_in_quotes_are_without_them() -> None:
    """As BIRD writes those that are not words, in some of its versions."""
    assert parsed(SETTLED.replace("podnet.n2.4 ", "'podnet.n2.4' ")).keys() == {"podnet.n2.4"}


WORDS = st.sampled_from([
    *(SHORT + SETTLED + FAILING + HOSTED).splitlines(),
    "  BGP state:", "    Neighbor AS:      x", "    Neighbor AS:      ²", "", " ", ":",
    f"    Neighbor AS: {'9' * 5000}",
    f"    Routes: {'9' * 5000} imported, ٣ filtered, -1 exported", "name BGP", "BIRD 2.0.12 ready.", "a Bgp - up x y z",
])  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=60)))
def test_any_lines_are_a_list(lines: list[str]) -> None:
    """What is not understood is passed over; numbers are numbers, and every protocol has a name."""
    for one in parse_protocols(lines):
        assert one.name is not None
        assert min(one.asn, one.imported, one.filtered, one.exported) >= 0
        session_of(one)


def test_a_number_of_many_digits_is_none() -> None:
    """Python converts 4,300 at most; BIRD counts to ten digits."""
    damaged = SETTLED.replace("64512", "9" * 5000).replace("2 imported", f"{'9' * 5000} imported")
    (found,) = parse_protocols(damaged.splitlines())
    assert told(found, "asn", "imported", "filtered") == (0, 0, 5)
