"""The daemon ends, is killed, is started again: the node's pods do not notice, and nothing is lost or left."""

import signal
import threading
from collections.abc import Callable
from random import Random

import pytest

from podnet.testing.node import DEFAULT_CONFIGURATION, Node, finish
from podnet.testing.stream import Stream
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

STANDALONE = {
    **DEFAULT_CONFIGURATION,
    "name": "standalone",
    "bridge": "br1",
    "ipam": {"type": "podnet", "ranges": [[{"subnet": "10.88.0.0/24"}]]},
}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_restart_changes_nothing(serving: Callable[..., Node], datapath: str, how: signal.Signals) -> None:
    """Links, rules, elements, leases are what they were, and not a datagram between pods is lost meanwhile."""
    node = serving(datapath, (4, 6))
    node.attach("red")
    blue = node.attach("blue")
    answer = node.cni("ADD", node.pod("other"), configuration=STANDALONE)
    assert answer.status == 0, answer.stdout
    before = node.state(), node.leases(), node.state("red")
    with Stream(node, "red", "blue", blue) as stream:
        assert node.stop(how) == (0 if how == signal.SIGTERM else -9)
        assert (node.root / "run/podnet/podnet.sock").exists() == (how == signal.SIGKILL)
        assert (node.state(), node.leases(), node.state("red")) == before
        node.start()
    assert stream.sent > 0
    assert stream.lost == set()
    assert (node.state(), node.leases(), node.state("red")) == before
    assert node.exchange("other", "outside", "10.99.0.1") == "10.99.0.11"
    node.attach("green")


def test_pods_of_a_node_that_nobody_lists_survive_a_restart(bare: Node) -> None:
    """Without nodes.yaml, where every configuration brings its own ranges, a restart changes nothing either."""
    bare.start()
    answer = bare.cni("ADD", bare.pod("red"), configuration=STANDALONE)
    before = bare.state(), bare.leases()
    bare.stop()
    bare.start()
    assert (bare.state(), bare.leases()) == before
    assert bare.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"
    assert bare.exchange("", "red", answer.addresses[0])


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_kill_9_at_any_moment_leaves_what_the_next_daemon_puts_right(
    serving: Callable[..., Node], datapath: str
) -> None:
    """After each kill amid ADDs and DELs, node and database agree: no lease without a link, no link without a lease."""
    seed = Random().randrange(1 << 32)  # noqa: S311 - a storm's moments
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    random = Random(seed)  # noqa: S311 - likewise
    node = serving(datapath)
    node.attach("bystander")
    friend = node.attach("friend")
    names = [node.pod(f"pod{number}") for number in range(8)]
    assert node.daemon is not None
    with Stream(node, "bystander", "friend", friend) as stream:
        for _ in range(4):
            storm = [node.begin(random.choice(["ADD", "ADD", "DEL"]), random.choice(names)) for _ in range(10)]
            threading.Event().wait(random.uniform(0, 0.03))
            node.stop(signal.SIGKILL)
            for process in storm:  # those that found no daemon are answered by a one-shot each
                finish(process)
            node.start()
            assert_consistent(node, {"bystander", "friend"})
    assert stream.lost == set(), stream.sent
    for name in names:
        assert node.cni("DEL", name).status == 0
    node.wait_for_links(2)
    assert_consistent(node, {"bystander", "friend"})
    assert node.cni("ADD", names[0]).status == 0


def assert_consistent(node: Node, untouched: set[str]) -> None:
    """Compare leases, links, elements and routes of the node: each lease has one of each, and there are no others."""
    being_reaped = "SELECT container FROM lease WHERE cut IS NOT NULL AND closed IS NULL"
    eventually(lambda: not node.rows(being_reaped), "leases that were cut are closed")
    leases = node.rows("SELECT container, link, cut, hex(addresses) FROM lease WHERE closed IS NULL")
    assert untouched <= {container for container, *_ in leases}
    assert [cut for _, _, cut, _ in leases] == [None] * len(leases)
    assert sorted(link for _, link, *_ in leases) == node.pod_links()
    addresses = sorted(".".join(str(octet) for octet in bytes.fromhex(blob)[1:5]) for *_, blob in leases)
    assert sorted(pair["concat"][1] for pair in node.elements("pods4")) == addresses
    assert sorted(pair["concat"][0] for pair in node.elements("hairpin4")) == addresses
    routes = node.json("ip", "-j", "route", "show", "proto", "112", "type", "unicast")
    assert sorted(route["dst"] for route in routes) == addresses
