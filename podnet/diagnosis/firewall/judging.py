"""One rule and one packet: does the rule apply, and what becomes of the packet; a register machine as the kernel's.

Where something is not known, an expression that podnet does not speak or bits of the packet that may be either, the
rule may apply and may not, and what follows is told of both.
"""

from collections.abc import Callable, Mapping
from sys import byteorder
from typing import Any, NamedTuple

import msgspec

from podnet.diagnosis.firewall import xtables
from podnet.diagnosis.firewall.bits import Bits, Truth, both, negated
from podnet.diagnosis.firewall.packet import Link, Packet, in_host_order
from podnet.diagnosis.firewall.ruleset import Lookups, Rule
from podnet.errors import DecodeError
from podnet.netlink.attributes import attributes
from podnet.nft import Verdict
from podnet.nft.datatype import ADDRESS_TYPES
from podnet.nft.expr import (
    Bitwise,
    Byteorder,
    Cmp,
    Counter,
    Ct,
    Expression,
    Fib,
    Immediate,
    Limit,
    Log,
    Lookup,
    Masq,
    Meta,
    Nat,
    Notrack,
    Payload,
    Range,
    Redir,
    Reject,
    Unknown,
    ct,
    fib,
    lookup,
    meta,
    payload,
)
from podnet.nft.expr import cmp as compare
from podnet.nft.expr import range as between

UNTRACKED = 64  # NF_CT_STATE_UNTRACKED_BIT
REFUSED = "reject"
GIVEN = "queue"
"""What becomes of a packet besides nft's verdicts: answered with an error; given to a program that decides."""

_REGISTERS = 64 + 16  # bytes: sixteen of 4, and room for the last one to be written past its end
_PASSIVE = frozenset({"last", "dup", "flow_offload"})
_KIND = {26: "iif", 27: "oif"}  # NFT_META_IIFKIND, NFT_META_OIFKIND
_OBJECTS = frozenset({1, 3, 7, 8, 9})  # NFT_OBJECT_*: counter, ct helper, ct timeout, secmark, ct expectation


class Outcome(NamedTuple):
    """What a rule does with the packet, and whether it surely does: a verdict's name, ``reject`` or ``queue``."""

    truth: Truth
    word: str
    chain: str = ""


class Judgement(NamedTuple):
    """What a rule may do, one of it surely or none; and the packet as the next rule would see it."""

    outcomes: tuple[Outcome, ...]
    packet: Packet


def judge(rule: Rule, packet: Packet, sets: Mapping[str, Lookups]) -> Judgement:
    """Return what `rule` does with `packet`."""
    machine = _Machine(packet, sets)
    for expression in rule.expressions:
        step = _STEPS.get(type(expression))
        if step is not None:
            step(machine, expression)
        if machine.truth is False or machine.outcomes:
            break
    return Judgement(tuple(machine.outcomes), machine.packet)


class _Machine:
    """The registers, and whether the rule still applies."""

    def __init__(self, packet: Packet, sets: Mapping[str, Lookups]) -> None:
        self.packet = packet
        self.sets = sets
        self.truth: Truth = True
        self.outcomes: list[Outcome] = []
        self.registers = Bits.unknown(_REGISTERS)

    def load(self, register: int, length: int) -> Bits:
        return self.registers.part(_place(register), min(length, _REGISTERS))

    def store(self, register: int, value: Bits) -> None:
        padding = -value.size & 3
        if padding:
            value = Bits(
                value.size + padding, value.value << 8 * padding, (value.known << 8 * padding) | (1 << 8 * padding) - 1
            )
        if 0 <= _place(register) <= _REGISTERS - value.size:
            self.registers = self.registers.with_part(_place(register), value)

    def forget(self) -> None:
        """Know of no register any more: an expression that is not known may have written any."""
        self.registers = Bits.unknown(_REGISTERS)

    def require(self, truth: Truth) -> None:
        self.truth = both(self.truth, truth)

    def end(self, word: str, chain: str = "") -> None:
        self.outcomes.append(Outcome(self.truth, word, chain))

    def change(self, **fields: object) -> None:
        """Take it that the packet is changed, if the rule applies."""
        changed = msgspec.structs.replace(self.packet, **fields)
        self.packet = changed if self.truth else self.packet.joined(changed)


def _place(register: int) -> int:
    """Return where a register begins: 1 to 4 have 16 bytes, those from 8 on 4 (enum nft_registers)."""
    return (register - 1) * 16 if register < 8 else (register - 8) * 4  # noqa: PLR2004 - NFT_REG32_00


# What loads


def _meta(m: _Machine, e: Meta) -> None:
    if e.dreg is None:
        if e.key == meta.KEYS["mark"] and e.sreg is not None:
            m.change(mark=m.load(e.sreg, 4))
        return
    found = _meta_value(m.packet, e.key)
    if found is None:
        m.require(False)
    else:
        m.store(e.dreg, found)


