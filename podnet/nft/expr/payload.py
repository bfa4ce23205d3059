"""payload: load bytes of the packet (enum nft_payload_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression

LINK, NETWORK, TRANSPORT = 0, 1, 2
_BASES = ("link", "network", "transport")


@expression
class Payload(Expression, frozen=True, kw_only=True, gc=False):
    """Load `length` bytes at `offset` from the start of header `base` into `dreg`."""

    NAME = "payload"

    dreg: int
    base: int
    offset: int
    length: int

    @property
    def listing(self) -> str:
        """As nft prints it."""
        base = _BASES[self.base] if self.base < len(_BASES) else str(self.base)
        return f"payload load {self.length}b @ {base} header + {self.offset} => reg {self.dreg}"


Payload.LAYOUT = Layout(
    Payload, Field("dreg", 1, be32), Field("base", 2, be32), Field("offset", 3, be32), Field("length", 4, be32)
)
