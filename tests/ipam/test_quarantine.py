"""The quarantine's rule, as properties."""

from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.ipam import effective_quarantine

sizes = st.integers(1, 2**80)
seconds = st.floats(0, 1e6)


@settings(deadline=None)
@given(seconds=seconds, size=sizes, data=st.data())
def test_quarantine_lies_between_none_and_the_configured(seconds: float, size: int, data: st.DataObject) -> None:
    """Never negative, never longer than configured."""
    free = data.draw(st.integers(0, size))
    assert 0 <= effective_quarantine(seconds, free, size) <= seconds


@settings(deadline=None)
@given(seconds=seconds, size=sizes)
def test_an_empty_range_rests_all_the_time_and_a_full_one_not(seconds: float, size: int) -> None:
    """The two ends of the line."""
    assert effective_quarantine(seconds, size, size) == seconds
    assert effective_quarantine(seconds, 0, size) == 0


@settings(deadline=None)
@given(seconds=seconds, size=sizes, data=st.data())
def test_more_pods_never_mean_more_quarantine(seconds: float, size: int, data: st.DataObject) -> None:
    """Quarantine grows with the number of free addresses."""
    few = data.draw(st.integers(0, size))
    many = data.draw(st.integers(few, size))
    assert effective_quarantine(seconds, few, size) <= effective_quarantine(seconds, many, size)


def test_half_full_means_half_the_time() -> None:
    """The line is straight."""
    assert effective_quarantine(60, 127, 254) == 30
