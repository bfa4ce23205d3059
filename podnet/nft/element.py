"""Element: one key of a set, with its data in a map.

The kernel's shapes of a key (net/netfilter/nf_tables_api.c, nft_set_rbtree.c, nft_set_pipapo.c)::

    plain set                 KEY
    interval set              KEY first; then a second element KEY last+1 with INTERVAL_END, if there is a last+1
    concatenated interval     KEY firsts, KEY_END lasts, in one element
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from struct import Struct
from typing import Any, Literal, NamedTuple

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import attribute
from podnet.netlink.message import Request
from podnet.nft import userdata
from podnet.nft.datatype import DATATYPES
from podnet.nft.message import (
    DELSETELEM,
    DESTROYSETELEM,
    GETSETELEM,
    LIST_ELEM,
    NEWSETELEM,
    NFGENMSG,
    ElementMessage,
    ElementsMessage,
)
from podnet.nft.set import Set
from podnet.nft.table import CREATION
from podnet.nft.verdict import Datum, Verdict, encode_datum

INTERVAL_END = 1  # NFT_SET_ELEM_INTERVAL_END
CATCHALL = 2  # NFT_SET_ELEM_CATCHALL

_NESTED = 0x8000
_TABLE, _SET, _ELEMENTS, _SET_ID = 1, 2, 3, 4
_KEY, _DATA, _FLAGS, _TIMEOUT, _USERDATA, _KEY_END = 1, 2, 3, 4, 6, 10
_U64 = Struct(">Q")
_ROOM = 0xF000  # bytes of elements in one message: a nested attribute's length is 16 bits

Verb = Literal["add", "create", "delete", "destroy"]


class Interval(NamedTuple):
    """Values `first` to `last`, inclusive."""

    first: Any
    last: Any


Key = tuple[Any, ...]


class Element(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """One element of `set`: a `key` with a value per type of the set's key, and in a map `data` likewise.

    Values are str (ifname, ether_addr), IPv4Address, IPv6Address, int (inet_proto, inet_service, mark …); in interval
    sets also IPv4Network, IPv6Network or :class:`Interval`.  A verdict map's data is one :class:`Verdict`.
    `timeout` is in milliseconds, 0 the set's own.
    """

    set: Set
    key: Key
    data: Key = ()
    comment: str = ""
    timeout: int = 0

    def __post_init__(self) -> None:
        """Check the counts of values; write a range that is a prefix as the prefix, a prefix of one as the address."""
        if len(self.key) != len(self.set.key) or len(self.data) != len(self.set.data):
            raise ValueError(
                f"element of {self.set}: {len(self.key)} : {len(self.data)} values, "
                f"not {len(self.set.key)} : {len(self.set.data)}"
            )
        if self.set.interval:
            msgspec.structs.force_setattr(self, "key", tuple(_canonical(part) for part in self.key))

    def requests(self, verb: Verb = "add") -> tuple[Request, ...]:
        """Return the messages.

        ``add`` of an element that is there is no error, ``create`` is refused with EEXIST; ``delete`` of one that is
        not there is refused with ENOENT, ``destroy`` (kernel 6.3) is not, unless set or table are not there.
        """
        return elements((self,), verb)

    def get(self) -> Request:
        """Return the question whether the set has this element (NFT_MSG_GETSETELEM), outside a batch.

        Refused with ENOENT if not.  An interval set answers with the interval that covers it, and whoever asks
        compares: ``element in message_elements(element.set, answers)``.
        """
        return Request(GETSETELEM, 0, _message(self.set, _encoded(self, "get"), None))

    def nft(self, verb: Verb | Literal["get"] = "add") -> str:
        """Return the nft command."""
        return f"{verb} element {self.set} {{ {self.text(verb)} }}"

    def text(self, verb: str = "add") -> str:
        """Return the element as it stands between nft's braces."""
        making = verb in CREATION
        words = key_text(self.set.key, self.key)
        if making and self.timeout:
            words += f" timeout {self.timeout}ms"
        if making and self.comment:
            words += f' comment "{self.comment}"'
        if self.data and verb != "get":
            words += f" : {key_text(self.set.data, self.data)}"
        return words