_META: dict[int, Callable[[Packet], Bits]] = {
    meta.KEYS["protocol"]: lambda p: Bits.exactly(p.ether_type.to_bytes(2, "big")),
    meta.KEYS["mark"]: lambda p: p.mark,
    meta.KEYS["nfproto"]: lambda p: Bits.exactly(bytes([2 if p.version == 4 else 10])),  # noqa: PLR2004 - NFPROTO_*
    meta.KEYS["l4proto"]: lambda p: Bits.exactly(bytes([p.protocol_number])),
}
_OF_LINKS = {meta.KEYS[key]: key for key in ("iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup")}


def _meta_value(packet: Packet, key: int) -> Bits | None:
    """Return what the kernel keeps beside the packet under `key`; None where it has none, which ends the rule."""
    if key in _META:
        return _META[key](packet)
    if key in _KIND:
        return _kind(packet.iif if _KIND[key] == "iif" else packet.oif)
    name = _OF_LINKS.get(key)
    if name is None:
        return Bits.unknown(16)
    link, what = (packet.iif if name.startswith("iif") else packet.oif), name[3:]
    if what == "name":
        return Bits.exactly(bytes(16)) if link is None else link.name_bits
    if link is None:
        return None if what else in_host_order(0, 4)
    number = link.group if what else link.index
    return Bits.unknown(4) if number is None else in_host_order(number, 4)


def _kind(link: Link | None) -> Bits | None:
    if link is None:
        return None
    return Bits.unknown(16) if link.kind is None else Bits.exactly(link.kind.encode().ljust(16, b"\0"))


def _payload(m: _Machine, e: Payload) -> None:
    header = {payload.NETWORK: m.packet.network, payload.TRANSPORT: m.packet.transport}.get(e.base, Bits.unknown(0))
    m.store(e.dreg, header.part(e.offset, min(e.length, _REGISTERS)))


def _ct(m: _Machine, e: Ct) -> None:
    if e.dreg is None:
        if e.key == ct.KEYS["mark"] and e.sreg is not None:
            m.change(ct_mark=m.load(e.sreg, 4))
        return
    if m.packet.state == UNTRACKED and e.key != ct.KEYS["state"]:
        m.require(False)
    elif e.key == ct.KEYS["state"]:
        m.store(e.dreg, in_host_order(m.packet.state, 4) if m.packet.state else Bits.unknown(4))
    elif e.key == ct.KEYS["direction"]:
        m.store(e.dreg, Bits.exactly(bytes([m.packet.answer])))
    else:
        known = {ct.KEYS["status"]: m.packet.status, ct.KEYS["mark"]: m.packet.ct_mark}
        m.store(e.dreg, known.get(e.key, Bits.unknown(16)))


def _fib(m: _Machine, e: Fib) -> None:
    """Answer as routing does where packets come by the links to which their sources are routed."""
    source = bool(e.flags & fib.SADDR)
    if e.result == fib.RESULT_ADDRTYPE:
        name = m.packet.source_type if source else m.packet.destination_type
        m.store(e.dreg, in_host_order(ADDRESS_TYPES[name], 4))
        return
    link = m.packet.iif if source else m.packet.oif
    if e.flags & fib.PRESENT:
        m.store(e.dreg, Bits.exactly(b"\1"))
    elif e.result == fib.RESULT_OIF and link is not None and link.index is not None:
        m.store(e.dreg, in_host_order(link.index, 4))
    elif e.result == fib.RESULT_OIFNAME and link is not None:
        m.store(e.dreg, link.name_bits)
    else:
        m.store(e.dreg, Bits.unknown(16))


def _immediate(m: _Machine, e: Immediate) -> None:
    if isinstance(e.data, Verdict):
        if e.data.name not in {"continue", "break"}:
            m.end(e.data.name, e.data.chain)
    else:
        m.store(e.dreg, Bits.exactly(e.data))


# What computes


def _bitwise(m: _Machine, e: Bitwise) -> None:
    value = m.load(e.sreg, e.length)
    if e.operation or not isinstance(e.mask, bytes) or not isinstance(e.xor, bytes):
        m.store(e.dreg, Bits.unknown(value.size))
        return
    m.store(e.dreg, value.masked(*(int.from_bytes(d.ljust(value.size, b"\0"), "big") for d in (e.mask, e.xor))))


