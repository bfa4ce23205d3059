"""limit: a token bucket (enum nft_limit_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32, be64
from podnet.nft.expr.expression import Expression, expression

PACKETS, BYTES = 0, 1
INVERTED = 1  # NFT_LIMIT_F_INV: match above the rate
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_UNIT_NAMES = {seconds: name for name, seconds in UNITS.items()}


@expression
class Limit(Expression, frozen=True, kw_only=True, gc=False):
    """Match up to `rate` packets or bytes per `unit` seconds, with a bucket `burst` deep."""

    NAME = "limit"

    rate: int
    unit: int
    burst: int = 0
    type: int = PACKETS
    flags: int = 0

    @property
    def listing(self) -> str:
        """As nft prints it."""
        kind = "bytes" if self.type == BYTES else "packets"
        unit = _UNIT_NAMES.get(self.unit, str(self.unit))
        return f"limit rate {self.rate}/{unit} burst {self.burst} type {kind} flags 0x{self.flags:x}"


Limit.LAYOUT = Layout(
    Limit,
    Field("rate", 1, be64),
    Field("unit", 2, be64),
    Field("burst", 3, be32),
    Field("type", 4, be32),
    Field("flags", 5, be32),
)
