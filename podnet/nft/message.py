"""The nf_tables messages as the kernel frames them (linux/netfilter/nf_tables.h, nfnetlink.h).

::

    struct nfgenmsg (4 bytes)              | attributes, numbers big-endian
    family u8, version u8, resource be16   |

These are the wire's shapes: names and numbers, nothing interpreted.  The rooms' values (`Table`, `Chain`, `Set`,
`Element`, `Rule`) translate to and from them.
"""

from struct import Struct
from typing import Any, ClassVar

import msgspec

from podnet.netlink.attributes import (
    Field,
    Kind,
    Layout,
    attribute,
    attributes,
    be32,
    be64,
    listed,
    nested,
    raw,
    string,
)
from podnet.netlink.message import NETLINK_NETFILTER, Message, register
from podnet.nft.expr import EXPRESSION, Expression
from podnet.nft.verdict import DATA, Datum, signed_be32

NFNL_SUBSYS_NFTABLES = 10
NFNL_MSG_BATCH_BEGIN = 0x10
NFNL_MSG_BATCH_END = 0x11

_SUBSYSTEM = NFNL_SUBSYS_NFTABLES << 8
NEWTABLE, GETTABLE, DELTABLE = (_SUBSYSTEM | n for n in (0, 1, 2))
NEWCHAIN, GETCHAIN, DELCHAIN = (_SUBSYSTEM | n for n in (3, 4, 5))
NEWRULE, GETRULE, DELRULE = (_SUBSYSTEM | n for n in (6, 7, 8))
NEWSET, GETSET, DELSET = (_SUBSYSTEM | n for n in (9, 10, 11))
NEWSETELEM, GETSETELEM, DELSETELEM = (_SUBSYSTEM | n for n in (12, 13, 14))
NEWGEN, GETGEN = (_SUBSYSTEM | n for n in (15, 16))
DESTROYTABLE, DESTROYCHAIN, DESTROYRULE, DESTROYSET, DESTROYSETELEM = (_SUBSYSTEM | n for n in (26, 27, 28, 29, 30))

NFGENMSG = Struct(">BBH")
LIST_ELEM = 1  # NFTA_LIST_ELEM

FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}
FAMILY_NAMES = {number: name for name, number in FAMILIES.items()}


class Attributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what is nested within messages: attributes alone."""

    LAYOUT: ClassVar[Layout[Any]]


class NfTablesMessage(Message, frozen=True, kw_only=True, gc=False):
    """Base of the nf_tables messages: struct nfgenmsg in front."""

    HEADER_STRUCT: ClassVar[Struct] = NFGENMSG
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family", "version", "resource")

    family: int
    version: int = 0
    resource: int = 0


@register(NETLINK_NETFILTER, NEWTABLE, GETTABLE, DELTABLE, DESTROYTABLE)
class TableMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """A table (enum nft_table_attributes)."""

    name: str | None = None
    flags: int | None = None
    handle: int | None = None
    userdata: bytes | None = None


TableMessage.LAYOUT = Layout(
    TableMessage,
    Field("name", 1, string),
    Field("flags", 2, be32),
    Field("handle", 4, be64),
    Field("userdata", 6, raw),
)


class HookMessage(Attributes, frozen=True, kw_only=True, gc=False):
    """Where a base chain hooks in (enum nft_hook_attributes); nested in a chain."""

    number: int | None = None
    priority: int | None = None
    device: str | None = None
    devices: tuple[str, ...] | None = None


HookMessage.LAYOUT = Layout(
    HookMessage,
    Field("number", 1, be32),
    Field("priority", 2, signed_be32),
    Field("device", 3, string),
    Field("devices", 4, listed(string, 1)),
)


@register(NETLINK_NETFILTER, NEWCHAIN, GETCHAIN, DELCHAIN, DESTROYCHAIN)
class ChainMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """A chain (enum nft_chain_attributes)."""

    table: str | None = None
    handle: int | None = None
    name: str | None = None
    hook: HookMessage | None = None
    policy: int | None = None
    type: str | None = None
    flags: int | None = None
    userdata: bytes | None = None


ChainMessage.LAYOUT = Layout(
    ChainMessage,
    Field("table", 1, string),
    Field("handle", 2, be64),
    Field("name", 3, string),
    Field("hook", 4, nested(HookMessage.LAYOUT)),
    Field("policy", 5, be32),
    Field("type", 7, string),
    Field("flags", 10, be32),
    Field("userdata", 12, raw),
)


@register(NETLINK_NETFILTER, NEWRULE, GETRULE, DELRULE, DESTROYRULE)
class RuleMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """A rule (enum nft_rule_attributes)."""

    table: str | None = None
    chain: str | None = None
    handle: int | None = None
    expressions: tuple[Expression, ...] | None = None
    position: int | None = None
    userdata: bytes | None = None


RuleMessage.LAYOUT = Layout(
    RuleMessage,
    Field("table", 1, string),
    Field("chain", 2, string),
    Field("handle", 3, be64),
    Field("expressions", 4, listed(EXPRESSION, LIST_ELEM)),
    Field("position", 6, be64),
    Field("userdata", 7, raw),
)


def _encode_field_lengths(lengths: tuple[int, ...]) -> bytes:
    return b"".join(attribute(LIST_ELEM | 0x8000, attribute(1, be32.encode(n))) for n in lengths)


def _decode_field_lengths(payload: bytes) -> tuple[int, ...]:
    return tuple(be32.decode(p) for _, field in attributes(payload) for n, p in attributes(field) if n == 1)


# NFTA_SET_DESC_CONCAT: a list of { NFTA_SET_FIELD_LEN }, bytes of each part of a concatenated key.
FIELD_LENGTHS: Kind[tuple[int, ...]] = Kind("bytes-list", _encode_field_lengths, _decode_field_lengths, nested=True)


class SetDescription(Attributes, frozen=True, kw_only=True, gc=False):
    """How many elements a set may hold and how its key divides (enum nft_set_desc_attributes)."""

    size: int | None = None
    fields: tuple[int, ...] | None = None


SetDescription.LAYOUT = Layout(SetDescription, Field("size", 1, be32), Field("fields", 2, FIELD_LENGTHS))


@register(NETLINK_NETFILTER, NEWSET, GETSET, DELSET, DESTROYSET)
class SetMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """A set or map (enum nft_set_attributes); timeouts in milliseconds."""

    table: str | None = None
    name: str | None = None
    flags: int | None = None
    key_type: int | None = None
    key_length: int | None = None
    data_type: int | None = None
    data_length: int | None = None
    description: SetDescription | None = None
    id: int | None = None
    timeout: int | None = None
    userdata: bytes | None = None
    handle: int | None = None


SetMessage.LAYOUT = Layout(
    SetMessage,
    Field("table", 1, string),
    Field("name", 2, string),
    Field("flags", 3, be32),
    Field("key_type", 4, be32),
    Field("key_length", 5, be32),
    Field("data_type", 6, be32),
    Field("data_length", 7, be32),
    Field("description", 9, nested(SetDescription.LAYOUT)),
    Field("id", 10, be32),
    Field("timeout", 11, be64),
    Field("userdata", 13, raw),
    Field("handle", 16, be64),
)


class ElementMessage(Attributes, frozen=True, kw_only=True, gc=False):
    """One element (enum nft_set_elem_attributes)."""

    key: Datum | None = None
    data: Datum | None = None
    flags: int | None = None
    timeout: int | None = None
    userdata: bytes | None = None
    key_end: Datum | None = None


ElementMessage.LAYOUT = Layout(
    ElementMessage,
    Field("flags", 3, be32),
    Field("key", 1, DATA),
    Field("key_end", 10, DATA),
    Field("data", 2, DATA),
    Field("timeout", 4, be64),
    Field("userdata", 6, raw),
)


@register(NETLINK_NETFILTER, NEWSETELEM, GETSETELEM, DELSETELEM, DESTROYSETELEM)
class ElementsMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """Elements of one set (enum nft_set_elem_list_attributes); `id` names an anonymous set of the same batch."""

    table: str | None = None
    set: str | None = None
    id: int | None = None
    elements: tuple[ElementMessage, ...] | None = None


ElementsMessage.LAYOUT = Layout(
    ElementsMessage,
    Field("table", 1, string),
    Field("set", 2, string),
    Field("id", 4, be32),
    Field("elements", 3, listed(nested(ElementMessage.LAYOUT), LIST_ELEM)),
)


@register(NETLINK_NETFILTER, NEWGEN, GETGEN)
class GenerationMessage(NfTablesMessage, frozen=True, kw_only=True, gc=False):
    """The ruleset's generation (enum nft_gen_attributes): grows by one with every batch that changed something."""

    generation: int | None = None
    process: int | None = None
    process_name: str | None = None


GenerationMessage.LAYOUT = Layout(
    GenerationMessage,
    Field("generation", 1, be32),
    Field("process", 2, be32),
    Field("process_name", 3, string),
)
