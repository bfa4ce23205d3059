"""The sessions of BIRD here, asked for by whoever looks."""

import msgspec

from podnet.bird import Protocol, parse_protocols, session_of
from podnet.routing.control import Control
from podnet.routing.flaps import Count, Flaps
from podnet.routing.program import Places


def read_sessions(folder: str, socket: str = "") -> tuple[list[Protocol], dict[str, int]]:
    """Return podnet's sessions by name, and how often each went down, as the daemon has counted.

    Why one is down that BIRD names no error of is as the daemon has seen it.

    `folder` is that of podnet's own BIRD, `socket` the control socket of the host's, "" where that is not used.
    Raises `IOFailure` where BIRD does not answer.
    """
    places = Places(folder)
    with Control(socket or places.socket) as control:
        protocols = parse_protocols(control.ask("show protocols all").lines)
    counts = Flaps(places.flaps).counts
    sessions = [_explained(one, counts.get(one.name)) for one in protocols if session_of(one)]
    sessions.sort(key=lambda one: session_of(one) or ("", 0))
    return sessions, {name: count.flaps for name, count in counts.items()}


def _explained(session: Protocol, count: Count | None) -> Protocol:
    if count is None or session.established or session.error:
        return session
    return msgspec.structs.replace(session, error=count.error)
