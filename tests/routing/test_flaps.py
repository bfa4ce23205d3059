"""How often sessions go down, by what is seen of them every few seconds."""

from pathlib import Path

import pytest

from podnet.bird import Protocol
from podnet.routing import Flaps

EARLY, LATE, LATER = (f"2026-11-29 18:18:0{second}.000" for second in (1, 4, 7))


def seen(since: str, *, up: bool = True, name: str = "podnet.n2.4") -> Protocol:
    """Return a session in the state it entered at `since`."""
    session = "Established" if up else "Active"
    return Protocol(name=name, kind="BGP", state="up" if up else "start", since=since, session=session)


@pytest.fixture
def flaps(tmp_path: Path) -> Flaps:
    """Give counts that begin."""
    return Flaps(str(tmp_path / "flaps.json"))


def look(flaps: Flaps, *sessions: Protocol) -> list[tuple[str, bool]]:
    """Look, and return the names of what changed and whether it is up."""
    return [(one.name, up) for one, up in flaps.look(sessions)]


def counted(flaps: Flaps) -> dict[str, int]:
    """Return how often each went down."""
    return {name: count.flaps for name, count in flaps.counts.items()}


def test_a_session_that_comes_up_for_the_first_time_is_told_and_not_counted(flaps: Flaps) -> None:
    """Nor is one that has never stood."""
    assert look(flaps, seen(EARLY, up=False)) == []
    assert look(flaps, seen(EARLY, up=False)) == []
    assert look(flaps, seen(LATE)) == [("podnet.n2.4", True)]
    assert look(flaps, seen(LATE)) == []
    assert counted(flaps) == {"podnet.n2.4": 0}


def test_each_time_that_it_goes_down_counts_once(flaps: Flaps) -> None:
    """However long it is down, and however often it tries meanwhile."""
    look(flaps, seen(EARLY))
    assert look(flaps, seen(LATE, up=False)) == [("podnet.n2.4", False)]
    assert look(flaps, seen(LATER, up=False)) == []
    assert look(flaps, seen(LATER)) == [("podnet.n2.4", True)]
    assert counted(flaps) == {"podnet.n2.4": 1}


def test_what_went_down_and_up_between_two_looks_is_counted_by_its_time(flaps: Flaps) -> None:
    """Nobody needs to be told: it stands as before."""
    look(flaps, seen(EARLY))
    assert look(flaps, seen(LATE)) == []
    assert counted(flaps) == {"podnet.n2.4": 1}


def test_a_time_that_becomes_a_date_is_no_flap(flaps: Flaps) -> None:
    """As a host's BIRD writes times of another day, unless it is told otherwise (`timeformat`); times of today are."""
    for since, expected in (("18:18:01.000", 0), ("2026-11-29", 0), ("2026-11-29", 0), ("09:00:00.000", 1)):
        look(flaps, seen(since))
        assert counted(flaps) == {"podnet.n2.4": expected}


@pytest.mark.parametrize(
    ("before", "since", "expected"),
    [
        ("2026-11-29 18:43:46.014", "2026-11-29 18:43:46.015", 0),
        ("2026-11-29 18:43:46.000", "2026-11-29 18:43:45.999", 0),
        ("2026-11-29 23:59:59.999", "2026-11-30 00:00:00.000", 0),
        ("2026-11-29 18:43:46.014", "2026-11-29 18:43:48.014", 1),
        ("2026-11-29 18:43:46.014", "2026-11-30 18:43:46.014", 1),
        ("18:43:46.014", "18:43:46.015", 0),
        ("18:43:46", "18:43:48", 1),
        ("29.11.: 1", "29.11.: 2", 1),
    ],
)
def test_a_moment_that_is_told_a_little_differently_is_no_flap(
    flaps: Flaps, before: str, since: str, expected: int
) -> None:
    """BIRD works it out anew each time, and was seen to be a millisecond off; a format that is not known counts."""
    look(flaps, seen(before))
    look(flaps, seen(since))
    assert counted(flaps) == {"podnet.n2.4": expected}


def test_moments_that_wander_are_none(flaps: Flaps) -> None:
    """As while a clock is adjusted: each is set against the one before."""
    for tenth in range(100):
        look(flaps, seen(f"2026-11-29 18:43:{20 + tenth // 10}.{tenth % 10}00"))
    assert counted(flaps) == {"podnet.n2.4": 0}


def test_a_session_that_is_no_more_is_forgotten(flaps: Flaps) -> None:
    """Its node has left; one of that name is another."""
    look(flaps, seen(EARLY), seen(EARLY, name="podnet.n3.4"))
    look(flaps, seen(LATE), seen(LATE, name="podnet.n3.4"))
    assert look(flaps, seen(LATE)) == []
    assert counted(flaps) == {"podnet.n2.4": 1}
    look(flaps, seen(LATE), seen(LATER, name="podnet.n3.4"))
    assert counted(flaps) == {"podnet.n2.4": 1, "podnet.n3.4": 0}


def test_counts_go_on_with_the_next_daemon(flaps: Flaps, tmp_path: Path) -> None:
    """What happened between the two is seen by its time; nothing is left beside the file."""
    look(flaps, seen(EARLY))
    look(flaps, seen(LATE))
    flaps.keep()
    after = Flaps(str(tmp_path / "flaps.json"))
    assert counted(after) == {"podnet.n2.4": 1}
    assert look(after, seen(LATER)) == []
    assert counted(after) == {"podnet.n2.4": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["flaps.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a":{}}', b'{"a":{"since":1,"established":true}}'])
def test_a_file_that_cannot_be_read_counts_from_nothing(tmp_path: Path, content: bytes) -> None:
    """Nor can one that is not there, or a folder."""
    path = tmp_path / "flaps.json"
    path.write_bytes(content)
    assert counted(Flaps(str(path))) == {}
    assert counted(Flaps(str(tmp_path))) == {}


def test_a_file_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    """Nobody's pods depend on it."""
    flaps = Flaps(str(tmp_path / "nowhere" / "flaps.json"))
    look(flaps, seen(EARLY))
    flaps.keep()
    assert counted(flaps) == {"podnet.n2.4": 0}
