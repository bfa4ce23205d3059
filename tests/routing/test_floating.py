"""Two BIRDs that die together, or one whose neighbour stays away: what they had put into the kernel leads on."""

import errno
import logging
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest

from podnet.bird import Configuration, Protocol, Session, parse_protocols, session_of, text
from podnet.errors import KernelError
from podnet.kernel.namespace import OWN, entered, open_namespace
from podnet.routing import Control, Places, Speaker, end, floating, running, speaker
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

HERE, THERE = IPv4Address("10.99.0.101"), IPv4Address("10.99.0.102")
PODS = {HERE: ip_network("10.244.1.0/24"), THERE: ip_network("10.244.2.0/24")}
NOBODY = IPv4Address("10.99.0.103")
MARK = "192.0.2.1"


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and have BIRD wait for a neighbour that does not come a second instead of a minute."""
    monkeypatch.setattr(speaker, "FLOATING_SECONDS", 0.05)
    monkeypatch.setattr(text, "_RECOVERY_SECONDS", 1)


class Machine:
    """A node's BIRD, and who sees to it."""

    def __init__(self, namespace: int, own: IPv4Address, places: Places, stack: ExitStack) -> None:
        self._namespace = namespace
        self.places = places
        self.own, self.other = own, THERE if own == HERE else HERE
        self._stack = stack
        self.speak()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be on that machine."""
        home = open_namespace(OWN)
        try:
            with entered(self._namespace, home):
                yield
        finally:
            os.close(home)

    def speak(self, *, alone: bool = False) -> None:
        """Have a daemon, perhaps the next, see to BIRD; `alone`, its list has no other node."""
        with self.inside():
            self.speaker = Speaker(self.places)
            self._stack.callback(self.speaker.close)
            self.speaker.follow(self.configuration(alone=alone))

    def configuration(self, *, alone: bool = False) -> Configuration:
        """Return what its BIRD does."""
        name = "n2" if self.own == HERE else "n1"
        return Configuration(
            router_id=self.own,
            profile="graceful",
            families=(4,),
            links=("up0",),
            own=(PODS[self.own],),
            owners={} if alone else {self.other: (PODS[self.other],)},
            cluster=(ip_network("10.244.0.0/16"),),
            sessions=() if alone else (Session(name, self.own, self.other, (64512, 64512), "own", "own"),),
        )

    def waiting(self) -> Configuration:
        """Return what its BIRD does where it also waits for a third, which does not come."""
        one = self.configuration()
        return one._replace(sessions=(*one.sessions, one.sessions[0]._replace(name="n3", neighbour=NOBODY)))

    def tell(self, configuration: Configuration) -> None:
        """Have its BIRD do something else from its next start on, at the latest."""
        self.speaker.follow(configuration)
        file, count = Path(self.places.configuration), len(configuration.sessions)
        eventually(lambda: file.read_text(encoding="utf-8").count("protocol bgp ") == count, "another configuration")

    def sessions(self) -> list[Protocol]:
        """Return its BIRD's sessions, in full."""
        with Control(self.places.socket) as control:
            return [one for one in parse_protocols(control.ask("show protocols all").lines) if session_of(one)]

    def established(self) -> bool:
        """Tell whether its session stands."""
        return all(one.established for one in self.sessions())

    def restarting(self) -> bool:
        """Tell whether its session stands again, while what the other told before is kept."""
        return any(one.established and one.restarting for one in self.sessions())

    def routes(self, protocol: str) -> bool:
        """Tell whether the kernel has a route of this protocol to the other's pods."""
        words = ["ip", "route", "show", str(PODS[self.other]), "proto", protocol]
        with self.inside():
            return bool(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def settled(self) -> bool:
        """Tell whether BIRD's route is there, and none floats."""
        return self.routes("bird") and not self.routes("113")

    def bird(self) -> str:
        """Return the id of BIRD's process, "" while it has none."""
        try:
            return Path(self.places.pid).read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def kill(self) -> None:
        """Kill BIRD."""
        os.kill(int(self.bird()), signal.SIGKILL)

    @contextmanager
    def watched(self, *, copied: bool = True) -> Iterator[None]:
        """Assert that the other's pods have a route all the while, as the kernel tells (ip-monitor(8)).

        And that it was for a time a copy, or none was made: the test sees what it is about.
        """
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder, "told")

            def marks() -> int:
                with self.inside():
                    for verb in ("add", "del"):
                        subprocess.run(["ip", "route", verb, MARK, "dev", "up0"], check=True)
                return told.read_text(encoding="utf-8").count(MARK)

            with self.inside(), told.open("wb") as file:
                monitor = subprocess.Popen(["ip", "monitor", "route"], stdout=file)
            try:
                eventually(marks, "the monitor listens")
                yield
                before = marks()
                eventually(lambda: marks() > before, "the monitor has told all")
            finally:
                monitor.kill()
                monitor.wait()
            lines = told.read_text(encoding="utf-8").splitlines()
        standing = {"bird"}
        for line in lines:
            found = re.match(rf"(Deleted )?{PODS[self.other]} .*proto (\S+)", line)
            if found:
                (standing.discard if found[1] else standing.add)(found[2])
                assert standing, lines
        assert any(" proto 113 " in line for line in lines) == copied, lines


@pytest.fixture
def machines(places: Places, beyond: str) -> Iterator[tuple[Machine, Machine]]:
    """Give two machines whose BIRDs speak to each other; who sees to them ends before they do."""
    with ExitStack() as stack:
        folder = f"{stack.enter_context(tempfile.TemporaryDirectory(prefix='bird-'))}/bird"
        Path(folder).mkdir()
        far = Places(folder)
        stack.callback(_killed, far)
        found = []
        for own, at, its in ((HERE, OWN, places), (THERE, beyond, far)):
            descriptor = open_namespace(at)
            stack.callback(os.close, descriptor)
            found.append(Machine(descriptor, own, its, stack))
        here, there = found
        eventually(lambda: here.settled() and there.settled(), "routes on both sides")
        yield here, there


