"""Real labs whose nodes speak BGP, in two subnets with a router between: who is reached, and what a death costs."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.lab.bgp import (
    CLOCK,
    CONTROL,
    LAB,
    NODES,
    established,
    hurt,
    of,
    pid,
    restart,
    sessions,
    set_podnet_yaml,
    since,
    up,
    wait,
    watch,
)
from tests.lab.conftest import PODNET

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live

STRICT = "for at in all default eth0; do sysctl -qw net.ipv4.conf.$at.rp_filter=1; done"


@pytest.mark.parametrize(
    ("datapath", "profile", "families"),
    [
        ("ptp", "graceful", []),
        ("ptp", "fast", ["--dual-stack"]),
        ("bridge", "graceful", ["--dual-stack"]),
        ("bridge", "fast", ["--ipv6"]),
    ],
    ids=["ptp-graceful-IPv4", "ptp-fast-dual", "bridge-graceful-dual", "bridge-fast-IPv6"],
)
def test_pods_of_all_nodes_reach_each_other(
    machine: "Machine", datapath: str, profile: str, families: list[str]
) -> None:
    """Across both subnets all probes are as expected, to pods, nodes, services, with full packets; all goes again."""
    before = machine.snapshot()
    up(machine, "--datapath", datapath, "--profile", profile, *families)
    for node in NODES if families != ["--ipv6"] else ():
        machine.on(node, STRICT)
    assert machine.wrong() == []
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_a_node_that_joins_is_reached_and_nobody_is_disturbed(machine: "Machine") -> None:
    """A sixth node: reflectors get a session more by themselves, the others' sessions stay, and all is reached."""
    up(machine)
    before = since(machine, "n1")
    machine.podnet("lab", "add-node", "--pods", "1")
    after = since(machine, "n1")
    assert {name: at for name, at in after.items() if name in before} == pytest.approx(before, abs=CLOCK)
    assert set(after) - set(before) == {"n6 ipv4"}
    assert machine.wrong() == []


@pytest.mark.parametrize(
    "places",
    [("n3",), ("n1",), ("router",), ("n1", "n3"), (*NODES, "router")],
    ids=["a-node", "a-reflector", "the-router", "a-node-and-its-reflector", "all"],
)
def test_graceful_birds_that_are_killed_cost_nothing(machine: "Machine", places: tuple[str, ...]) -> None:
    """With -9, one or all at once: their routes stay, podnet starts them again, and no stream loses a datagram."""
    up(machine, "--profile", "graceful", "--dual-stack")
    old = {where: pid(machine, where) for where in places}
    flows = watch(machine, "kill", "-9", *old.values())
    assert hurt(flows) == set()
    for where in places:
        assert pid(machine, where) != old[where]
        wait(machine, where, established("n2" if where == "n1" else "n1"))
        wait(machine, where, 'test -z "$(ip route show proto 113; ip -6 route show proto 113)"')
    assert machine.wrong() == []


@pytest.mark.parametrize("seconds", [0.3, 0.7])
def test_a_graceful_bird_that_dies_again_and_again_costs_nothing(machine: "Machine", seconds: float) -> None:
    """Before it has told its routes, which neighbours keep by RFC 9494: by RFC 4724 alone they go the second time."""
    up(machine, "--profile", "graceful", "--dual-stack")
    kill = f"kill -9 $(cat {LAB}/n3/run/podnet/bird/bird.pid)"
    flows = watch(machine, "sh", "-ec", f"for i in 1 2 3 4; do {kill}; sleep {seconds}; done", seconds=6)
    assert hurt(flows) == set()
    for where in (*NODES, "router"):
        wait(machine, where, 'test -z "$(ip route show proto 113; ip -6 route show proto 113)"')
    assert machine.wrong() == []


def test_fast_a_reflectors_bird_that_is_killed_costs_bystanders_nothing(machine: "Machine") -> None:
    """The other reflector tells the same routes: who does not speak to a pod of its own node loses nothing."""
    up(machine, "--profile", "fast")
    flows = watch(machine, "kill", "-9", pid(machine, "n1"))
    assert of(hurt(flows), "n1") == set()
    wait(machine, "n3", established("n1"))
    assert machine.wrong() == []


@pytest.mark.parametrize("profile", ["fast", "graceful"])
@pytest.mark.parametrize("node", ["n3", "n1"], ids=["a-node", "a-reflector"])
def test_a_node_that_is_dead_is_missed_and_bystanders_lose_nothing(machine: "Machine", profile: str, node: str) -> None:
    """Its cable is cut in silence: the others' routes to its pods go, no stream between others loses a datagram.

    With `fast` they go before any hold time could be over, which is 9 s there: BFD has told.
    """
    up(machine, "--profile", profile)
    seconds = "4" if profile == "fast" else "8"
    document = machine.json("lab", "cut", node, "--seconds", seconds)
    assert of(hurt(document["flows"]), node) == set()
    assert len(hurt(document["flows"])) == 8  # to and from each of the others
    others = [name for name in NODES if name != node]
    assert set(others) <= set(document["routes"])
    for other in others:
        assert f"10.244.{node[1]}.0/24" not in machine.on(other, "ip route show proto bird")
    machine.podnet("lab", "heal", node)
    wait(machine, "n5", f"ip route show proto bird | grep -q 10.244.{node[1]}.0/24")
    wait(machine, "router", f"ip route show proto bird | grep -q 10.244.{node[1]}.0/24")
    assert machine.wrong() == []


