"""Neighbours and forwarding entries: RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH (linux/neighbour.h, rtnetlink(7)).

::

    struct ndmsg: family u8 | pad 3 | ifindex s32 | state u16 | flags u8 | type u8

Family AF_INET and AF_INET6: `ip neigh`.  AF_BRIDGE: `bridge fdb`, where NTF_SELF means the link itself (a VXLAN
device's table) and NTF_MASTER the bridge it is a port of.
"""

from struct import Struct
from typing import Any, ClassVar, Self

from podnet.netlink.attributes import Field, IPAddress, Layout, be16, ip, mac, u8, u16, u32
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import AF_INET, AF_INET6, RtnlObject

RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30

NUD_INCOMPLETE = 0x01
NUD_REACHABLE = 0x02
NUD_STALE = 0x04
NUD_DELAY = 0x08
NUD_PROBE = 0x10
NUD_FAILED = 0x20
NUD_NOARP = 0x40
NUD_PERMANENT = 0x80

NTF_USE = 0x01
NTF_SELF = 0x02
NTF_MASTER = 0x04
NTF_PROXY = 0x08
NTF_EXT_LEARNED = 0x10
NTF_STICKY = 0x40
NTF_ROUTER = 0x80


@register(NETLINK_ROUTE, RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH)
class Neigh(RtnlObject, frozen=True, kw_only=True, gc=False):
    """A neighbour of link `ifindex`: `dst` is reached at `lladdr`; with NTF_PROXY, `dst` is answered for.

    `protocol` tags who made it (as a route's).  A dump under NETLINK_GET_STRICT_CHK filters by `by_ifindex` and
    `master` (attributes; the header's ifindex must be 0, and flags 0 or NTF_PROXY).  Dumps of AF_BRIDGE take
    `ifindex` in the header, and `master`.
    """

    NEW: ClassVar[int] = RTM_NEWNEIGH
    HEADER_STRUCT: ClassVar[Struct] = Struct("=BxxxiHBB")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "ifindex", "state", "flags", "type")
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("dst", 1, ip),
        Field("lladdr", 2, mac),
        Field("vlan", 5, u16),
        Field("port", 6, be16),
        Field("vni", 7, u32),
        Field("by_ifindex", 8, u32),
        Field("master", 9, u32),
        Field("src_vni", 11, u32),
        Field("protocol", 12, u8),
        Field("nh_id", 13, u32),
        Field("flags_ext", 15, u32),
    )

    family: int = 0
    ifindex: int = 0
    state: int = 0
    flags: int = 0
    type: int = 0
    dst: IPAddress | None = None
    lladdr: str | None = None
    vlan: int | None = None
    port: int | None = None
    vni: int | None = None
    by_ifindex: int | None = None
    master: int | None = None
    src_vni: int | None = None
    protocol: int | None = None
    nh_id: int | None = None
    flags_ext: int | None = None

    @classmethod
    def permanent(cls, dst: IPAddress, lladdr: str, ifindex: int, *, protocol: int | None = None) -> Self:
        """Return the neighbour that is never asked for: `dst` is at `lladdr` on link `ifindex`."""
        return cls(
            family=AF_INET if dst.version == 4 else AF_INET6,  # noqa: PLR2004 - IPv4
            ifindex=ifindex,
            state=NUD_PERMANENT,
            dst=dst,
            lladdr=lladdr,
            protocol=protocol,
        )
