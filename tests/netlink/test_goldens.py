"""Requests, the commands they stand for, and their bytes: the tables drive encoding, decoding and the kernel.

Each row is encoded and compared with its bytes, decoded from them, read by pyroute2 as an independent decoder, and sent
in a fresh namespace, whose state must then be what the command makes of another one.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import pytest
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from podnet.errors import DecodeError
from podnet.netlink.message import MESSAGES, NETLINK_ROUTE, Message, Request, frame
from podnet.netlink.rtnl.object import AF_BRIDGE


class Netns(Protocol):
    """What these tests use of a namespace."""

    def shell(self, script: str) -> str:
        """Run a script there."""

    def takes(self, script: str) -> bool:
        """Say whether a script succeeds there."""

    def json(self, command: str) -> Any:
        """Run a command there and decode its output."""

    def send(self, *requests: Request) -> None:
        """Send requests there."""


class Golden(Protocol):
    """A row of the tables (conftest.py)."""

    name: str
    request: Request
    command: str
    bytes: str
    before: str
    shown: tuple[str, ...]


def message_class(golden: Golden) -> type[Message]:
    """Return the class registered for the golden's message type."""
    return MESSAGES[NETLINK_ROUTE, golden.request.type]


def test_a_request_is_encoded_as_its_bytes(golden: Golden) -> None:
    """Each value's payload is the bytes of its row."""
    assert golden.request.payload.hex() == golden.bytes


def test_the_bytes_decode_and_encode_again(golden: Golden) -> None:
    """Each row's bytes decode to a value that encodes to the same bytes."""
    payload = bytes.fromhex(golden.bytes)
    assert message_class(golden).decode(payload).encode() == payload


def test_a_tail_of_padding_changes_nothing(golden: Golden) -> None:
    """Up to three bytes after the last attribute are padding."""
    payload = bytes.fromhex(golden.bytes)
    assert message_class(golden).decode(payload + b"\0\1\2") == message_class(golden).decode(payload)


def test_a_cut_message_is_refused_or_a_prefix(golden: Golden) -> None:
    """Cut anywhere, the bytes decode to no more than a prefix of the attributes, or raise DecodeError."""
    payload = bytes.fromhex(golden.bytes)
    cls = message_class(golden)
    for end in range(len(payload)):
        try:
            value = cls.decode(payload[:end])
        except DecodeError:
            continue
        assert len(value.encode()) <= len(payload)


CLASSES = {16: ifinfmsg, 20: ifaddrmsg, 24: rtmsg, 28: ndmsg, 32: fibmsg, 36: tcmsg, 44: tcmsg}
PREFIX = {16: "IFLA_", 20: "IFA_", 24: "RTA_", 28: "NDA_", 32: "FRA_", 36: "TCA_", 44: "TCA_"}
NAMES = {
    "IFLA_ALIAS": "IFLA_IFALIAS",
    "NDA_BY_IFINDEX": "NDA_IFINDEX",
    "FRA_SUPPRESS_PREFIXLENGTH": "FRA_SUPPRESS_PREFIXLEN",
}
SCALARS = {"u8", "u16", "u32", "s32", "be16", "string", "ip", "mac"}


def test_pyroute2_reads_the_same(golden: Golden) -> None:
    """An independent decoder finds the same header and scalar attributes in our bytes."""
    number = golden.request.type & ~3
    theirs = CLASSES[number](frame(golden.request, 1))
    theirs.decode()
    ours = message_class(golden).decode(golden.request.payload)
    family = getattr(ours, "family")  # noqa: B009 - every rtnetlink header has one, Message does not say so
    assert theirs["family"] == family
    for field in type(ours).LAYOUT.fields:
        value = getattr(ours, field.name)
        name = PREFIX[number] + field.name.upper()
        found = theirs.get_attr(NAMES.get(name, name))
        if field.kind.name not in SCALARS or value is None or (family == AF_BRIDGE and field.name == "dst"):
            continue
        if name == "RTA_VIA":
            found = found["addr"]
        assert str(found).rstrip("\0") == str(value), name


MATCHALL = "tc qdisc add dev lo clsact; tc filter add dev lo ingress matchall action pass; tc qdisc del dev lo clsact"

# What no two namespaces share: timers, ages, and what the kernel's link watch sets a little later.
VOLATILE = {"hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "hold_timer", "message_age_timer"}
VOLATILE |= {"forward_delay_timer", "updated", "used", "confirmed", "installed", "last_used", "first_used", "operstate"}
WATCHED = {"NO-CARRIER", "LOWER_UP"}


def scrubbed(shown: Any) -> Any:
    """Return `shown` without what differs from one namespace to the next.

    Lists are sorted: the order of routes tells which end of the pair had its carrier first.
    """
    if isinstance(shown, dict):
        return {key: scrubbed(value) for key, value in shown.items() if key not in VOLATILE}
    if isinstance(shown, list):
        kept = [scrubbed(item) for item in shown if not isinstance(item, str) or item not in WATCHED]
        return sorted(kept, key=repr)
    return shown


def state(netns: Netns, golden: Golden) -> list[Any]:
    """Return what the golden's commands show in the namespace."""
    return [scrubbed(netns.json(c)) if " -j" in c else netns.shell(c) for c in golden.shown]


@pytest.mark.live
def test_the_kernel_takes_it_as_the_command(golden: Golden, new_netns: Callable[[], Netns]) -> None:
    """Sent in one namespace, the request leaves the state that the command leaves in another, and it changes some."""
    ours, theirs = new_netns(), new_netns()
    if " matchall " in golden.command and not ours.takes(MATCHALL):
        pytest.skip("this kernel has no matchall classifier (CONFIG_NET_CLS_MATCHALL)")
    ours.shell(golden.before)
    untouched = state(ours, golden)
    ours.send(golden.request)
    theirs.shell(f"{golden.before}; {golden.command}")
    deadline = monotonic() + 10  # what the kernel does in its own time: carrier, and the routes that follow it
    while (made := state(ours, golden)) != (meant := state(theirs, golden)) and monotonic() < deadline:
        pass
    assert made == meant
    assert made != untouched
