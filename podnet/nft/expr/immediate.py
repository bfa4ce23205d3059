"""immediate: put a constant into a register, or a verdict into register 0 (enum nft_immediate_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression, words
from podnet.nft.verdict import DATA, Datum, Verdict


@expression
class Immediate(Expression, frozen=True, kw_only=True, gc=False):
    """Load `data` into `dreg`; register 0 takes verdicts and ends the rule."""

    NAME = "immediate"

    dreg: int
    data: Datum

    @property
    def listing(self) -> str:
        """As nft prints it."""
        if not isinstance(self.data, Verdict):
            return f"immediate reg {self.dreg} {words(self.data)}"
        arrow = f"{self.data.name} -> {self.data.chain}" if self.data.chain else self.data.name
        return f"immediate reg {self.dreg} {arrow}"


Immediate.LAYOUT = Layout(Immediate, Field("dreg", 1, be32), Field("data", 2, DATA))
