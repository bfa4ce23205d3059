"""The sessions of BIRD here, asked for by whoever looks."""

from podnet.bird import Protocol, parse_protocols, session_of
from podnet.routing.control import Control
from podnet.routing.flaps import Flaps
from podnet.routing.program import Places


def read_sessions(folder: str, socket: str = "") -> tuple[list[Protocol], dict[str, int]]:
    """Return podnet's sessions by name, and how often each went down, as the daemon has counted.

    `folder` is that of podnet's own BIRD, `socket` the control socket of the host's, "" where that is not used.
    Raises `IOFailure` where BIRD does not answer.
    """
    places = Places(folder)
    with Control(socket or places.socket) as control:
        protocols = parse_protocols(control.ask("show protocols all").lines)
    sessions = sorted((one for one in protocols if session_of(one)), key=lambda one: session_of(one) or ("", 0))
    return sessions, {name: count.flaps for name, count in Flaps(places.flaps).counts.items()}
