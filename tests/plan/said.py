"""What the tests of plans share: things as a plan, and a plan as requests."""

from collections.abc import Iterable
from typing import Any

from podnet.netlink.message import MESSAGES, NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Message, Request
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.plan import (
    Object,
    Plan,
    Step,
    encode,
)

INDEXES: Any = {("node", "br0"): 7, ("node", "veth-a"): 8, ("node", "ifb-a"): 9, ("pod", "eth0"): 2, ("pod", "lo"): 1}
CREATE = NLM_F_CREATE | NLM_F_EXCL
REPLACE = NLM_F_CREATE | NLM_F_REPLACE


def a_plan(objects: Iterable[Object]) -> Plan:
    """Return the plan that asks for `objects`."""
    return Plan(tuple(Step(thing, "asked for") for thing in objects))


def requests_of(*things: Object, verb: Any = "add", namespace: int | None = None) -> list[Request]:
    """Return all requests of a plan that does `verb` to `things`, whatever their batches."""
    plan = Plan(tuple(Step(thing, "r", verb) for thing in things))
    return [request for batch in encode(plan, INDEXES, namespace) for request in batch.requests]


def read(request: Request) -> Message:
    """Return the message that a rtnetlink request holds."""
    return MESSAGES[NETLINK_ROUTE, request.type].decode(request.payload)


def links(*things: Object, verb: Any = "add", namespace: int | None = None) -> list[LinkMessage]:
    """Return the messages of links."""
    found = [read(request) for request in requests_of(*things, verb=verb, namespace=namespace)]
    assert all(isinstance(message, LinkMessage) for message in found)
    return found  # type: ignore[return-value]  # asserted in the line above