def elements(members: Sequence[Element], verb: Verb = "add", *, id: int | None = None) -> tuple[Request, ...]:  # noqa: A002
    """Return the messages for any number of elements of one set, as few as hold them."""
    if not members:
        return ()
    number = NEWSETELEM if verb in CREATION else DESTROYSETELEM if verb == "destroy" else DELSETELEM
    flags = CREATION.get(verb, 0)
    owner = members[0].set
    requests: list[Request] = []
    run: list[bytes] = []
    room = _ROOM
    for member in members:
        if member.set is not owner and member.set != owner:
            raise ValueError(f"elements of {owner} and of {member.set} in one message")
        encoded = _encoded(member, verb)
        room -= len(encoded)
        if room < 0:
            requests.append(Request(number, flags, _message(owner, b"".join(run), id)))
            run, room = [], _ROOM - len(encoded)
        run.append(encoded)
    requests.append(Request(number, flags, _message(owner, b"".join(run), id)))
    return tuple(requests)


_heads: dict[Set, bytes] = {}


def _message(owner: Set, encoded: bytes, id: int | None) -> bytes:  # noqa: A002
    head = _heads.get(owner)
    if head is None:
        head = NFGENMSG.pack(owner.table.number, 0, 0)
        head += attribute(_TABLE, owner.table.name.encode() + b"\0") + attribute(_SET, owner.name.encode() + b"\0")
        if len(_heads) < 1024:  # noqa: PLR2004 - sets are few; a bound all the same
            _heads[owner] = head
    if id is not None:
        head += attribute(_SET_ID, id.to_bytes(4, "big"))
    return head + attribute(_ELEMENTS | _NESTED, encoded)


def _encoded(member: Element, verb: str) -> bytes:
    """Return the element as one list entry, or two for an interval."""
    owner = member.set
    rest = _rest(member, making=verb in CREATION) if verb != "get" else b""
    if not owner.interval:
        return attribute(
            LIST_ELEM | _NESTED,
            attribute(_KEY | _NESTED, attribute(1, encode_key(owner.key, member.key))) + rest,
        )
    first, last = bounds(owner.key, member.key)
    start = attribute(_KEY | _NESTED, attribute(1, first))
    if len(owner.key) > 1:
        start += attribute(_KEY_END | _NESTED, attribute(1, last))
        return attribute(LIST_ELEM | _NESTED, start + rest)
    entry = attribute(LIST_ELEM | _NESTED, start + rest)
    end = int.from_bytes(last, "big") + 1
    if end >> (8 * len(last)):
        return entry  # nothing comes after the highest value: an open interval
    key = attribute(_KEY | _NESTED, attribute(1, end.to_bytes(len(last), "big")))
    return entry + attribute(LIST_ELEM | _NESTED, attribute(_FLAGS, INTERVAL_END.to_bytes(4, "big")) + key)


def _rest(member: Element, *, making: bool) -> bytes:
    parts = b""
    if member.data:
        parts = attribute(_DATA | _NESTED, encode_datum(encode_data(member.set.data, member.data)))
    if making and member.timeout:
        parts += attribute(_TIMEOUT, _U64.pack(member.timeout))
    if making and member.comment:
        entry = userdata.encode([(userdata.COMMENT, userdata.comment(member.comment))])
        parts += attribute(_USERDATA, entry)
    return parts


def encode_key(types: Sequence[str], values: Key) -> bytes:
    """Return single `values` as register content: each part padded to 4 bytes where there are several."""
    if len(types) == 1:
        return DATATYPES[types[0]].encode(values[0])
    encoded = b""
    for name, value in zip(types, values, strict=True):
        part = DATATYPES[name].encode(value)
        encoded += part + b"\0" * (-len(part) & 3)
    return encoded


def encode_data(types: Sequence[str], values: Key) -> Datum:
    """Return a map element's data: bytes, or the verdict itself."""
    if isinstance(values[0], Verdict):
        return values[0]
    return encode_key(types, values)


def decode_key(types: Sequence[str], data: bytes) -> Key:
    """Return the values in register content `data`; raise `DecodeError` if its length is another."""
    if len(types) == 1:
        return (DATATYPES[types[0]].decode(data),)
    values = []
    offset = 0
    for name in types:
        datatype = DATATYPES[name]
        values.append(datatype.decode(data[offset : offset + datatype.size]))
        offset += datatype.padded
    if offset != len(data):
        raise DecodeError(f"key {' . '.join(types)} of {len(data)} bytes, not {offset}")
    return tuple(values)


