"""Traffic filters: RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER (linux/pkt_cls.h, tc-u32(8), tc-matchall(8)).

::

    tcmsg.info                   priority << 16 | protocol (network order)
    TCA_OPTIONS
    ├── TCA_U32_SEL              struct tc_u32_sel (16 bytes), then 16 bytes per key:
    │                            mask be32 | value be32 | offset s32 | offset mask s32
    └── TCA_U32_ACT              one nest per action, numbered from 1
        └── TCA_ACT_KIND "mirred", TCA_ACT_OPTIONS
            └── TCA_MIRRED_PARMS index capab action refcnt bindcnt eaction ifindex (7 words)

Every packet matches a u32 selector whose one key has mask 0.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any, ClassVar, Self

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import NLA_F_NESTED, Field, IPAddress, Kind, Layout, attribute, attributes, string, u32
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import Options, decode_options, encode_options
from podnet.netlink.rtnl.tc import TcObject

RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD

TC_ACT_OK, TC_ACT_SHOT, TC_ACT_PIPE, TC_ACT_STOLEN = 0, 2, 3, 4
TCA_EGRESS_REDIR, TCA_EGRESS_MIRROR, TCA_INGRESS_REDIR, TCA_INGRESS_MIRROR = 1, 2, 3, 4

TC_U32_TERMINAL = 1

_IPV4_SOURCE, _IPV4_DESTINATION = 12, 16  # offsets in the IP headers
_IPV6_SOURCE, _IPV6_DESTINATION = 8, 24


class Key(msgspec.Struct, frozen=True, gc=False):
    """One 32-bit word to compare: (packet[offset..] & `mask`) == `value`, offsets from the network header."""

    mask: int = 0
    value: int = 0
    offset: int = 0
    offset_mask: int = 0


class Selector(msgspec.Struct, frozen=True, gc=False):
    """struct tc_u32_sel: all `keys` must match; the kernel's variable offsets and hashing are left at 0."""

    keys: tuple[Key, ...] = (Key(),)
    flags: int = TC_U32_TERMINAL

    @classmethod
    def source(cls, address: IPAddress) -> Self:
        """Return the selector of packets from `address`, for a filter of its protocol."""
        return cls(_words(address, _IPV4_SOURCE if len(address.packed) == 4 else _IPV6_SOURCE))  # noqa: PLR2004 - IPv4

    @classmethod
    def destination(cls, address: IPAddress) -> Self:
        """Return the selector of packets to `address`, for a filter of its protocol."""
        at = _IPV4_DESTINATION if len(address.packed) == 4 else _IPV6_DESTINATION  # noqa: PLR2004 - IPv4
        return cls(_words(address, at))


def _words(address: IPAddress, offset: int) -> tuple[Key, ...]:
    packed = address.packed
    return tuple(
        Key(0xFFFFFFFF, int.from_bytes(packed[i : i + 4], "big"), offset + i) for i in range(0, len(packed), 4)
    )


_SELECTOR = Struct("=BxB13x")
_KEY = Struct(">II")
_KEY_OFFSETS = Struct("=ii")


def _encode_selector(selector: Selector) -> bytes:
    return _SELECTOR.pack(selector.flags, len(selector.keys)) + b"".join(
        [_KEY.pack(k.mask, k.value) + _KEY_OFFSETS.pack(k.offset, k.offset_mask) for k in selector.keys]
    )


def _decode_selector(payload: bytes) -> Selector:
    if len(payload) < _SELECTOR.size:
        raise DecodeError(f"struct tc_u32_sel of {len(payload)} bytes, not {_SELECTOR.size}")
    flags, count = _SELECTOR.unpack_from(payload)
    if len(payload) < _SELECTOR.size + 16 * count:
        raise DecodeError(f"struct tc_u32_sel of {len(payload)} bytes lacks some of its {count} keys")
    keys = (
        Key(*_KEY.unpack_from(payload, at), *_KEY_OFFSETS.unpack_from(payload, at + _KEY.size))
        for at in range(_SELECTOR.size, _SELECTOR.size + 16 * count, 16)
    )
    return Selector(tuple(keys), flags)


selector: Kind[Selector] = Kind("u32 selector", _encode_selector, _decode_selector)


