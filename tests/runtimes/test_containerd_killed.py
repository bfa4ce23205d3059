"""SIGKILL to containerd and to podnet's daemon amid their work: what the runtime then removes leaves nothing."""

import signal
from threading import Event

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import PATIENCE
from tests.runtimes.containerd import Containerd
from tests.runtimes.cri import Call

pytestmark = pytest.mark.live

MANY = 20


def kill_amid(node: Node, containerd: Containerd, calls: list[Call]) -> None:
    """Kill both when the first of `calls` was answered and others were not, and start both."""
    answered = Event()
    for call in calls:
        call.when_done(answered.set)
    assert answered.wait(PATIENCE)
    containerd.kill()
    node.stop(signal.SIGKILL)
    failed = [call.failed() for call in calls]
    assert any(failed), "all were over before"
    node.start()
    containerd.start()
    containerd.wait_network()


def test_killed_amid_creations(node: Node, containerd: Containerd) -> None:
    """Sandboxes made and half made are removed by the containerd that comes next, and it makes new ones."""
    before = node.state()
    kill_amid(node, containerd, [containerd.begin(f"pod{number}") for number in range(MANY)])
    containerd.remove(containerd.listed())
    red = containerd.run("red")
    assert node.exchange("outside", red.place, red.address) == "10.99.0.1"
    containerd.remove([red.id])
    containerd.assert_nothing_left(before, abandoned=True)


def test_killed_amid_removals(node: Node, containerd: Containerd) -> None:
    """Sandboxes half removed are removed by the containerd that comes next."""
    before = node.state()
    sandboxes = [containerd.made(call) for call in [containerd.begin(f"pod{number}") for number in range(MANY)]]
    kill_amid(
        node,
        containerd,
        [containerd.service.begin("StopPodSandbox", pod_sandbox_id=sandbox.id) for sandbox in sandboxes],
    )
    containerd.remove(containerd.listed())
    containerd.assert_nothing_left(before, abandoned=True)


def test_removed_without_the_daemon(node: Node, containerd: Containerd) -> None:
    """Sandboxes removed while no daemon runs are gone all the same, one shot each; so is what they had."""
    before = node.state()
    sandboxes = [containerd.made(call) for call in [containerd.begin(f"pod{number}") for number in range(4)]]
    node.stop(signal.SIGKILL)
    containerd.remove(sandbox.id for sandbox in sandboxes)
    node.start()
    containerd.assert_nothing_left(before)
