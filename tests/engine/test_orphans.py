"""Orphans: collected when pod and processes have been gone for the whole grace, and never while anything may run."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podnet.engine.orphans import Orphans
from podnet.model import KubernetesPod, Lease, Terms
from podnet.testing.values import a_lease, a_network

GRACE = 60.0


def a_pod(uid: str = "u1") -> Lease:
    """Return the lease of a pod."""
    return replace(a_lease(a_network("ptp", (4,))), terms=Terms(pod=KubernetesPod("default", "web", uid)))


def look(
    orphans: Orphans, now: float, *, gone: bool = True, runs: bool = False, leases: tuple[Lease, ...] = ()
) -> bool:
    """Look at `now`; tell whether all is due."""
    looked = leases or (a_pod(),)
    due = orphans.due(looked, lambda _: gone, lambda suspects: suspects if runs else (), now, GRACE)
    assert due in ([], list(looked))
    return bool(due)


def test_a_pod_that_is_gone_and_runs_nothing_is_due_after_the_grace() -> None:
    """Not at the first look, and not where one of both was otherwise in between."""
    orphans = Orphans()
    assert not look(orphans, 0)
    assert not look(orphans, 59)
    assert look(orphans, 60)
    assert not look(orphans, 61, gone=False)
    assert not look(orphans, 62)
    assert not look(orphans, 122, runs=True)
    assert not look(orphans, 123)
    assert look(orphans, 183)


def test_who_cannot_be_known_to_be_gone_stays() -> None:
    """A container of no pod, and a pod without uid."""
    orphans = Orphans()
    for now in (0.0, 100.0):
        assert not look(orphans, now, leases=(replace(a_pod(), terms=Terms()), a_pod("")))


def test_the_next_life_of_an_attachment_begins_anew() -> None:
    """Its lease was made later."""
    orphans = Orphans()
    assert not look(orphans, 0)
    assert not look(orphans, 100, leases=(replace(a_pod(), created=50.0),))


def test_processes_are_looked_for_only_where_a_pod_is_gone() -> None:
    """It is a walk through all of /proc, once for all."""
    asked: list[int] = []

    def count(suspects: Sequence[Lease]) -> Sequence[Lease]:
        asked.append(len(suspects))
        return ()

    Orphans().due([a_pod()], lambda _: False, count, 0.0, GRACE)
    Orphans().due([a_pod("a"), a_pod("b"), a_pod("c")], lambda pod: pod.uid != "c", count, 0.0, GRACE)
    assert asked == [2]


@given(st.lists(st.tuples(st.floats(0, 50), st.booleans(), st.booleans()), max_size=12))
def test_due_is_who_was_an_orphan_at_every_look_of_the_grace(looks: list[tuple[float, bool, bool]]) -> None:
    """Beside the naive way: since the last look at which it was none, so long."""
    orphans, now = Orphans(), 0.0
    since: float | None = None
    for pause, gone, runs in looks:
        now += pause
        since = None if not gone or runs else now if since is None else since
        assert look(orphans, now, gone=gone, runs=runs) is (since is not None and now - since >= GRACE)
