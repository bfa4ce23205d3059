"""Links: RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK (linux/if_link.h, rtnetlink(7)).

::

    struct ifinfomsg: family u8 | pad u8 | type u16 | index s32 | flags u32 | change u32, then IFLA_* attributes

    RTM_NEWLINK of a veth pair
    ├── ifinfomsg.index                     this end's ifindex, chosen by the caller (0: the kernel draws)
    ├── IFLA_IFNAME, IFLA_ADDRESS, ...
    └── IFLA_LINKINFO
        ├── IFLA_INFO_KIND "veth"
        └── IFLA_INFO_DATA
            └── VETH_INFO_PEER              a whole ifinfomsg (with the peer's ifindex) and attributes again
                └── IFLA_NET_NS_FD          the namespace in which the peer is born

Not at creation: IFLA_AF_SPEC is refused (EAFNOSUPPORT), and IFLA_INFO_SLAVE_DATA is passed over without an error, also
when IFLA_MASTER is beside it.  Both go in a second message of the same batch: the settings by :meth:`Link.set` with
the chosen index, the options of a bridge port likewise, or by
:meth:`Link.set_port` (what `bridge link set` sends).
"""

from struct import Struct
from typing import Any, ClassVar, Self

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, Kind, Layout, mac, s32, string, u8, u32
from podnet.netlink.message import NETLINK_ROUTE, Request, register
from podnet.netlink.rtnl.afspec import AfSpec, af_spec
from podnet.netlink.rtnl.linkinfo import LINK_DATA, BridgePort, LinkInfo, bridge_port, linkinfo, text
from podnet.netlink.rtnl.object import AF_BRIDGE, Options, RtnlObject

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19

IFF_UP = 0x1
IFF_BROADCAST = 0x2
IFF_LOOPBACK = 0x8
IFF_POINTOPOINT = 0x10
IFF_RUNNING = 0x40
IFF_NOARP = 0x80
IFF_PROMISC = 0x100
IFF_ALLMULTI = 0x200
IFF_MULTICAST = 0x1000
IFF_LOWER_UP = 0x10000

RTEXT_FILTER_BRVLAN = 0x2
RTEXT_FILTER_SKIP_STATS = 0x8  # in `ext_mask`: leave the counters out of the answer

OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")  # RFC 2863

_HEADER = Struct("=BxHiII")
_HEADER_FIELDS = ("family", "type", "index", "flags", "change")

_ATTRIBUTES = (
    Field("address", 1, mac),
    Field("broadcast", 2, mac),
    Field("ifname", 3, string),
    Field("mtu", 4, u32),
    Field("link", 5, u32),
    Field("qdisc", 6, string),
    Field("master", 10, u32),
    Field("txqlen", 13, u32),
    Field("operstate", 16, u8),
    Field("linkmode", 17, u8),
    Field("net_ns_pid", 19, u32),
    Field("alias", 20, text),
    Field("group", 27, u32),
    Field("net_ns_fd", 28, u32),
    Field("ext_mask", 29, u32),
    Field("promiscuity", 30, u32),
    Field("num_tx_queues", 31, u32),
    Field("num_rx_queues", 32, u32),
    Field("carrier", 33, u8),
    Field("link_netnsid", 37, s32),
    Field("gso_max_segs", 40, u32),
    Field("gso_max_size", 41, u32),
    Field("new_ifindex", 49, s32),
)