def test_a_restart_of_podnet_does_not_touch_bird(machine: "Machine") -> None:
    """The daemon of a node and that of the router end and come back: same process, same sessions, nothing lost."""
    up(machine)
    places = ("n1", "n3", "router")
    before = {where: (pid(machine, where), since(machine, where)) for where in places}
    daemons = [machine.run("cat", f"/run/podnet-lab/lab/{where}/daemon.pid").stdout.strip() for where in places]
    assert hurt(watch(machine, "kill", *daemons)) == set()
    restart(machine, *places)
    for where in places:
        wait(machine, where, "grep -q serving /run/daemon.log || grep -q nodes: /run/daemon.log")
        process, sessions_since = before[where]
        assert pid(machine, where) == process
        assert since(machine, where) == pytest.approx(sessions_since, abs=CLOCK)


def test_nodes_have_sessions_with_each_other_in_mode_mesh(machine: "Machine") -> None:
    """Without reflectors every node speaks to every other; the router hears each node's own routes from it."""
    up(machine)
    set_podnet_yaml(machine, "mode: reflectors", "mode: mesh")
    restart(machine, *NODES, "router")
    for node in NODES:
        for other in NODES:
            if other != node:
                wait(machine, node, established(other))
    assert set(sessions(machine, "n3")) == {"n1 ipv4", "n2 ipv4", "n4 ipv4", "n5 ipv4", "router ipv4"}
    wait(machine, "router", "test $(ip route show proto bird | wc -l) = 5")
    assert machine.wrong() == []


def test_a_router_of_another_as_leads_nodes_to_each_other_in_mode_routers(machine: "Machine") -> None:
    """As a top-of-rack switch: nodes speak to it alone, by eBGP, and its routes to other nodes are theirs."""
    up(machine)
    set_podnet_yaml(machine, "mode: reflectors", "mode: routers")
    set_podnet_yaml(machine, "role: client", "role: peer\n      as: 65001")
    restart(machine, *NODES, "router")
    for node in NODES:
        wait(machine, node, "test $(ip route show proto bird | wc -l) = 4")
    assert {name: one["as"] for name, one in sessions(machine, "n3").items()} == {"router ipv4": 65001}
    assert machine.wrong() == []


def test_a_node_that_goes_back_to_another_backend_keeps_no_bird(machine: "Machine") -> None:
    """podnet.yaml says `direct` again: podnet's BIRD ends, and its routes with it."""
    up(machine, nodes=3)
    set_podnet_yaml(machine, "backend: bgp", "backend: direct")
    restart(machine, "n3")
    wait(machine, "n3", f"! test -e {CONTROL}")
    assert machine.on("n3", "ip route show proto bird") == ""
    assert "10.244.1.0/24 via 10.99.0.11" in machine.on("n3", "ip route")


def test_the_doctor_names_what_is_amiss_with_bgp(machine: "Machine") -> None:
    """A node that is gone, a session, a firewall's rule, a BIRD that is gone: each is told, and nothing else."""

    def findings() -> list[dict[str, str]]:
        words = (*PODNET, "lab", "exec", "n3", "--", "podnet", "doctor", "--json")
        found: list[dict[str, str]] = json.loads(machine.run(*words, check=False).stdout)["findings"]
        return found

    def told(check: str = "bgp") -> list[tuple[str, str]]:
        return [(one["severity"], one["what"]) for one in findings() if one["check"] == check]

    up(machine, "--profile", "fast")
    assert [one for one in findings() if one["severity"] != "note"] == []
    machine.podnet("lab", "cut", "n5", "--seconds", "2")
    ((severity, what),) = told()
    assert (severity, "the pods of node n5, 10.244.5.0/24" in what) == ("broken", True)
    machine.podnet("lab", "heal", "n5", "--seconds", "0.1")
    wait(machine, "n3", "ip route show proto bird | grep -q 10.244.5.0/24")
    assert told("firewall") == []
    wall = "add table inet wall; add chain inet wall input { type filter hook input priority 0; }"
    machine.on("n3", f"nft '{wall}; add rule inet wall input ct state new tcp dport 179 drop'")
    ((severity, what),) = told("firewall")
    assert (severity, "BGP" in what) == ("broken", True)
    machine.on("n3", "nft delete table inet wall")
    machine.on("n2", f"birdc -s {CONTROL} disable \"'podnet.n3.4'\"")
    wait(machine, "n3", f"! {established('n2')}")
    ((severity, what),) = told()
    assert (severity, "session with n2" in what) == ("soon", True)
    machine.run("kill", machine.run("cat", "/run/podnet-lab/lab/n3/daemon.pid").stdout.strip())
    machine.run("kill", "-9", pid(machine, "n3"))
    ((severity, what),) = told()
    assert (severity, "BIRD does not answer" in what) == ("broken", True)
