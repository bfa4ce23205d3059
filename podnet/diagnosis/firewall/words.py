"""A rule in words: as nft(8) prints it, or as ``iptables -S`` does where that is how its maker sees it.

What podnet does not speak stands in brackets, as ``nft --debug=netlink`` has it: somebody who looks for the rule finds
it by chain and handle.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import NamedTuple

import msgspec

from podnet.diagnosis.firewall import xtables
from podnet.diagnosis.firewall.ruleset import Lookups, Rule
from podnet.errors import DecodeError
from podnet.nft import Verdict
from podnet.nft.datatype import CT_STATES, CT_STATUSES, DATATYPES
from podnet.nft.expr import (
    Bitwise,
    Cmp,
    Counter,
    Expression,
    Immediate,
    Limit,
    Log,
    Lookup,
    Meta,
    Payload,
    Range,
    Reject,
    Unknown,
    lookup,
    meta,
    reject,
)
from podnet.nft.expr import range as between
from podnet.nft.expr.limit import UNITS
from podnet.nft.selector import SELECTORS, Selector

_OPERATORS = ("", "!= ", "< ", "<= ", "> ", ">= ")
_BITMASKS = {"ct state": CT_STATES, "ct status": CT_STATUSES}
_DEPENDENCIES = {"meta l4proto": {"tcp", "udp", "sctp", "icmp", "icmpv6"}, "meta nfproto": {"ipv4", "ipv6"},
                 "meta protocol": {"ip", "ip6"}}  # fmt: skip
_VERSIONS = {"ip": "ipv4", "ip6": "ipv6"}
_HEADERS = {"ipv4": "ip", "ipv6": "ip6"}
_ICMP = {
    reject.ICMP: {0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
                  9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"},
    reject.ICMPX: {0: "no-route", 1: "port-unreachable", 2: "host-unreachable", 3: "admin-prohibited"},
}  # fmt: skip
_ICMPV6 = {0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable"}


_LINKS = (
    Selector("iif", "devgroup", lambda register: Meta(key=meta.KEYS["iif"], dreg=register)),
    Selector("oif", "devgroup", lambda register: Meta(key=meta.KEYS["oif"], dreg=register)),
)
"""Links by index, a number as a group is: nft prints the name that the link has at the moment."""
_SELECTORS = (*SELECTORS.values(), *_LINKS)


class Phrase(NamedTuple):
    """One match or statement in nft's words; `requires` is the protocol that a match of a header supposes."""

    left: str
    operator: str = ""
    right: str = ""
    requires: str = ""
    extension: xtables.Extension | None = None
    kind: str = ""

    @property
    def text(self) -> str:
        """The phrase as nft writes it."""
        if self.extension is not None:
            return f"xt {self.kind} {self.extension.name}"
        return " ".join(part for part in (self.left, f"{self.operator}{self.right}") if part)


class _Term(NamedTuple):
    """What a register holds: a selector's value, of addresses perhaps the first bytes alone, perhaps masked."""

    selector: Selector
    length: int
    mask: bytes = b""


def nft(rule: Rule, sets: Mapping[str, Lookups], family: str) -> str:
    """Return the rule as ``nft -s list`` prints it, without its handle."""
    found = phrases(rule, sets, family)
    words = [phrase.text for index, phrase in enumerate(found) if not _is_implied(phrase, found[index + 1 :])]
    return " ".join([*words, *([f'comment "{rule.comment}"'] if rule.comment else [])])


def _ranges(found: Iterable[Phrase]) -> list[Phrase]:
    """Return phrases with ``>= first`` and ``<= last`` of the same joined, as nft prints ranges."""
    joined: list[Phrase] = []
    for phrase in found:
        before = joined[-1] if joined else None
        if before and before.left == phrase.left and (before.operator, phrase.operator) == (">= ", "<= "):
            joined[-1] = phrase._replace(operator="", right=f"{before.right}-{phrase.right}")
        else:
            joined.append(phrase)
    return joined


def _is_implied(phrase: Phrase, following: list[Phrase]) -> bool:
    """Tell whether nft leaves a match out since one that follows supposes it."""
    if phrase.operator or phrase.right not in _DEPENDENCIES.get(phrase.left, ()):
        return False
    return any(phrase.right in {one.requires, _VERSIONS.get(one.requires)} for one in following)


def phrases(rule: Rule, sets: Mapping[str, Lookups], family: str) -> list[Phrase]:
    """Return the rule phrase by phrase."""
    return _ranges(_phrases(rule, sets, family))


def _phrases(rule: Rule, sets: Mapping[str, Lookups], family: str) -> Iterator[Phrase]:
    terms: dict[int, _Term] = {}
    protocol = ""
    about = family  # of a rule of both families that looks at one, "ipv4" or "ipv6"
    for expression in rule.expressions:
        if (term := _loaded(expression, {protocol, _HEADERS.get(about, about)})) is not None:
            terms[_register(expression, "dreg")] = term
        elif isinstance(expression, Bitwise) and expression.sreg in terms and isinstance(expression.mask, bytes):
            terms[expression.dreg] = terms[expression.sreg]._replace(mask=expression.mask)
        else:
            phrase = _phrase(expression, terms.get(_register(expression, "sreg")), sets, about)
            if phrase.left == "meta l4proto" and not phrase.operator:
                protocol = phrase.right
            elif phrase.left in {"meta nfproto", "meta protocol"} and not phrase.operator:
                about = _VERSIONS.get(phrase.right, phrase.right)
            yield phrase


def _register(expression: Expression, which: str) -> int:
    return getattr(expression, which, None) or 0


