"""The header that all families share, and the controller, which knows them by name (linux/genetlink.h).

::

    struct genlmsghdr: cmd u8 | version u8 | reserved u16

A family's number is its messages' type.  Asked for a family that is not there, the kernel loads the module that is
called after it, so that this question is also how WireGuard is made to be there.
"""

from struct import Struct
from typing import Any, ClassVar, Self

from podnet.netlink.attributes import Field, Layout, string, u16
from podnet.netlink.message import NETLINK_GENERIC, Message, Request, register

GENL_ID_CTRL = 0x10
CTRL_CMD_NEWFAMILY, CTRL_CMD_GETFAMILY = 1, 3
CTRL_VERSION = 1


class GenericMessage(Message, frozen=True, kw_only=True, gc=False):
    """Base of the messages of all families."""

    HEADER_STRUCT: ClassVar[Struct] = Struct("=BBxx")
    HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("command", "version")

    command: int = 0
    version: int = 0


@register(NETLINK_GENERIC, GENL_ID_CTRL)
class Family(GenericMessage, frozen=True, kw_only=True, gc=False):
    """A family: its name, and its number of this boot."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(dict, Field("id", 1, u16), Field("name", 2, string))

    id: int | None = None
    name: str | None = None

    @classmethod
    def called(cls, name: str) -> Self:
        """Return the question for the family `name`."""
        return cls(command=CTRL_CMD_GETFAMILY, version=CTRL_VERSION, name=name)

    def get(self) -> Request:
        """Return the request for the family that this one names; ENOENT where the kernel has none."""
        return Request(GENL_ID_CTRL, 0, self.encode())
