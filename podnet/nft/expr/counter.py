"""counter: count packets and bytes (enum nft_counter_attributes)."""

from podnet.netlink.attributes import Layout
from podnet.nft.expr.expression import Expression, expression


@expression
class Counter(Expression, frozen=True, kw_only=True, gc=False):
    """Count what comes by.  The counts are state, not configuration, so two counters are always equal."""

    NAME = "counter"


Counter.LAYOUT = Layout(Counter)
