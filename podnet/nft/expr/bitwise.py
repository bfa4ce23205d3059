"""bitwise: and, xor a register with constants (enum nft_bitwise_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression, words
from podnet.nft.verdict import DATA, Datum


@expression
class Bitwise(Expression, frozen=True, kw_only=True, gc=False):
    """``dreg = (sreg & mask) ^ xor``; `operation` 0 is that form, the only one podnet makes."""

    NAME = "bitwise"

    sreg: int
    dreg: int
    length: int
    mask: Datum
    xor: Datum
    operation: int = 0

    @property
    def listing(self) -> str:
        """As nft prints it."""
        if not isinstance(self.mask, bytes) or not isinstance(self.xor, bytes):
            return self.NAME
        return f"bitwise reg {self.dreg} = ( reg {self.sreg} & {words(self.mask)} ) ^ {words(self.xor)}"


Bitwise.LAYOUT = Layout(
    Bitwise,
    Field("sreg", 1, be32),
    Field("dreg", 2, be32),
    Field("length", 3, be32),
    Field("operation", 6, be32),
    Field("mask", 4, DATA),
    Field("xor", 5, DATA),
)
