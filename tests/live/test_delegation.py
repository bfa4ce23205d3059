"""Addresses by another plugin, and podnet as the plugin that another asks: who is told what, and nothing is left."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.node import DEFAULT_CONFIGURATION, Node, finish
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

PATH = "/opt/cni/bin:/usr/lib/cni"
SLOW = """#!/bin/sh
# Gives 10.66.0.N, N from a file, once somebody writes into the FIFO of the verb where there is one.
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>/run/slow/log
fail() { echo "{\\"cniVersion\\": \\"1.0.0\\", \\"code\\": $1, \\"msg\\": \\"$2\\"}"; exit 1; }
cat >/run/slow/stdin.$CNI_COMMAND
if test "$CNI_COMMAND" = ADD; then
    found=$(nsenter --net="$CNI_NETNS" readlink /proc/self/ns/net)
    test "$found" = "$(cat /run/slow/expected)" || fail 3 "not the pod"
fi
test -p /run/slow/$CNI_COMMAND.fifo && cat /run/slow/$CNI_COMMAND.fifo >/dev/null
test -e /run/slow/$CNI_COMMAND.fails && fail 177 "the server says no"
case $CNI_COMMAND in
ADD) touch "/run/slow/held.$CNI_CONTAINERID.$CNI_IFNAME"
     echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.66.0.7/24", "gateway": "10.66.0.1"}]}' ;;
