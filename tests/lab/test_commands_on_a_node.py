"""podnet's commands on a running node, reached as a user of a lab reaches it."""

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from podnet.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live


@pytest.fixture
def node(machine: "Machine") -> "Machine":
    """Give a machine with a lab of one node with one pod, red, and a further namespace, spare."""
    machine.podnet("lab", "up", "--nodes", "1", "--pods", "1")
    machine.run("ip", "netns", "add", "spare")
    return machine


def on_node(machine: "Machine", *words: str, status: int = 0) -> tuple[str, str]:
    """Run podnet on n1 and return its standard output and error; its exit status is to be `status`."""
    done = machine.podnet("lab", "exec", "n1", "--", "podnet", *words, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_add_and_del_by_the_daemon(node: "Machine") -> None:
    """`podnet add` gives the namespace an address and says which; a second time is refused; `del` takes it away."""
    told, _ = on_node(node, "add", "pink", "spare")
    assert told.splitlines()[1].split()[:2] == ["pink", "eth0"]
    address = told.splitlines()[1].split()[2].split("/")[0]
    assert address in node.run("ip", "-n", "spare", "addr").stdout
    _, refused = on_node(node, "add", "pink", "spare", status=1)
    assert "CNI error 111" in refused
    on_node(node, "del", "pink", "spare")
    eventually(lambda: address not in node.run("ip", "-n", "spare", "addr").stdout, "the pod's end is reaped")
    on_node(node, "del", "pink")


def test_add_takes_a_path_and_another_interface(node: "Machine") -> None:
    """NETNS may be a path, as that of a process; --json prints the CNI result as a runtime gets it."""
    path = f"/proc/{node.pid}/root/run/netns/spare"
    told, _ = on_node(node, "add", "pink", path, "--ifname", "net1", "--json")
    result = json.loads(told)
    assert result["cniVersion"] == "1.0.0"
    assert {"net1", "pink"} & {interface["name"] for interface in result["interfaces"]} == {"net1"}
    assert "net1" in node.run("ip", "-n", "spare", "-br", "link").stdout


def test_a_namespace_that_is_not_there_is_named(node: "Machine") -> None:
    """`add` says where it looked and what would show it; `del` needs no namespace."""
    _, refused = on_node(node, "add", "pink", "nowhere", status=1)
    assert "/run/netns/nowhere: No such file or directory" in refused
    on_node(node, "del", "pink", "nowhere")


def test_without_a_daemon_the_same_is_done_at_once(node: "Machine") -> None:
    """With the daemon gone `add` and `del` work on the database themselves, and `who` tells of both."""
    os.kill(node.json("lab", "status")[0]["daemon"], signal.SIGKILL)
    told, _ = on_node(node, "add", "pink", "spare", "--json")
    address = json.loads(told)["ips"][0]["address"].split("/")[0]
    on_node(node, "del", "pink", "spare")
    history = json.loads(on_node(node, "who", address, "--json")[0])
    assert [(h["container"], h["to"] is None) for h in history] == [("pink", False)]


def test_who_tells_holder_and_times(node: "Machine") -> None:
    """The live pod is named now; at a time before it was made nobody is."""
    table, _ = on_node(node, "who", "10.244.1.2")
    assert table.splitlines()[1].split()[:3] == ["red", "eth0", "podnet"]
    assert "live" in table
    assert on_node(node, "who", "10.244.1.2", "--at", "@1000", "--json")[0].strip() == "[]"
    nobody, _ = on_node(node, "who", "10.244.1.99")
    assert "Nobody held 10.244.1.99" in nobody


def test_explain_gives_each_command_its_reason(node: "Machine") -> None:
    """The node's part precedes the pod's, every line has a reason, and text and JSON agree."""
    explained = json.loads(on_node(node, "explain", "red", "--json")[0])
    assert list(explained) == ["node", "pod"]
    assert all(line["reason"] and line["command"] for part in explained.values() for line in part)
    assert any("10.244.1.2" in line["command"] for line in explained["pod"])
    text, _ = on_node(node, "explain", "red")
    commands = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert commands == [line["command"] for part in explained.values() for line in part]
    _, unknown = on_node(node, "explain", "nobody", status=1)
    assert "nobody" in unknown


def test_explain_needs_no_container_with_a_configuration(node: "Machine") -> None:
    """--conf explains what a configuration would make of a first pod."""
    configuration = {"cniVersion": "1.1.0", "name": "podnet", "type": "podnet", "datapath": "bridge"}
    node.run("sh", "-c", f"echo '{json.dumps(configuration)}' > /run/podnet-lab/lab/n1/run/bridge.conf")
    text, _ = on_node(node, "explain", "--conf", "/run/bridge.conf")
    assert "type bridge" in text
