"""log: write a line to the kernel's log or to a netlink group (enum nft_log_attributes)."""

from podnet.netlink.attributes import Field, Layout, be16, be32, string
from podnet.nft.expr.expression import Expression, expression

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
WARN = LEVELS.index("warn")


@expression
class Log(Expression, frozen=True, kw_only=True, gc=False):
    """Log with `prefix` at syslog `level`, or to nfnetlink_log `group` (then without level)."""

    NAME = "log"

    prefix: str | None = None
    level: int | None = None
    group: int | None = None

    @property
    def listing(self) -> str:
        """As nft prints it."""
        prefix = f" prefix {self.prefix}" if self.prefix else ""
        group = f" group {self.group} snaplen 0 qthreshold 0" if self.group is not None else ""
        level = f" level {self.level}" if self.level is not None else ""
        return f"log{prefix}{group}{level}"


Log.LAYOUT = Layout(Log, Field("group", 1, be16), Field("prefix", 2, string), Field("level", 5, be32))
