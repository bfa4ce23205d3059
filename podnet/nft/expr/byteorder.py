"""byteorder: turn a register between host and network order (enum nft_byteorder_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression

NTOH, HTON = 0, 1


@expression
class Byteorder(Expression, frozen=True, kw_only=True, gc=False):
    """Swap `length` bytes of `sreg` into `dreg`, `size` bytes at a time; `operation` `NTOH` or `HTON`."""

    NAME = "byteorder"

    sreg: int
    dreg: int
    operation: int
    length: int
    size: int

    @property
    def listing(self) -> str:
        """As nft prints it."""
        word = "hton" if self.operation == HTON else "ntoh"
        return f"byteorder reg {self.dreg} = {word}(reg {self.sreg}, {self.size}, {self.length})"


Byteorder.LAYOUT = Layout(
    Byteorder,
    Field("sreg", 1, be32),
    Field("dreg", 2, be32),
    Field("operation", 3, be32),
    Field("length", 4, be32),
    Field("size", 5, be32),
)