DEL) rm -f "/run/slow/held.$CNI_CONTAINERID.$CNI_IFNAME" ;;
esac
"""


def delegated(kind: str, **ipam: Any) -> dict[str, Any]:
    """Return a configuration of another network, whose addresses come from the plugin `kind`."""
    return {**DEFAULT_CONFIGURATION, "name": "lent", "ipam": {"type": kind, **ipam}}


LOCAL = delegated("host-local", ranges=[[{"subnet": "10.66.0.0/24"}], [{"subnet": "fd66::/64"}]])
STATIC = delegated("static", addresses=[{"address": "10.66.0.9/24", "gateway": "10.66.0.1"}])
BY_SLOW = delegated("slow")


def reserved(node: Node, network: str = "lent") -> list[str]:
    """Return the addresses that host-local has given out."""
    folder = node.root / "var/lib/cni/networks" / network
    return sorted(path.name for path in folder.glob("*[0-9a-f]") if "lock" not in path.name and "last" not in path.name)


class Slow:
    """The plugin `slow` on a node, and what it was told."""

    def __init__(self, node: Node) -> None:
        self.folder = node.root / "run/slow"
        self.folder.mkdir()
        self._node = node
        (node.root / "opt/cni/bin").mkdir(parents=True, exist_ok=True)
        plugin = node.root / "opt/cni/bin/slow"
        plugin.write_text(SLOW)
        plugin.chmod(0o755)

    def expect(self, pod: str) -> None:
        """Have ADD be refused where its namespace is not the one of `pod`."""
        namespace = self._node.run("readlink", "/proc/self/ns/net", pod=pod)
        (self.folder / "expected").write_text(namespace)

    def hold(self, verb: str) -> None:
        """Have executions of a verb wait."""
        os.mkfifo(self.folder / f"{verb}.fifo")

    def waits(self, verb: str, times: int = 1) -> None:
        """Wait until an execution of the verb is under way."""
        eventually(lambda: self.told().count(verb) >= times, f"{verb} is executed")

    def release(self, verb: str) -> None:
        """Let the one that waits go on, and those after it not wait."""
        fifo = self.folder / f"{verb}.fifo"
        with fifo.open("w"):
            fifo.unlink()

    def fails(self, verb: str, *, yes: bool = True) -> None:
        """Have executions of a verb fail, or succeed again."""
        marker = self.folder / f"{verb}.fails"
        marker.touch() if yes else marker.unlink()

    def told(self) -> list[str]:
        """Return the verbs it was executed for."""
        log = self.folder / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def held(self) -> list[str]:
        """Return which containers have an address."""
        return sorted(path.name.split(".")[1] for path in self.folder.glob("held.*"))


@pytest.fixture
def slow(serving: Callable[..., Node]) -> tuple[Node, Slow]:
    """Give a node with the plugin `slow`, whose daemon looks after it ten times a second, and a namespace `red`."""
    node = serving(more="gc: {interval: 0.1, grace: 0}")
    plugin = Slow(node)
    plugin.expect(node.pod("red"))
    return node, plugin


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_host_local_gives_the_addresses(serving: Callable[..., Node], datapath: str) -> None:
    """What host-local answers the pod has; it is reached; CHECK is content; DEL, once and twice, gives all back."""
    node = serving(datapath)
    configuration = {**LOCAL, "bridge": "br1"}
    for name in ("red", "blue"):
        given = node.cni("ADD", node.pod(name), configuration=configuration, CNI_PATH=PATH)
        assert given.status == 0, given.stdout
        for address in given.addresses:
            assert node.exchange("", name, address)
        check = {**configuration, "prevResult": given.json}
        assert node.cni("CHECK", name, configuration=check, CNI_PATH=PATH) == (0, b"")
    assert reserved(node) == sorted(["10.66.0.2", "10.66.0.3", "fd66::2", "fd66::3"])
    assert node.exchange("red", "blue", "10.66.0.3") == "10.66.0.2"
    for _ in range(2):
        assert node.cni("DEL", "red", configuration=configuration, CNI_PATH=PATH) == (0, b"")
    assert reserved(node) == ["10.66.0.3", "fd66::3"]
    node.wait_for_links(1)
    eventually(lambda: len(node.leases()) == 3, "one lease, two addresses")


def test_static_gives_the_address(node: Node) -> None:
    """Addresses, gateway, routes and dns of the static plugin are the pod's; a second pod's are refused: taken."""
    ipam = {**STATIC["ipam"], "routes": [{"dst": "10.7.0.0/16"}], "dns": {"nameservers": ["10.66.0.53"]}}
    configuration = {**STATIC, "ipam": ipam}
    given = node.cni("ADD", node.pod("red"), configuration=configuration, CNI_PATH=PATH)
    assert given.addresses == ["10.66.0.9"]
    assert given.json["dns"] == {"nameservers": ["10.66.0.53"]}
    assert "10.7.0.0/16" in [route["dst"] for route in node.json("ip", "-j", "route", pod="red")]
    refused = node.cni("ADD", node.pod("blue"), configuration=configuration, CNI_PATH=PATH).json
    assert refused["code"] == 110
    assert "container red" in refused["msg"]


def test_the_second_add_leaves_the_first_its_addresses(node: Node) -> None:
    """ADD of an attachment that stands is 111, and host-local is not told to free what the first has."""
    first = node.cni("ADD", node.pod("red"), configuration=LOCAL, CNI_PATH=PATH)
    before = reserved(node)
    assert len(before) == 2
    assert node.cni("ADD", "red", configuration=LOCAL, CNI_PATH=PATH).json["code"] == 111
    assert reserved(node) == before
    assert node.exchange("", "red", first.addresses[0])


def test_an_add_that_the_kernel_refuses_gives_back(node: Node) -> None:
    """Where the pod's eth0 is somebody else's, the addresses of host-local are free again."""
    node.pod("red")
    node.run("ip", "link", "add", "eth0", "type", "bridge", pod="red")
    assert node.cni("ADD", "red", configuration=LOCAL, CNI_PATH=PATH).json["code"] == 111
    assert reserved(node) == []
    assert node.leases() == []


def test_a_plugin_that_is_not_there_is_named(node: Node) -> None:
    """Error 2 names the plugin and where it was looked for; a path in its place is refused as well."""
    node.pod("red")
    for kind in ("nowhere", "../../bin/sh"):
        told = node.cni("ADD", "red", configuration=delegated(kind), CNI_PATH=PATH).json
        assert (told["code"], kind in told["msg"]) == (2, True)


def test_a_failing_plugins_own_error_comes_through(slow: tuple[Node, Slow]) -> None:
    """Its code and words are answered, and it is called with DEL, as the specification wants it."""
    node, plugin = slow
    plugin.fails("ADD")
    told = node.cni("ADD", "red", configuration=BY_SLOW).json
    assert told["code"] == 177
    assert "the server says no" in told["msg"]
    assert plugin.told() == ["ADD", "DEL"]
    assert node.leases() == []
    assert node.pod_links() == []


def test_the_plugin_gets_what_the_runtime_sent(slow: tuple[Node, Slow]) -> None:
    """Standard input, container and a real namespace are handed on; ADD works, DEL frees."""
    node, plugin = slow
    given = node.cni("ADD", "red", configuration=BY_SLOW)
    assert given.addresses == ["10.66.0.7"]
    assert json.loads((plugin.folder / "stdin.ADD").read_text()) == BY_SLOW
    assert node.exchange("", "red", "10.66.0.7") == "10.99.0.11"
    assert node.cni("DEL", "red", configuration=BY_SLOW) == (0, b"")
    assert (plugin.told(), plugin.held()) == (["ADD", "DEL"], [])


def test_others_are_served_while_a_plugin_is_slow(slow: tuple[Node, Slow]) -> None:
    """While one pod's plugin waits, others are attached and deleted; a DEL of that pod waits, and nothing is left."""
    node, plugin = slow
    plugin.hold("ADD")
    pending = node.begin("ADD", "red", configuration=BY_SLOW)
    plugin.waits("ADD")
    address = node.attach("blue")
    assert node.exchange("", "blue", address)
    assert node.cni("DEL", "blue").status == 0
    delete = node.begin("DEL", "red", configuration=BY_SLOW)
    assert node.cni("STATUS", configuration={**DEFAULT_CONFIGURATION, "cniVersion": "1.1.0"}) == (0, b"")
    assert (pending.poll(), delete.poll()) == (None, None)
    plugin.release("ADD")
    assert finish(pending).addresses == ["10.66.0.7"]
    assert finish(delete) == (0, b"")
    node.wait_for_links(0)
    assert (plugin.told(), plugin.held()) == (["ADD", "DEL"], [])
    eventually(lambda: node.leases() == [], "no lease")


