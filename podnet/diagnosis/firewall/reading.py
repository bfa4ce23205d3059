"""What netlink lists, read as rulesets: bytes in, and first the questions which sets' elements are needed.

Of what is listed, that is read which a packet may come to: base chains at the hooks that drop packets, and the chains
they lead to.  Where something cannot be decoded, that expression, element or chain is kept as one of which nothing is
known, and the rest is read.
"""

from collections.abc import Iterable, Iterator, Mapping

from podnet.diagnosis.firewall.ruleset import Chain, Lookups, Member, Rule, Ruleset, Rulesets, Unread
from podnet.errors import DecodeError
from podnet.netlink.attributes import attributes, string
from podnet.nft import Chain as Named
from podnet.nft import Element, Set, Table, Verdict, userdata
from podnet.nft.element import CATCHALL, INTERVAL_END, bounds, elements_of
from podnet.nft.expr import EXPRESSION, Expression, Immediate, Lookup, Unknown
from podnet.nft.message import NFGENMSG, ChainMessage, ElementMessage, ElementsMessage, RuleMessage, SetMessage
from podnet.nft.set import CONCAT, INTERVAL
from podnet.nft.table import table_of

FAMILIES = frozenset({"ip", "ip6", "inet", "netdev"})
NAT = "nat"
"""Chains of this type rewrite addresses and see a connection's first packet alone: iptables refuses to drop there."""

LONGEST = 64
"""Bytes of a key at most (NFT_DATA_VALUE_MAXLEN, linux/netfilter/nf_tables.h)."""

_EXPRESSIONS, _USERDATA, _HANDLE = 4, 7, 3  # enum nft_rule_attributes
_NAME, _DATA = 1, 2  # enum nft_expr_attributes
_ELEMENTS = 3  # NFTA_SET_ELEM_LIST_ELEMENTS

Key = tuple[Table, str]


class Reading:
    """Rulesets in the making: made of what is listed, told the elements of the sets it asks for."""

    def __init__(
        self,
        chains: Iterable[bytes],
        sets: Iterable[bytes],
        rules: Iterable[bytes],
        own: frozenset[Table] = frozenset(),
    ) -> None:
        """Take the payloads of three dumps over all families; tables in `own` are passed over."""
        self._own = own
        self._unread: list[Unread] = []
        self._chains: dict[Key, Named] = {}
        self._sets: dict[Key, SetMessage] = {}
        self._raw: dict[Key, list[bytes]] = {}
        self._rules: dict[Key, tuple[Rule, ...]] = {}
        self._lookups: dict[Key, Lookups] = {}
        for payload in chains:
            self._take_chain(payload)
        for payload in sets:
            self._take_set(payload)
        for payload in rules:
            self._take_rule(payload)
        self._wanted: set[Key] = set()
        for key, chain in self._chains.items():
            if chain.base is not None and chain.base.type != NAT and chain.table.family in FAMILIES:
                self._reach(key)

    def wanted(self) -> list[Key]:
        """Return the sets, by table and name, whose elements are still to be told; empty when all is known."""
        return sorted(self._wanted)

    def tell(self, key: Key, payloads: Iterable[bytes]) -> None:
        """Take the elements of a wanted set; chains that a map leads to may want others."""
        self._wanted.discard(key)
        found = self._lookups[key] = _lookups(self._sets[key], payloads)
        for member in found.members:
            if isinstance(member.data, Verdict) and member.data.chain:
                self._reach((key[0], member.data.chain))

    def rulesets(self) -> Rulesets:
        """Return what was read."""
        tables: dict[Table, dict[str, Chain]] = {}
        for key, rules in self._rules.items():
            tables.setdefault(key[0], {})[key[1]] = Chain(key[1], self._chains[key].base, rules)
        for table, chains in tables.items():  # those that rules do not lead to, by name: they tell whose table it is
            for named in self._chains.values():
                if named.table == table and named.name not in chains:
                    chains[named.name] = Chain(named.name, named.base if _drops(named) else None)
        return Rulesets(
            tuple(
                Ruleset(table, chains, {name: found for (of, name), found in self._lookups.items() if of == table})
                for table, chains in tables.items()
            ),
            tuple(self._unread),
        )

    def _take_chain(self, payload: bytes) -> None:
        try:
            chain = Named.of(ChainMessage.decode(payload))
        except DecodeError as error:
            self._unread.append(Unread("nftables", str(error)))
            return
        if chain.table not in self._own:
            self._chains[chain.table, chain.name] = chain

    def _take_set(self, payload: bytes) -> None:
        try:
            message = SetMessage.decode(payload)
            self._sets[table_of(message.family, message.table), message.name or ""] = message
        except DecodeError as error:
            self._unread.append(Unread("nftables", str(error)))

    def _take_rule(self, payload: bytes) -> None:
        try:
            message = RuleMessage.decode(payload, only=("table", "chain"))
            key = table_of(message.family, message.table), message.chain or ""
        except DecodeError as error:
            self._unread.append(Unread("nftables", str(error)))
            return
        if key in self._chains:
            self._raw.setdefault(key, []).append(payload)

    def _reach(self, key: Key) -> None:
        """Decode the rules of a chain and of those that it leads to."""
        waiting = [key]
        while waiting:
            key = waiting.pop()
            if key in self._rules or key not in self._chains:
                continue
            rules = self._rules[key] = tuple(_rule(payload) for payload in self._raw.pop(key, ()))
            for expression in (expression for rule in rules for expression in rule.expressions):
                if isinstance(expression, Lookup):
                    self._want((key[0], expression.set))
                elif isinstance(expression, Immediate) and isinstance(expression.data, Verdict):
                    waiting.append((key[0], expression.data.chain))

    def _want(self, key: Key) -> None:
        if key in self._sets and key not in self._lookups:
            self._wanted.add(key)


