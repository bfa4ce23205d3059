"""nodes.yaml followed while serving, and the daemon's beginning and end."""

import signal

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

N1 = "nodes:\n  - name: n1\n    addresses: [10.99.0.11]\n    pod-cidrs: [10.244.1.0/24]\n"
N2 = "  - name: n2\n    addresses: [10.99.0.12]\n    pod-cidrs: [10.244.2.0/24]\n"
N3 = "  - name: n3\n    addresses: [10.99.0.13]\n    pod-cidrs: [10.244.3.0/24]\n"


def mesh_routes(node: Node) -> dict[str, str]:
    """Return destination and gateway of the routes to other nodes' pods."""
    routes = node.json("ip", "-j", "route", "show", "proto", "112")
    return {route["dst"]: route["gateway"] for route in routes if "gateway" in route}


def wait_for_routes(node: Node, wanted: dict[str, str]) -> None:
    """Wait until just these routes to other nodes' pods are there."""
    eventually(lambda: mesh_routes(node) == wanted, f"routes {wanted}")


def test_routes_follow_the_list(node: Node) -> None:
    """A node that is listed gets its route, one that is not any more loses it, and pods do not notice."""
    address = node.attach("red")
    before = node.state()
    for listed, wanted in (
        (N1 + N2, {"10.244.2.0/24": "10.99.0.12"}),
        (N1 + N2 + N3, {"10.244.2.0/24": "10.99.0.12", "10.244.3.0/24": "10.99.0.13"}),
        (N1 + N3.replace(".0.13", ".0.14"), {"10.244.3.0/24": "10.99.0.14"}),
        (N1, {}),
    ):
        node.list_nodes(listed)
        wait_for_routes(node, wanted)
        assert node.exchange("", "red", address)
    assert node.state() == before


def test_pods_of_other_nodes_see_the_pods_own_address(node: Node) -> None:
    """What goes to a listed node's pods is not masqueraded, also what goes there from the moment it is listed."""
    address = node.attach("red")
    node.sh(
        "ip -n outside addr add 10.99.0.12/24 dev up1; ip -n outside addr add 10.244.2.5/32 dev lo;"
        "ip -n outside route add 10.244.1.0/24 via 10.99.0.11"
    )
    node.list_nodes(N1 + N2)
    eventually(lambda: mesh_routes(node), "a route to n2")
    assert node.exchange("red", "outside", "10.244.2.5") == address
    assert node.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("nodes: [", "nodes.yaml"),
        (N1 + N2.replace("10.244.2.0/24", "10.244.1.0/25"), "10.244.1.0/2"),
        (N1 + N2.replace("pod-cidrs", "pod-cidr"), "pod-cidr"),
    ],
    ids=["no YAML", "overlapping", "unknown key"],
)
def test_a_bad_list_is_told_and_changes_nothing(node: Node, bad: str, told: str) -> None:
    """The last good nodes stay, the log says what is wrong, and the next good list is followed."""
    assert node.daemon is not None
    node.list_nodes(N1 + N2)
    eventually(lambda: mesh_routes(node), "a route to n2")
    before = node.state()
    node.list_nodes(bad)
    assert told in node.daemon.wait_log("the nodes stay as they were")
    assert node.state() == before
    node.attach("red")
    node.list_nodes(N1 + N3)
    eventually(lambda: mesh_routes(node) == {"10.244.3.0/24": "10.99.0.13"}, "the next good list")


def test_a_daemon_does_not_start_on_a_bad_list(bare: Node) -> None:
    """It says what is wrong and where, exits with 1, and builds nothing."""
    bare.configure()
    bare.list_nodes(N1.replace("10.244.1.0/24", "10.244.1.7/24"))
    before = bare.state()
    refused = bare.launch()
    refused.wait_log("10.244.1.7/24")
    assert refused.end(0) == 1
    assert bare.state() == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_in_good_order(node: Node, how: signal.Signals) -> None:
    """Exit status 0, the socket's name is gone, pods stay, and the next daemon starts."""
    node.attach("red")
    before = node.state()
    assert node.stop(how) == 0
    assert not (node.root / "run/podnet/podnet.sock").exists()
    assert node.state() == before
    node.start()
    assert node.state() == before


def test_a_stale_socket_is_replaced(node: Node) -> None:
    """After kill -9 the socket's name is left; the next daemon serves there."""
    node.stop(signal.SIGKILL)
    assert (node.root / "run/podnet/podnet.sock").is_socket()
    node.start()
    assert node.attach("red")


def test_what_was_taken_from_the_node_comes_back_with_a_restart(node: Node) -> None:
    """Rules, elements, routes and forwarding that somebody removed are as before after a restart."""
    address = node.attach("red")
    before = node.state()
    node.sh("nft delete table inet podnet; ip route flush proto 112; sysctl -qw net.ipv4.ip_forward=0")
    assert node.state() != before
    node.stop()
    node.start()
    assert node.state() == before
    assert node.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"
    assert node.exchange("", "red", address)
