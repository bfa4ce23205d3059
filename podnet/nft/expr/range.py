"""range: is a register between two constants (enum nft_range_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression, words
from podnet.nft.verdict import DATA, Datum

EQ, NEQ = 0, 1


@expression
class Range(Expression, frozen=True, kw_only=True, gc=False):
    """Break unless `first` <= register <= `last`, bytewise (``EQ``), or unless not (``NEQ``)."""

    NAME = "range"

    sreg: int
    operation: int
    first: Datum
    last: Datum

    @property
    def listing(self) -> str:
        """As nft prints it."""
        bounds = " ".join(words(d) if isinstance(d, bytes) else d.text for d in (self.first, self.last))
        return f"range {'neq' if self.operation == NEQ else 'eq'} reg {self.sreg} {bounds}"


Range.LAYOUT = Layout(
    Range, Field("sreg", 1, be32), Field("operation", 2, be32), Field("first", 3, DATA), Field("last", 4, DATA)
)