def bounds(types: Sequence[str], values: Key) -> tuple[bytes, bytes]:
    """Return the lowest and the highest key that `values`, which may be prefixes and ranges, cover."""
    limits = [_limits(value) for value in values]
    return encode_key(types, tuple(a for a, _ in limits)), encode_key(types, tuple(b for _, b in limits))


def _limits(value: Any) -> tuple[Any, Any]:
    if isinstance(value, IPv4Network | IPv6Network):
        return value.network_address, value.broadcast_address
    if isinstance(value, Interval):
        return value.first, value.last
    return value, value


def _canonical(value: Any) -> Any:
    first, last = _limits(value)
    if first == last:
        return first
    if isinstance(first, IPv4Address | IPv6Address):
        if isinstance(value, IPv4Network | IPv6Network):
            return value
        network: Any = next(summarize_address_range(first, last))
        return network if network.broadcast_address == last else Interval(first, last)
    return Interval(first, last)


def key_text(types: Sequence[str], values: Key) -> str:
    """Return `values` as nft writes them, joined by dots."""
    return " . ".join(value_text(name, value) for name, value in zip(types, values, strict=True))


def value_text(name: str, value: Any) -> str:
    """Return one value of type `name`, which may be a prefix or a range, as nft writes it."""
    if isinstance(value, Interval):
        write = DATATYPES[name].text
        return f"{write(value.first)}-{write(value.last)}"
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value)
    return DATATYPES[name].text(value)


def elements_of(owner: Set, messages: Iterable[ElementMessage]) -> Iterator[Element]:
    """Yield the elements of set `owner` that the kernel's `messages` tell of, in order of key for intervals."""
    members = [m for m in messages if not (m.flags or 0) & CATCHALL]
    if owner.interval and len(owner.key) == 1:
        yield from _intervals(owner, members)
        return
    for message in members:
        first, last = _bytes(owner, message.key), message.key_end
        key = decode_key(owner.key, first)
        if last is not None and last != first:
            key = tuple(Interval(a, b) for a, b in zip(key, decode_key(owner.key, _bytes(owner, last)), strict=True))
        yield _element(owner, key, message)


def _intervals(owner: Set, members: Iterable[ElementMessage]) -> Iterator[Element]:
    """Join starts with their ends: at one key the end of the interval below comes before the start of the next."""
    points = sorted(
        ((_bytes(owner, m.key), not (m.flags or 0) & INTERVAL_END, m) for m in members), key=lambda point: point[:2]
    )
    start: tuple[bytes, ElementMessage] | None = None
    for key, is_start, message in points:
        if start is not None:
            below = (int.from_bytes(key, "big") - 1).to_bytes(len(key), "big")
            yield _interval(owner, start[0], below, start[1])
        start = (key, message) if is_start else None
    if start is not None:
        yield _interval(owner, start[0], b"\xff" * len(start[0]), start[1])


def _interval(owner: Set, first: bytes, last: bytes, message: ElementMessage) -> Element:
    (low,), (high,) = decode_key(owner.key, first), decode_key(owner.key, last)
    return _element(owner, (Interval(low, high),), message)


def _element(owner: Set, key: Key, message: ElementMessage) -> Element:
    data: Key = ()
    if isinstance(message.data, Verdict):
        data = (message.data,)
    elif message.data is not None:
        data = decode_key(owner.data, message.data)
    try:
        timeout = 0 if message.timeout in {None, owner.default_timeout} else message.timeout or 0
        return Element(owner, key, data, userdata.comment_of(message.userdata), timeout)
    except ValueError as error:
        raise DecodeError(str(error)) from error


def _bytes(owner: Set, datum: Datum | None) -> bytes:
    if not isinstance(datum, bytes):
        raise DecodeError(f"element of {owner}: key is {datum!r}, not bytes")
    return datum


def message_elements(owner: Set, messages: Iterable[ElementsMessage]) -> tuple[Element, ...]:
    """Return all elements of `owner` in the replies to its dump."""
    return tuple(elements_of(owner, (e for m in messages for e in m.elements or ())))
