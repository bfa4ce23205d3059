"""Rule: statements of a chain; what the kernel keeps of it are expressions, a comment and a handle."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from zlib import crc32

import msgspec

from podnet.netlink.message import NLM_F_APPEND, NLM_F_CREATE, Request
from podnet.nft import userdata
from podnet.nft.chain import Chain
from podnet.nft.element import Element, elements
from podnet.nft.expr import Expression, Lookup
from podnet.nft.message import DELRULE, DESTROYRULE, NEWRULE, RuleMessage
from podnet.nft.set import Set
from podnet.nft.statement import Statement, linearize
from podnet.nft.table import table_of

_ANONYMOUS_ID = 0x8000_0000  # apart from the number that named sets carry

Verb = Literal["add", "insert", "delete", "destroy"]


class AnonymousSet(msgspec.Struct, frozen=True, gc=False):
    """The set of ``{ … }`` within a rule: its shape, and its members in order of key."""

    set: Set
    members: tuple[Element, ...]


class Rule(msgspec.Struct, frozen=True, eq=False, gc=False, kw_only=True):
    """A rule of `chain`.  Made by :meth:`new` from statements, or by :meth:`of` from what the kernel lists.

    Two rules are equal when chain, expressions, anonymous sets and comment are: `text` (nft's words for it) and
    `handle` (the kernel's number, 0 when not known) do not count.  The expressions name an anonymous set
    ``__set%d``; `sets` holds them in the order in which they are looked up.
    """

    chain: Chain
    expressions: tuple[Expression, ...]
    sets: tuple[AnonymousSet, ...] = ()
    comment: str = ""
    text: str = ""
    handle: int = 0

    @classmethod
    def new(cls, chain: Chain, *statements: Statement, comment: str = "") -> "Rule":
        """Return the rule with these `statements`, dependencies filled in as nft(8) does."""
        expressions, sets = linearize(chain.table, statements)
        return cls(
            chain=chain,
            expressions=expressions,
            sets=tuple(AnonymousSet(owner, members) for owner, members in sets),
            comment=comment,
            text=" ".join(statement.text for statement in statements),
        )

    @property
    def _identity(self) -> tuple[Any, ...]:
        chain = self.chain
        return chain.table, chain.name, self.expressions, self.sets, self.comment

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def requests(self, verb: Verb = "add", *, position: int = 0) -> tuple[Request, ...]:
        """Return the messages: those of its anonymous sets, then the rule's.

        ``add`` appends (after the rule with handle `position`, if given), ``insert`` puts in front (of `position`).
        Deleting needs the `handle`.  Anonymous sets are numbered by their rule's content; where a batch holds the same
        rule twice, the kernel takes the latest set of that number, which is the one just before the rule.
        """
        chain = self.chain
        family, table = chain.table.number, chain.table.name
        if verb in {"delete", "destroy"}:
            if not self.handle:
                raise ValueError(f"rule of chain {chain}: {verb} needs the handle that the kernel lists")
            message = RuleMessage(family=family, table=table, chain=chain.name, handle=self.handle)
            return (Request(DELRULE if verb == "delete" else DESTROYRULE, 0, message.encode()),)
        requests: list[Request] = []
        expressions = self.expressions
        if self.sets:
            requests, expressions = self._anonymous()
        message = RuleMessage(
            family=family,
            table=table,
            chain=chain.name,
            expressions=expressions,
            position=position or None,
            userdata=userdata.encode([(userdata.COMMENT, userdata.comment(self.comment))]) if self.comment else None,
        )
        flags = NLM_F_CREATE | (NLM_F_APPEND if verb == "add" else 0)
        return (*requests, Request(NEWRULE, flags, message.encode()))

    def _anonymous(self) -> tuple[list[Request], tuple[Expression, ...]]:
        """Return the messages that make the anonymous sets, and the expressions with the sets' numbers."""
        requests: list[Request] = []
        expressions: list[Expression] = []
        remaining = list(self.sets)
        for index, expression in enumerate(self.expressions):
            if isinstance(expression, Lookup) and expression.set.endswith("%d"):
                anonymous = remaining.pop(0)
                key = f"{self.chain} {index} {self.text or self.expressions!r} {self.comment}"
                number = crc32(key.encode()) | _ANONYMOUS_ID
                shape = msgspec.structs.replace(anonymous.set, size=len(anonymous.members))
                requests += shape.requests(id=number)
                requests += elements(anonymous.members, id=number)
                expressions.append(msgspec.structs.replace(expression, id=number))
            else:
                expressions.append(expression)
        return requests, tuple(expressions)

    def nft(self, verb: Verb = "add", *, position: int = 0) -> str:
        """Return the nft command; a rule that came from the kernel shows its expressions instead of nft's words."""
        if verb in {"delete", "destroy"}:
            return f"{verb} rule {self.chain} handle {self.handle}"
        place = f" position {position}" if position else ""
        return f"{verb} rule {self.chain}{place} {self}"

    def __str__(self) -> str:
        """Return the rule in nft's words, as it stands in a listing."""
        text = self.text or " ".join(f"[ {e.listing} ]" for e in self.expressions)
        return f'{text} comment "{self.comment}"' if self.comment else text

    @classmethod
    def of(cls, message: RuleMessage, anonymous: Mapping[str, AnonymousSet]) -> "Rule":
        """Return the rule that the kernel's `message` tells of; `anonymous` are the table's anonymous sets by name."""
        chain = Chain(table_of(message.family, message.table), message.chain or "")
        expressions: list[Expression] = []
        sets: list[AnonymousSet] = []
        for expression in message.expressions or ():
            found = anonymous.get(expression.set) if isinstance(expression, Lookup) else None
            if found is None:
                expressions.append(expression)
            else:
                sets.append(found)
                expressions.append(msgspec.structs.replace(expression, set=found.set.name, id=None))
        return cls(
            chain=chain,
            expressions=tuple(expressions),
            sets=tuple(sets),
            comment=userdata.comment_of(message.userdata),
            handle=message.handle or 0,
        )


def anonymous_set(owner: Set, members: Iterable[Element]) -> AnonymousSet:
    """Return the anonymous set with `members` in the order that compares equal, whatever order they came in."""
    return AnonymousSet(owner, tuple(sorted(members, key=lambda member: member.text())))