@register(NETLINK_ROUTE, RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK)
class Link(RtnlObject, frozen=True, kw_only=True, gc=False):
    """A link: index or name says which, every other field that is not None is set.

    `flags` are set where `change` has the bit (`change` of 0 with flags: all that are given; the kernel's old rule).
    `net_ns_fd` is a descriptor of the sending process: the namespace to be born in or to move to.
    A dump under NETLINK_GET_STRICT_CHK filters by `master` and by `linkinfo.kind`; `ext_mask` is allowed.
    """

    NEW: ClassVar[int] = RTM_NEWLINK
    HEADER_STRUCT: ClassVar[Struct] = _HEADER
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = _HEADER_FIELDS

    family: int = 0
    type: int = 0
    index: int = 0
    flags: int = 0
    change: int = 0
    address: str | None = None
    broadcast: str | None = None
    ifname: str | None = None
    mtu: int | None = None
    link: int | None = None
    qdisc: str | None = None
    master: int | None = None
    txqlen: int | None = None
    operstate: int | None = None
    linkmode: int | None = None
    net_ns_pid: int | None = None
    alias: str | None = None
    group: int | None = None
    net_ns_fd: int | None = None
    ext_mask: int | None = None
    promiscuity: int | None = None
    num_tx_queues: int | None = None
    num_rx_queues: int | None = None
    carrier: int | None = None
    link_netnsid: int | None = None
    gso_max_segs: int | None = None
    gso_max_size: int | None = None
    new_ifindex: int | None = None
    linkinfo: LinkInfo | None = None
    af_spec: AfSpec | None = None
    port: BridgePort | None = None

    def encode(self) -> bytes:
        """Return the payload; of family AF_BRIDGE the attributes mean the port, not the link."""
        layout = _BRIDGE_LAYOUT if self.family == AF_BRIDGE else self.LAYOUT
        return _HEADER.pack(self.family, self.type, self.index, self.flags, self.change) + layout.encode(self)

    @classmethod
    def decode(cls, payload: bytes, only: tuple[str, ...] = ()) -> Self:
        """Return the link that `payload` is, with all fields or `only` some; raise `DecodeError`."""
        if len(payload) < _HEADER.size:
            raise DecodeError(f"Link: {len(payload)} bytes, header needs {_HEADER.size}")
        family, kind, index, flags, change = _HEADER.unpack_from(payload)
        layout = _BRIDGE_LAYOUT if family == AF_BRIDGE else cls.LAYOUT
        try:
            found = layout.fields_of(payload, only, _HEADER.size)
            return cls(family=family, type=kind, index=index, flags=flags, change=change, **found)
        except DecodeError as error:
            raise DecodeError(f"Link: {error}") from error

    def set_port(self) -> Request:
        """Return the request that sets `port`, the options of this bridge port (`bridge link set`).

        The index names the port; the family must be AF_BRIDGE.
        """
        return Request(RTM_SETLINK, 0, self.encode())


class Veth(Options, frozen=True, kw_only=True, gc=False):
    """Options of a veth: its `peer`, a link of which everything but the linkinfo is sent (VETH_INFO_PEER)."""

    peer: Link | None = None


_PEER_LAYOUT: Layout[Any] = Layout(dict, *_ATTRIBUTES, Field("af_spec", 26, af_spec))
# For AF_BRIDGE, IFLA_PROTINFO is the port's options; IFLA_AF_SPEC holds VLANs whose numbers look like families.
_BRIDGE_LAYOUT: Layout[Any] = Layout(
    dict, *_ATTRIBUTES, Field("port", 12, bridge_port), Field("linkinfo", 18, linkinfo)
)
Link.LAYOUT = Layout(dict, *_ATTRIBUTES, Field("linkinfo", 18, linkinfo), Field("af_spec", 26, af_spec))


def _encode_peer(peer: Link) -> bytes:
    return _HEADER.pack(peer.family, peer.type, peer.index, peer.flags, peer.change) + _PEER_LAYOUT.encode(peer)


def _decode_peer(payload: bytes) -> Link:
    if len(payload) < _HEADER.size:
        raise DecodeError(f"{len(payload)} bytes, header needs {_HEADER.size}")
    fields = dict(zip(_HEADER_FIELDS, _HEADER.unpack_from(payload), strict=True))
    return Link(**fields, **_PEER_LAYOUT.fields_of(payload, offset=_HEADER.size))


peer: Kind[Link] = Kind("peer", _encode_peer, _decode_peer, nested=True)
Veth.LAYOUT = Layout(dict, Field("peer", 1, peer))
LINK_DATA["veth"] = Veth
