"""nftables: tables, chains, sets, elements and rules as values; their netlink messages and their nft(8) commands.

What belongs here: one value per object, each with ``requests(verb)`` (netlink messages for one atomic batch, see
:mod:`podnet.nft.batch`) and ``nft(verb)`` (the command it amounts to, unquoted), and the way back from what the
kernel lists (:mod:`podnet.nft.dump`), so that desired and observed compare equal.  What does not: which rules podnet
wants (datapath), sockets, other netlink families.
"""

from podnet.nft.batch import batch
from podnet.nft.chain import Base, Chain
from podnet.nft.dump import Content, content
from podnet.nft.element import Element, Interval, elements, message_elements
from podnet.nft.rule import Rule
from podnet.nft.set import Set
from podnet.nft.table import Table
from podnet.nft.verdict import ACCEPT, CONTINUE, DROP, RETURN, Verdict, goto, jump

Object = Table | Chain | Set | Element | Rule

__all__ = [
    "ACCEPT",
    "CONTINUE",
    "DROP",
    "RETURN",
    "Base",
    "Chain",
    "Content",
    "Element",
    "Interval",
    "Object",
    "Rule",
    "Set",
    "Table",
    "Verdict",
    "batch",
    "content",
    "elements",
    "goto",
    "jump",
    "message_elements",
]
