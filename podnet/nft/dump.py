"""Dump: the questions that list one table, and its content from the answers.

A listing takes five dumps (table, chains, sets, elements of each set, rules); if another process changes the ruleset
between or during them the kernel marks the answers NLM_F_DUMP_INTR, and the caller asks again.
"""

from collections.abc import Iterable, Mapping

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.message import NLM_F_DUMP, Request
from podnet.nft.chain import Chain
from podnet.nft.element import Element, message_elements
from podnet.nft.message import (
    GETCHAIN,
    GETRULE,
    GETSET,
    GETSETELEM,
    GETTABLE,
    ChainMessage,
    ElementsMessage,
    RuleMessage,
    SetMessage,
    TableMessage,
)
from podnet.nft.rule import AnonymousSet, Rule, anonymous_set
from podnet.nft.set import ANONYMOUS, Set
from podnet.nft.table import Table


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds: chains, named sets, their elements, and the rules in order within each chain.

    `foreign` names the sets whose types podnet does not speak: another hand's, and nothing more is told of them.
    """

    table: Table
    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()
    elements: tuple[Element, ...] = ()
    rules: tuple[Rule, ...] = ()
    foreign: tuple[str, ...] = ()


def get_table(table: Table) -> Request:
    """Return the question whether `table` is there (ENOENT if not)."""
    return Request(GETTABLE, 0, TableMessage(family=table.number, name=table.name).encode())


def list_chains(table: Table) -> Request:
    """Return the dump of the family's chains; :func:`content` picks those of the table."""
    return Request(GETCHAIN, NLM_F_DUMP, ChainMessage(family=table.number).encode())


def list_sets(table: Table) -> Request:
    """Return the dump of the table's sets, anonymous ones too."""
    return Request(GETSET, NLM_F_DUMP, SetMessage(family=table.number, table=table.name).encode())


def list_elements(table: Table, name: str) -> Request:
    """Return the dump of the elements of the set that the kernel calls `name` (`SetMessage.name`)."""
    return Request(GETSETELEM, NLM_F_DUMP, ElementsMessage(family=table.number, table=table.name, set=name).encode())


def list_rules(table: Table, chain: str | None = None) -> Request:
    """Return the dump of the rules of the table, or of one `chain` of it."""
    return Request(GETRULE, NLM_F_DUMP, RuleMessage(family=table.number, table=table.name, chain=chain).encode())


def content(
    table: Table,
    chains: Iterable[ChainMessage],
    sets: Iterable[SetMessage],
    members: Mapping[str, Iterable[ElementsMessage]],
    rules: Iterable[RuleMessage],
) -> Content:
    """Return what `table` holds from the answers to its dumps; `members` by the kernel's name of the set.

    Anonymous sets become part of the rules that use them, so that rules compare equal to those that were sent.
    Raises `DecodeError` where an element is not what its set says.
    """
    ours = (table.number, table.name)
    named: list[Set] = []
    foreign: list[str] = []
    elements: list[Element] = []
    anonymous: dict[str, AnonymousSet] = {}
    for message in sets:
        if (message.family, message.table) != ours:
            continue
        name = message.name or ""
        try:
            owner = Set.of(message)
        except DecodeError:
            foreign.append(name)
            continue
        found = message_elements(owner, members.get(name, ()))
        if (message.flags or 0) & ANONYMOUS:
            anonymous[name] = anonymous_set(owner, found)
        else:
            named.append(owner)
            elements += found
    return Content(
        table=table,
        chains=tuple(Chain.of(c) for c in chains if (c.family, c.table) == ours),
        sets=tuple(named),
        elements=tuple(elements),
        rules=tuple(Rule.of(r, anonymous) for r in rules if (r.family, r.table) == ours),
        foreign=tuple(foreign),
    )
