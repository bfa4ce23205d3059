"""What BIRD tells of its sessions: the lines of ``show protocols all``, as values."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from podnet.bird.text import PREFIX

# Name Proto Table State Since Info, below a line of just these words; the time is of two words, as the configuration
# asks for it.
_HEADER = re.compile(
    r"(?P<name>\S+)\s+(?P<kind>[A-Z]\S*)\s+(?P<table>\S+)\s+(?P<state>[a-z]+)\s+"
    r"(?P<since>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?|\S+)\s*(?P<info>.*)"
)
_ROUTES = re.compile(r"(?<![0-9])(?P<number>[0-9]{1,18}) (?P<word>imported|filtered|exported|preferred)")
_AS = re.compile(r"[0-9]{1,10}")
ESTABLISHED = "Established"


class Protocol(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A protocol of BIRD's, such as a session: its `kind` (BGP, Kernel, …), and whether it is ``up``, since when.

    Of a session: its BGP `session` state (RFC 4271 section 8.2.2), the `neighbour` and its AS number, how many routes
    are taken, refused and told, and what went wrong last.  `restarting`: the neighbour's BIRD is away, or has not told
    its routes yet, and those from before are kept (RFC 4724, RFC 9494).
    """

    name: str
    kind: str
    state: str
    since: str
    session: str = ""
    neighbour: str = ""
    asn: int = 0
    imported: int = 0
    filtered: int = 0
    exported: int = 0
    error: str = ""
    restarting: bool = False

    @property
    def established(self) -> bool:
        """Whether the session stands."""
        return self.session == ESTABLISHED

    @property
    def silent(self) -> bool:
        """Whether the neighbour is dead: unheard of for the hold time, and what it has told is still kept.

        BIRD takes that for a restart where it keeps routes long (`bgp_hold_timeout`), but names no error.
        """
        return self.restarting and not self.established and not self.error


def session_of(protocol: Protocol) -> tuple[str, int] | None:
    """Return the neighbour's name and the IP version of a session of podnet's, None of any other protocol."""
    name, dot, version = protocol.name.removeprefix(PREFIX).rpartition(".")
    if protocol.kind != "BGP" or not protocol.name.startswith(PREFIX) or not dot or version not in {"4", "6"}:
        return None
    return name, int(version)


def parse_protocols(lines: Iterable[str]) -> list[Protocol]:
    """Return the protocols in the lines of a reply; lines that are not understood are passed over."""
    return [_protocol(header, details) for header, details in _paragraphs(lines)]


def _paragraphs(lines: Iterable[str]) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Yield the first line of each protocol and those that belong to it, which are indented."""
    header: re.Match[str] | None = None
    details: list[str] = []
    for line in lines:
        if line[:1].isspace():
            details.append(line)
            continue
        if header is not None:
            yield header, details
        header, details = _HEADER.match(line), []
    if header is not None:
        yield header, details


def _protocol(header: re.Match[str], details: Iterable[str]) -> Protocol:
    fields: dict[str, str] = {}
    routes: dict[str, int] = {}
    for line in details:
        key, _, value = line.strip().partition(":")
        if key == "Routes":
            for found in _ROUTES.finditer(value):
                routes[found["word"]] = routes.get(found["word"], 0) + int(found["number"])
        else:
            fields.setdefault(key, value.strip())
    asn = fields.get("Neighbor AS", "")
    return Protocol(
        name=header["name"].strip("'"),
        kind=header["kind"],
        state=header["state"],
        since=header["since"],
        session=fields.get("BGP state", header["info"].split(" ")[0] if header["kind"] == "BGP" else ""),
        neighbour=fields.get("Neighbor address", "").partition("%")[0],
        asn=int(asn) if _AS.fullmatch(asn) else 0,
        imported=routes.get("imported", 0),
        filtered=routes.get("filtered", 0),
        exported=routes.get("exported", 0),
        error=fields.get("Last error", "") or header["info"].partition(" ")[2].strip(),
        restarting="Neighbor graceful restart active" in fields,
    )
