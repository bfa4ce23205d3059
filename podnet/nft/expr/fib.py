"""fib: ask the routing table about the packet (enum nft_fib_attributes)."""

from podnet.netlink.attributes import Field, Layout, be32
from podnet.nft.expr.expression import Expression, expression

RESULT_OIF, RESULT_OIFNAME, RESULT_ADDRTYPE = 1, 2, 3
SADDR, DADDR, MARK, IIF, OIF, PRESENT = 1, 2, 4, 8, 16, 32
_RESULTS = {RESULT_OIF: "oif", RESULT_OIFNAME: "oifname", RESULT_ADDRTYPE: "type"}
_FLAGS = ((SADDR, "saddr"), (DADDR, "daddr"), (MARK, "mark"), (IIF, "iif"), (OIF, "oif"))


@expression
class Fib(Expression, frozen=True, kw_only=True, gc=False):
    """Look up by `flags` (``SADDR``, ``DADDR``, ``MARK``, ``IIF``, ``OIF``), put `result` into `dreg`.

    With ``PRESENT`` the answer is one byte: whether there is a route.
    """

    NAME = "fib"

    dreg: int
    result: int
    flags: int

    @property
    def listing(self) -> str:
        """As nft prints it."""
        inputs = " . ".join(name for bit, name in _FLAGS if self.flags & bit)
        present = " present" if self.flags & PRESENT else ""
        return f"fib {inputs} {_RESULTS.get(self.result, self.result)}{present} => reg {self.dreg}"


Fib.LAYOUT = Layout(Fib, Field("dreg", 1, be32), Field("result", 2, be32), Field("flags", 3, be32))
