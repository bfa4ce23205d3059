"""BIRD's sessions, watched: what becomes of them is told and counted, and routes of neighbours that are dead go.

Where routes are kept long (RFC 9494) BIRD takes a silence as long as the hold time for a restart, and would lead to a
dead node's pods for minutes; it says so to nobody, but logs that the session's state is another.  So BIRD is heard, and
a silent neighbour's session started anew, which has its routes go.
"""

import logging
import time
from collections.abc import Sequence

from msgspec.structs import replace

from podnet.bird import Protocol, parse_protocols, session_of
from podnet.model.bgp import Profile
from podnet.routing.control import Control, Echo
from podnet.routing.flaps import Flaps, later

SOON_SECONDS = 0.02
"""How long after BIRD has logged something it is looked: a session's change is several lines."""
BUSY = 2.0
"""How many times as long as the last look took is waited at least: thousands of sessions come and go together."""
SILENT = "Hold timer expired"
"""Why a session is down whose neighbour is dead, in BIRD's own words (`bgp_msg_table`)."""
MANY = 64
"""Sessions asked for one by one; more are asked for with all others."""

log = logging.getLogger("podnet")


class SessionsWatch:
    """Looks at the sessions of the BIRD whose control socket is at `socket`; counts are kept in the file `flaps`."""

    def __init__(self, socket: str, flaps: str) -> None:
        """Take where things are; nothing is done before the first look."""
        self._socket = socket
        self._file = flaps
        self._flaps: Flaps | None = None
        self._echo: Echo | None = None
        self._down: dict[str, str] = {}
        self._took = 0.0

    def fileno(self) -> int | None:
        """Return the descriptor that is readable when BIRD has logged something; None where that is not heard yet."""
        return None if self._echo is None else self._echo.fileno()

    def drain(self) -> float:
        """Take what was logged; return in how many seconds to look what it was about."""
        if self._echo is not None and not self._echo.drain():
            self.close()
        return max(SOON_SECONDS, BUSY * self._took)

    def close(self) -> None:
        """Hear BIRD no more, until the next look."""
        if self._echo is not None:
            self._echo.close()
            self._echo = None

    def look(self, control: Control, profile: Profile) -> None:
        """See how the sessions are; raise `PodnetError`."""
        began = time.monotonic()
        if self._flaps is None:
            self._flaps = Flaps(self._file)
        if self._echo is None:
            self._echo = Echo(self._socket)
        sessions = [one for one in parse_protocols(control.ask("show protocols").lines) if session_of(one)]
        before, down = self._down, {one.name: one.since for one in sessions if not one.established}
        if profile == "graceful":
            went = [one for one, since in down.items() if one not in before or later(since, before[one])]
            dead = _bury(control, went)
            sessions = [replace(one, error=SILENT) if one.name in dead else one for one in sessions]
        self._down = down
        for protocol, up in self._flaps.look(sessions):
            log.info("BGP: %s", _described(protocol, up=up))
        self._flaps.keep()
        self._took = time.monotonic() - began


def _bury(control: Control, names: Sequence[str]) -> set[str]:
    """Have what dead neighbours have told go, of those whose sessions, by `names`, went down; return their names.

    Raises `PodnetError`.
    """
    dead = set()
    for which in [""] if len(names) > MANY else [f" '{name}'" for name in names]:
        for protocol in parse_protocols(control.ask(f"show protocols all{which}").lines):
            if protocol.silent and session_of(protocol):
                control.ask(f"restart '{protocol.name}'")
                dead.add(protocol.name)
    return dead


def _described(protocol: Protocol, *, up: bool) -> str:
    name, version = session_of(protocol) or (protocol.name, 0)
    error = f": {protocol.error}" if protocol.error and not up else ""
    return f"the IPv{version} session with {name} is {'up' if up else 'down'} since {protocol.since}{error}"
