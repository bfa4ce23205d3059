"""masq: source NAT to the outgoing link's address (enum nft_masq_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression


@expression
class Masq(Expression, frozen=True, kw_only=True, gc=False):
    """Masquerade; `flags` of podnet.nft.expr.nat, ports from `proto_min` to `proto_max` (registers)."""

    NAME = "masq"

    flags: int | None = None
    proto_min: int | None = None
    proto_max: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        ports = f" proto_min reg {self.proto_min}" if self.proto_min else ""
        return f"masq{ports}" + (f" flags 0x{self.flags:x}" if self.flags else "")


Masq.LAYOUT = Layout(Masq, Field("flags", 1, be32), Field("proto_min", 2, be32), Field("proto_max", 3, be32))
