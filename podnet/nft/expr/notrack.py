"""notrack: keep connection tracking away from a packet (no attributes)."""

from podnet.netlink.attributes import Layout
from podnet.nft.expr.expression import Expression, expression


@expression
class Notrack(Expression, frozen=True, kw_only=True, gc=False):
    """Leave the packet untracked."""

    NAME = "notrack"


Notrack.LAYOUT = Layout(Notrack)
