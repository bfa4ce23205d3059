"""Floating routes: copies of BIRD's routes, of a worse metric, that lead on while a new BIRD hears the old one's again.

A BIRD that starts finds in the kernel what the one before had put there.  Graceful restart (RFC 4724) has it leave that
alone until its neighbours have told their routes; but a neighbour that starts at the same time has nothing to tell yet
and is not waited for, and neither is one that is away for longer.  BIRD takes their routes out of the kernel then,
although their pods are there.  So each route is copied before a new BIRD starts, and a copy goes when BIRD has given
the kernel its own again, when the prefix is no other node's any more, or when the neighbours' patience is over too.

Administrators know it as a floating static route.
"""

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from ipaddress import ip_network

from podnet.bird.configuration import Configuration, IPNetwork
from podnet.bird.text import METRIC
from podnet.plan import Plan, Route, Step, diff, state_of

PROTOCOL_FLOATING = 113
"""The rtm_protocol of the copies ("q" in ASCII; unassigned in rt_protos): not podnet's other routes', nor BIRD's."""
METRIC_FLOATING = METRIC + 1

_ROUTE = re.compile(r"(?P<dst>[0-9a-f.:]+/\d{1,3})\s+unicast .*")
_RECOVERING = "Graceful restart recovery in progress"


def copies(given: Iterable[Route], floating: Iterable[Route]) -> Plan:
    """Return the plan that copies the routes `given` by BIRD, of which some are `floating` already."""
    steps = [
        Step(
            Route(
                at="node", dst=route.dst, dev=route.dev, via=route.via, onlink=route.onlink, src=route.src,
                type=route.type, protocol=PROTOCOL_FLOATING, metric=METRIC_FLOATING,
            ),
            "leads on until the new BIRD has heard of this prefix again",
        )
        for route in given if route.type == "unicast"
    ]  # fmt: skip
    return diff(state_of(floating), Plan(tuple(steps)))


def without(floating: Iterable[Route]) -> Plan:
    """Return the plan that takes floating routes away."""
    reason = "BIRD's own route is there again, or nobody is there any more"
    return Plan(tuple(Step(route, reason, "delete") for route in floating))


def served(
    floating: Iterable[Route],
    configuration: Configuration,
    *,
    given: Collection[IPNetwork],
    heard: Collection[IPNetwork],
) -> list[Route]:
    """Return those floating routes that are needed no more.

    `given` are the prefixes that the kernel has from BIRD, this one or the one before; `heard` those that this BIRD
    has a way to, empty while it keeps what it found: where both are so, BIRD's route is there to stay.
    """
    owned = {cidr for cidrs in configuration.owners.values() for cidr in cidrs}
    there = set(given).intersection(heard)
    return [
        route
        for route in floating
        if route.dst in there or not (route.dst in owned or _is_stray(route.dst, configuration))
    ]


def _is_stray(dst: IPNetwork, configuration: Configuration) -> bool:
    """Tell whether `dst` may be a pod's address that is in no node's prefix."""
    return dst.prefixlen == dst.max_prefixlen and any(
        dst.version == cidr.version and dst.network_address in cidr for cidr in configuration.cluster
    )


def parse_routes(lines: Iterable[str]) -> frozenset[IPNetwork]:
    """Return the destinations with a way in the lines of ``show route``'s reply; other lines are passed over."""
    found = set()
    for line in lines:
        route = _ROUTE.fullmatch(line)
        if route:
            with suppress(ValueError):
                found.add(ip_network(route["dst"]))
    return frozenset(found)


def is_recovering(lines: Iterable[str]) -> bool:
    """Tell by the lines of ``show status``'s reply whether BIRD still leaves the kernel's routes as it found them."""
    return any(_RECOVERING in line for line in lines)
