"""Linearizing: from statements to the kernel's expressions, with the protocol matches that selectors imply.

nft(8) writes a dependency the first time a rule needs it (nftables, src/payload.c) and hides it again in listings.
Which match it is depends on the family: what the packet is known to be before the rule starts.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from podnet.nft.datatype import DATATYPES, ETHER_TYPES, PROTOCOLS
from podnet.nft.element import Element
from podnet.nft.expr import Cmp, Expression, Immediate, Meta, Payload
from podnet.nft.expr import cmp as cmp_expression
from podnet.nft.expr.meta import KEYS
from podnet.nft.expr.payload import LINK
from podnet.nft.selector import Selector
from podnet.nft.set import Set
from podnet.nft.table import Table
from podnet.nft.verdict import Verdict

_EQ = cmp_expression.OPERATIONS["=="]
_REGISTERS_32 = 8  # NFT_REG32_00
_NETWORK_OF = {"icmp": "ip", "icmpv6": "ip6"}
_NFPROTO = {"ip": 2, "ip6": 10}
_ARPHRD_ETHER = (1).to_bytes(2, "little")

AnonymousSets = list[tuple[Set, tuple[Element, ...]]]


class WordStatement(Protocol):
    """What a statement is: its `text` in nft's words, and how it adds its expressions."""

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        ...

    def linearize(self, to: "Linearizer") -> None:
        """Add the statement's expressions."""
        ...


Statement = WordStatement | Verdict


def register(word: int) -> int:
    """Return the register that starts at 32-bit `word`: NFT_REG_1 … where four words start there, else NFT_REG32_*."""
    return 1 + word // 4 if word % 4 == 0 else _REGISTERS_32 + word


class Linearizer:
    """One rule's expressions as they grow, and what is known of the packet so far."""

    def __init__(self, table: Table) -> None:
        """Start a rule of `table`: its family may already say which protocol the packet is."""
        self.table = table
        self.expressions: list[Expression] = []
        self.sets: AnonymousSets = []
        family = table.family
        self._link = "ether" if family == "bridge" else ""
        self._network = family if family in {"ip", "ip6", "arp"} else ""
        self._transport = ""

    def add(self, *expressions: Expression) -> None:
        """Append expressions."""
        self.expressions += expressions

    def known(self, selector: Selector, data: bytes) -> None:
        """Take note that `selector` was found equal to `data`: later selectors need not ask again."""
        value = int.from_bytes(data, "big")
        if selector.text in {"ether type", "meta protocol"}:
            self._network = next((name for name, n in ETHER_TYPES.items() if n == value), self._network)
        elif selector.text == "meta nfproto":
            self._network = next((name for name, n in _NFPROTO.items() if n == value), self._network)
        elif selector.datatype == "inet_proto":
            self._transport = next((name for name, n in PROTOCOLS.items() if n == value), self._transport)

    def load(self, selectors: Sequence[Selector]) -> int:
        """Load a (concatenated) key from register 1 on, dependencies first; return the number of 32-bit words."""
        for selector in selectors:
            self.require(selector.requires)
        word = 0
        for selector in selectors:
            self.add(selector.load(register(word)))
            word += DATATYPES[selector.datatype].padded // 4
        return word

    def require(self, protocol: str) -> None:
        """Add the match on `protocol`, unless the packet is known to be of it."""
        if protocol in {"", self._link, self._network, self._transport}:
            return
        if protocol == "ether":
            self._link = protocol
            self._equal(Meta(key=KEYS["iiftype"], dreg=1), _ARPHRD_ETHER)
        elif protocol in {"ip", "ip6", "arp"}:
            self._require_network(protocol)
        else:
            self._require_transport(protocol)

    def _require_network(self, protocol: str, *, by_ether_type: bool = False) -> None:
        family = self.table.family
        if self._network:
            raise ValueError(f"a rule of table {self.table} cannot match {protocol}: the packet is {self._network}")
        self._network = protocol
        if family == "inet":
            if protocol not in _NFPROTO:
                raise ValueError(f"a rule of table {self.table} cannot match {protocol}")
            self._equal(Meta(key=KEYS["nfproto"], dreg=1), bytes((_NFPROTO[protocol],)))
            return
        ether_type = ETHER_TYPES[protocol].to_bytes(2, "big")
        if family == "bridge" and (protocol == "arp" or by_ether_type):
            self._equal(Payload(dreg=1, base=LINK, offset=12, length=2), ether_type)
        else:
            self._equal(Meta(key=KEYS["protocol"], dreg=1), ether_type)

    def _require_transport(self, protocol: str) -> None:
        if self._transport:
            raise ValueError(f"a rule cannot match {protocol}: the packet is {self._transport}")
        network = _NETWORK_OF.get(protocol, self._network)
        if network != self._network:
            self._require_network(network, by_ether_type=True)
        self._transport = protocol
        self._equal(Meta(key=KEYS["l4proto"], dreg=1), bytes((PROTOCOLS[protocol],)))

    def _equal(self, load: Expression, data: bytes) -> None:
        self.add(load, Cmp(sreg=1, operation=_EQ, data=data))


def linearize(table: Table, statements: Iterable[Statement]) -> tuple[tuple[Expression, ...], AnonymousSets]:
    """Return the expressions of a rule of `table` with `statements`, and its anonymous sets in order of use."""
    to = Linearizer(table)
    for statement in statements:
        if isinstance(statement, Verdict):
            to.add(Immediate(dreg=0, data=statement))
        else:
            statement.linearize(to)
    return tuple(to.expressions), to.sets