def _loaded(expression: Expression, protocols: set[str]) -> _Term | None:
    """Return what an expression loads; of selectors that load the same the one that the packet's `protocols` tell."""
    if not _register(expression, "dreg") or isinstance(expression, Immediate | Lookup | Bitwise):
        return None
    length = expression.length if isinstance(expression, Payload) else 0
    found = [s for s in _SELECTORS if _loads(s, expression)]
    found = [s for s in found if not s.requires or s.requires in protocols]
    return _Term(max(found, key=lambda s: s.requires), length) if found else None


def _loads(selector: Selector, expression: Expression) -> bool:
    own = selector.load(_register(expression, "dreg"))
    if isinstance(own, Payload) and isinstance(expression, Payload) and selector.datatype.endswith("_addr"):
        return own.length >= expression.length and msgspec.structs.replace(own, length=expression.length) == expression
    return own == expression


def _phrase(expression: Expression, term: _Term | None, sets: Mapping[str, Lookups], family: str) -> Phrase:
    if term is not None:
        try:
            return _match(expression, term, sets)
        except (DecodeError, ValueError, IndexError):
            pass
    if isinstance(expression, Unknown) and expression.name in {"match", "target"}:
        extension = xtables.Extension.of(expression)
        return Phrase("", extension=extension, kind=expression.name)
    write = _STATEMENTS.get(type(expression))
    told = isinstance(expression, Reject) and expression.type == reject.ICMP
    text = f"[ {expression.listing} ]" if write is None else write(expression, family)
    return Phrase(text, requires=_HEADERS.get(family, "") if told else "")


def _match(expression: Expression, term: _Term, sets: Mapping[str, Lookups]) -> Phrase:
    text, requires = term.selector.text, term.selector.requires
    if isinstance(expression, Cmp) and isinstance(expression.data, bytes):
        return _compared(expression, expression.data, term)
    if isinstance(expression, Range) and isinstance(expression.first, bytes) and isinstance(expression.last, bytes):
        operator = "!= " if expression.operation == between.NEQ else ""
        bounds = (_value(term.selector.datatype, data) for data in (expression.first, expression.last))
        return Phrase(text, operator, "-".join(bounds), requires)
    if isinstance(expression, Lookup):
        operator = "!= " if expression.flags & lookup.INVERTED else "vmap " if expression.dreg == 0 else ""
        anonymous = expression.set.startswith("__") and expression.set in sets
        right = f"{{ {sets[expression.set].text} }}" if anonymous else f"@{expression.set}"
        return Phrase(text, operator, right, requires)
    raise ValueError(f"{expression.listing} is no match")


def _compared(expression: Cmp, data: bytes, term: _Term) -> Phrase:
    selector, mask = term.selector, term.mask
    operator = _OPERATORS[expression.operation]
    symbols = _BITMASKS.get(selector.text)
    if symbols and mask and not any(data):
        names = ",".join(name for name, bit in symbols.items() if int.from_bytes(mask, "little") & bit)
        return Phrase(selector.text, "" if expression.operation == 1 else "! ", names, selector.requires)
    if selector.datatype in {"ipv4_addr", "ipv6_addr"}:
        size = DATATYPES[selector.datatype].size
        length = (int.from_bytes(mask, "big").bit_count() if mask else 8 * len(data)) + 0
        network = ip_network((data.ljust(size, b"\0"), length))
        return Phrase(selector.text, operator, _without_length(str(network), size), selector.requires)
    if mask:
        left, right = (_value(selector.datatype, part) for part in (mask, data))
        return Phrase(f"{selector.text} & {left}", operator or "== ", right, selector.requires)
    return Phrase(selector.text, operator, _value(selector.datatype, data), selector.requires)


def _without_length(network: str, size: int) -> str:
    return network.removesuffix(f"/{8 * size}")


def _value(datatype: str, data: bytes) -> str:
    if datatype == "ifname":
        name = data.rstrip(b"\0").decode("utf-8", "replace")
        return f'"{name}"' if data.endswith(b"\0") or len(data) == DATATYPES[datatype].size else f'"{name}*"'
    known = DATATYPES[datatype]
    return known.text(known.decode(data.ljust(known.size, b"\0") if known.size == 4 else data))  # noqa: PLR2004 - a word


def _verdict(expression: Expression, _: str) -> str:
    data = expression.data if isinstance(expression, Immediate) else None
    return data.text if isinstance(data, Verdict) else f"[ {expression.listing} ]"


def _reject(expression: Expression, family: str) -> str:
    if not isinstance(expression, Reject):
        return ""
    if expression.type == reject.TCP_RST:
        return "reject with tcp reset"
    six = family in {"ip6", "ipv6"} and expression.type == reject.ICMP
    names = _ICMPV6 if six else _ICMP.get(expression.type, {})
    name = names.get(expression.code or 0, str(expression.code))
    word = "icmpv6" if six else "icmpx" if expression.type == reject.ICMPX else "icmp"
    usual = name == "port-unreachable" and family in {"ip", "ip6", "inet"}
    return "reject" if usual else f"reject with {word} {name}"


def _log(expression: Expression, _: str) -> str:
    prefix = getattr(expression, "prefix", None)
    return f'log prefix "{prefix}"' if prefix else "log"


def _limit(expression: Expression, _: str) -> str:
    if not isinstance(expression, Limit):
        return ""
    unit = next((name for name, seconds in UNITS.items() if seconds == expression.unit), str(expression.unit))
    return f"limit rate {'over ' if expression.flags & 1 else ''}{expression.rate}/{unit}"


_STATEMENTS: dict[type[Expression], Callable[[Expression, str], str]] = {
    Counter: lambda _, __: "counter",
    Immediate: _verdict,
    Reject: _reject,
    Log: _log,
    Limit: _limit,
}
