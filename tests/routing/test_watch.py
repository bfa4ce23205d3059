"""BIRD's sessions, watched: which are asked for, and which started anew; BIRD says what a test has it say."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podnet.bird import Reply
from podnet.errors import IOFailure
from podnet.routing import Control, Flaps, Places
from podnet.routing.flaps import Count
from podnet.routing.sessions import read_sessions
from podnet.routing.watch import MANY, SessionsWatch
from tests.routing.server import WELCOME, Server

SINCE = "2026-11-29 18:17:24.181"
LATER = "2026-11-29 18:19:00.500"


class Told(Control):
    """A BIRD of these sessions, by name: since when each is down, "" where it stands; all neighbours are silent."""

    def __init__(self, **sessions: str) -> None:
        self.sessions = {name.replace("_", "."): since for name, since in sessions.items()}
        self.asked: list[str] = []
        self.fails = ""

    def ask(self, command: str) -> Reply:
        """Answer a command."""
        if command != "show protocols":
            self.asked.append(command)
        if self.fails and self.fails in command:
            raise IOFailure("BIRD: timed out")
        full, which = "all" in command, command.partition("'")[2].rstrip("'")
        return Reply(
            0, tuple(line for name in self.sessions if which in {"", name} for line in self._lines(name, full))
        )

    def _lines(self, name: str, full: bool) -> Iterator[str]:
        since = self.sessions[name]
        state, info = ("start", "Active") if since else ("up", "Established")
        yield f"{name} BGP --- {state} {since or SINCE} {info}"
        if full:
            yield f"  BGP state: {info}"
            yield "    Neighbor address: 10.99.0.102"
            if since:
                yield "    Neighbor graceful restart active"


@pytest.fixture
def watch(tmp_path: Path, path: str, server: Callable[..., Server]) -> Iterator[SessionsWatch]:
    """Give one that hears a BIRD's log, in which nothing is said."""
    server(WELCOME, b"0000 \n", b"silence")
    one = SessionsWatch(path, str(tmp_path / "flaps.json"))
    yield one
    one.close()


def test_a_silent_neighbours_session_is_started_anew_once(watch: SessionsWatch) -> None:
    """When it went down, and when it did so again; one that stands is not asked for."""
    control = Told(podnet_n2_4="", podnet_n3_4=SINCE)
    watch.look(control, "graceful")
    assert control.asked == ["show protocols all 'podnet.n3.4'", "restart 'podnet.n3.4'"]
    watch.look(control, "graceful")
    assert len(control.asked) == 2
    control.sessions["podnet.n3.4"] = LATER
    watch.look(control, "graceful")
    assert len(control.asked) == 4


def test_why_a_silent_neighbours_session_is_down_is_told_and_kept(
    watch: SessionsWatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For who asks later: BIRD names no error, then and after its next attempt; when it stands there is none."""
    caplog.set_level(logging.INFO, "podnet")
    control = Told(podnet_n3_4="")
    watch.look(control, "graceful")
    for since in (LATER, LATER, ""):
        control.sessions["podnet.n3.4"] = since
        watch.look(control, "graceful")
        (count,) = Flaps(str(tmp_path / "flaps.json")).counts.values()
        assert count.error == ("Hold timer expired" if since else "")
    assert f"the IPv4 session with n3 is down since {LATER}: Hold timer expired" in caplog.messages[1]


@pytest.mark.parametrize("fails", ["show protocols all", "restart"])
def test_what_failed_is_done_at_the_next_look(watch: SessionsWatch, fails: str) -> None:
    """A BIRD that is too busy to answer: the dead node's routes do not stay for that."""
    control = Told(podnet_n3_4=SINCE)
    control.fails = fails
    with pytest.raises(IOFailure):
        watch.look(control, "graceful")
    control.fails = ""
    watch.look(control, "graceful")
    assert control.asked[-1] == "restart 'podnet.n3.4'"


def test_with_fast_nothing_is_kept_and_nobody_asked(watch: SessionsWatch) -> None:
    """BFD has the routes go."""
    control = Told(podnet_n3_4=SINCE)
    watch.look(control, "fast")
    assert control.asked == []


def test_of_many_all_are_asked_for_at_once_and_podnets_alone_started_anew(watch: SessionsWatch) -> None:
    """A host's BIRD has sessions of its own."""
    names = [f"podnet_n{number}_4" for number in range(MANY + 1)]
    control = Told(**dict.fromkeys([*names, "tor"], SINCE))
    watch.look(control, "graceful")
    assert control.asked[0] == "show protocols all"
    assert control.asked[1:] == [f"restart '{name.replace('_', '.')}'" for name in names]


def test_the_log_is_heard_from_the_first_look_on_until_bird_ends(
    path: str, tmp_path: Path, server: Callable[..., Server]
) -> None:
    """What is said there is taken unread; when BIRD is gone there is nothing to hear until it is looked at again."""
    one = SessionsWatch(path, str(tmp_path / "flaps.json"))
    assert one.fileno() is None
    server(WELCOME, b"0000 \n+2026-11-29 18:17:24.181 <TRACE> podnet.n3.4: State changed to start\n")
    one.look(Told(), "graceful")
    while one.fileno() is not None:
        assert 0 < one.drain() < 60
    one.close()


@pytest.mark.parametrize(("said", "shown"), [("", "Hold timer expired"), ("Socket: No route to host",) * 2])
def test_who_asks_hears_why_a_session_is_down(
    path: str, tmp_path: Path, server: Callable[..., Server], said: str, shown: str
) -> None:
    """By what BIRD says of it now, else by what was seen when it went down."""
    flaps = Flaps(Places(str(tmp_path)).flaps)
    flaps.counts["podnet.n3.4"] = Count(SINCE, established=False, flaps=2, error="Hold timer expired")
    flaps.keep()
    server(WELCOME, f"2002-podnet.n3.4 BGP --- start {SINCE} Connect {said}\n0000 \n".encode())
    (session,), counts = read_sessions(str(tmp_path), path)
    assert (session.error, counts) == (shown, {"podnet.n3.4": 2})
