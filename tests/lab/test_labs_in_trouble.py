"""Labs that fail, are broken on purpose, or are killed: what is said, and that `down` still leaves nothing."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import podnet.shim

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live


def failed(checked: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return source, target and probe of what failed."""
    return {(p["source"], p["target"], p["probe"]) for p in checked["probes"] if not p["ok"]}


def test_a_missing_route_is_named(machine: "Machine") -> None:
    """Without n1's route to n2's pods exactly the probes that need it fail; exit status 1; each says where to look."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1")
    machine.podnet("lab", "exec", "n1", "--", "ip", "route", "replace", "blackhole", "10.244.2.0/24")
    machine.podnet("lab", "exec", "n1", "--", "ip", "route", "del", "10.244.2.0/24", "via", "10.99.0.12", check=False)
    text = machine.podnet("lab", "check", check=False)
    assert text.returncode == 1
    assert "n1-red → n2-red, IPv4, tcp" in text.stdout
    assert "ip route get 10.244.2.2" in text.stdout
    pairs = {(source, target) for source, target, _ in failed(machine.json("lab", "check"))}
    assert pairs == {("n1-red", "n2-red"), ("n1", "n2-red"), ("n2-red", "n1-red"), ("n2-red", "n1")}


def test_lost_masquerade_is_found(machine: "Machine") -> None:
    """Without translation on a node its pods' probes of the outside fail, and none else."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1")
    to_outside = "ip daddr 198.51.100.10 notrack"
    rules = f"table inet thief {{ chain taken {{ type filter hook prerouting priority -350; {to_outside}; }}; }}"
    machine.podnet("lab", "exec", "n2", "--", "nft", rules)  # what is not tracked is not translated
    assert {(s, t) for s, t, _ in failed(machine.json("lab", "check"))} == {("n2-red", "outside")}


def test_lost_too_big_news_is_found(machine: "Machine") -> None:
    """A node that drops ICMP too-big towards its pods fails the probe of one byte more, and that one alone."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "1", "--dual-stack")
    rules = (
        "table inet thief { chain taken { type filter hook forward priority 0; "
        "icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }"
    )
    machine.podnet("lab", "exec", "n1", "--", "nft", rules)
    checked = machine.json("lab", "check")
    assert failed(checked) == {("n1-red", "outside", "too-big")}
    assert {p["family"] for p in checked["probes"] if not p["ok"]} == {4, 6}


def test_a_black_hole_for_large_packets_is_found(machine: "Machine") -> None:
    """A node that silently drops what is large fails full packets and bulk between its pods, and no small ones."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "2")
    rules = "table inet thief { chain taken { type filter hook forward priority 0; meta length > 1450 drop; }; }"
    machine.podnet("lab", "exec", "n1", "--", "nft", rules)
    lost = failed(machine.json("lab", "check"))
    pods = {("n1-red", "n1-blue"), ("n1-blue", "n1-red")}
    assert {(s, t) for s, t, kind in lost if kind == "full-mtu"} == pods
    assert {kind for _, _, kind in lost} <= {"full-mtu", "tcp"}


def test_an_impostor_is_found(machine: "Machine") -> None:
    """Where another pod answers in a pod's place, the probes say so instead of being content with an answer."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "2")
    rules = (
        "table ip thief { chain taken { type nat hook prerouting priority -110; "
        "ip saddr 10.99.0.11 return; iifname eth0 return; ip daddr 10.244.1.2 meta l4proto udp dnat to 10.244.1.3; }; }"
    )
    machine.podnet("lab", "exec", "n1", "--", "nft", rules)
    found = {p["found"] for p in machine.json("lab", "check")["probes"] if not p["ok"] and p["target"] == "n1-red"}
    assert "n1-blue answered in its place" in found


def test_a_pod_that_is_gone_fails_its_probes_alone(machine: "Machine") -> None:
    """A pod whose namespace was removed fails what is from and to it, and the check still ends."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "2")
    machine.run("ip", "netns", "delete", "podnet-lab-n1-blue")
    lost = failed(machine.json("lab", "check"))
    assert lost
    assert all("n1-blue" in (source, target) for source, target, _ in lost)


def test_a_killed_daemon_is_shown_and_taken_away(machine: "Machine") -> None:
    """After kill -9 of a daemon `status` says so, pods still reach each other, and `down` leaves nothing."""
    before = machine.snapshot()
    up = machine.json("lab", "up", "--nodes", "2", "--pods", "1")
    os.kill(up[0]["daemon"], signal.SIGKILL)
    status = machine.json("lab", "status")
    assert [node["ready"] for node in status] == [False, True]
    assert machine.json("lab", "check")["ok"]
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_an_up_that_is_stopped_half_way_leaves_nothing(machine: "Machine", number: signal.Signals) -> None:
    """An `up` that is told to end undoes what it began; after one that was killed `down` does."""
    before = machine.snapshot()
    up = machine.start("lab", "up", "--nodes", "12", "--pods", "1")
    deadline = time.monotonic() + 30
    while "podnet-lab-n1" not in machine.run("ip", "netns", "list").stdout:
        assert up.poll() is None, up.communicate()
        assert time.monotonic() < deadline
    up.send_signal(number)
    up.communicate()
    assert up.returncode != 0
    if number is signal.SIGKILL:
        assert machine.run("ip", "netns", "list").stdout
        machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_what_is_left_of_a_lab_is_taken_away(machine: "Machine") -> None:
    """A lab of which only some namespaces, a folder and a process are left goes down as a whole one does."""
    before = machine.snapshot()
    up = machine.json("lab", "up", "--nodes", "2", "--pods", "1")
    machine.run("rm", "/run/podnet-lab/lab/lab.json", "/run/podnet-lab/lab/n1/daemon.pid")
    machine.run("ip", "netns", "delete", "podnet-lab-lan")
    machine.podnet("lab", "down")
    assert machine.snapshot() == before
    assert not any(Path(f"/proc/{node['daemon']}/ns/net").exists() for node in up)
    assert "there was no lab" in machine.podnet("lab", "down").stdout


def test_an_up_that_fails_says_why_and_leaves_nothing(machine: "Machine") -> None:
    """A daemon that cannot start fails `up` with the end of its log, and what was made is gone again."""
    before = machine.snapshot()
    machine.run("mount", "--bind", "/dev/null", str(Path(podnet.shim.__path__[0], "podnet")))  # no shim to install
    stuck = machine.snapshot()
    refused = machine.podnet("lab", "up", "--nodes", "2", check=False)
    assert refused.returncode == 1
    assert "the daemon of lab node n1 ended with 1" in refused.stderr
    assert "shim" in refused.stderr
    assert machine.snapshot() == stuck
    machine.run("umount", str(Path(podnet.shim.__path__[0], "podnet")))
    assert machine.snapshot() == before


def test_a_second_up_of_one_name_is_refused(machine: "Machine") -> None:
    """A lab that is there is not touched by another `up`; the error names the way out."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "1")
    again = machine.podnet("lab", "up", "--nodes", "1", check=False)
    assert again.returncode == 1
    assert "podnet lab down" in again.stderr
    assert machine.json("lab", "check")["ok"]


@pytest.mark.parametrize("words", [["status"], ["check"], ["exec", "n1", "true"], ["add-node"]], ids=" ".join)
def test_without_a_lab_the_way_to_one_is_named(machine: "Machine", words: list[str]) -> None:
    """Every command that needs a lab says, where there is none, what makes it."""
    refused = machine.podnet("lab", *words, check=False)
    assert refused.returncode == 1
    assert "`podnet lab up` makes it" in refused.stderr
