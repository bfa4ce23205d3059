"""ct: read or write a packet's connection tracking entry (enum nft_ct_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32, u8
from podnet.nft.expr.expression import Expression, expression

KEYS = {"state": 0, "direction": 1, "status": 2, "mark": 3}
_NAMES = {number: name for name, number in KEYS.items()}


@expression
class Ct(Expression, frozen=True, kw_only=True, gc=False):
    """Load `key` into `dreg`, or store `sreg` in it; `direction` 0 original, 1 reply, for keys that have one."""

    NAME = "ct"

    key: int
    dreg: int | None = None
    sreg: int | None = None
    direction: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        key = _NAMES.get(self.key, str(self.key))
        return f"ct set {key} with reg {self.sreg}" if self.dreg is None else f"ct load {key} => reg {self.dreg}"


Ct.LAYOUT = Layout(Ct, Field("dreg", 1, be32), Field("key", 2, be32), Field("direction", 3, u8), Field("sreg", 4, be32))
