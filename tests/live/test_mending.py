"""What somebody takes from a node by hand is there again before it is missed; the log says what, since when and who.

The daemon looks of itself only once a day here, so that what is seen is that it heard.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from podnet.testing.node import ADDRESSES, Node
from podnet.testing.waiting import eventually
from tests.live.conftest import make_node

pytestmark = pytest.mark.live

TAKEN = "echo route del {}; echo route del {}"
SELDOM = "gc: {interval: 86400, grace: 60}"
VETH = "$(ip -o link show group 28782 | grep -o 'veth-[a-z2-7-]*' | head -1)"
HARM = {
    "ip route del 10.244.1.2": "missing: ip route add 10.244.1.2",
    f"ip neigh del 10.244.1.2 dev {VETH}": "missing: ip neigh add 10.244.1.2",
    "ip -6 route del fd00:10:244:1::2": "missing: ip -6 route add fd00:10:244:1::2",
    "ip route del unreachable 10.244.1.0/24": "missing: ip route add unreachable 10.244.1.0/24",
    f"ip route replace 10.244.1.2 dev {VETH} proto static": "expected ip route add 10.244.1.2",
    f"ip link set {VETH} down": "up expected True, found False",
    f"ip link set {VETH} mtu 1300": "mtu expected 1500, found 1300",
    f"ip link del {VETH}": "is gone, and what was on it: the pod is attached anew",
    "nft delete element inet podnet hairpin4 '{ 10.244.1.2 . 10.244.1.2 }'": "hairpin4",
    "nft flush chain inet podnet prerouting": "the rules of chain inet podnet prerouting",
    "nft delete table inet podnet": "missing: nft 'add table inet podnet'",
    "nft flush ruleset": "missing: nft 'add table inet podnet'",
}


@pytest.fixture(scope="module")
def listening() -> Iterator[Node]:
    """Give a node with a pod of both families, whose daemon hears and does not look."""
    with ExitStack() as ends:
        node = make_node(ends)
        node.configure("ptp", (4, 6), more=SELDOM)
        node.start()
        assert node.attach("red") == "10.244.1.2"
        yield node


@pytest.mark.parametrize("harm", HARM)
def test_what_is_undone_by_hand_is_heard_and_mended(listening: Node, harm: str) -> None:
    """The node is as before, the pod answers, and there is one event: expected, found, since when, how long it took."""
    assert listening.daemon is not None
    log = listening.daemon.log
    before, logged = listening.state(), len(log)
    listening.sh(harm)
    eventually(lambda: [line for line in log[logged:] if HARM[harm] in line], f"{harm} is told")
    eventually(lambda: listening.state() == before, f"{harm} is undone")
    told = [line for line in log[logged:] if "drift:" in line]
    assert len(told) == 1, told
    assert re.search(r"\(since \d{4}-\d\d-\d\dT[\d:.]+Z.*; put right \d+ ms later\)$", told[0]), told
    assert ("by nft (pid " in told[0]) == harm.startswith("nft")
    assert listening.exchange("", "red", "10.244.1.2") == ADDRESSES[4]


def test_a_neighbour_that_was_learned_meanwhile_gives_way(listening: Node) -> None:
    """A packet that follows at once has the kernel learn what was deleted; it is permanent again all the same."""
    before = listening.state()
    listening.sh(f"ip neigh del 10.244.1.2 dev {VETH}; ping -c 1 -W 1 10.244.1.2")
    eventually(lambda: listening.state() == before, "the neighbour is permanent again")
    assert listening.exchange("", "red", "10.244.1.2") == ADDRESSES[4]


def test_two_that_undo_each_other_do_not_do_it_without_end(serving: Callable[..., Node]) -> None:
    """Somebody takes a route as often as it comes: each time it takes longer to come, up to some seconds."""
    node = serving(more=SELDOM)
    node.attach("red")
    began = monotonic()
    for _ in range(6):
        node.sh("ip route del 10.244.1.2")
        eventually(lambda: node.run("ip", "route", "show", "10.244.1.2").strip(), "the route is back")
    assert monotonic() - began > 0.02 * (1 + 2 + 4 + 8 + 16)


def test_bridge_and_its_pods_come_back_together(serving: Callable[..., Node]) -> None:
    """br0 deleted by hand: bridge, gateways, ports, and the pods answer."""
    node = serving("bridge", (4, 6), more=SELDOM)
    address = node.attach("red")
    before = node.state()
    node.sh("ip link del br0")
    # A bridge learns again as packets come.
    eventually(lambda: {**node.state(), "fdb": None} == {**before, "fdb": None}, "br0 is as it was")
    assert node.exchange("", "red", address) == ADDRESSES[4]


def test_without_repair_it_is_told_and_left(serving: Callable[..., Node]) -> None:
    """podnet.yaml `repair: false`: for who looks on, or has another do it."""
    node = serving(more="repair: false")
    node.attach("red")
    node.sh("ip route del 10.244.1.2")
    assert node.daemon is not None
    told = node.daemon.wait_log("missing: ip route add 10.244.1.2")
    assert told.endswith("which is not put right: podnet.yaml has `repair: false`")
    assert not node.run("ip", "route", "show", "10.244.1.2").strip()


PEER = '  - name: n2\n    addresses: [10.99.0.12, "fd99::12"]\n    pod-cidrs: [10.244.2.0/24, "fd00:10:244:2::/64"]\n'


@pytest.mark.parametrize("backend", ["direct", "vxlan"])
@pytest.mark.parametrize(
    "harm",
    [
        "ip link set up0 down; ip link set up0 up",
        "ip addr flush dev up0; ip addr add 10.99.0.11/24 dev up0; ip addr add fd99::11/64 dev up0 nodad",
    ],
    ids=["down and up", "addresses anew"],
)
def test_an_uplink_that_comes_again_has_the_ways_to_other_nodes_again(
    serving: Callable[..., Node], backend: str, harm: str
) -> None:
    """The kernel ends routes by a link that goes down, those of IPv4 without a word: a cable, a lease, a restart."""
    node = serving("ptp", (4, 6), more=f"{SELDOM}\nbackend: {backend}", peers=PEER)
    node.sh("sysctl -qw net.ipv6.conf.up0.keep_addr_on_down=1")
    node.attach("red")
    before = {version: node.run("ip", version, "route", "show", "proto", "112") for version in ("-4", "-6")}
    assert all("2" in routes for routes in before.values())
    node.sh(harm)

    def now() -> dict[str, str]:
        return {version: node.run("ip", version, "route", "show", "proto", "112") for version in ("-4", "-6")}

    eventually(lambda: now() == before, "the routes to n2 are there")


def test_what_was_too_much_to_hear_is_found(serving: Callable[..., Node]) -> None:
    """Thousands of others' routes go at once, and two pods' routes among them: these are back."""
    node = serving(more=SELDOM)
    pods = [node.attach(name) for name in ("red", "blue")]
    routes = """seq 5000 | awk '{ printf "route %s 11.%d.%d.0/24 dev lo\\n", VERB, $1 / 250, $1 % 250 }' VERB="""
    before = node.state()
    node.sh(f"{routes}add - | ip -batch -")
    node.sh(f"{{ {routes}del - | head -2500; {TAKEN.format(*pods)}; {routes}del - | tail -2500; }} | ip -batch -")
    eventually(lambda: node.state() == before, "the pods' routes are back")
    assert node.exchange("", "red", pods[0]) == ADDRESSES[4]


def test_an_uplink_that_is_gone_does_not_end_the_daemon(serving: Callable[..., Node]) -> None:
    """podnet.yaml names a link that somebody renamed: it is told, and when it is there again nothing is."""
    node = serving(more=SELDOM)
    assert node.daemon is not None
    log = node.daemon.log
    node.sh("ip link set up0 down; ip link set up0 name up9")
    eventually(lambda: [line for line in log if "uplink up0: no such link" in line], "the link is missed")
    assert node.attach("red") == "10.244.1.2"
    node.sh("ip link set up9 name up0; ip link set up0 up")
    assert node.attach("blue") == "10.244.1.3"
