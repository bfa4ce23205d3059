"""The thread that has BIRD do what is wanted: until it is so, whatever dies, is refused, or comes in between."""

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from podnet.bird import Configuration, Password, Session
from podnet.errors import IOFailure
from podnet.routing import Control, Places, Speaker, running, speaker
from podnet.routing.sessions import read_sessions
from podnet.testing.waiting import eventually
from tests.bird.speakers import Bird

pytestmark = pytest.mark.live

HERE, THERE = ip_address("10.99.0.101"), ip_address("10.99.0.102")
BASIS = "router id 192.0.2.9;\nprotocol device {}\n"


def wanted(*names: str, password: str = "", hosted: bool = False) -> Configuration:
    """Return what a BIRD does that speaks to neighbours of these names."""
    return Configuration(
        router_id=IPv4Address("10.99.0.101"),
        profile="graceful",
        families=(4,),
        links=("up0",),
        own=(ip_network("10.244.1.0/24"),),
        owners={THERE: (ip_network("10.244.2.0/24"),)},
        cluster=(ip_network("10.244.0.0/16"),),
        sessions=tuple(
            Session(name, HERE, THERE if name == "n2" else ip_address(f"10.99.0.{number + 150}"), (64512, 64512),
                    "own", "own", password=Password(password))
            for number, name in enumerate(names)
        ),
        hosted=hosted,
    )  # fmt: skip


IMPOSSIBLE = wanted("n3", "n3")
"""What BIRD refuses: two sessions of one name."""


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Look and try again often."""
    monkeypatch.setattr(speaker, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(speaker, "AGAIN_SECONDS", (0.01, 0.05))
    caplog.set_level(logging.INFO, "podnet")


@pytest.fixture
def speak(places: Places) -> Iterator[Callable[..., Speaker]]:
    """Give a function that makes a speaker, which ends with the test."""
    with ExitStack() as ends:

        def make(**hosted: str) -> Speaker:
            made = Speaker(places, **hosted)
            ends.callback(made.close)
            return made

        yield make


def pid(places: Places) -> int | None:
    """Return the id of podnet's BIRD, None where it does not run."""
    descriptor = running(places)
    if descriptor is None:
        return None
    os.close(descriptor)
    return int(Path(places.pid).read_text(encoding="ascii"))


def another(places: Places, killed: int) -> bool:
    """Tell whether a BIRD runs that is not the `killed` one."""
    return pid(places) not in {killed, None}


def names(places: Places, socket: str = "") -> list[str] | None:
    """Return the names of the sessions that BIRD has, None where it does not answer."""
    try:
        return [one.name for one in read_sessions(places.folder, socket)[0]]
    except IOFailure:
        return None


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    """Return the messages with `text` in them."""
    return [message for message in caplog.messages if text in message]


def test_bird_is_started_and_told_of_changes(places: Places, speak: Callable[..., Speaker]) -> None:
    """One process, whose configuration follows; its files are for root alone, since they may have passwords."""
    one = speak()
    one.follow(wanted("n2"))
    eventually(lambda: names(places) == ["podnet.n2.4"], "a session")
    first = pid(places)
    one.follow(wanted("n2", "n3"))
    eventually(lambda: names(places) == ["podnet.n2.4", "podnet.n3.4"], "a second one")
    one.follow(wanted())
    eventually(lambda: names(places) == [], "none")
    assert pid(places) == first
    assert Path(places.configuration).stat().st_mode & 0o777 == 0o600


def test_a_bird_that_is_killed_is_started_again(
    places: Places, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture
) -> None:
    """With what was wanted last, each time; the log says where BIRD's own words are."""
    one = speak()
    one.follow(wanted("n2"))
    for _ in range(2):
        eventually(lambda: names(places) == ["podnet.n2.4"] and one._bird is not None, "a session, and BIRD watched")
        killed = pid(places)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        eventually(partial(another, places, killed), "another BIRD")
    eventually(lambda: names(places) == ["podnet.n2.4"], "a session")
    assert len(said(caplog, f"BIRD has ended, and is started again; what it said is in {places.log}")) == 2


