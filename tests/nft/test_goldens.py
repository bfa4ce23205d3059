"""Bytes that stand for commands: what each object encodes to, and what nft(8) itself sends for the same command."""

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from podnet.netlink.message import MESSAGES, NETLINK_NETFILTER, Message, Request
from podnet.nft import ACCEPT, DROP, Base, Chain, Element, Interval, Object, Rule, Set, Table
from podnet.nft import message as wire
from podnet.nft.element import INTERVAL_END
from podnet.nft.expr import Lookup
from podnet.nft.statement import Masquerade, Match

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

TABLE = Table("inet", "t")
PODS = Set(table=TABLE, name="pods4", key=("ifname", "ipv4_addr"))
HAIRPIN = Set(table=TABLE, name="hairpin4", key=("ipv4_addr", "ipv4_addr"), comment="itself")
NETS = Set(table=TABLE, name="nets4", key=("ipv4_addr",), interval=True)
PAIRS = Set(table=TABLE, name="pairs", key=("ipv4_addr", "inet_service"), interval=True)
PORTS = Set(table=TABLE, name="ports", key=("inet_service",), data=("ipv4_addr", "inet_service"))
VERDICTS = Set(table=TABLE, name="verdicts", key=("ifname",), data=("verdict",))
FORWARD = Chain(TABLE, "forward", Base("filter", "forward", 0))
POSTROUTING = Chain(TABLE, "postrouting", Base("nat", "postrouting", 100, "drop"))
PLAIN = Chain(TABLE, "plain")
EXISTING: tuple[Object, ...] = (TABLE, PODS, HAIRPIN, NETS, PAIRS, PORTS, VERDICTS, FORWARD, POSTROUTING, PLAIN)


class Golden(NamedTuple):
    """A command of nft(8), the object and verb that mean it, and the payload of each message."""

    command: str
    object: Object
    verb: Any
    payloads: tuple[str, ...]


