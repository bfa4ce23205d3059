"""BGP: whether who is to be spoken to is spoken to, and whether the ways to all nodes' pods have come of it."""

from collections.abc import Collection, Iterator, Sequence

from podnet.bird import METRIC, Protocol, session_of
from podnet.diagnosis.finding import Finding
from podnet.model import Node
from podnet.model.node import IPNetwork

CHECK = "bgp"
STATUS = "podnet router status"
NAMED = 4


def bgp(
    sessions: Sequence[Protocol], others: Sequence[Node], versions: Collection[int], learned: Collection[IPNetwork]
) -> Iterator[Finding]:
    """Yield the sessions that do not stand, and the `others` to whose pods no route was `learned`.

    `versions` are the families in which this node speaks.
    """
    lacking = [
        (node, cidr) for node in others for cidr in node.cidrs if cidr.version in versions and cidr not in learned
    ]
    for session in sessions:
        if not session.established:
            yield _down(session, broken=bool(lacking))
    if not sessions and others:
        what = "BIRD has nobody to speak to: no node's pods are reached, and none here is"
        yield Finding(CHECK, "broken", what, STATUS, "see `bgp` in podnet.yaml: its mode, reflectors and routers")
    if lacking:
        node, cidr = lacking[0]
        more = f", and of {len(lacking) - 1} more prefixes" if len(lacking) > 1 else ""
        what = f"the pods of node {node.name}, {cidr}{more} are not reached: nobody tells a way to them"
        names = ", ".join(dict.fromkeys(node.name for node, _ in lacking[:NAMED]))
        evidence = f"ip route show proto bird metric {METRIC}: no {cidr}"
        yield Finding(
            CHECK, "broken", what, evidence, f"see that podnet runs on {names}, and what `{STATUS}` says there"
        )


def silent(error: str) -> Finding:
    """Return that BIRD does not answer, for the reason that `error` has."""
    what = "BIRD does not answer: this node hears of no other's pods, and none hears of its"
    remedy = "apt install bird2, and start podnet, which starts it; the daemon's log says what fails"
    return Finding(CHECK, "broken", what, error.partition("; ")[0], remedy)


def _down(session: Protocol, *, broken: bool) -> Finding:
    name, version = session_of(session) or (session.name, 0)
    at = f" at {session.neighbour}" if session.neighbour else ""
    what = f"the IPv{version} session with {name}{at} is down since {session.since}"
    if not broken:
        what += "; the others tell all ways still"
    error = session.error or f"it is {session.session or session.state}"
    remedy = _remedy(session, name)
    return Finding(CHECK, "broken" if broken else "soon", what, error, remedy)


def _remedy(session: Protocol, name: str) -> str:
    """Return what to do, by what BIRD says of it."""
    error = session.error.lower()
    if "refused" in error:
        return f"see that BIRD runs on {name} and has this node in its list: `{STATUS}` there"
    if "peer as" in error:
        return f"give {name} its own AS number (`as:`) in podnet.yaml here, and this node's there"
    reach = f"`ping {session.neighbour or name}`, and TCP port 179 through both firewalls"
    return f"see that {name} is reached ({reach}), and that both have the same password"
