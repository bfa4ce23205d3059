"""Dismantling: nothing of podnet's is left on the node, and all of everybody else's."""

import errno

import pytest

from podnet.errors import KernelError
from podnet.plan import Link, Plan
from podnet.testing import FakeNode


def test_nothing_of_podnets_is_left(dual: FakeNode) -> None:
    """Tables, routes, bridge and links go, those of attached pods too; their leases are closed."""
    dual.add("red")
    dual.add("blue")
    dual.delete("blue")
    stranger = Link(at="node", name="docker0", kind="bridge", mac="02:00:00:00:00:99", mtu=1500)
    dual.kernel.node.put(stranger)
    gone = dual.engine.dismantle()
    assert gone
    assert not dual.kernel.owned()
    assert not dual.pod_state("red")
    assert dual.kernel.node.link("docker0") == stranger
    assert dual.store.live() == []
    assert not dual.engine.unreaped
    assert {step.verb for step in gone.steps} == {"delete"}


def test_what_is_dismantled_is_gone_already(node: FakeNode) -> None:
    """A second time there is nothing to do."""
    node.engine.dismantle()
    state = node.state()
    assert node.engine.dismantle() == Plan()
    assert node.state() == state


def test_an_add_afterwards_builds_the_nodes_part_again(node: FakeNode) -> None:
    """The engine knows that its node is bare: the next ADD is as good as the first."""
    node.engine.dismantle()
    node.add("red")
    assert node.kernel.owned()


def test_a_refusal_is_told(node: FakeNode) -> None:
    """Where the kernel does not let go, that is an error, and what could go is gone."""
    node.add("red")
    node.kernel.fail_at(lambda step: step.verb == "delete" and not isinstance(step.object, Link), errno.EBUSY)
    with pytest.raises(KernelError):
        node.engine.dismantle()
