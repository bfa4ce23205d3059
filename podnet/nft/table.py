"""Table: the container of chains and sets of one family, and podnet's unit of ownership."""

from typing import Literal

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.message import NLM_F_CREATE, NLM_F_EXCL, Request
from podnet.nft.message import (
    DELRULE,
    DELTABLE,
    DESTROYTABLE,
    FAMILIES,
    FAMILY_NAMES,
    NEWTABLE,
    RuleMessage,
    TableMessage,
)

OWNER, PERSIST = 2, 4  # NFT_TABLE_F_OWNER (kernel 5.12), NFT_TABLE_F_PERSIST (6.9)

Verb = Literal["add", "create", "delete", "destroy", "flush"]
CREATION = {"add": NLM_F_CREATE, "create": NLM_F_CREATE | NLM_F_EXCL}


class Table(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A table: `family` (``inet``, ``ip``, ``ip6``, ``bridge``, ``netdev``, ``arp``) and `name`.

    Ownership is no part of the value: it belongs to the socket that made the table, not to what the table says.
    """

    family: str
    name: str

    def __post_init__(self) -> None:
        """Refuse a family that the kernel does not have."""
        if self.family not in FAMILIES:
            raise ValueError(f"table {self.name}: family {self.family!r} is none of {', '.join(FAMILIES)}")

    @property
    def number(self) -> int:
        """NFPROTO_* of the family."""
        return FAMILIES[self.family]

    def requests(self, verb: Verb = "add", *, flags: int = 0) -> tuple[Request, ...]:
        """Return the messages; `flags` (``OWNER``, ``PERSIST``) make the sending socket the table's owner.

        ``delete`` deletes all that is in it, ``flush`` the rules of all its chains; ``destroy`` (kernel 6.3) does not
        mind if there is no such table.
        """
        making = verb in CREATION
        if verb == "flush":
            return (Request(DELRULE, 0, RuleMessage(family=self.number, table=self.name).encode()),)
        message = TableMessage(family=self.number, name=self.name, flags=flags if making else None)
        number = NEWTABLE if making else DESTROYTABLE if verb == "destroy" else DELTABLE
        return (Request(number, CREATION.get(verb, 0), message.encode()),)

    def nft(self, verb: Verb = "add") -> str:
        """Return the nft command."""
        return f"{verb} table {self}"

    @classmethod
    def of(cls, message: TableMessage) -> "Table":
        """Return the table that the kernel's `message` tells of."""
        return table_of(message.family, message.name)

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


def table_of(family: int, name: str | None) -> Table:
    """Return the table that a listed object says it is in; raise `DecodeError` for an unknown family."""
    if family not in FAMILY_NAMES:
        raise DecodeError(f"table {name}: family {family} is unknown")
    return Table(FAMILY_NAMES[family], name or "")