def _byteorder(m: _Machine, e: Byteorder) -> None:
    """Swap as many whole words as there are: nft asks for words of 2 in 1 byte too, and the kernel then writes none."""
    if e.size not in {2, 4, 8}:
        m.store(e.dreg, Bits.unknown(4))
        return
    value = m.load(e.sreg, e.length // e.size * e.size)
    if value.size:
        m.store(e.dreg, value.swapped(e.size) if byteorder == "little" else value)


# What matches


def _cmp(m: _Machine, e: Cmp) -> None:
    if not isinstance(e.data, bytes):
        m.require(None)
        return
    value, number = m.load(e.sreg, len(e.data)), int.from_bytes(e.data, "big")
    least, most = 0, (1 << 8 * len(e.data)) - 1
    operations: dict[int, Callable[[], Truth]] = {
        compare.OPERATIONS["=="]: lambda: value.equals(number),
        compare.OPERATIONS["!="]: lambda: negated(value.equals(number)),
        compare.OPERATIONS["<"]: lambda: value.within(least, number - 1) if number else False,
        compare.OPERATIONS["<="]: lambda: value.within(least, number),
        compare.OPERATIONS[">"]: lambda: value.within(number + 1, most) if number < most else False,
        compare.OPERATIONS[">="]: lambda: value.within(number, most),
    }
    operation = operations.get(e.operation)
    m.require(None if operation is None else operation())


def _range(m: _Machine, e: Range) -> None:
    if not isinstance(e.first, bytes) or not isinstance(e.last, bytes):
        m.require(None)
        return
    bounds = int.from_bytes(e.first, "big"), int.from_bytes(e.last, "big")
    found = m.load(e.sreg, len(e.first)).within(*bounds)
    m.require(negated(found) if e.operation == between.NEQ else found)


def _lookup(m: _Machine, e: Lookup) -> None:
    owner = m.sets.get(e.set)
    if owner is None:
        m.require(None)
        m.forget()
        return
    found = owner.find(m.load(e.sreg, owner.size))
    if e.dreg is None:
        truth: Truth = False if not found else found[0][0]
        m.require(negated(truth) if e.flags & lookup.INVERTED else truth)
        return
    before = m.truth
    for truth, data in found:
        if isinstance(data, Verdict) and data.name not in {"continue", "break"}:
            m.outcomes.append(Outcome(both(before, truth), data.name, data.chain))
    if e.dreg:
        data = found[0][1] if len(found) == 1 else None
        m.forget() if not isinstance(data, bytes) else m.store(e.dreg, Bits.exactly(data))
    m.require(found[0][0] if found else False)


def _depends(m: _Machine, _: Expression) -> None:
    """Take what depends on other packets, and rates do, as open."""
    m.require(None)


# What ends


def _reject(m: _Machine, _: Reject) -> None:
    m.end(REFUSED)


def _rewrites(m: _Machine, _: Expression) -> None:
    m.end("accept")


def _notrack(m: _Machine, _: Notrack) -> None:
    m.change(state=UNTRACKED)


# What is not among podnet's expressions


def _unknown(m: _Machine, e: Unknown) -> None:
    if e.name == "match":
        m.require(xtables.judge(xtables.Extension.of(e), m.packet))
    elif e.name == "target":
        _target(m, xtables.Extension.of(e))
    elif e.name == "queue":
        m.end(GIVEN)
    elif e.name not in _PASSIVE and not (e.name == "objref" and _object(e.data) in _OBJECTS):
        m.require(None)
        m.forget()


def _object(data: bytes) -> int:
    """Return the type of the object that an expression objref names, NFTA_OBJREF_IMM_TYPE; 0 where it is cut short."""
    try:
        return int.from_bytes(dict(attributes(data)).get(1, b""), "big")
    except DecodeError:
        return 0


def _target(m: _Machine, target: xtables.Extension) -> None:
    if target.name in xtables.REFUSING:
        m.end(REFUSED if target.name == "REJECT" else "drop")
    elif target.name in xtables.GIVING:
        m.end(GIVEN)
    elif target.name == "MARK":
        m.change(mark=xtables.marked(target, m.packet))
    elif target.name == "CONNMARK":
        m.change(ct_mark=Bits.unknown(4), mark=Bits.unknown(4))
    elif target.name in {"NOTRACK", "CT"}:
        m.change(state=UNTRACKED if target.name == "NOTRACK" or target.info[:1] == b"\1" else m.packet.state)
    elif target.name not in xtables.PASSING:
        m.require(None)
        m.end("accept")


_STEPS: dict[type[Expression], Callable[[_Machine, Any], None]] = {
    Meta: _meta,
    Payload: _payload,
    Ct: _ct,
    Fib: _fib,
    Immediate: _immediate,
    Bitwise: _bitwise,
    Byteorder: _byteorder,
    Cmp: _cmp,
    Range: _range,
    Lookup: _lookup,
    Limit: _depends,
    Reject: _reject,
    Masq: _rewrites,
    Nat: _rewrites,
    Redir: _rewrites,
    Notrack: _notrack,
    Unknown: _unknown,
}
PASSED = (Counter, Log)
"""Expressions that neither match nor end."""