def _drops(chain: Named) -> bool:
    return chain.base is not None and chain.base.type != NAT


def _rule(payload: bytes) -> Rule:
    expressions: tuple[Expression, ...] = ()
    handle, comment = 0, ""
    try:
        for number, content in attributes(payload[NFGENMSG.size :]):
            if number == _EXPRESSIONS:
                expressions = tuple(_expression(one) for _, one in attributes(content))
            elif number == _HANDLE:
                handle = int.from_bytes(content, "big")
            elif number == _USERDATA:
                comment = _comment(content)
    except DecodeError as error:
        expressions = (*expressions, Unknown(name=f"rule cut short: {error}"))
    return Rule(expressions, handle, comment)


def _comment(content: bytes) -> str:
    try:
        return userdata.comment_of(content)
    except DecodeError:
        return ""  # another program's data, not nft's


def _expression(payload: bytes) -> Expression:
    try:
        return EXPRESSION.decode(payload)
    except DecodeError:
        parts: Mapping[int, bytes] = dict(attributes(payload))
        return Unknown(name=string.decode(parts.get(_NAME, b"?")), data=parts.get(_DATA, b""))


def _lookups(message: SetMessage, payloads: Iterable[bytes]) -> Lookups:
    """Return the set with its elements; where one cannot be decoded, the others are not all there is."""
    messages: list[ElementMessage] = []
    whole = True
    for payload in payloads:
        try:
            messages += ElementsMessage.decode(payload).elements or ()
        except DecodeError:
            whole = False
    flags, size = message.flags or 0, min(message.key_length or 0, LONGEST)
    concatenated = bool(flags & CONCAT) and message.description is not None
    fields = (message.description.fields or ()) if concatenated and message.description else ()
    if sum(fields) > LONGEST:
        fields, whole = (), False
    if any(not isinstance(m.key, bytes) and not (m.flags or 0) & CATCHALL for m in messages):
        whole = False
    members = tuple((_intervals if flags & INTERVAL and not concatenated else _members)(messages))
    rest = [Member(bytes(size), b"\xff" * size, m.data) for m in messages if (m.flags or 0) & CATCHALL]
    # The catch-all element is what is found where no other is: last, and found where the others are not sure.
    return Lookups(size, (*members, *rest), fields, _text(message, messages), whole)


def _members(messages: Iterable[ElementMessage]) -> Iterator[Member]:
    for m in messages:
        if isinstance(m.key, bytes) and not (m.flags or 0) & CATCHALL:
            yield Member(m.key, m.key_end if isinstance(m.key_end, bytes) else m.key, m.data)


def _intervals(messages: Iterable[ElementMessage]) -> Iterator[Member]:
    """Join the starts of intervals with their ends: at one key the end of the one below comes first."""
    ends = sorted(
        ((m.key, not (m.flags or 0) & INTERVAL_END, m) for m in messages if isinstance(m.key, bytes)),
        key=lambda end: end[:2],
    )
    start: ElementMessage | None = None
    for key, starts, m in ends:
        if start is not None and isinstance(start.key, bytes):
            yield Member(start.key, (int.from_bytes(key, "big") - 1).to_bytes(len(key), "big"), start.data)
        start = m if starts else None
    if start is not None and isinstance(start.key, bytes):
        yield Member(start.key, b"\xff" * len(start.key), start.data)


def _text(message: SetMessage, messages: Iterable[ElementMessage]) -> str:
    """Return the members as nft writes them, or how many there are where their type is none that podnet speaks."""
    messages = list(messages)
    try:
        elements = sorted(elements_of(Set.of(message), messages), key=_first)
        return ", ".join(element.text("list") for element in elements)
    except DecodeError:
        return f"{len(messages)} elements"


def _first(element: Element) -> bytes:
    return bounds(element.set.key, element.key)[0]
