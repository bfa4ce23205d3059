"""When the daemon reaps: after a quiet moment, in slices, and never so often that a burst of DELs would wait for it."""

import pytest

from podnet.daemon.reaping import IDLE, LATEST, LEASES, MOST, Reaping
from podnet.testing import FakeNode
from podnet.testing.values import a_network

BUSY, QUIET = 0.0, 1.0


@pytest.fixture
def node() -> FakeNode:
    """Give a node with a network that has room for many pods."""
    return FakeNode(a_network())


@pytest.fixture
def reaping(node: FakeNode) -> Reaping:
    """Give the reaping of a daemon that has looked at what an earlier one left."""
    made = Reaping(node.engine)
    assert made.step(QUIET)
    node.kernel.calls.clear()
    return made


def end_pods(node: FakeNode, reaping: Reaping, count: int) -> None:
    """Attach so many pods and cut them off."""
    for number in range(count):
        node.add(f"pod{number}")
        node.delete(f"pod{number}")
        reaping.doom()


def reapings(node: FakeNode) -> int:
    """Return how often links were reaped since the last question."""
    count = node.kernel.calls.count("reap")
    node.kernel.calls.clear()
    return count


def test_while_requests_come_nothing_is_reaped(node: FakeNode, reaping: Reaping) -> None:
    """It is asked for a moment later."""
    end_pods(node, reaping, 3)
    assert not reaping.step(BUSY)
    assert reapings(node) == 0
    assert reaping.wait(BUSY) == IDLE


def test_a_quiet_moment_ends_links_once_and_leases_in_slices(node: FakeNode, reaping: Reaping) -> None:
    """All links with the first step; the last slice says that it was the last, and nothing is waited for any more."""
    end_pods(node, reaping, 3 * LEASES)
    assert not reaping.step(QUIET)
    assert not [link for link in node.kernel.node.links() if link.name.startswith("veth-")]
    assert len(node.store.pending()) == 2 * LEASES
    assert reaping.wait(QUIET) == 0.0
    assert not reaping.step(QUIET)
    assert reaping.step(QUIET)
    assert node.store.pending() == []
    assert reapings(node) == 1
    assert reaping.wait(QUIET) is None


def test_a_request_between_slices_is_not_kept_waiting(node: FakeNode, reaping: Reaping) -> None:
    """The next slice waits for quiet again, and is no further reaping."""
    end_pods(node, reaping, 2 * LEASES)
    reaping.step(QUIET)
    assert not reaping.step(BUSY)
    assert len(node.store.pending()) == LEASES
    assert reaping.wait(BUSY) == IDLE
    assert reapings(node) == 1


def test_many_doomed_links_are_reaped_whatever_comes(node: FakeNode, reaping: Reaping) -> None:
    """The kernel's lock is held the longer, the more there are."""
    end_pods(node, reaping, MOST - 1)
    reaping.step(BUSY)
    assert reapings(node) == 0
    reaping.doom()
    reaping.step(BUSY)
    assert reapings(node) == 1


def test_a_doomed_link_does_not_wait_for_ever(
    node: FakeNode, reaping: Reaping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests may keep coming for a second."""
    end_pods(node, reaping, 1)
    monkeypatch.setattr("podnet.daemon.reaping.LATEST", LATEST / 1e9)
    reaping.step(BUSY)
    assert reapings(node) == 1


def test_a_reaping_that_fails_is_tried_again(
    node: FakeNode, reaping: Reaping, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the node is as it should be after the next."""
    end_pods(node, reaping, 1)
    node.kernel.fail_at("reap", 1)
    assert not reaping.step(QUIET)
    assert "reaping failed, it is tried again" in caplog.text
    assert reaping.wait(QUIET) == IDLE
    assert reaping.step(QUIET)
    assert node.store.pending() == []
