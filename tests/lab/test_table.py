"""Outcomes as text and as JSON."""

import json
from collections.abc import Callable

import msgspec
import pytest

from podnet.lab import table
from podnet.lab.matrix import Kind, Outcome, Probe, Through, expected, service_probes, services
from podnet.lab.topology import Endpoint, Topology, topology


@pytest.fixture
def ends(ends_of: Callable[[Topology], tuple[Endpoint, ...]]) -> tuple[Endpoint, ...]:
    """Give the endpoints of two nodes with a pod each, both families."""
    return ends_of(topology(nodes=2, pods=1, families=(4, 6)))


@pytest.fixture
def outcomes(ends: tuple[Endpoint, ...]) -> list[Outcome]:
    """Give a check in which everything is as expected."""
    probes = [*expected(ends, (4, 6), 1500), *service_probes(ends, services(ends, (4, 6)))]
    return [Outcome(probe, ok=True) for probe in probes]


def fail(outcomes: list[Outcome], source: str, target: str, version: int, *kinds: Kind) -> list[Outcome]:
    """Return `outcomes` with the named direct ones failed."""
    return [
        Outcome(o.probe, ok=False, found="nothing within 3 s")
        if (o.probe.source, o.probe.target, o.probe.version) == (source, target, version)
        and o.probe.kind in kinds
        and o.probe.through is Through.DIRECT
        else o
        for o in outcomes
    ]


def test_a_green_matrix(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """Rows are sources, columns targets, in one order; what is not asked is a dot."""
    assert table.matrix(ends, outcomes, 4).splitlines() == [
        "IPv4     n1-red  n2-red  n1  n2  outside",
        "n1-red   ✓       ✓       ✓   ✓   ✓",
        "n2-red   ✓       ✓       ✓   ✓   ✓",
        "n1       ✓       ✓       ·   ✓   ✓",
        "n2       ✓       ✓       ✓   ·   ✓",
        "outside  ·       ·       ✓   ✓   ·",
    ]


def test_a_failed_cell_says_which_probes(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """Letters stand for what failed, in the legend's order, in that family's matrix alone."""
    broken = fail(outcomes, "n1-red", "n2", 6, Kind.TOO_BIG, Kind.TCP)
    assert "✗TB" in table.matrix(ends, broken, 6).splitlines()[1]
    assert "✗" not in table.matrix(ends, broken, 4)
    assert all(f"{kind.letter} " in table.LEGEND for kind in Kind)


def test_wide_cells_keep_columns_straight(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """A cell wider than its column's name moves the whole column, colours or not."""
    broken = fail(outcomes, "n1-red", "n1", 4, *Kind)

    def loud(text: str, colour: str) -> str:
        return f"<{colour}>{text}</>"

    plain = table.matrix(ends, broken, 4).splitlines()
    assert plain[1] == "n1-red   ✓       ✓       ✗TUIFB  ✓   ✓"
    assert plain[2] == "n2-red   ✓       ✓       ✓       ✓   ✓"
    painted = table.matrix(ends, broken, 4, loud)
    for mark in ("<green>", "<red>", "<dim>", "<bold>", "</>"):
        painted = painted.replace(mark, "")
    assert painted.splitlines() == plain


def test_a_failure_is_told_whole(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """Who, whom, family, probe, what was expected, what was found, what to look at."""
    broken = fail(outcomes, "n1-red", "outside", 4, Kind.TOO_BIG, Kind.UDP)
    assert "\n".join(table.failures(ends, broken, "lab")).splitlines() == [
        "✗ n1-red → outside, IPv4, udp",
        "    expected  a UDP answer, seen as 10.99.0.11",
        "    found     nothing within 3 s",
        "    look at   podnet lab exec n1 -- nft list table inet podnet",
        "✗ n1-red → outside, IPv4, too-big",
        "    expected  1401 bytes with DF refused as too big, MTU 1400, by a router, as ICMP",
        "    found     nothing within 3 s",
        "    look at   podnet lab exec n1 -- nft list table inet podnet",
    ]


def test_many_failures_are_counted(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """After the most that are wanted, one line says how many more there are."""
    broken = fail(outcomes, "n1-red", "n2-red", 4, *Kind)
    told = list(table.failures(ends, broken, "lab", most=2))
    assert len(told) == 3
    assert "and 3 more" in told[-1]
    assert len(list(table.failures(ends, broken, "lab"))) == 5


def test_ways_through_services_are_counted_apart(outcomes: list[Outcome]) -> None:
    """With one pod a node there is no other pod to ask, so hairpin alone is told, per family; without any, nothing."""
    assert table.through(outcomes).splitlines() == [
        "✓ IPv4 pod → DNATed address → itself (hairpin): 4 of 4",
        "✓ IPv6 pod → DNATed address → itself (hairpin): 4 of 4",
    ]
    lost = [o if o.probe.through is Through.DIRECT else msgspec.structs.replace(o, ok=False) for o in outcomes]
    assert table.through(lost).startswith("✗ IPv4 pod → DNATed address → itself (hairpin): 0 of 4")
    assert table.through([]) == ""


def test_the_summary_counts(outcomes: list[Outcome]) -> None:
    """The last line says whether all is well, and how many are not."""
    assert table.summary(outcomes, 0.512) == f"all {len(outcomes)} probes as expected, in 0.5 s"
    broken = fail(outcomes, "n1-red", "n2-red", 4, Kind.TCP)
    assert table.summary(broken, 3) == f"1 of {len(outcomes)} probes failed, in 3.0 s"


def test_the_document_holds_everything(ends: tuple[Endpoint, ...], outcomes: list[Outcome]) -> None:
    """The JSON names every probe with what was expected, and where to look if it failed."""
    broken = fail(outcomes, "n1-red", "n2-red", 4, Kind.TCP)
    document = json.loads(json.dumps(table.document(ends, broken, 1.23456, "mine")))
    assert (document["lab"], document["ok"], document["seconds"]) == ("mine", False, 1.235)
    assert len(document["probes"]) == len(outcomes)
    (failed,) = (p for p in document["probes"] if not p["ok"])
    assert failed == {
        "source": "n1-red",
        "target": "n2-red",
        "family": 4,
        "probe": "tcp",
        "through": "direct",
        "to": "10.244.2.2",
        "ok": False,
        "expected": "a TCP connection that carries data both ways, seen as 10.244.1.2",
        "found": "nothing within 3 s",
        "lookAt": "podnet lab exec --name mine n1-red -- ip route get 10.244.2.2",
    }
    assert document["endpoints"][0]["addresses"] == ["10.244.1.2", "fd00:10:244:1::2"]


def test_every_kind_is_told_in_words() -> None:
    """What is expected is said for each kind of probe, by the own link or by a router."""
    told = {
        table.wanted(Probe(source="a", target="b", version=4, kind=kind, to=None, size=1501, mtu=1500)) for kind in Kind
    }
    assert len(told) == len(Kind)
    assert "1501 bytes with DF refused as too big, MTU 1500, by the own link" in told
