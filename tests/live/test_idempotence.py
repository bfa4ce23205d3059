"""The same attachment again, and orders other than ADD, DEL: the outcomes that docs/CONFIGURATION.md has."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from podnet.cni import AnswerReader, Frame
from podnet.testing.node import DEFAULT_CONFIGURATION, Node, finish
from podnet.testing.talk import mapped, port
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

DATAPATH = pytest.mark.parametrize("datapath", ["ptp", "bridge"])


def other(name: str, subnet: str, dst: str, **more: Any) -> dict[str, Any]:
    """Return the configuration of another network with one route."""
    ipam = {"type": "podnet", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": dst}]}
    return {**DEFAULT_CONFIGURATION, "name": name, "ipam": ipam, **more}


def queued(node: Node) -> int:
    """Return how many clients wait to be accepted by the daemon."""
    return int(node.run("ss", "-xlnH", "src", "/run/podnet/podnet.sock").split()[2])


@contextmanager
def standing_still(node: Node) -> Iterator[None]:
    """Keep the daemon from looking at requests, so that they wait in the order in which they come."""
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.daemon.pid, signal.SIGCONT)


def settled_leases(node: Node) -> list[str]:
    """Return who has a lease once none is on its way out."""
    eventually(lambda: not node.rows("SELECT id FROM lease WHERE cut NOTNULL AND closed IS NULL"), "leases are closed")
    return [row[0] for row in node.rows("SELECT container FROM lease WHERE closed IS NULL ORDER BY container, ifname")]


@DATAPATH
def test_add_twice(serving: Callable[..., Node], datapath: str) -> None:
    """Error 111, and the first stands undisturbed: links, rules, pod and lease are what they were."""
    node = serving(datapath, (4, 6))
    configuration = mapped(port(8080, 80))
    first = node.cni("ADD", node.pod("red"), configuration=configuration)
    before = node.state(), node.state("red"), node.leases()
    again = node.cni("ADD", "red", configuration=configuration)
    assert (again.status, again.json["code"]) == (1, 111)
    assert "DEL it first" in again.json["msg"]
    assert (node.state(), node.state("red"), node.leases()) == before
    for address in first.addresses:
        assert node.exchange("", "red", address)


@DATAPATH
def test_add_again_after_a_daemon_was_killed_amid_it(serving: Callable[..., Node], datapath: str) -> None:
    """What an ADD that never was answered left, here the node's side and half a pod's, is ended and made anew."""
    node = serving(datapath)
    node.attach("red")
    node.stop(signal.SIGKILL)
    node.run("ip", "addr", "flush", "dev", "eth0", pod="red")
    node.start()
    again = node.cni("ADD", "red")
    assert node.exchange("", "red", again.addresses[0]) == "10.99.0.11"
    node.wait_for_links(1)
    assert settled_leases(node) == ["red"]
    assert node.cni("CHECK", "red", configuration={**DEFAULT_CONFIGURATION, "prevResult": again.json}) == (0, b"")


def test_del_before_add(node: Node) -> None:
    """Success without effect, also with a namespace that never was; the ADD after it is as any other."""
    before = node.state()
    assert node.cni("DEL", "red") == (0, b"")
    assert node.state() == before
    assert node.attach("red")


def test_del_twice_and_without_a_namespace(node: Node) -> None:
    """Success each time; the second changes nothing."""
    before = node.state()
    node.attach("red")
    assert node.cni("DEL", "red", CNI_NETNS=None) == (0, b"")
    node.wait_for_links(0)
    assert node.state() == before
    assert node.cni("DEL", "red", CNI_NETNS=None) == (0, b"")
    assert node.cni("DEL", "red") == (0, b"")
    assert node.state() == before


def test_a_del_of_another_interface_or_network_ends_nothing(node: Node) -> None:
    """Only container, interface and network together name an attachment."""
    address = node.attach("red")
    assert node.cni("DEL", "red", ifname="eth1") == (0, b"")
    assert node.cni("DEL", "red", configuration=other("elsewhere", "10.88.0.0/24", "10.1.0.0/16")) == (0, b"")
    assert node.exchange("", "red", address) == "10.99.0.11"


def test_add_while_its_del_waits(node: Node) -> None:
    """They are served in the order in which they came: the pod is cut off, and attached anew."""
    old = node.attach("red")
    environment = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "red", "CNI_IFNAME": "eth0"}
    with standing_still(node):
        client = node.connect()
        client.sendall(Frame(environment, json.dumps(DEFAULT_CONFIGURATION).encode()).encode())
        adding = node.begin("ADD", "red")
        eventually(lambda: queued(node) == 2, "both wait")
    reader = AnswerReader()
    while (answer := reader.feed(client.recv(1 << 16))) is None:
        pass
    assert answer == (0, b"")
    (new,) = finish(adding).addresses
    assert new != old
    assert node.exchange("", "red", new) == "10.99.0.11"
    node.wait_for_links(1)
    assert settled_leases(node) == ["red"]


def test_del_while_its_add_waits(node: Node) -> None:
    """Likewise: both succeed, and nothing is left."""
    before = node.state()
    node.pod("red")
    with standing_still(node):
        adding = node.begin("ADD", "red")
        eventually(lambda: queued(node) == 1, "ADD waits")
        deleting = node.begin("DEL", "red")
        eventually(lambda: queued(node) == 2, "DEL waits")
    assert finish(adding).status == 0
    assert finish(deleting) == (0, b"")
    node.wait_for_links(0)
    assert settled_leases(node) == []
    assert node.state() == before


@DATAPATH
def test_a_container_id_is_used_again(serving: Callable[..., Node], datapath: str) -> None:
    """After DEL it is a new attachment; without DEL, in another namespace, what the old one had is ended first."""
    node = serving(datapath)
    configuration = mapped(port(8080, 80))
    node.pod("old")
    node.pod("new")
    assert node.cni("ADD", "red", netns="old", configuration=configuration).status == 0
    assert node.cni("DEL", "red", netns="old").status == 0
    assert node.cni("ADD", "red", netns="old", configuration=configuration).status == 0
    again = node.cni("ADD", "red", netns="new", configuration=configuration)
    assert node.exchange("", "new", again.addresses[0]) == "10.99.0.11"
    node.wait_for_links(1)
    assert settled_leases(node) == ["red"]
    assert len(node.elements("hostports4", "map")) == 1
    assert [link["ifname"] for link in node.json("ip", "-j", "link", pod="old")] == ["lo"]


@DATAPATH
def test_three_interfaces_of_one_container(serving: Callable[..., Node], datapath: str) -> None:
    """eth0, net1 and net2 of two networks are three attachments: each is reached, and goes without the others."""
    node = serving(datapath)
    storage = other("storage", "10.88.0.0/24", "10.88.0.0/16", bridge="br1")
    more = other("podnet", "10.244.1.0/24", "10.245.0.0/16")
    given = {
        "eth0": node.attach("red"),
        "net1": node.cni("ADD", "red", ifname="net1", configuration=storage).addresses[0],
        "net2": node.cni("ADD", "red", ifname="net2", configuration=more).addresses[0],
    }
    assert len(set(given.values())) == 3
    for ifname, address in given.items():
        shown = node.json("ip", "-j", "-4", "addr", "show", ifname, pod="red")
        assert [a["local"] for a in shown[0]["addr_info"]] == [address]
    blue = node.cni("ADD", node.pod("blue"), ifname="net1", configuration=storage).addresses[0]
    assert node.exchange("blue", "red", given["net1"]) == blue
    assert node.exchange("", "red", given["eth0"]) == "10.99.0.11"
    for left, (ifname, configuration) in enumerate((("net1", storage), ("eth0", b""), ("net2", more))):
        assert node.cni("DEL", "red", ifname=ifname, configuration=configuration) == (0, b"")
        node.wait_for_links(3 - left)
        names = [link["ifname"] for link in node.json("ip", "-j", "link", pod="red")]
        assert ifname not in names
        assert len(names) == 3 - left


def test_a_namespace_that_is_gone(node: Node) -> None:
    """ADD and CHECK: error 4 that names it, and no lease more; DEL: success, and the address is free."""
    refused = node.cni("ADD", "never").json
    assert (refused["code"], "/run/netns/never" in refused["msg"]) == (4, True)
    result = node.cni("ADD", node.pod("red")).json
    node.forget_place("red")
    check = {**DEFAULT_CONFIGURATION, "prevResult": result}
    refused = node.cni("CHECK", "red", configuration=check).json
    assert (refused["code"], "/run/netns/red" in refused["msg"]) == (4, True)
    assert settled_leases(node) == ["red"]
    assert node.cni("DEL", "red") == (0, b"")
    assert settled_leases(node) == []


def test_check_before_add_and_after_del(node: Node) -> None:
    """Error 112: there is no lease."""
    node.pod("red")
    check = {**DEFAULT_CONFIGURATION, "prevResult": {"cniVersion": "1.0.0", "ips": []}}
    assert node.cni("CHECK", "red", configuration=check).json["code"] == 112
    result = node.cni("ADD", "red").json
    assert node.cni("DEL", "red").status == 0
    assert node.cni("CHECK", "red", configuration={**check, "prevResult": result}).json["code"] == 112


def test_a_shim_that_is_killed_while_it_waits(node: Node) -> None:
    """Its ADD is undone, since nobody knows the address; its DEL is carried out all the same."""
    before = node.state()
    node.pod("red")
    address = node.attach("blue")
    for verb, name, links in (("ADD", "red", 1), ("DEL", "blue", 0)):
        with standing_still(node):
            process = node.begin(verb, name)
            eventually(lambda: queued(node) == 1, f"{verb} waits")
            process.kill()
            process.communicate()
        eventually(lambda: node.cni("VERSION").status == 0, "the daemon serves")
        node.wait_for_links(links)
        assert settled_leases(node) == ["blue"][:links]
    assert node.state() == before
    assert node.cni("ADD", "red").addresses != [address], "what was released rests"
