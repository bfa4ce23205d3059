"""How nodes speak BGP: what podnet.yaml's `bgp` amounts to."""

from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import msgspec

IPAddress = IPv4Address | IPv6Address

Mode = Literal["mesh", "reflectors", "routers"]
"""With whom a node has sessions: every other node; the route reflectors; routers that are no nodes, alone."""
Profile = Literal["fast", "graceful"]
"""What a silence means.

``fast``: BFD finds it within half a second and the routes go; a BIRD that is restarted costs its node's routes
meanwhile.  ``graceful``: routes stay while a BIRD is restarted (RFC 9494), and a node that is dead is missed when its
hold time of 3 s is over.
"""
Role = Literal["reflector", "client", "peer"]
"""What a router is to the nodes that speak to it.

``reflector`` has the nodes' routes from them and tells them to the others; ``client`` is told all routes by nodes that
are reflectors, and tells none; ``peer``, such as a top-of-rack switch, is told each node's own routes by it, and tells
it those of other nodes.
"""
PRIVATE_AS = 64512
"""The first AS number for private use (RFC 6996)."""


class Router(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A router that is no node of the cluster.

    `addresses` are its own, of which a node speaks to one per family: one on a subnet of the node's, else the first.
    `asn` 0 is the nodes' own AS number.  `nodes` are the names of those that speak to it; none: all, or for a `client`
    all reflectors.  `password_file` has the password of the sessions with it (RFC 2385), "" for none.
    """

    name: str
    addresses: tuple[IPAddress, ...]
    asn: int = 0
    role: Role = "peer"
    nodes: tuple[str, ...] = ()
    password_file: str = ""


class BGP(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How the nodes of a cluster speak BGP, the same on all of them.

    `communities` are said of each route (RFC 1997, two halves of 16 bits).  `password_file` has the password of
    sessions between nodes.  `socket` is the control socket of the BIRD that the host runs, "" where podnet runs one;
    `include` is then the file of podnet's part, which the host's configuration includes.
    """

    asn: int = PRIVATE_AS
    mode: Mode = "mesh"
    profile: Profile = "graceful"
    password_file: str = ""
    communities: tuple[tuple[int, int], ...] = ()
    routers: tuple[Router, ...] = ()
    socket: str = ""
    include: str = ""
