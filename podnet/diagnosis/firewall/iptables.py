"""iptables-legacy's rules, as iptables-legacy-save prints them, in the expressions that iptables-nft has for them.

Options that are not known here leave open whether the rule applies, as modules do of which netlink tells the blob.
"""

import shlex
from collections.abc import Callable, Container, Iterable, Iterator
from ipaddress import ip_network
from struct import pack

from podnet.diagnosis.firewall.ruleset import Chain, Rule, Ruleset
from podnet.diagnosis.firewall.xtables import STATES
from podnet.errors import DecodeError
from podnet.netlink.attributes import attribute
from podnet.nft import ACCEPT, DROP, RETURN, Base, Table, Verdict, goto, jump
from podnet.nft.chain import POLICIES
from podnet.nft.datatype import ADDRESS_TYPES, IFNAMSIZ, PROTOCOLS
from podnet.nft.expr import Bitwise, Cmp, Expression, Immediate, Meta, Payload, Range, Unknown, meta
from podnet.nft.expr import range as between
from podnet.nft.expr.payload import NETWORK, TRANSPORT

PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
"""Where each table hooks in (linux/netfilter_ipv4.h); in `nat` nothing is dropped."""
_VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "RETURN": RETURN}
_PLACES = {"ip": {"-s": (12, 4), "-d": (16, 4)}, "ip6": {"-s": (8, 16), "-d": (24, 16)}}
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}
_TERMS = {"udplite": 136, "ipv6-icmp": 58, "ipencap": 4, "ospf": 89, "vrrp": 112}  # protocols(5), beside nft's names

Write = Callable[[list[str], bool], Iterable[Expression]]


def tables(text: str, family: str) -> tuple[Ruleset, ...]:
    """Return the tables that `text` lists, `family` ``ip`` or ``ip6``; raise `DecodeError` where it is no listing."""
    found: list[Ruleset] = []
    for line in text.splitlines():
        if line.startswith("*"):
            found.append(Ruleset(Table(family, line[1:].strip()), {}, {}, legacy=True))
        elif line.startswith(":") and found:
            name, policy, *_ = [*line[1:].split(), ""]
            found[-1].chains[name] = Chain(name, _base(found[-1].table.name, name, policy))
        elif line.startswith("-A ") and found:
            _append(found[-1], line)
        elif line.strip() and line != "COMMIT" and not line.startswith("#"):
            raise DecodeError(f"iptables-legacy-save: {line!r} is no line of a listing")
    return tuple(found)


def _base(table: str, name: str, policy: str) -> Base | None:
    if policy.lower() not in POLICIES or table not in PRIORITIES:
        return None
    return Base("filter", name.lower(), PRIORITIES[table], policy.lower())


def _append(ruleset: Ruleset, line: str) -> None:
    try:
        words = shlex.split(line)
        expressions = tuple(_expressions(words[2:], ruleset.table.family, ruleset.chains))
    except (ValueError, IndexError):
        words, expressions = line.split(), (Unknown(name=line),)
    chain = ruleset.chains.get(words[1], Chain(words[1]))
    ruleset.chains[words[1]] = Chain(chain.name, chain.base, (*chain.rules, Rule(expressions, line=line)))


def _expressions(words: list[str], family: str, chains: Container[str]) -> Iterator[Expression]:
    """Yield the expressions of a rule; what follows the target is the target's and says nothing of what matches."""
    at, inverted, module = 0, False, ""
    while at < len(words):
        word = words[at]
        if word in {"-j", "-g"}:
            yield _target(words[at + 1], words[at + 2 :], chains, goes=word == "-g")
            return
        end = at + 1
        while end < len(words) and words[end] != "!" and not _is_option(words[end]):
            end += 1
        if word == "!":
            inverted, at = True, at + 1
            continue
        values = words[at + 1 : end]
        if word in _PLACES[family]:
            yield from _address(_PLACES[family][word], values[0], inverted)
        elif word == "-m":
            module = values[0]
        else:
            write = _mark(module) if word == "--mark" else _OPTIONS.get(word)
            yield from write(values, inverted) if write else [Unknown(name=word)]
        at, inverted = end, False


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not word[1:2].isdigit()


def _target(name: str, options: list[str], chains: Container[str], *, goes: bool) -> Expression:
    if name in chains:
        verdict: Verdict = goto(name) if goes else jump(name)
        return Immediate(dreg=0, data=verdict)
    if name in _VERDICTS:
        return Immediate(dreg=0, data=_VERDICTS[name])
    if name == "MARK" and options[:1] == ["--set-xmark"]:
        return _extension("target", name, 2, pack("=II", *_masked(options[1])))
    return _extension("target", name, 0, bytes(["--notrack" in options]))


def _extension(kind: str, name: str, revision: int, blob: bytes) -> Unknown:
    data = attribute(1, name.encode() + b"\0") + attribute(2, revision.to_bytes(4, "big")) + attribute(3, blob)
    return Unknown(name=kind, data=data)


