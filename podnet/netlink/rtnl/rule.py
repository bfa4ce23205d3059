"""Routing policy rules: RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE (linux/fib_rules.h, ip-rule(8)).

::

    struct fib_rule_hdr: family u8 | dst_len u8 | src_len u8 | tos u8 | table u8 | pad 2 | action u8 | flags u32
                                                            (unused here: FRA_TABLE has all 32 bits)
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any, ClassVar

from podnet.netlink.attributes import Field, IPAddress, Layout, ip, string, u8, u32
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import RtnlObject
from podnet.netlink.rtnl.route import RT_TABLE_MAIN

RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

FR_ACT_UNSPEC, FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_NOP = range(4)
FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT = 6, 7, 8

FIB_RULE_INVERT = 0x2


@register(NETLINK_ROUTE, RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE)
class Rule(RtnlObject, frozen=True, kw_only=True, gc=False):
    """A rule: what matches looks `table` up, or what else `action` says; lower `priority` goes first.

    The kernel gives a rule without `priority` one below the lowest that is there.  A dump is filtered by `family` only
    (under NETLINK_GET_STRICT_CHK every other field must be 0 or None: :meth:`Rule.every`).
    """

    NEW: ClassVar[int] = RTM_NEWRULE
    HEADER_STRUCT: ClassVar[Struct] = Struct("=BBBBxxxBI")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "dst_len", "src_len", "tos", "action", "flags")
    ABSENT: ClassVar[Mapping[str, Any]] = {"table": None}
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("priority", 6, u32),
        Field("dst", 1, ip),
        Field("src", 2, ip),
        Field("iifname", 3, string),
        Field("oifname", 17, string),
        Field("goto", 4, u32),
        Field("fwmark", 10, u32),
        Field("fwmask", 16, u32),
        Field("table", 15, u32),
        Field("suppress_prefixlength", 14, u32),
        Field("protocol", 21, u8),
        Field("ip_proto", 22, u8),
    )

    family: int = 0
    dst_len: int = 0
    src_len: int = 0
    tos: int = 0
    action: int = FR_ACT_TO_TBL
    flags: int = 0
    priority: int | None = None
    dst: IPAddress | None = None
    src: IPAddress | None = None
    iifname: str | None = None
    oifname: str | None = None
    goto: int | None = None
    fwmark: int | None = None
    fwmask: int | None = None
    table: int | None = RT_TABLE_MAIN
    suppress_prefixlength: int | None = None
    protocol: int | None = None
    ip_proto: int | None = None

    @classmethod
    def every(cls, family: int) -> "Rule":
        """Return the filter of a dump that matches every rule of `family`."""
        return cls(family=family, action=FR_ACT_UNSPEC, table=None)
