"""Tables and ranges that fill, the time, the boot, a kernel's refusals, and the order of findings."""

from typing import Any

import pytest

from podnet.diagnosis import (
    Finding,
    Severity,
    boot,
    clock,
    conntrack,
    daemon,
    exhaustion,
    features,
    lost,
    nodes,
    worst_first,
)
from podnet.diagnosis.clock import EARLIEST
from podnet.diagnosis.features import FEATURES, Refusal
from podnet.ipam import Occupancy
from podnet.model import Node
from tests.diagnosis.values import node

BOOT, OTHER = "6f1c9e0e-0f0f-4c4c-8a8a-0123456789ab", "7f1c9e0e-0f0f-4c4c-8a8a-0123456789ab"


def severities(found: Any) -> list[Severity]:
    """Return how grave each finding is."""
    return [finding.severity for finding in found]


@pytest.mark.parametrize(
    ("count", "most", "dropped", "expected"),
    [
        (0, 100, 0, []),
        (79, 100, 0, []),
        (80, 100, 0, ["soon"]),
        (99, 100, 5, ["soon"]),
        (100, 100, 0, ["broken"]),
        (7, 0, 0, []),
        (7, 100, 3, ["note"]),
    ],
)
def test_connections(count: int, most: int, dropped: int, expected: list[Severity]) -> None:
    """Nearly full from four fifths on; 0 is no bound; what was dropped once is worth a note."""
    assert severities(conntrack(count, most, dropped)) == expected


def test_what_was_dropped_is_the_sum_over_cpus() -> None:
    """Of two columns, in hex, wherever they stand; a file without lines has none."""
    text = "entries drop found early_drop\n0000000a 00000010 00000001 00000002\n0000000a 00000001 00000001 00000000\n"
    assert lost(text) == 0x13
    assert lost("") == lost("entries found\n1 1\n") == 0


@pytest.mark.parametrize(
    ("live", "cut", "expected"), [(89, 0, []), (88, 2, ["soon"]), (99, 0, ["soon"]), (98, 2, ["broken"])]
)
def test_addresses(live: int, cut: int, expected: list[Severity]) -> None:
    """A pod that is being removed still has its address; those that rest are given where no other is left."""
    held = Occupancy("10.244.1.0/24", 100, live, cut, 100 - live - cut, 0)
    for told_by, named in (("", "nodes.yaml"), ("kubernetes", "maxPods"), ("etcd", "etcd.node-cidr-mask-size")):
        found = list(exhaustion([held], told_by))
        assert severities(found) == expected
        assert all(named in finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("now", "latest", "wireguard", "expected"),
    [
        (EARLIEST, None, True, []),
        (EARLIEST, EARLIEST, True, []),
        (EARLIEST, EARLIEST + 1, True, []),
        (EARLIEST, EARLIEST + 3, False, ["soon"]),
        (EARLIEST, EARLIEST + 3, True, ["soon", "broken"]),
        (0.0, None, False, ["broken"]),
        (EARLIEST, 1e300, False, ["soon"]),
    ],
)
def test_time(now: float, latest: float | None, wireguard: bool, expected: list[Severity]) -> None:
    """A clock that was never set, and one that has gone back; a moment's step is none."""
    assert severities(clock(now, latest, wireguard=wireguard)) == expected


@pytest.mark.parametrize(
    ("boot_id", "leases_of", "expected"),
    [
        (BOOT, set(), []),
        (BOOT, {BOOT}, []),
        (BOOT, {BOOT, OTHER}, ["soon"]),
        ("", set(), ["broken"]),
        ("00000000-0000-0000-0000-000000000000", {BOOT}, ["broken"]),
        (BOOT.upper(), set(), ["broken"]),
    ],
)
def test_boots(boot_id: str, leases_of: set[str], expected: list[Severity]) -> None:
    """The id is as the kernel writes it (random(4)); leases of another are void."""
    assert severities(boot(boot_id, leases_of)) == expected


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_that_is_refused_is_told_with_the_kernels_option(feature: str) -> None:
    """And with the kernel's own words."""
    (found,) = features([Refusal(feature, "ip link add …: EOPNOTSUPP")])
    assert feature in found.what
    assert found.evidence == "ip link add …: EOPNOTSUPP"
    assert "CONFIG_" in found.remedy


@pytest.mark.parametrize(
    ("listed", "remarks", "said"),
    [
        ((node("n1", 1), node("n2", 2)), (), []),
        ((node("n2", 2),), (), ["/etc/podnet/nodes.yaml has n2"]),
        ((), (), ["/etc/podnet/nodes.yaml has none"]),
        ((Node("n1", (), ()),), (), ["`kubectl get node n1 -o jsonpath={.spec.podCIDRs}`"]),
        ((node("n1", 1),), ("node n2 is far: …; write x",), ["/etc/podnet/nodes.yaml"]),
    ],
)
def test_the_list_of_nodes(listed: tuple[Node, ...], remarks: tuple[str, ...], said: list[str]) -> None:
    """Without this node, without a CIDR of its own, and with what the mesh says of others."""
    assert [finding.evidence for finding in nodes(listed, "n1", "/etc/podnet/nodes.yaml", remarks)] == said


def test_a_remark_has_its_remedy_apart() -> None:
    """What is said before the semicolon is amiss, and after it is what to do."""
    (found,) = nodes([node("n1", 1)], "n1", "kubernetes", ["node n2 is far: not reached; `backend: auto` reaches it"])
    assert (found.what, found.remedy) == ("node n2 is far: not reached", "`backend: auto` reaches it")
    assert found.evidence == "the nodes as kubernetes told them last"
    (found,) = nodes([], "n1", "kubernetes", [])
    assert "kubectl get node n1" in found.remedy


@pytest.mark.parametrize("listed", [(), (Node("n1", (), ()),)], ids=["no node", "no prefix"])
def test_with_etcd_the_daemons_log_says_why(listed: tuple[Node, ...]) -> None:
    """Nobody else gives a node its name and its prefix there."""
    (found,) = nodes(listed, "n1", "etcd", [])
    assert "journalctl -u podnet" in found.remedy
    assert "etcd" in found.evidence


def test_a_daemon_that_is_away_is_told() -> None:
    """Pods run on, for now."""
    assert severities(daemon("/run/x.sock", served=True)) == []
    assert severities(daemon("/run/x.sock", served=False)) == ["soon"]


def test_the_worst_comes_first_and_each_once() -> None:
    """Those of one severity as they were found."""
    order: tuple[Severity, ...] = ("note", "broken", "soon", "broken", "note")
    found = [Finding(str(number), severity, "", "", "") for number, severity in enumerate(order)]
    assert [finding.check for finding in worst_first([*found, found[0]])] == ["1", "3", "2", "0", "4"]
