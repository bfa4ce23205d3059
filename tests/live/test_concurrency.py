"""Many shims at once, as a node that starts has them."""

from collections.abc import Callable

import pytest

from podnet.testing.node import Node, Outcome, finish

pytestmark = pytest.mark.live


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_sixteen_adds_at_once(serving: Callable[..., Node], datapath: str) -> None:
    """Each gets addresses of its own, and all are reachable; 16 DELs at once leave nothing."""
    node = serving(datapath, (4, 6))
    before = node.state()
    names = [node.pod(f"pod{number}") for number in range(16)]
    outcomes = together(node, dict.fromkeys(names, "ADD"))
    addresses = {name: outcome.addresses for name, outcome in outcomes.items()}
    assert len({address for both in addresses.values() for address in both}) == 32
    for one, other in zip(names, names[1:] + names[:1], strict=True):
        for ours, theirs in zip(addresses[one], addresses[other], strict=True):
            assert node.exchange(one, other, theirs) == ours
    assert set(together(node, dict.fromkeys(names, "DEL")).values()) == {(0, b"")}
    node.wait_for_links(0)
    assert node.state() == before


def test_adds_and_dels_of_different_pods_at_once(node: Node) -> None:
    """DELs of some pods amid ADDs of others: each is answered with its own, and what is left is what was asked for."""
    old = [f"old{number}" for number in range(8)]
    taken = {node.attach(name) for name in old}
    new = [node.pod(f"new{number}") for number in range(8)]
    outcomes = together(
        node,
        {name: verb for pair in zip(old, new, strict=True) for name, verb in zip(pair, ("DEL", "ADD"), strict=True)},
    )
    given = {name: outcomes[name].addresses[0] for name in new}
    assert len(set(given.values())) == 8
    assert not taken & set(given.values()), "an address just released rests"
    node.wait_for_links(8)
    for name, address in given.items():
        assert node.exchange("", name, address) == "10.99.0.11"
    assert sorted(element["concat"][1] for element in node.elements("pods4")) == sorted(given.values())


def test_one_attachment_asked_for_by_many_is_made_once(node: Node) -> None:
    """Of eight ADDs of one container at once one succeeds, and the others say that it is attached."""
    node.pod("red")
    outcomes = [finish(process) for process in [node.begin("ADD", "red") for _ in range(8)]]
    won = [outcome for outcome in outcomes if outcome.status == 0]
    assert len(won) == 1
    assert {outcome.json["code"] for outcome in outcomes if outcome.status} == {111}
    assert len(node.pod_links()) == 1
    assert node.exchange("", "red", won[0].addresses[0]) == "10.99.0.11"


def together(node: Node, verbs: dict[str, str]) -> dict[str, Outcome]:
    """Execute a verb per container, all at once."""
    processes = {name: node.begin(verb, name) for name, verb in verbs.items()}
    return {name: finish(process) for name, process in processes.items()}
