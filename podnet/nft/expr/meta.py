"""meta: read or write what the kernel keeps beside a packet (enum nft_meta_attributes, nft_meta_keys)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression

KEYS = {
    "len": 0,
    "protocol": 1,
    "priority": 2,
    "mark": 3,
    "iif": 4,
    "oif": 5,
    "iifname": 6,
    "oifname": 7,
    "iiftype": 8,
    "oiftype": 9,
    "nftrace": 13,
    "nfproto": 15,
    "l4proto": 16,
    "bri_iifname": 17,
    "bri_oifname": 18,
    "pkttype": 19,
    "iifgroup": 21,
    "oifgroup": 22,
}
_NAMES = {number: name for name, number in KEYS.items()}


@expression
class Meta(Expression, frozen=True, kw_only=True, gc=False):
    """Load `key` into `dreg`, or store `sreg` in it."""

    NAME = "meta"

    key: int
    dreg: int | None = None
    sreg: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        key = _NAMES.get(self.key, str(self.key))
        return f"meta set {key} with reg {self.sreg}" if self.dreg is None else f"meta load {key} => reg {self.dreg}"


Meta.LAYOUT = Layout(Meta, Field("dreg", 1, be32), Field("key", 2, be32), Field("sreg", 3, be32))
