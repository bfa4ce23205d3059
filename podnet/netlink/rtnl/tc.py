"""What qdiscs and filters share: struct tcmsg, handles, TCA_KIND and its TCA_OPTIONS (linux/pkt_sched.h).

::

    struct tcmsg: family u8 | pad 3 | ifindex s32 | handle u32 | parent u32 | info u32

Handles are major << 16 | minor, written 1:0 by tc(8).
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any, ClassVar, Self

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, Kind, Layout, string, u32
from podnet.netlink.rtnl.object import Options, RtnlObject, decode_options, encode_options

TC_H_ROOT = 0xFFFFFFFF
TC_H_CLSACT = 0xFFFFFFF1  # parent of the clsact and of the ingress qdisc
CLSACT_HANDLE = 0xFFFF0000  # ffff:
CLSACT_INGRESS = 0xFFFFFFF2  # parent of a filter: `dev ... ingress`
CLSACT_EGRESS = 0xFFFFFFF3  # parent of a filter: `dev ... egress`

# Decoded in TcObject.decode, once the kind is known; tc sets no NLA_F_NESTED on it.
options: Kind[Options | bytes] = Kind("options", encode_options, bytes)


class TcObject(RtnlObject, frozen=True, kw_only=True, gc=False):
    """A qdisc or filter on link `ifindex`; `options` of a kind that is not in `OPTIONS` are bytes."""

    HEADER_STRUCT: ClassVar[Struct] = Struct("=BxxxiIII")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "ifindex", "handle", "parent", "info")
    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict, Field("kind", 1, string), Field("chain", 11, u32), Field("options", 2, options)
    )
    OPTIONS: ClassVar[Mapping[str, type[Options]]] = {}

    family: int = 0
    ifindex: int = 0
    handle: int = 0
    parent: int = 0
    info: int = 0
    kind: str | None = None
    chain: int | None = None
    options: Options | bytes | None = None

    @classmethod
    def decode(cls, payload: bytes, only: tuple[str, ...] = ()) -> Self:
        """Return the object that `payload` is, its options by its kind; raise `DecodeError`."""
        size = cls.HEADER_STRUCT.size
        if len(payload) < size:
            raise DecodeError(f"{cls.__name__}: {len(payload)} bytes, header needs {size}")
        fields = dict(zip(cls.HEADER_FIELDS, cls.HEADER_STRUCT.unpack_from(payload), strict=True))
        try:
            fields.update(cls.LAYOUT.fields_of(payload, (*only, "kind") if "options" in only else only, size))
            if "options" in fields:
                fields["options"] = decode_options(cls.OPTIONS, fields.get("kind"), fields["options"])
        except DecodeError as error:
            raise DecodeError(f"{cls.__name__}: {error}") from error
        return cls(**fields)