def test_an_add_whose_client_has_gone_is_taken_back(slow: tuple[Node, Slow]) -> None:
    """A shim that is killed while the plugin works: what was made is undone, and the address given back."""
    node, plugin = slow
    plugin.hold("ADD")
    pending = node.begin("ADD", "red", configuration=BY_SLOW)
    plugin.waits("ADD")
    pending.kill()
    pending.communicate()
    plugin.release("ADD")
    eventually(lambda: plugin.told() == ["ADD", "DEL"] and not plugin.held(), "the address is given back")
    node.wait_for_links(0)
    eventually(lambda: node.leases() == [], "no lease")


def test_a_daemon_killed_before_it_gave_back_does_so_later(slow: tuple[Node, Slow]) -> None:
    """Cut is kept, giving back is owed: the next daemon calls DEL before anything else asks for that address."""
    node, plugin = slow
    assert node.cni("ADD", "red", configuration=BY_SLOW).status == 0
    plugin.hold("DEL")
    pending = node.begin("DEL", "red", configuration=BY_SLOW)
    plugin.waits("DEL")
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGKILL)
    node.daemon.process.wait()
    plugin.fails("DEL")
    plugin.release("DEL")
    node.stop()
    assert finish(pending).status == 1
    plugin.fails("DEL", yes=False)
    assert plugin.held() == ["red"]
    assert node.leases() != []
    node.configure(more="gc: {interval: 0}")
    node.start()
    eventually(lambda: plugin.held() == [], "the address is given back")
    eventually(lambda: node.leases() == [], "no lease")
    assert node.cni("ADD", "red", configuration=BY_SLOW).addresses == ["10.66.0.7"]
    assert plugin.held() == ["red"]


