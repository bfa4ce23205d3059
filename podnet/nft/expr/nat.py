"""nat: rewrite a connection's source or destination (enum nft_nat_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression

SNAT, DNAT = 0, 1
# enum nf_nat_manip flags, linux/netfilter/nf_nat.h
MAP_IPS, PROTO_SPECIFIED, PROTO_RANDOM, PERSISTENT, PROTO_RANDOM_FULLY = 1, 2, 4, 8, 16


@expression
class Nat(Expression, frozen=True, kw_only=True, gc=False):
    """Translate to the addresses and ports that the named registers hold.

    `family` is NFPROTO_IPV4 or NFPROTO_IPV6.  The kernel lists `flags` with what it derived from the registers
    (``MAP_IPS``, ``PROTO_SPECIFIED``) and every maximum, so podnet sends them too: sent and listed compare equal.
    """

    NAME = "nat"

    type: int
    family: int
    addr_min: int | None = None
    addr_max: int | None = None
    proto_min: int | None = None
    proto_max: int | None = None
    flags: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        kind = "dnat" if self.type == DNAT else "snat"
        family = "ip6" if self.family == 10 else "ip"  # noqa: PLR2004 - NFPROTO_IPV6
        registers = "".join(
            f" {name} reg {register}"
            for name, register in (
                ("addr_min", self.addr_min),
                ("addr_max", self.addr_max),
                ("proto_min", self.proto_min),
                ("proto_max", self.proto_max),
            )
            if register
        )
        return f"nat {kind} {family}{registers}" + (f" flags 0x{self.flags:x}" if self.flags else "")


Nat.LAYOUT = Layout(
    Nat,
    Field("type", 1, be32),
    Field("family", 2, be32),
    Field("addr_min", 3, be32),
    Field("addr_max", 4, be32),
    Field("proto_min", 5, be32),
    Field("proto_max", 6, be32),
    Field("flags", 7, be32),
)
