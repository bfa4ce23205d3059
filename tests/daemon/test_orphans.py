"""The search for orphans: who says that a pod is gone, what is done about it, and what is logged."""

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from podnet.cluster import PodsSource
from podnet.cluster.settings import GC
from podnet.daemon.node import NodeContext
from podnet.daemon.orphans import OrphanSearch
from podnet.errors import StateError
from podnet.model import KubernetesPod, Lease, Terms
from podnet.testing import FakeNode
from podnet.testing.values import a_network


class Pods:
    """A source of pods that has none."""

    current = True

    def find(self, _: KubernetesPod) -> None:
        """Know nobody."""


class Search:
    """A search over a node in memory that has one pod."""

    def __init__(self, gc: GC) -> None:
        """Attach `red`, in which nothing runs."""
        self.node = FakeNode(a_network("ptp", (4,)))
        self.node.add("red", terms=Terms(pod=KubernetesPod("default", "web", "u1")))
        self.pods = Pods()
        self.reaped: list[int] = []
        self.running: Sequence[Lease] = ()
        context = SimpleNamespace(
            store=self.node.store,
            engine=self.node.engine,
            kernel=SimpleNamespace(inhabited=lambda _: self.running),
            settings=SimpleNamespace(gc=gc),
        )
        then = self.reaped.append
        self.search = OrphanSearch(cast("NodeContext", context), cast("PodsSource", self.pods), lambda: then(1))

    def live(self) -> list[str]:
        """Return who has a lease."""
        return [lease.attachment.container for lease in self.node.store.live()]


def test_who_is_collected_is_cut_off_reaped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """By the pod's name, with what it took to be sure."""
    caplog.set_level(logging.INFO, "podnet")
    one = Search(GC(interval=1.0, grace=0.0))
    one.search.look()
    assert (one.live(), one.reaped) == ([], [1])
    (told,) = caplog.messages
    assert told.startswith("pod default/web, container red (eth0) is collected: its pod was deleted")
    assert told.endswith("nothing has run in it for 0 s, but no DEL came")


def test_a_source_that_is_not_current_has_deleted_nobody() -> None:
    """The API server may be away for as long as it likes."""
    one = Search(GC(interval=1.0, grace=0.0))
    one.pods.current = False
    one.search.look()
    assert one.live() == ["red"]


def test_what_runs_stays() -> None:
    """Whatever the source says."""
    one = Search(GC(interval=1.0, grace=0.0))
    one.running = one.node.store.live()
    one.search.look()
    assert one.live() == ["red"]


def test_it_looks_in_quiet_moments_and_not_at_all_where_it_is_not_to() -> None:
    """An interval of 0 is never; one that has passed waits for a moment without requests."""
    assert Search(GC(interval=0.0)).search.wait(100.0) is None
    search = Search(GC(interval=1e-9)).search
    assert search.wait(0.0) == pytest.approx(0.25)
    assert search.wait(0.25) == 0.0


def test_a_database_that_does_not_answer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """And the daemon goes on."""
    one = Search(GC(interval=1.0, grace=0.0))
    one.node.store.fail("cut", StateError("locked"))
    one.search.look()
    assert "cannot be looked for: locked" in caplog.messages[0]
    assert one.live() == ["red"]