def _killed(places: Places) -> None:
    descriptor = running(places)
    if descriptor is not None:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)


def test_birds_that_die_together_leave_a_way_all_the_while(machines: tuple[Machine, Machine]) -> None:
    """Each restarts and has nothing to tell at first, for which the other does not wait: thrice in a row."""
    here, there = machines
    for _ in range(3):
        with here.watched(), there.watched():
            here.kill()
            there.kill()
            eventually(lambda: here.routes("113") and there.routes("113"), "copies")
            eventually(lambda: here.settled() and there.settled(), "BIRD's own routes alone")


def test_a_neighbour_that_stays_away_is_led_to(machines: tuple[Machine, Machine]) -> None:
    """Its BIRD and its daemon are gone, its pods may be there; the next daemon here goes on with that."""
    here, there = machines
    there.speaker.close()
    there.kill()
    with here.watched():
        here.kill()
        eventually(lambda: here.routes("113") and not here.routes("bird"), "a copy alone")
        here.speaker.close()
        here.speak()
        there.speak()
        eventually(here.settled, "BIRD's own route alone")


def test_a_neighbour_that_dies_again_before_it_has_told_its_routes_is_led_to(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By BIRD's own route all the while: by RFC 4724 alone that would go the second time, by RFC 9494 it stays."""
    here, there = machines
    monkeypatch.setattr(text, "_RECOVERY_SECONDS", 60)
    there.tell(there.waiting())
    with here.watched(copied=False):
        for _ in range(2):
            there.kill()
            eventually(here.restarting, "a session, and nothing told")
        there.tell(there.configuration())
        there.kill()
        eventually(lambda: here.established() and not here.restarting(), "the routes told")
    assert here.settled()


@pytest.mark.parametrize("refused", [False, True], ids=["", "with a configuration that BIRD refuses"])
def test_a_neighbour_that_falls_silent_is_dead(
    machines: tuple[Machine, Machine], caplog: pytest.LogCaptureFixture, refused: bool
) -> None:
    """No word for the hold time: what it told goes, although BIRD would keep it long (RFC 9494), and that is told."""
    here, there = machines
    caplog.set_level(logging.INFO, "podnet")
    if refused:
        one = here.configuration()
        here.speaker.follow(one._replace(sessions=one.sessions * 2))
        eventually(lambda: "refuses `configure`" in caplog.text, "BIRD's refusal")
    with there.inside():
        wall = "table inet wall { chain in { type filter hook input priority 0; policy drop; }; }"
        subprocess.run(["nft", wall], check=True)
    eventually(lambda: not here.routes("bird") and not here.routes("113"), "no route")
    (line,) = [message for message in caplog.messages if "the IPv4 session with n2 is down" in message]
    assert line.endswith(": Hold timer expired")


@pytest.mark.parametrize("over", ["the list", "the time", "the backend"])
def test_a_way_to_nobody_goes(machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, over: str) -> None:
    """The node is on the list no more; its neighbours' patience with it is over; podnet's BIRD is ended for good."""
    here, there = machines
    there.speaker.close()
    there.kill()
    if over == "the time":
        monkeypatch.setattr(floating, "RESTART_SECONDS", 3)
    here.kill()
    eventually(lambda: here.routes("113") and not here.routes("bird"), "a copy alone")
    if over == "the list":
        here.speaker.follow(here.configuration(alone=True))
    elif over == "the backend":
        here.speaker.close()
        with here.inside():
            assert end(here.places)
    eventually(lambda: not here.routes("113"), "no copy")


def test_what_is_needed_no_more_is_seen_by_the_next_daemon(machines: tuple[Machine, Machine]) -> None:
    """A list without the other node, read while the daemon was away."""
    here, there = machines
    there.speaker.close()
    there.kill()
    here.kill()
    eventually(lambda: here.routes("113") and not here.routes("bird"), "a copy alone")
    here.speaker.close()
    here.speak(alone=True)
    eventually(lambda: not here.routes("113"), "no copy")


def test_fast_keeps_nothing(places: Places, machines: tuple[Machine, Machine]) -> None:
    """There a BIRD that is away is a node that is dead."""
    here, _ = machines
    here.speaker.follow(here.configuration()._replace(profile="fast"))
    eventually(lambda: "bfd on" in Path(places.configuration).read_text(encoding="utf-8"), "another profile")
    before = here.bird()
    here.kill()
    seen: list[bool] = []

    def replaced() -> bool:
        seen.append(here.routes("113"))
        return here.bird() not in {"", before}

    eventually(replaced, "another BIRD")
    eventually(lambda: here.routes("bird"), "its route")
    assert not any([*seen, here.routes("113")])


def test_a_copy_that_cannot_be_made_keeps_no_bird_from_starting(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told with the kernel's reason, and BIRD's own route is there when it has heard of it."""

    def refuse(_: floating.Floating) -> None:
        raise KernelError("ip route add 10.244.2.0/24", errno.EPERM, "")

    here, _ = machines
    monkeypatch.setattr(floating.Floating, "lay", refuse)
    before = here.bird()
    here.kill()
    told = "may go before the new one has its own: ip route add 10.244.2.0/24"
    eventually(lambda: told in caplog.text, "the refusal")
    eventually(lambda: here.bird() not in {"", before}, "another BIRD")
    eventually(here.settled, "BIRD's own route")
