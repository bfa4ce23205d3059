"""A node with which nothing is amiss, and what the doctor says of itself."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from podnet.testing.node import Node
from tests.doctor.conftest import ALONE, ask

pytestmark = pytest.mark.live

CHECKS = [
    *("daemon", "nodes", "uplink", "forwarding", "rp_filter", "features", "lists", "overlap", "bgp", "path_mtu"),
    *("tunnel_port", "conntrack", "link_daemons", "clock", "exhaustion", "firewall"),
]


@pytest.mark.parametrize("backend", ["direct", "vxlan"])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_nothing_is_found_on_a_healthy_node(serving: Callable[..., Node], datapath: str, backend: str) -> None:
    """Not with strict rp_filter either, which podnet takes; and it is as it was after the question."""
    node = serving(datapath, f"backend: {backend}")
    node.sh("for at in all up0; do sysctl -qw net.ipv4.conf.$at.rp_filter=1; done")
    node.sh("ip -n outside route add 10.244.1.0/24 via 10.99.0.11")
    node.exchange("red", "outside", "10.99.0.1")
    before = node.state(), node.state("red"), node.leases()
    told = ask(node)
    assert told.findings == []
    assert (told.status, told.document["looked"], told.document["sound"]) == (0, CHECKS, True)
    assert (node.state(), node.state("red"), node.leases()) == before


def test_nothing_found_says_what_was_looked_at(serving: Callable[..., Node]) -> None:
    """In words, their number and their names."""
    node = serving()
    command = node.enter(*ALONE, sys.executable, "-m", "podnet.cli", "doctor")
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.stdout == f"Nothing found by {len(CHECKS)} checks: {', '.join(CHECKS)}.\n", done.stderr
    assert done.returncode == 0


def test_findings_are_told_worst_first(serving: Callable[..., Node]) -> None:
    """Each with where it is seen and what to do; status 1."""
    node = serving()
    node.stop()
    node.sh("sysctl -qw net.ipv4.ip_forward=0")
    command = node.enter(*ALONE, sys.executable, "-m", "podnet.cli", "doctor")
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[0].startswith("broken  forwarding: IPv4 forwarding is off")
    assert lines[1:3] == ["        seen: net.ipv4.ip_forward = 0", "        do:   sysctl -w net.ipv4.ip_forward=1"]
    assert lines[4].startswith("soon    daemon: no daemon runs")


def test_a_node_whose_daemon_is_away_is_looked_at_all_the_same(serving: Callable[..., Node]) -> None:
    """The database is read, the ways are tried, and all that is amiss is that nobody serves; status 0."""
    node = serving()
    node.stop()
    told = ask(node)
    assert [(finding["check"], finding["severity"]) for finding in told.findings] == [("daemon", "soon")]
    assert told.status == 0


def test_whoever_is_not_root_is_told_what_was_out_of_sight(serving: Callable[..., Node]) -> None:
    """A note with the remedy, beside what can be seen; no traceback."""
    node = serving()
    told = ask(node, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert told.stderr == ""
    assert {(finding["severity"], finding["remedy"]) for finding in told.findings} == {("note", "run it as root")}
    unseen = " ".join(finding["what"] for finding in told.findings)
    assert all(check in unseen for check in CHECKS if check not in {"lists", "conntrack"})
    assert told.status == 0


def test_a_machine_that_has_no_podnet_yet_is_told_what_it_lacks(bare: Node) -> None:
    """The daemon, its name in a list of nodes, and the network list; no traceback."""
    told = ask(bare)
    assert told.stderr == ""
    assert {"daemon", "nodes", "lists"} <= {finding["check"] for finding in told.findings}
