"""reject: answer with an ICMP error or a TCP reset (enum nft_reject_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32, u8
from podnet.nft.expr.expression import Expression, expression

ICMP, TCP_RST, ICMPX = 0, 1, 2


@expression
class Reject(Expression, frozen=True, kw_only=True, gc=False):
    """Reject by `type`; `code` is the ICMP (or, for ``ICMPX``, the nf_tables) code, absent for a reset."""

    NAME = "reject"

    type: int
    code: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        return f"reject type {self.type} code {self.code or 0}"


Reject.LAYOUT = Layout(Reject, Field("type", 1, be32), Field("code", 2, u8))