def test_a_plugin_that_cannot_take_back_is_asked_again(slow: tuple[Node, Slow]) -> None:
    """DEL tells its failure; the pod is cut off all the same; ADD waits for the debt to be paid; then it is."""
    node, plugin = slow
    assert node.cni("ADD", "red", configuration=BY_SLOW).status == 0
    plugin.fails("DEL")
    assert node.cni("DEL", "red", configuration=BY_SLOW).json["code"] == 177
    assert "10.66.0.7" not in str(node.elements("pods4"))
    assert node.cni("ADD", "red", configuration=BY_SLOW).json["code"] == 177
    assert plugin.told().count("ADD") == 1
    plugin.fails("DEL", yes=False)
    assert node.cni("ADD", "red", configuration=BY_SLOW).status == 0
    told = len(plugin.told())
    node.attach("blue")
    assert plugin.told()[told:] == []
    assert plugin.held() == ["red"]


def test_a_pod_that_is_gone_gives_back(slow: tuple[Node, Slow]) -> None:
    """A namespace that ends without a DEL: the plugin is told, without a runtime."""
    node, plugin = slow
    assert node.cni("ADD", "red", configuration=BY_SLOW).status == 0
    node.forget_place("red")
    eventually(lambda: plugin.held() == [], "the address is given back")
    eventually(lambda: node.leases() == [], "no lease")


MACVLAN = {"type": "macvlan", "master": "up0", "mode": "bridge"}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True}


@pytest.mark.parametrize(("main", "families"), [(BRIDGE, (4, 6)), (MACVLAN, (4,))], ids=["bridge", "macvlan"])
def test_podnet_gives_addresses_to_other_plugins(
    serving: Callable[..., Node], main: dict[str, Any], families: tuple[int, ...]
) -> None:
    """As ipam.type podnet: addresses of podnet's ranges, no link or rule of it; freed by DEL, by GC, and when gone."""
    node = serving("ptp", families, more="gc: {interval: 0.1, grace: 0}")
    configuration = {**main, "cniVersion": "1.0.0", "name": "podnet", "ipam": {"type": "podnet"}}
    more = {"configuration": configuration, "CNI_PATH": PATH, "plugin": f"/usr/lib/cni/{main['type']}"}
    for name in ("red", "blue", "green"):
        given = node.cni("ADD", node.pod(name), **more)
        assert given.status == 0, given.stdout
        assert [address.rpartition(".")[0] or address.rpartition(":")[0] for address in given.addresses] == [
            {4: "10.244.1", 6: "fd00:10:244:1:"}[family] for family in families
        ]
        shown = str(node.json("ip", "-j", "addr", "show", "eth0", pod=name))
        assert all(address in shown for address in given.addresses)
    assert node.exchange("red", "green", given.addresses[0])
    own = node.attach("own")
    assert own not in str(given.addresses)
    assert node.pod_links() == [name for name in node.links() if name.startswith("veth-")]

    assert node.cni("DEL", "red", **more) == (0, b"")
    held = "SELECT container FROM lease WHERE cut IS NULL ORDER BY container"
    assert node.rows(held) == [["blue"], ["green"], ["own"]]
    valid = [{"containerID": name, "ifname": "eth0"} for name in ("green", "own")]
    collect = {**DEFAULT_CONFIGURATION, "cniVersion": "1.1.0", "cni.dev/valid-attachments": valid}
    assert node.cni("GC", configuration=collect) == (0, b"")
    assert node.rows(held) == [["green"], ["own"]]
    node.forget_place("green")
    eventually(lambda: node.rows(held) == [["own"]], "what a pod that is gone had is free")
    assert node.cni("DEL", "own").status == 0
    eventually(lambda: node.leases() == [], "all is given back")
    assert node.elements("pods4") == []


def test_what_is_wrong_at_once_is_answered_at_once(node: Node) -> None:
    """A configuration that cannot be meant is refused although no plugin was asked."""
    wrong = {**LOCAL, "datapath": "vlan"}
    assert node.cni("ADD", node.pod("red"), configuration=wrong, CNI_PATH=PATH).json["code"] == 2