def _masked(words: str) -> tuple[int, int]:
    value, _, mask = words.partition("/")
    return int(value, 0), int(mask or "0xffffffff", 0)


def _address(place: tuple[int, int], words: str, inverted: bool) -> Iterator[Expression]:
    address, _, mask = words.partition("/")
    network = ip_network(address) if not mask else None
    offset, length = place
    yield Payload(dreg=1, base=NETWORK, offset=offset, length=length)
    if network is None:
        number = ip_network(f"{address}/{mask}", strict=False)
        yield Bitwise(sreg=1, dreg=1, length=length, mask=number.netmask.packed, xor=bytes(length))
        network = number
    yield Cmp(sreg=1, operation=int(inverted), data=network.network_address.packed)


def _link(key: str) -> Write:
    def write(values: list[str], inverted: bool) -> Iterator[Expression]:
        name = values[0]
        data = name[:-1].encode() if name.endswith("+") else name.encode().ljust(IFNAMSIZ, b"\0")
        if data:
            yield Meta(key=meta.KEYS[key], dreg=1)
            yield Cmp(sreg=1, operation=int(inverted), data=data)

    return write


def _protocol(values: list[str], inverted: bool) -> Iterator[Expression]:
    number = PROTOCOLS.get(values[0], _TERMS.get(values[0])) if not values[0].isdigit() else int(values[0])
    if number is None:
        yield Unknown(name=f"-p {values[0]}")
    elif number:
        yield Meta(key=meta.KEYS["l4proto"], dreg=1)
        yield Cmp(sreg=1, operation=int(inverted), data=bytes([number]))


def _port(offset: int) -> Write:
    def write(values: list[str], inverted: bool) -> Iterator[Expression]:
        first, last = _bounds(values[0])
        yield Payload(dreg=1, base=TRANSPORT, offset=offset, length=2)
        limits = (port.to_bytes(2, "big") for port in (first, last))
        yield Range(sreg=1, operation=between.NEQ if inverted else between.EQ, first=next(limits), last=next(limits))

    return write


def _bounds(words: str) -> tuple[int, int]:
    first, colon, last = words.partition(":")
    return int(first or 0), int(last or 65535) if colon else int(first)


def _ports(which: int) -> Write:
    def write(values: list[str], inverted: bool) -> Iterator[Expression]:
        ports: list[int] = []
        ranges: list[int] = []
        for part in values[0].split(","):
            first, last = _bounds(part)
            ports += [first] if first == last else [first, last]
            ranges += [0] if first == last else [1, 0]
        padded, flags = ports + [0] * (15 - len(ports)), ranges + [0] * (15 - len(ranges))
        yield _extension("match", "multiport", 1, pack("=BB15H15BB", which, len(ports), *padded, *flags, inverted))

    return write


def _conntrack(values: list[str], inverted: bool) -> Iterator[Expression]:
    states = sum(STATES[name] for name in values[0].split(","))
    yield _extension("match", "conntrack", 3, bytes(146) + pack("=HHHHHHHH", 1, inverted, states, 0, 0, 0, 0, 0))


def _mark(module: str) -> Write:
    def write(values: list[str], inverted: bool) -> Iterator[Expression]:
        yield _extension("match", module, 1, pack("=IIB", *_masked(values[0]), inverted))

    return write


def _type(field: int) -> Write:
    def write(values: list[str], inverted: bool) -> Iterator[Expression]:
        masks = [0, 0]
        masks[field] = sum(1 << ADDRESS_TYPES[name.lower()] for name in values[0].split(","))
        yield _extension("match", "addrtype", 1, pack("=HHI", *masks, inverted << field))

    return write


def _tcp_flags(values: list[str], inverted: bool) -> Iterator[Expression]:
    mask, wanted = (sum(_FLAGS[name] for name in words.split(",")) for words in values)
    yield Payload(dreg=1, base=TRANSPORT, offset=13, length=1)
    yield Bitwise(sreg=1, dreg=1, length=1, mask=bytes([mask]), xor=b"\0")
    yield Cmp(sreg=1, operation=int(inverted), data=bytes([wanted]))


def _nothing(_: list[str], __: bool) -> Iterator[Expression]:
    yield from ()


_OPTIONS: dict[str, Write] = {
    "-i": _link("iifname"),
    "-o": _link("oifname"),
    "-p": _protocol,
    "--sport": _port(0),
    "--dport": _port(2),
    "--sports": _ports(0),
    "--dports": _ports(1),
    "--ports": _ports(2),
    "--ctstate": _conntrack,
    "--state": _conntrack,
    "--src-type": _type(0),
    "--dst-type": _type(1),
    "--tcp-flags": _tcp_flags,
    "--comment": _nothing,
}