class MirredParms(msgspec.Struct, frozen=True, gc=False):
    """struct tc_mirred: what is done (`eaction`) with which link, and what happens to the packet then (`action`)."""

    ifindex: int
    eaction: int = TCA_EGRESS_REDIR
    action: int = TC_ACT_STOLEN
    index: int = 0
    capab: int = 0
    refcnt: int = 0
    bindcnt: int = 0


_MIRRED = Struct("=IIiiiiI")


def _encode_mirred(p: MirredParms) -> bytes:
    return _MIRRED.pack(p.index, p.capab, p.action, p.refcnt, p.bindcnt, p.eaction, p.ifindex)


def _decode_mirred(payload: bytes) -> MirredParms:
    if len(payload) < _MIRRED.size:
        raise DecodeError(f"struct tc_mirred of {len(payload)} bytes, not {_MIRRED.size}")
    index, capab, action, refcnt, bindcnt, eaction, ifindex = _MIRRED.unpack_from(payload)
    return MirredParms(ifindex, eaction, action, index, capab, refcnt, bindcnt)


class Mirred(Options, frozen=True, kw_only=True, gc=False):
    """Options of the action mirred: send the packet, or a copy of it, elsewhere."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict, Field("parms", 2, Kind("mirred parms", _encode_mirred, _decode_mirred))
    )

    parms: MirredParms | None = None


ACTIONS: Mapping[str, type[Options]] = {"mirred": Mirred}

_KIND, _OPTIONS = 1, 2  # TCA_ACT_KIND, TCA_ACT_OPTIONS


class Action(msgspec.Struct, frozen=True, gc=False):
    """What is done with a packet that matches; options of a kind without a class are bytes."""

    kind: str
    options: Options | bytes

    @classmethod
    def redirect(cls, ifindex: int) -> Self:
        """Return `action mirred egress redirect dev ...`: the packet leaves by link `ifindex` instead."""
        return cls("mirred", Mirred(parms=MirredParms(ifindex)))


_action_kind = string.writer(_KIND)


def _encode_actions(actions: tuple[Action, ...]) -> bytes:
    return b"".join(
        [
            attribute(
                number,
                _action_kind(action.kind) + attribute(_OPTIONS | NLA_F_NESTED, encode_options(action.options)),
            )
            for number, action in enumerate(actions, start=1)
        ]
    )


def _decode_actions(payload: bytes) -> tuple[Action, ...]:
    actions = []
    for _, nest in attributes(payload):
        found = dict(attributes(nest))
        kind = string.decode(found.get(_KIND, b""))
        actions.append(Action(kind, decode_options(ACTIONS, kind, found.get(_OPTIONS, b""))))
    return tuple(actions)


actions: Kind[tuple[Action, ...]] = Kind("actions", _encode_actions, _decode_actions)


class U32(Options, frozen=True, kw_only=True, gc=False):
    """Options of the classifier u32."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict, Field("classid", 1, u32), Field("sel", 5, selector), Field("act", 7, actions), Field("flags", 11, u32)
    )

    classid: int | None = None
    sel: Selector | None = None
    act: tuple[Action, ...] | None = None
    flags: int | None = None


class Matchall(Options, frozen=True, kw_only=True, gc=False):
    """Options of the classifier matchall."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict, Field("classid", 1, u32), Field("act", 2, actions), Field("flags", 3, u32)
    )

    classid: int | None = None
    act: tuple[Action, ...] | None = None
    flags: int | None = None


@register(NETLINK_ROUTE, RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER)
class Filter(TcObject, frozen=True, kw_only=True, gc=False):
    """A filter of the qdisc or clsact direction `parent`; `info` is priority and protocol (:func:`info`).

    A dump gives those of link `ifindex` and `parent`.
    """

    NEW: ClassVar[int] = RTM_NEWTFILTER
    OPTIONS: ClassVar[Mapping[str, type[Options]]] = {"u32": U32, "matchall": Matchall}


def info(priority: int, protocol: int = ETH_P_ALL) -> int:
    """Return tcmsg.info of a filter: its `priority` (1 goes first; 0: the kernel chooses) and ETH_P_* `protocol`."""
    return priority << 16 | (protocol & 0xFF) << 8 | protocol >> 8
