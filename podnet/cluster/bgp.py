"""podnet.yaml's `bgp`, as written and checked: how nodes and routers speak BGP."""

from os.path import abspath, dirname, isabs, join

import msgspec

from podnet.cluster.document import Document, IPAddress
from podnet.cluster.named import valid_name
from podnet.cluster.nodes import unreachable
from podnet.model.bgp import BGP, PRIVATE_AS, Mode, Profile, Role, Router

_AS_MOST = (1 << 32) - 1  # RFC 6793
_HALF_MOST = (1 << 16) - 1
INCLUDE = "/etc/bird/podnet.conf"
"""Where podnet's part is written for the BIRD that a host runs itself."""


class RouterEntry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, gc=False):
    """A router as written."""

    name: str
    addresses: tuple[str, ...]
    asn: int = msgspec.field(default=0, name="as")
    role: Role = "peer"
    nodes: tuple[str, ...] = ()
    password_file: str = ""


class BGPEntry(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, gc=False):
    """`bgp` as written."""

    asn: int = msgspec.field(default=PRIVATE_AS, name="as")
    mode: Mode = "mesh"
    profile: Profile = "graceful"
    password_file: str = ""
    communities: tuple[str, ...] = ()
    routers: tuple[RouterEntry, ...] = ()
    socket: str = ""
    include: str = ""


def parse_bgp(document: Document, entry: BGPEntry, path: str = ".bgp") -> BGP:
    """Return what is written at `path` of a document; raise InvalidConfiguration for what cannot be meant."""
    _check_as(document, entry.asn, f"{path}.as", least=1)
    if entry.mode == "routers" and not entry.routers:
        document.refuse(f"{path}.mode", "is `routers`, and there are none; name them as `routers`, or choose another")
    if entry.include and not entry.socket:
        document.refuse(f"{path}.include", "is for the BIRD that the host runs; name its `socket` too, or leave it out")
    routers = tuple(_router(document, one, entry.asn, f"{path}.routers[{n}]") for n, one in enumerate(entry.routers))
    _refuse_twins(document, routers, path)
    return BGP(
        asn=entry.asn,
        mode=entry.mode,
        profile=entry.profile,
        password_file=_beside(document, entry.password_file),
        communities=tuple(
            _community(document, text, f"{path}.communities[{n}]") for n, text in enumerate(entry.communities)
        ),
        routers=routers,
        socket=entry.socket,
        include=entry.include or (INCLUDE if entry.socket else ""),
    )


def _router(document: Document, entry: RouterEntry, asn: int, path: str) -> Router:
    """Return a router as written at `path`, beside nodes whose AS number is `asn`."""
    if not valid_name(entry.name):
        document.refuse(f"{path}.name", f"{entry.name!r} is not a name; use letters, digits, '-', '_' and '.'")
    if not entry.addresses:
        document.refuse(f"{path}.addresses", "is empty; give the router's own addresses, towards the nodes")
    _check_as(document, entry.asn, f"{path}.as", least=0)
    if entry.role == "reflector" and entry.asn not in {0, asn}:  # RFC 4456; eBGP would change the next hops
        remedy = "leave it out, or make the router a `peer`"
        document.refuse(f"{path}.as", f"{entry.asn} is not the nodes' {asn}, and a reflector is of their AS; {remedy}")
    return Router(
        name=entry.name,
        addresses=tuple(_address(document, a, f"{path}.addresses[{n}]") for n, a in enumerate(entry.addresses)),
        asn=entry.asn,
        role=entry.role,
        nodes=entry.nodes,
        password_file=_beside(document, entry.password_file),
    )


def _address(document: Document, text: str, path: str) -> IPAddress:
    """Return an address at which nodes can speak to a router, by whatever link."""
    address = document.address(text, path)
    if unreachable(address):
        document.refuse(path, f"{address} cannot be reached from nodes; give the router's own address")
    return address


def _refuse_twins(document: Document, routers: tuple[Router, ...], path: str) -> None:
    """Refuse a name or an address that two routers have."""
    seen: dict[object, str] = {}
    for n, router in enumerate(routers):
        for what in (router.name, *router.addresses):
            if what in seen:
                document.refuse(f"{path}.routers[{n}]", f"has {what}, as {seen[what]} has; correct one")
            seen[what] = router.name


def _check_as(document: Document, number: int, path: str, *, least: int) -> None:
    if not least <= number <= _AS_MOST:
        document.refuse(path, f"{number} is no AS number; use 1 to {_AS_MOST}, such as {PRIVATE_AS}")


def _community(document: Document, text: str, path: str) -> tuple[int, int]:
    halves = text.split(":")
    if len(halves) != 2 or not all(half.isdecimal() and int(half) <= _HALF_MOST for half in halves):  # noqa: PLR2004
        document.refuse(path, f"{text!r} is no community; write two numbers up to {_HALF_MOST}, such as 64512:100")
    return int(halves[0]), int(halves[1])


def _beside(document: Document, path: str) -> str:
    """Return a file's absolute path; a relative one is beside the document."""
    return path if not path or isabs(path) else join(abspath(dirname(document.source)), path)  # noqa: PTH100, PTH117, PTH118, PTH120
