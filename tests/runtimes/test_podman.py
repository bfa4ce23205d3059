"""Containers by podman, whose CNI backend finds podnet's list as it is installed."""

import pytest

from podnet.testing.node import Node
from tests.runtimes.podman import IMAGE, Podman, greeted

pytestmark = pytest.mark.live

NODE, OUTSIDE = "10.99.0.11", "10.99.0.1"


def test_podman_lists_the_network(podman: Podman) -> None:
    """The installed list is a network to podman, under podnet's name."""
    (listed,) = podman.node.json("cat", "/etc/cni/net.d/10-podnet.conflist")["plugins"]
    names = podman.run("network", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines()
    assert f"podnet {listed['type']}" in names


def test_a_container_has_a_network(node: Node, podman: Podman) -> None:
    """Node, outside and another container reach it, it reaches outside; its removal leaves nothing."""
    before = node.state()
    red, blue = podman.start("red"), podman.start("blue")
    assert greeted(node, "", red) == NODE
    assert greeted(node, "outside", red) == OUTSIDE
    place = podman.place("red")
    assert greeted(node, place, blue) == red
    assert node.exchange(place, "outside", OUTSIDE) == NODE
    (link,) = node.json("ip", "-j", "addr", "show", "eth0", pod=place)
    assert podman.settings("red")["MacAddress"] == link["address"]
    podman.remove("red", "blue")
    podman.assert_nothing_left(before)


def test_a_published_port(node: Node, podman: Podman) -> None:
    """`-p 8080:80` leads to the container from the node, by loopback too, and from outside, and ends with it."""
    before = node.state()
    podman.start("red", "--publish", "8080:80", "--publish", "10.99.0.11:8081:80")
    assert greeted(node, "outside", NODE, 8080) == OUTSIDE
    assert greeted(node, "outside", NODE, 8081) == OUTSIDE
    assert greeted(node, "", NODE, 8080)
    assert greeted(node, "", "127.0.0.1", 8080)
    podman.remove("red")
    podman.assert_nothing_left(before)


def test_a_stopped_container_starts_again(node: Node, podman: Podman) -> None:
    """Stopped it has no attachment; started it has one again; a restart of the daemon changes nothing for it."""
    before = node.state()
    podman.start("red")
    podman.run("stop", "--time", "0", "red")
    podman.assert_nothing_left(before)
    podman.run("start", "red")
    node.stop()
    node.start()
    assert greeted(node, "outside", podman.settings("red")["IPAddress"]) == OUTSIDE
    podman.remove("red")
    podman.assert_nothing_left(before)


def test_an_address_asked_for(node: Node, podman: Podman) -> None:
    """`--ip` gives that address, and a second container that asks for it is told so and leaves nothing."""
    before = node.state()
    assert podman.start("red", "--ip", "10.244.1.99") == "10.244.1.99"
    assert greeted(node, "outside", "10.244.1.99") == OUTSIDE
    second = ("run", *podman.options("blue"), "--ip", "10.244.1.99", IMAGE, "/greet")
    assert "10.244.1.99" in podman.run(*second, refused=True)
    podman.remove("red", "blue")
    podman.assert_nothing_left(before)


def test_a_hardware_address_and_names_asked_for(node: Node, podman: Podman) -> None:
    """`--mac-address` gives it; `--network-alias` is taken, as are the names that podman gives by itself."""
    before = node.state()
    address = podman.start("red", "--mac-address", "0a:58:00:00:00:63", "--network-alias", "rouge")
    (link,) = node.json("ip", "-j", "link", "show", "eth0", pod=podman.place("red"))
    assert link["address"] == "0a:58:00:00:00:63"
    assert greeted(node, "outside", address) == OUTSIDE
    podman.remove("red")
    podman.assert_nothing_left(before)
