"""Addresses: RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR (linux/if_addr.h, rtnetlink(7)).

::

    struct ifaddrmsg: family u8 | prefixlen u8 | flags u8 (low bits, unused here: IFA_FLAGS) | scope u8 | index u32
"""

from struct import Struct
from typing import Any, ClassVar, Self

from podnet.netlink.attributes import Field, IPAddress, Layout, ip, string, u8, u32
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import AF_INET, AF_INET6, RtnlObject

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

IFA_F_SECONDARY = 0x01
IFA_F_NODAD = 0x02
IFA_F_OPTIMISTIC = 0x04
IFA_F_DADFAILED = 0x08
IFA_F_DEPRECATED = 0x20
IFA_F_TENTATIVE = 0x40
IFA_F_PERMANENT = 0x80
IFA_F_NOPREFIXROUTE = 0x200

RT_SCOPE_UNIVERSE, RT_SCOPE_SITE, RT_SCOPE_LINK, RT_SCOPE_HOST, RT_SCOPE_NOWHERE = 0, 200, 253, 254, 255


@register(NETLINK_ROUTE, RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR)
class Addr(RtnlObject, frozen=True, kw_only=True, gc=False):
    """An address of link `index`: `local` is the link's own, `address` the peer's or the same again.

    The kernel tells an IPv6 address without a peer in `address` alone: :attr:`Addr.own` is the link's in any case.
    `flags` are IFA_F_*; `proto` is IFA_PROTO (kernel 5.18), `priority` the metric of its prefix route.
    A dump under NETLINK_GET_STRICT_CHK filters by `family` and `index`.
    """

    NEW: ClassVar[int] = RTM_NEWADDR
    HEADER_STRUCT: ClassVar[Struct] = Struct("=BBxBI")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "prefixlen", "scope", "index")
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict,
        Field("local", 2, ip),
        Field("address", 1, ip),
        Field("label", 3, string),
        Field("broadcast", 4, ip),
        Field("flags", 8, u32),
        Field("priority", 9, u32),
        Field("proto", 11, u8),
    )

    family: int = 0
    prefixlen: int = 0
    scope: int = RT_SCOPE_UNIVERSE
    index: int = 0
    local: IPAddress | None = None
    address: IPAddress | None = None
    label: str | None = None
    broadcast: IPAddress | None = None
    flags: int | None = None
    priority: int | None = None
    proto: int | None = None

    @classmethod
    def of(cls, address: IPAddress, prefixlen: int, index: int, *, flags: int = 0, scope: int = 0) -> Self:
        """Return the address `address/prefixlen` of link `index`."""
        return cls(
            family=AF_INET if address.version == 4 else AF_INET6,  # noqa: PLR2004 - IPv4
            prefixlen=prefixlen,
            scope=scope,
            index=index,
            local=address,
            address=address,
            flags=flags,
        )

    @property
    def own(self) -> IPAddress | None:
        """The link's own address."""
        return self.address if self.local is None else self.local
