"""redir: destination NAT to this machine (enum nft_redir_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression


@expression
class Redir(Expression, frozen=True, kw_only=True, gc=False):
    """Redirect, to the ports that the named registers hold where given; `flags` of podnet.nft.expr.nat."""

    NAME = "redir"

    proto_min: int | None = None
    proto_max: int | None = None
    flags: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        ports = f" proto_min reg {self.proto_min}" if self.proto_min else ""
        ports += f" proto_max reg {self.proto_max}" if self.proto_max else ""
        return f"redir{ports}" + (f" flags 0x{self.flags:x}" if self.flags else "")


Redir.LAYOUT = Layout(Redir, Field("proto_min", 1, be32), Field("proto_max", 2, be32), Field("flags", 3, be32))
