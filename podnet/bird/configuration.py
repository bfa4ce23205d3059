"""What a BIRD is to do: with whom it speaks, what it takes from them and what it tells."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, NamedTuple

from podnet.model.bgp import Profile

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

Takes = Literal["own", "each", "known", "nothing"]
"""Which routes are taken from a neighbour.

``own``: its own, to itself as next hop; ``each``: every node's, with that node as next hop, as a reflector tells them;
``known``: every node's, to whatever next hop, as a router tells them; ``nothing``.  Never another prefix, such as
0.0.0.0/0, nor one of this node's.
"""
Tells = Literal["own", "all", "nothing"]
"""Which routes are told to a neighbour: this node's, also those heard by BGP, or none."""


class Password(NamedTuple):
    """The file that has a session's password (RFC 2385); what is in it is no part of a value that may be printed."""

    file: str = ""


class Session(NamedTuple):
    """One BGP session, of one address family.

    `name` is the neighbour's; `local` is this end's address; `asn` are the AS
    numbers of this end and of the neighbour.  `client`: the neighbour is a client of this reflector (RFC 4456).
    `adjacent`: it is on a subnet of a link, so that its packets pass no router.
    """

    name: str
    local: IPAddress
    neighbour: IPAddress
    asn: tuple[int, int]
    takes: Takes
    tells: Tells
    client: bool = False
    adjacent: bool = True
    password: Password = Password()

    @property
    def internal(self) -> bool:
        """Whether both ends are of one AS (iBGP)."""
        return self.asn[0] == self.asn[1]


class Configuration(NamedTuple):
    """Everything that a BIRD does for podnet.

    `hosted`: it is the host's own, so that what a BIRD needs besides is not podnet's to say.  `links` are those on
    whose subnets neighbours are.  `own` are this node's prefixes; `owners` other nodes' by their address; `cluster`
    holds every pod, and an address in it that is in no node's prefix is told by itself.
    """

    router_id: IPv4Address
    profile: Profile
    families: tuple[int, ...]
    links: tuple[str, ...]
    own: tuple[IPNetwork, ...]
    owners: Mapping[IPAddress, tuple[IPNetwork, ...]]
    cluster: tuple[IPNetwork, ...]
    sessions: tuple[Session, ...]
    communities: tuple[tuple[int, int], ...] = ()
    hosted: bool = False
    log: str = ""
