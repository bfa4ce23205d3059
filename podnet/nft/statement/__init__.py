"""Statements: rules as nft(8) writes them, each with its text and the expressions that nft would make of it.

What belongs here: the words of the rule language and their translation.  What does not: expressions' attributes
(podnet.nft.expr), sets and their elements.  Every translation is checked against nft itself in tests/nft.
"""

from podnet.nft.statement.action import (
    Assign,
    Counter,
    Dnat,
    Limit,
    Log,
    Masquerade,
    Notrack,
    Redirect,
    Reject,
    Snat,
)
from podnet.nft.statement.linearize import Linearizer, Statement, linearize
from podnet.nft.statement.match import Masked, Match, Vmap

__all__ = [
    "Assign",
    "Counter",
    "Dnat",
    "Limit",
    "Linearizer",
    "Log",
    "Masked",
    "Masquerade",
    "Match",
    "Notrack",
    "Redirect",
    "Reject",
    "Snat",
    "Statement",
    "Vmap",
    "linearize",
]