GOLDENS = (
    Golden(
        "add table inet t",
        TABLE,
        "add",
        (
            """
            01000000 06000100 74000000 08000200 00000000
            """,
        ),
    ),
    Golden(
        "delete table inet t",
        TABLE,
        "delete",
        (
            """
            01000000 06000100 74000000
            """,
        ),
    ),
    Golden(
        "add chain inet t forward { type filter hook forward priority 0; policy accept; }",
        FORWARD,
        "add",
        (
            """
            01000000 06000100 74000000 0c000300 666f7277 61726400 14000480 08000100 00000002 08000200 00000000
            08000500 00000001 0b000700 66696c74 65720000
            """,
        ),
    ),
    Golden(
        "add chain inet t postrouting { type nat hook postrouting priority 100; policy drop; }",
        POSTROUTING,
        "add",
        (
            """
            01000000 06000100 74000000 10000300 706f7374 726f7574 696e6700 14000480 08000100 00000004 08000200
            00000064 08000500 00000000 08000700 6e617400
            """,
        ),
    ),
    Golden(
        "add chain inet t plain",
        PLAIN,
        "add",
        (
            """
            01000000 06000100 74000000 0a000300 706c6169 6e000000
            """,
        ),
    ),
    Golden(
        "delete chain inet t plain",
        PLAIN,
        "delete",
        (
            """
            01000000 06000100 74000000 0a000300 706c6169 6e000000
            """,
        ),
    ),
    Golden(
        "add set inet t pods4 { type ifname . ipv4_addr; }",
        PODS,
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 706f6473 34000000 08000300 00000000 08000400 00000a47 08000500
            00000014 08000a00 00000001 14000d00 00040000 00000308 00040d00 00000100
            """,
        ),
    ),
    Golden(
        'add set inet t hairpin4 { type ipv4_addr . ipv4_addr; comment "itself"; }',
        HAIRPIN,
        "add",
        (
            """
            01000000 06000100 74000000 0d000200 68616972 70696e34 00000000 08000300 00000000 08000400 000001c7
            08000500 00000008 08000a00 00000001 1d000d00 00040000 00000308 00040d00 00000100 07076974 73656c66
            00000000
            """,
        ),
    ),
    Golden(
        "add set inet t nets4 { type ipv4_addr; flags interval; }",
        NETS,
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 6e657473 34000000 08000300 00000004 08000400 00000007 08000500
            00000004 08000a00 00000001 0a000d00 00040200 00000000
            """,
        ),
    ),
    Golden(
        "add set inet t pairs { type ipv4_addr . inet_service; flags interval; }",
        PAIRS,
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 70616972 73000000 08000300 00000084 08000400 000001cd 08000500
            00000008 20000980 1c000280 0c000180 08000100 00000004 0c000180 08000100 00000002 08000a00 00000001
            14000d00 00040000 00000308 00040d00 00000100
            """,
        ),
    ),
    Golden(
        "add map inet t ports { type inet_service : ipv4_addr . inet_service; }",
        PORTS,
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 706f7274 73000000 08000300 00000008 08000400 0000000d 08000500
            00000002 08000600 000001cd 08000700 00000008 08000a00 00000001 20000d00 00040200 00000104 00000000
            04080004 0d000000 01000604 00000000
            """,
        ),
    ),
    Golden(
        "add map inet t verdicts { type ifname : verdict; }",
        VERDICTS,
        "add",
        (
            """
            01000000 06000100 74000000 0d000200 76657264 69637473 00000000 08000300 00000008 08000400 00000029
            08000500 00000010 08000600 ffffff00 08000700 00000000 08000a00 00000001 16000d00 00040100 00000104
            00000000 06040000 00000000
            """,
        ),
    ),
    Golden(
        "delete map inet t verdicts",
        VERDICTS,
        "delete",
        (
            """
            01000000 06000100 74000000 0d000200 76657264 69637473 00000000
            """,
        ),
    ),
    Golden(
        "flush set inet t pods4",
        PODS,
        "flush",
        (
            """
            01000000 06000100 74000000 0a000200 706f6473 34000000
            """,
        ),
    ),
    Golden(
        "flush chain inet t plain",
        PLAIN,
        "flush",
        (
            """
            01000000 06000100 74000000 0a000200 706c6169 6e000000
            """,
        ),
    ),
    Golden(
        'add element inet t pods4 { "veth0" . 10.244.0.5 }',
        Element(PODS, ("veth0", IPv4Address("10.244.0.5"))),
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 706f6473 34000000 24000380 20000180 1c000180 18000100 76657468
            30000000 00000000 00000000 0af40005
            """,
        ),
    ),
    Golden(
        'create element inet t pods4 { "veth0" . 10.244.0.5 comment "a pod" }',
        Element(PODS, ("veth0", IPv4Address("10.244.0.5")), comment="a pod"),
        "create",
        (
            """
            01000000 06000100 74000000 0a000200 706f6473 34000000 30000380 2c000180 1c000180 18000100 76657468
            30000000 00000000 00000000 0af40005 0c000600 00066120 706f6400
            """,
        ),
    ),
    Golden(
        'delete element inet t pods4 { "veth0" . 10.244.0.5 }',
        Element(PODS, ("veth0", IPv4Address("10.244.0.5"))),
        "delete",
        (
            """
            01000000 06000100 74000000 0a000200 706f6473 34000000 24000380 20000180 1c000180 18000100 76657468
            30000000 00000000 00000000 0af40005
            """,
        ),
    ),
    Golden(
        "add element inet t nets4 { 10.244.0.0/16 }",
        Element(NETS, (IPv4Network("10.244.0.0/16"),)),
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 6e657473 34000000 2c000380 10000180 0c000180 08000100 0af40000
            18000180 08000300 00000001 0c000180 08000100 0af50000
            """,
        ),
    ),
    Golden(
        "add element inet t pairs { 10.0.0.0/8 . 80-90 }",
        Element(PAIRS, (IPv4Network("10.0.0.0/8"), Interval(80, 90))),
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 70616972 73000000 28000380 24000180 10000180 0c000100 0a000000
            00500000 10000a80 0c000100 0affffff 005a0000
            """,
        ),
    ),
    Golden(
        "add element inet t ports { 80 : 10.244.0.5 . 8080 }",
        Element(PORTS, (80,), (IPv4Address("10.244.0.5"), 8080)),
        "add",
        (
            """
            01000000 06000100 74000000 0a000200 706f7274 73000000 24000380 20000180 0c000180 06000100 00500000
            10000280 0c000100 0af40005 1f900000
            """,
        ),
    ),
    Golden(
        'add element inet t verdicts { "veth0" : drop }',
        Element(VERDICTS, ("veth0",), (DROP,)),
        "add",
        (
            """
            01000000 06000100 74000000 0d000200 76657264 69637473 00000000 30000380 2c000180 18000180 14000100
            76657468 30000000 00000000 00000000 10000280 0c000280 08000100 00000000
            """,
        ),
    ),
    Golden(
        "add rule inet t forward iifgroup 28782 ip daddr 169.254.1.1 drop",
        Rule.new(FORWARD, Match("iifgroup", 28782), Match("ip daddr", IPv4Address("169.254.1.1")), DROP),
        "add",
        (
            """
            01000000 06000100 74000000 0c000200 666f7277 61726400 34010480 24000180 09000100 6d657461 00000000
            14000280 08000100 00000001 08000200 00000015 2c000180 08000100 636d7000 20000280 08000100 00000001
            08000200 00000000 0c000380 08000100 6e700000 24000180 09000100 6d657461 00000000 14000280 08000100
            00000001 08000200 0000000f 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000000
            0c000380 05000100 02000000 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000001 08000200
            00000001 08000300 00000010 08000400 00000004 2c000180 08000100 636d7000 20000280 08000100 00000001
            08000200 00000000 0c000380 08000100 a9fe0101 30000180 0e000100 696d6d65 64696174 65000000 1c000280
            08000100 00000000 10000280 0c000280 08000100 00000000
            """,
        ),
    ),
    Golden(
        'add rule inet t forward iifname . ip saddr != @pods4 drop comment "spoofed"',
        Rule.new(FORWARD, Match("iifname . ip saddr", PODS, "!="), DROP, comment="spoofed"),
        "add",
        (
            """
            01000000 06000100 74000000 0c000200 666f7277 61726400 0c010480 24000180 09000100 6d657461 00000000
            14000280 08000100 00000001 08000200 0000000f 2c000180 08000100 636d7000 20000280 08000100 00000001
            08000200 00000000 0c000380 05000100 02000000 24000180 09000100 6d657461 00000000 14000280 08000100
            00000001 08000200 00000006 34000180 0c000100 7061796c 6f616400 24000280 08000100 00000002 08000200
            00000001 08000300 0000000c 08000400 00000004 30000180 0b000100 6c6f6f6b 75700000 20000280 0a000100
            706f6473 34000000 08000200 00000001 08000500 00000001 30000180 0e000100 696d6d65 64696174 65000000
            1c000280 08000100 00000000 10000280 0c000280 08000100 00000000 0e000700 00087370 6f6f6665 64000000
            """,
        ),
    ),
    Golden(
        "insert rule inet t forward ct state established,related accept",
        Rule.new(FORWARD, Match("ct state", "established,related"), ACCEPT),
        "insert",
        (
            """
            01000000 06000100 74000000 0c000200 666f7277 61726400 cc000480 20000180 07000100 63740000 14000280
            08000100 00000001 08000200 00000000 4c000180 0c000100 62697477 69736500 3c000280 08000100 00000001
            08000200 00000001 08000300 00000004 08000600 00000000 0c000480 08000100 06000000 0c000580 08000100
            00000000 2c000180 08000100 636d7000 20000280 08000100 00000001 08000200 00000001 0c000380 08000100
            00000000 30000180 0e000100 696d6d65 64696174 65000000 1c000280 08000100 00000000 10000280 0c000280
            08000100 00000001
            """,
        ),
    ),
    Golden(
        "add rule inet t postrouting ip saddr . ip daddr @hairpin4 masquerade fully-random",
        Rule.new(POSTROUTING, Match("ip saddr . ip daddr", HAIRPIN), Masquerade(fully_random=True)),
        "add",
        (
            """
            01000000 06000100 74000000 10000200 706f7374 726f7574 696e6700 0c010480 24000180 09000100 6d657461
            00000000 14000280 08000100 00000001 08000200 0000000f 2c000180 08000100 636d7000 20000280 08000100
            00000001 08000200 00000000 0c000380 05000100 02000000 34000180 0c000100 7061796c 6f616400 24000280
            08000100 00000001 08000200 00000001 08000300 0000000c 08000400 00000004 34000180 0c000100 7061796c
            6f616400 24000280 08000100 00000009 08000200 00000001 08000300 00000010 08000400 00000004 34000180
            0b000100 6c6f6f6b 75700000 24000280 0d000100 68616972 70696e34 00000000 08000200 00000001 08000500
            00000000 1c000180 09000100 6d617371 00000000 0c000280 08000100 00000010
            """,
        ),
    ),
)


every_golden = pytest.mark.parametrize("golden", GOLDENS, ids=[g.command for g in GOLDENS])


@every_golden
def test_object_is_its_command(golden: Golden) -> None:
    """The object prints as the command."""
    assert golden.object.nft(golden.verb) == golden.command


@every_golden
def test_object_encodes_to_these_bytes(golden: Golden) -> None:
    """The object's messages are these bytes, whatever else changes in the code."""
    assert [r.payload.hex() for r in golden.object.requests(golden.verb)] == [
        "".join(p.split()) for p in golden.payloads
    ]


@pytest.mark.live
@every_golden
def test_nft_sends_the_same(namespace: "Namespace", golden: Golden) -> None:
    """The tool's own messages for the command say what podnet's say, in as many messages."""
    made = EXISTING if isinstance(golden.object, Element | Rule) or golden.verb in {"delete", "flush"} else (TABLE,)
    if golden.verb == "delete" and isinstance(golden.object, Element):
        made = (*made, golden.object)
    assert namespace.apply(r for o in made for r in o.requests()) == []
    sent = namespace.sent_by_nft(golden.command)
    ours = golden.object.requests(golden.verb)
    assert [(r.type, _plain(r)) for r in ours] == [(r.type, _plain(r)) for r in sent]


def _plain(request: Request) -> Message:
    """Return a message decoded, less the numbers that tie a batch together and are anyone's choice."""
    message = MESSAGES[NETLINK_NETFILTER, request.type].decode(request.payload)
    if isinstance(message, wire.SetMessage):
        return msgspec.structs.replace(message, id=None)
    if isinstance(message, wire.ElementsMessage):
        # The tool opens an interval set with an end at 0, before which nothing is: no element, so podnet sends none.
        members = (e for e in message.elements or () if (e.key, e.flags) != (bytes(4), INTERVAL_END))
        return msgspec.structs.replace(message, id=None, elements=tuple(members))
    if isinstance(message, wire.RuleMessage):
        expressions = (
            msgspec.structs.replace(e, id=None) if isinstance(e, Lookup) else e for e in message.expressions or ()
        )
        return msgspec.structs.replace(message, expressions=tuple(expressions))
    return message
