"""lookup: is the key in a set; what does a map hold for it (enum nft_lookup_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32, string
from podnet.nft.expr.expression import Expression, expression

INVERTED = 1  # NFT_LOOKUP_F_INV


@expression
class Lookup(Expression, frozen=True, kw_only=True, gc=False):
    """Break unless the key at `sreg` is in `set` (or is, with ``INVERTED``); a map's data goes to `dreg`.

    `id` names an anonymous set made in the same batch; the kernel never tells it again.
    """

    NAME = "lookup"

    set: str
    sreg: int
    dreg: int | None = None
    id: int | None = None
    flags: int = 0

    @property
    def listing(self) -> str:
        """As nft prints it."""
        dreg = f" dreg {self.dreg}" if self.dreg is not None else ""
        flags = f" 0x{self.flags:x}" if self.flags else ""
        return f"lookup reg {self.sreg} set {self.set}{dreg}{flags}"


Lookup.LAYOUT = Layout(
    Lookup,
    Field("set", 1, string),
    Field("sreg", 2, be32),
    Field("dreg", 3, be32),
    Field("id", 4, be32),
    Field("flags", 5, be32),
)
