"""cmp: compare a register with a constant, go on only if it holds (enum nft_cmp_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression, words
from podnet.nft.verdict import DATA, Datum

OPERATIONS = {"==": 0, "!=": 1, "<": 2, "<=": 3, ">": 4, ">=": 5}
_WORDS = ("eq", "neq", "lt", "lte", "gt", "gte")


@expression
class Cmp(Expression, frozen=True, kw_only=True, gc=False):
    """Break unless ``sreg operation data``, bytewise (so: network order where order matters)."""

    NAME = "cmp"

    sreg: int
    operation: int
    data: Datum

    @property
    def listing(self) -> str:
        """As nft prints it."""
        word = _WORDS[self.operation] if self.operation < len(_WORDS) else str(self.operation)
        data = words(self.data) if isinstance(self.data, bytes) else self.data.text
        return f"cmp {word} reg {self.sreg} {data}"


Cmp.LAYOUT = Layout(Cmp, Field("sreg", 1, be32), Field("operation", 2, be32), Field("data", 3, DATA))
