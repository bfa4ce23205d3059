"""Real labs: every datapath and family comes up, is all green, and leaves nothing."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    ("options", "families"),
    [
        (["--datapath", "ptp"], {4}),
        (["--datapath", "ptp", "--dual-stack"], {4, 6}),
        (["--datapath", "ptp", "--ipv6"], {6}),
        (["--datapath", "bridge"], {4}),
        (["--datapath", "bridge", "--dual-stack"], {4, 6}),
        (["--datapath", "bridge", "--ipv6"], {6}),
    ],
    ids=["ptp v4", "ptp dual", "ptp v6", "bridge v4", "bridge dual", "bridge v6"],
)
def test_every_datapath_and_family_is_green_and_leaves_nothing(
    machine: "Machine", options: list[str], families: set[int]
) -> None:
    """A lab comes up, every probe of its check is as expected, and after `down` the machine is as before."""
    before = machine.snapshot()
    status = machine.json("lab", "up", "--nodes", "2", *options)
    assert [(node["name"], node["ready"], len(node["pods"])) for node in status] == [("n1", True, 2), ("n2", True, 2)]
    checked = machine.json("lab", "check")
    assert [probe for probe in checked["probes"] if not probe["ok"]] == []
    assert {probe["family"] for probe in checked["probes"]} == families
    assert {probe["through"] for probe in checked["probes"]} == {"direct", "dnat", "hairpin"}
    assert machine.run("ip", "-o", "link").stdout == before["links"], "the machine's own links, while a lab is up"
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_demo_draws_every_pod_and_says_what_to_try(machine: "Machine") -> None:
    """`lab demo` brings a lab up, checks and draws it, and names commands to try; one of them is run here."""
    demo = machine.podnet("lab", "demo", "--nodes", "1", "--pods", "1", "--dual-stack")
    for word in ("┌─ n1", "10.99.0.11", "fd99::11", "10.244.1.2", "✓", "lab down", "all "):
        assert word in demo.stdout
    ping = next(line for line in demo.stdout.splitlines() if " ping " in line).partition("#")[0].split()
    assert ping[:2] == ["podnet", "lab"]
    assert "0% packet loss" in machine.podnet(*ping[1:]).stdout


def test_output_has_no_colours_where_it_is_no_terminal(machine: "Machine") -> None:
    """What goes into a pipe has no escape sequence in it, neither on standard output nor on standard error."""
    demo = machine.podnet("lab", "demo", "--nodes", "1", "--pods", "1")
    assert "\x1b" not in demo.stdout + demo.stderr


def test_several_labs_at_once(machine: "Machine") -> None:
    """Labs of different names have nothing in common: one goes down, the other stays whole."""
    before = machine.snapshot()
    for name in ("one", "two"):
        machine.podnet("lab", "up", "--name", name, "--nodes", "1", "--pods", "1")
    machine.podnet("lab", "down", "--name", "one")
    assert machine.json("lab", "check", "--name", "two")["ok"]
    machine.podnet("lab", "down", "--name", "two")
    assert machine.snapshot() == before


def test_what_others_have_come_to_use_is_left_to_them(machine: "Machine") -> None:
    """A file in a folder that the lab made, and a namespace beside the lab's, outlive it, folder and mount too."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "1")
    machine.run("touch", "/etc/cni/theirs")
    machine.run("ip", "netns", "add", "theirs")
    machine.podnet("lab", "down")
    assert machine.run("ip", "netns", "list").stdout.strip() == "theirs"
    machine.run("ip", "netns", "exec", "theirs", "true")
    machine.run("test", "-f", "/etc/cni/theirs")
    left = machine.run("find", "/run/podnet-lab", "/etc/podnet", "/opt/cni", "/var/lib/podnet", check=False).stdout
    assert left == ""


def test_commands_run_where_they_are_told_to(machine: "Machine") -> None:
    """`lab exec` on a node is that node (host name, files), in a pod that pod, and an unknown place is named."""
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1")
    assert machine.podnet("lab", "exec", "n2", "--", "hostname").stdout.strip() == "n2"
    assert "podnet.sock" in machine.podnet("lab", "exec", "n1", "ls", "/run/podnet").stdout
    assert "10.244.2.2/32" in machine.podnet("lab", "exec", "n2-red", "--", "ip", "-4", "addr").stdout
    assert "198.51.100.10" in machine.podnet("lab", "exec", "outside", "--", "ip", "addr").stdout
    failed = machine.podnet("lab", "exec", "n2-rot", "--", "true", check=False)
    assert failed.returncode == 1
    assert "did you mean n2-red?" in failed.stderr


def test_a_node_added_to_the_list_gets_routes_everywhere(machine: "Machine") -> None:
    """`lab add-node` writes nodes.yaml: the others learn the routes, and the matrix with the new node is green."""
    before = machine.snapshot()
    machine.podnet("lab", "up", "--nodes", "2", "--pods", "1", "--dual-stack")
    added = machine.json("lab", "add-node", "--pods", "1")
    assert [node["name"] for node in added] == ["n1", "n2", "n3"]
    for node in ("n1", "n2"):
        assert "10.244.3.0/24 via 10.99.0.13" in machine.podnet("lab", "exec", node, "--", "ip", "route").stdout
        assert "fd00:10:244:3::/64 via fd99::13" in machine.podnet("lab", "exec", node, "ip", "-6", "route").stdout
    checked = machine.json("lab", "check")
    assert checked["ok"], [probe for probe in checked["probes"] if not probe["ok"]]
    assert {"n3-red", "n3"} <= {probe["source"] for probe in checked["probes"]}
    machine.podnet("lab", "down")
    assert machine.snapshot() == before
