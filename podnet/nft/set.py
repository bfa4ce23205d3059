"""Set: keys that rules look up; with `data` a map, with data ``verdict`` a verdict map."""

from typing import Literal

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.message import Request
from podnet.nft import userdata
from podnet.nft.datatype import BIG, DATATYPES, HOST, INVALID, VERDICT_NUMBER, concatenated, parts
from podnet.nft.message import (
    DELSET,
    DELSETELEM,
    DESTROYSET,
    NEWSET,
    ElementsMessage,
    SetDescription,
    SetMessage,
)
from podnet.nft.table import CREATION, Table, table_of

# enum nft_set_flags
ANONYMOUS, CONSTANT, INTERVAL, MAP, TIMEOUT, EVAL, CONCAT = 1, 2, 4, 8, 16, 32, 128

ANONYMOUS_NAME = "__set%d"
ANONYMOUS_MAP_NAME = "__map%d"

_EXPR_CONCAT = 13  # nftables' enum expr_types; what nft writes for a concatenated key declared by type
_TYPEOF_EXPR, _TYPEOF_DATA = 0, 1

Verb = Literal["add", "create", "delete", "destroy", "flush"]


class Set(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False, kw_only=True):
    """A set of `table`: keys of the concatenated types `key`, and, for a map, data of types `data`.

    `interval`: keys may be prefixes and ranges.  `constant`: no change once bound to a rule.  `timeout`: elements may
    expire, by default after `default_timeout` milliseconds (0: never).  `size` 0 is no bound.
    """

    table: Table
    name: str
    key: tuple[str, ...]
    data: tuple[str, ...] = ()
    interval: bool = False
    constant: bool = False
    timeout: bool = False
    default_timeout: int = 0
    size: int = 0
    comment: str = ""
    anonymous: bool = False

    def __post_init__(self) -> None:
        """Refuse types that podnet does not know."""
        for name in self.key + self.data:
            if name not in DATATYPES:
                raise ValueError(f"set {self}: type {name!r} is none of {', '.join(DATATYPES)}")
        if not self.key or "verdict" in self.key or ("verdict" in self.data and len(self.data) > 1):
            raise ValueError(f"set {self}: type {' . '.join(self.key)} : {' . '.join(self.data)} cannot be meant")
        if self.interval and any(_unordered(name, alone=len(self.key) == 1) for name in self.key):
            raise ValueError(f"set {self}: flags interval needs keys in network byte order, not {' . '.join(self.key)}")

    @property
    def flags(self) -> int:
        """NFT_SET_* of the set."""
        concatenation = CONCAT if self.interval and len(self.key) > 1 else 0
        return (
            (ANONYMOUS if self.anonymous else 0)
            | (CONSTANT if self.constant else 0)
            | (INTERVAL if self.interval else 0)
            | (MAP if self.data else 0)
            | (TIMEOUT if self.timeout else 0)
            | concatenation
        )

    @property
    def verdicts(self) -> bool:
        """Whether this is a verdict map."""
        return self.data == ("verdict",)

    def requests(self, verb: Verb = "add", *, id: int = 1) -> tuple[Request, ...]:  # noqa: A002 - NFTA_SET_ID
        """Return the messages; `id` names an anonymous set within its batch; ``flush`` deletes the elements."""
        family, table = self.table.number, self.table.name
        if verb == "flush":
            return (Request(DELSETELEM, 0, ElementsMessage(family=family, table=table, set=self.name).encode()),)
        if verb not in CREATION:
            number = DESTROYSET if verb == "destroy" else DELSET
            return (Request(number, 0, SetMessage(family=family, table=table, name=self.name).encode()),)
        message = SetMessage(
            family=family,
            table=table,
            name=self.name,
            flags=self.flags,
            key_type=concatenated(self.key),
            key_length=length(self.key),
            data_type=None if not self.data else VERDICT_NUMBER if self.verdicts else concatenated(self.data),
            data_length=None if not self.data else 0 if self.verdicts else length(self.data),
            description=self._description(),
            id=id,
            timeout=self.default_timeout or None,
            userdata=self._userdata(),
        )
        return (Request(NEWSET, CREATION[verb], message.encode()),)

    def _description(self) -> SetDescription | None:
        fields = tuple(DATATYPES[t].size for t in self.key) if self.flags & CONCAT else None
        return SetDescription(size=self.size or None, fields=fields) if self.size or fields else None

    def _userdata(self) -> bytes:
        """Return what nft(8) needs to print the set: byte orders, and for concatenations that there is a typeof."""
        entries = [(userdata.SET_KEY_BYTEORDER, userdata.u32(_byteorder(self.key)))]
        if self.data:
            entries.append((userdata.SET_DATA_BYTEORDER, userdata.u32(_byteorder(self.data))))
        if len(self.key) > 1 and not self.anonymous:
            entries.append((userdata.SET_KEY_TYPEOF, _CONCATENATION))
        if len(self.data) > 1:
            entries.append((userdata.SET_DATA_TYPEOF, _CONCATENATION))
        if self.data:
            entries.append((userdata.SET_DATA_INTERVAL, userdata.u32(0)))
        if self.comment:
            entries.append((userdata.SET_COMMENT, userdata.comment(self.comment)))
        return userdata.encode(entries)

    def nft(self, verb: Verb = "add") -> str:
        """Return the nft command."""
        command = f"{verb} {'map' if self.data else 'set'} {self}"
        if verb not in CREATION:
            return command
        words = [f"type {' . '.join(self.key)}" + (f" : {' . '.join(self.data)}" if self.data else "")]
        flags = [
            word
            for word, on in (("constant", self.constant), ("interval", self.interval), ("timeout", self.timeout))
            if on
        ]
        if flags:
            words.append(f"flags {', '.join(flags)}")
        if self.default_timeout:
            words.append(f"timeout {self.default_timeout}ms")
        if self.size:
            words.append(f"size {self.size}")
        if self.comment:
            words.append(f'comment "{self.comment}"')
        return f"{command} {{ {'; '.join(words)}; }}"

    @classmethod
    def of(cls, message: SetMessage) -> "Set":
        """Return the set that the kernel's `message` tells of; raise `DecodeError` for types podnet does not know."""
        flags = message.flags or 0
        data: tuple[str, ...] = ()
        if flags & MAP:
            data = ("verdict",) if message.data_type == VERDICT_NUMBER else parts(message.data_type or 0)
        anonymous = bool(flags & ANONYMOUS)
        generic = ANONYMOUS_MAP_NAME if data else ANONYMOUS_NAME
        size = message.description.size if message.description else None
        try:
            return cls(
                table=table_of(message.family, message.table),
                name=generic if anonymous else message.name or "",
                key=parts(message.key_type or 0),
                data=data,
                interval=bool(flags & INTERVAL),
                constant=bool(flags & CONSTANT),
                timeout=bool(flags & TIMEOUT),
                default_timeout=message.timeout or 0,
                size=0 if anonymous else size or 0,
                comment=userdata.comment_of(message.userdata, userdata.SET_COMMENT),
                anonymous=anonymous,
            )
        except ValueError as error:
            raise DecodeError(str(error)) from error

    def __str__(self) -> str:
        return f"{self.table} {self.name}"


_CONCATENATION = userdata.encode([(_TYPEOF_EXPR, userdata.u32(_EXPR_CONCAT)), (_TYPEOF_DATA, b"")])


def _unordered(name: str, *, alone: bool) -> bool:
    """Return whether ranges of the type make no sense bytewise; a name may stand beside a range, as itself."""
    return DATATYPES[name].byteorder == HOST and (alone or name != "ifname")


def _byteorder(types: tuple[str, ...]) -> int:
    if len(types) > 1:
        return INVALID
    order = DATATYPES[types[0]].byteorder
    return order if order in {HOST, BIG} else INVALID


def length(types: tuple[str, ...]) -> int:
    """Return the bytes that a value of `types` takes: parts of a concatenation are padded to 4, a lone one is not."""
    if len(types) == 1:
        return DATATYPES[types[0]].size
    return sum(DATATYPES[t].padded for t in types)
