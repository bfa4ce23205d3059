"""Expressions: the kernel's rule language, one file each; values with their attributes and their listing.

What belongs here: one struct per kernel expression (net/netfilter/nft_*.c), its attribute layout, and its text as
``nft --debug=netlink`` prints it.  What does not: how nft(8)'s words become expressions (podnet.nft.statement).
"""

from podnet.nft.expr.bitwise import Bitwise
from podnet.nft.expr.byteorder import Byteorder
from podnet.nft.expr.cmp import Cmp
from podnet.nft.expr.counter import Counter
from podnet.nft.expr.ct import Ct
from podnet.nft.expr.expression import EXPRESSION, EXPRESSIONS, Expression, Unknown
from podnet.nft.expr.fib import Fib
from podnet.nft.expr.immediate import Immediate
from podnet.nft.expr.limit import Limit
from podnet.nft.expr.log import Log
from podnet.nft.expr.lookup import Lookup
from podnet.nft.expr.masq import Masq
from podnet.nft.expr.meta import Meta
from podnet.nft.expr.nat import Nat
from podnet.nft.expr.notrack import Notrack
from podnet.nft.expr.payload import Payload
from podnet.nft.expr.range import Range
from podnet.nft.expr.redir import Redir
from podnet.nft.expr.reject import Reject

__all__ = [
    "EXPRESSION",
    "EXPRESSIONS",
    "Bitwise",
    "Byteorder",
    "Cmp",
    "Counter",
    "Ct",
    "Expression",
    "Fib",
    "Immediate",
    "Limit",
    "Log",
    "Lookup",
    "Masq",
    "Meta",
    "Nat",
    "Notrack",
    "Payload",
    "Range",
    "Redir",
    "Reject",
    "Unknown",
]
