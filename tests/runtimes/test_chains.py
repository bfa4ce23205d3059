"""podnet in a list with the reference plugins: before those that add to a pod's link, and after loopback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually
from tests.runtimes.libcni import Attachment, Document, PluginError, Runtime
from tests.runtimes.traffic import connect, rate

pytestmark = pytest.mark.live

NODE, OUTSIDE = "10.99.0.11", "10.99.0.1"
PODNET: Document = {"type": "podnet"}
REFERENCE: dict[str, Document] = {
    "tuning": {"type": "tuning", "sysctl": {"net.core.somaxconn": "517"}},
    "bandwidth": {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    "firewall": {"type": "firewall", "backend": "iptables"},
    "portmap": {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
}
ARGUMENTS = {
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 20_000_000, "ingressBurst": 800_000},
}
CHAINS = [
    *((name, version) for name in ("portmap", "tuning", "bandwidth") for version in ("0.3.1", "0.4.0", "1.0.0")),
    *(("firewall", version) for version in ("0.4.0", "1.0.0")),
]
"""Debian's plugins end at 1.0.0, and its firewall begins at 0.4.0."""
FIRST_REFERENCE = ("/usr/lib/cni", "/opt/cni/bin")
FIRST_PODNET = ("/opt/cni/bin", "/usr/lib/cni")


def takes_port(node: Node, _: str) -> None:
    """Reach the pod by a port of the node."""
    assert connect(node, "outside", "red", NODE, 8080) == OUTSIDE
    assert connect(node, "", "red", "127.0.0.1", 8080)


def has_sysctl(node: Node, _: str) -> None:
    """Find the sysctl set in the pod."""
    assert node.run("sysctl", "-n", "net.core.somaxconn", pod="red").strip() == "517"


def is_held(node: Node, address: str) -> None:
    """Find what gets to the pod held to the rate."""
    assert 5 < rate(node, "", "red", address) < 25


def is_let_through(node: Node, address: str) -> None:
    """Get packets to the pod and from it where FORWARD lets nothing else through."""
    node.run("iptables", "-P", "FORWARD", "DROP")
    assert node.exchange("red", "outside", OUTSIDE) == NODE
    node.run("iptables", "-P", "FORWARD", "ACCEPT")
    assert node.exchange("outside", "red", address) == OUTSIDE


EFFECTS: dict[str, Callable[[Node, str], None]] = {
    "portmap": takes_port,
    "tuning": has_sysctl,
    "bandwidth": is_held,
    "firewall": is_let_through,
}


def own_state(node: Node) -> dict[str, Any]:
    """Return the node's state but for the tables that iptables makes for plugins, and never removes."""
    state = node.state()
    ours = [entry for entry in state["ruleset"] if any(item.get("family") == "inet" for item in entry.values())]
    return {**state, "ruleset": ours, "sysctls": ""}


def check_all(runtime: Runtime, attachment: Attachment) -> None:
    """Have everybody check, where the version has that.

    Debian's portmap (1.1.1) looks for a pod's IPv4 rules in ip6tables too, and never finds them: its complaint, after
    podnet and the others have none, is as far as CHECK goes with it.
    """
    if runtime.plugins[-1]["type"] == "portmap" and runtime.version != "0.3.1":
        with pytest.raises(PluginError, match="could not check ipv6 dnat") as error:
            runtime.check(attachment)
        assert error.value.plugin == "portmap"
    else:
        assert runtime.check(attachment) is (runtime.version != "0.3.1")


@pytest.mark.parametrize(("name", "version"), CHAINS)
def test_a_reference_plugin_after_podnet(node: Node, tmp_path: Path, name: str, version: str) -> None:
    """It finds in podnet's result what it needs and does its work; CHECK goes through both, DEL leaves nothing."""
    before = own_state(node)
    conflist = {"cniVersion": version, "name": "podnet", "plugins": [PODNET, REFERENCE[name]]}
    runtime = Runtime(node, conflist, tmp_path)
    red = Attachment(node.pod("red"), "/run/netns/red", arguments=ARGUMENTS)
    result = runtime.add(red)
    address = result["ips"][0]["address"].partition("/")[0]
    EFFECTS[name](node, address)
    assert node.exchange("", "red", address) == NODE
    check_all(runtime, red)
    runtime.delete(red)
    node.wait_for_links(0)
    eventually(lambda: node.leases() == [], "the lease is closed")
    assert own_state(node) == before


def test_all_of_them_after_podnet(node: Node, tmp_path: Path) -> None:
    """A list as administrators write them: podnet, tuning, bandwidth, firewall and portmap, for three pods."""
    before = own_state(node)
    conflist = {"cniVersion": "1.0.0", "name": "podnet", "plugins": [PODNET, *REFERENCE.values()]}
    runtime = Runtime(node, conflist, tmp_path)
    for number in range(3):
        name = node.pod(f"pod{number}")
        ports = [{"hostPort": 8080 + number, "containerPort": 80, "protocol": "tcp"}]
        runtime.add(Attachment(name, f"/run/netns/{name}", arguments={**ARGUMENTS, "portMappings": ports}))
    for number, attachment in enumerate(runtime.attachments()):
        assert connect(node, "outside", attachment.container, NODE, 8080 + number) == OUTSIDE
        check_all(runtime, attachment)
    for attachment in runtime.attachments():
        runtime.delete(attachment)
    node.wait_for_links(0)
    assert own_state(node) == before


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
@pytest.mark.parametrize("path", [FIRST_REFERENCE, FIRST_PODNET], ids=["reference", "podnet"])
def test_podnet_after_loopback(node: Node, tmp_path: Path, path: tuple[str, ...], version: str) -> None:
    """The result has loopback's interface and addresses before podnet's own, each with its interface's index."""
    before = node.state()
    conflist = {"cniVersion": version, "name": "podnet", "plugins": [{"type": "loopback"}, PODNET]}
    runtime = Runtime(node, conflist, tmp_path, path)
    red = Attachment(node.pod("red"), "/run/netns/red")
    result = runtime.add(red)
    assert [interface["name"] for interface in result["interfaces"]][::2] == ["lo", "eth0"]
    named = {ip["address"]: result["interfaces"][ip["interface"]]["name"] for ip in result["ips"]}
    assert named["127.0.0.1/8"] == "lo"
    (address,) = [address for address, interface in named.items() if interface == "eth0"]
    assert node.exchange("outside", "red", address.partition("/")[0]) == OUTSIDE
    assert runtime.check(red) is (version != "0.3.1")
    runtime.delete(red)
    node.wait_for_links(0)
    assert node.state() == before