def test_the_end_leaves_bird_and_the_next_adopts_it(places: Places, speak: Callable[..., Speaker]) -> None:
    """It speaks for pods that go on; what changed meanwhile it is told."""
    first = speak()
    first.follow(wanted("n2"))
    eventually(lambda: names(places) == ["podnet.n2.4"], "a session")
    before = pid(places)
    first.close()
    assert not first._thread.is_alive()
    assert names(places) == ["podnet.n2.4"]
    speak().follow(wanted("n2", "n3"))
    eventually(lambda: names(places) == ["podnet.n2.4", "podnet.n3.4"], "a second session")
    assert pid(places) == before


def test_of_many_configurations_the_newest_is_carried_out(places: Places, speak: Callable[..., Speaker]) -> None:
    """And stays; those that came while BIRD was busy are passed over."""
    one = speak()
    for number in range(300):
        one.follow(wanted("n2", f"n{number + 10}"))
    eventually(lambda: names(places) == ["podnet.n2.4", "podnet.n309.4"], "the newest")
    read = Path(places.log).read_text(encoding="utf-8").count("Reconfigured")
    assert read < 300


def test_a_password_that_is_none_leaves_bird_as_it_was(
    places: Places, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It is said once with the file, however often it is tried, until the file is right: that is seen by itself."""
    file = tmp_path / "password"
    one = speak()
    one.follow(wanted("n2"))
    eventually(lambda: names(places) == ["podnet.n2.4"], "a session")
    before = pid(places), Path(places.configuration).read_bytes()
    for text, complaint in (
        (None, f"{file}: no such file"),
        (b'a "quote"', f"{file}: is no password for BGP"),
        (b"\xff", f"{file}: cannot be read"),
    ):
        if text is not None:
            file.write_bytes(text)
        one.follow(wanted("n2", "n3", password=str(file)))
        eventually(partial(said, caplog, complaint), "the complaint")
        eventually(lambda: one._bringing.failures > 3, "some attempts")
        assert len(said(caplog, "routes to other nodes stay as they are")) == len(said(caplog, str(file)))
        assert len(said(caplog, complaint)) == 1
        assert (pid(places), Path(places.configuration).read_bytes()) == before
        assert names(places) == ["podnet.n2.4"]
    file.write_text("right\n", encoding="utf-8")
    eventually(lambda: names(places) == ["podnet.n2.4", "podnet.n3.4"], "the second session")
    eventually(lambda: said(caplog, "BIRD does what it should again"), "the news")
    assert not said(caplog, 'a "quote"')
    assert pid(places) == before[0]


def test_what_bird_refuses_leaves_what_it_does(
    places: Places, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, in BIRD's words; the next that it takes is carried out."""
    one = speak()
    one.follow(wanted("n2"))
    eventually(lambda: names(places) == ["podnet.n2.4"], "a session")
    before = pid(places)
    one.follow(IMPOSSIBLE)
    eventually(lambda: one._bringing.failures > 3, "some attempts")
    assert len(said(caplog, "Symbol 'podnet.n3.4' already defined")) == 1
    assert (names(places), pid(places)) == (["podnet.n2.4"], before)
    one.follow(wanted("n3"))
    eventually(lambda: names(places) == ["podnet.n3.4"], "another session")


@pytest.fixture
def host(places: Places, stack: ExitStack) -> tuple[str, Path]:
    """Give the socket of a host's BIRD, and the file that it includes."""
    include = Path(places.folder).parent / "host" / "podnet.conf"
    include.parent.mkdir()
    namespace = f"bird-e-{os.getpid()}"
    bird = Bird(namespace, f'{BASIS}include "{include.parent}/*.conf";\n', stack)
    return bird.socket, include


def test_a_hosts_bird_reads_an_include(places: Places, speak: Callable[..., Speaker], host: tuple[str, Path]) -> None:
    """What it needs besides is its own; podnet's own is not started; the file is the folder's owner's."""
    socket, include = host
    os.chown(include.parent, 65534, 65534)
    speak(socket=socket, include=str(include)).follow(wanted("n2", hosted=True))
    eventually(lambda: names(places, socket) == ["podnet.n2.4"], "a session")
    with Control(socket) as control:
        listed = control.ask("show protocols").lines
    assert sum("Device" in line for line in listed) == 1
    assert not Path(places.configuration).exists()
    assert running(places) is None
    assert (include.stat().st_uid, include.stat().st_gid, include.stat().st_mode & 0o777) == (65534, 65534, 0o600)


@pytest.mark.parametrize("first", [False, True], ids=["later", "at first"])
def test_an_include_that_is_refused_is_put_back(
    places: Places, speak: Callable[..., Speaker], host: tuple[str, Path], caplog: pytest.LogCaptureFixture, first: bool
) -> None:
    """A host's BIRD must be able to start: the file is what it was, at first empty, as it may have to be there."""
    socket, include = host
    one = speak(socket=socket, include=str(include))
    if not first:
        one.follow(wanted("n2", hosted=True))
        eventually(lambda: names(places, socket) == ["podnet.n2.4"], "a session")
    before = b"" if first else include.read_bytes()
    one.follow(IMPOSSIBLE._replace(hosted=True))
    eventually(lambda: said(caplog, "already defined"), "the refusal")
    one.close()
    assert include.read_bytes() == before
    assert names(places, socket) == ([] if first else ["podnet.n2.4"])


def test_a_hosts_bird_that_is_away_is_waited_for(
    places: Places, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture, stack: ExitStack
) -> None:
    """It is named by its socket, once, and told when it is there."""
    folder = Path(places.folder).parent
    socket, include = f"{folder}/host.ctl", folder / "podnet.conf"
    one = speak(socket=socket, include=str(include))
    one.follow(wanted("n2", hosted=True))
    eventually(lambda: one._bringing.failures > 3, "some attempts")
    assert len(said(caplog, f"BIRD's control socket {socket}: No such file or directory; see that BIRD runs")) == 1
    bird = Bird(f"bird-e-{os.getpid()}", f'{BASIS}include "{include}";\n', stack)
    Path(socket).symlink_to(bird.socket)
    eventually(lambda: names(places, socket) == ["podnet.n2.4"], "a session")


def test_a_file_that_cannot_be_written_is_named(
    places: Places, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture
) -> None:
    """With what may be the matter; BIRD is not started."""
    Path(f"{places.configuration}.tmp").mkdir()
    one = speak()
    one.follow(wanted("n2"))
    eventually(lambda: one._bringing.failures > 3, "some attempts")
    (message,) = said(caplog, "routes to other nodes stay as they are")
    told = f"{places.configuration}: cannot be written: Is a directory; see that its disk has room and podnet may write"
    assert told in message
    assert running(places) is None


def test_sessions_that_come_and_go_are_told_and_counted(
    places: Places, beyond: str, speak: Callable[..., Speaker], caplog: pytest.LogCaptureFixture
) -> None:
    """By the neighbour's name and family; the count is there for whoever asks."""
    speak().follow(wanted("n2"))
    neighbour = (
        f"{BASIS}protocol bgp n1 {{ local {THERE} as 64512; neighbor {HERE} as 64512; multihop; connect delay time 1; "
        "ipv4; }\n"
    )
    with ExitStack() as while_there:
        Bird(beyond, neighbour, while_there)
        eventually(lambda: said(caplog, "BGP: the IPv4 session with n2 is up since"), "the session")
    eventually(lambda: said(caplog, "BGP: the IPv4 session with n2 is down since"), "its end")

    def counts() -> int:
        return int(json.loads(Path(places.flaps).read_bytes())["podnet.n2.4"]["flaps"])

    eventually(lambda: counts() == 1, "the count")
    assert read_sessions(places.folder)[1] == {"podnet.n2.4": 1}


def test_one_that_was_never_told_anything_ends_and_touches_nothing(places: Places) -> None:
    """As in a daemon that does not come up."""
    Speaker(places).close()
    assert list(Path(places.folder).iterdir()) == []
