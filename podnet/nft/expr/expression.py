"""What all expressions share: the envelope of name and attributes, and the registry.

::

    NFTA_LIST_ELEM
      NFTA_EXPR_NAME  string
      NFTA_EXPR_DATA  nested, as the named expression defines
"""

from typing import Any, ClassVar, TypeVar

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Kind, Layout, attribute, attributes, string

_NAME, _DATA, _NESTED = 1, 2, 0x8000


class Expression(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instruction of a rule: kernel name `NAME`, attributes `LAYOUT`."""

    NAME: ClassVar[str]
    LAYOUT: ClassVar[Layout[Any]]

    @property
    def listing(self) -> str:
        """The expression as ``nft --debug=netlink`` prints it, without its brackets."""
        return self.NAME


class Unknown(Expression, frozen=True, kw_only=True, gc=False):
    """An expression that podnet does not speak: kept as it came, so that foreign rules survive a round trip."""

    name: str
    data: bytes = b""

    @property
    def listing(self) -> str:
        """The expression's name; its content is not understood."""
        return f"{self.name} ({len(self.data)} bytes)"


EXPRESSIONS: dict[str, type[Expression]] = {}

ExpressionClass = TypeVar("ExpressionClass", bound=type[Expression])


def expression(cls: ExpressionClass) -> ExpressionClass:
    """Enter an expression class in :data:`EXPRESSIONS`."""
    EXPRESSIONS[cls.NAME] = cls
    return cls


def _encode(value: Expression) -> bytes:
    if isinstance(value, Unknown):
        return attribute(_NAME, string.encode(value.name)) + attribute(_DATA | _NESTED, value.data)
    return attribute(_NAME, string.encode(value.NAME)) + attribute(_DATA | _NESTED, value.LAYOUT.encode(value))


def _decode(payload: bytes) -> Expression:
    parts = dict(attributes(payload))
    if _NAME not in parts:
        raise DecodeError("expression without a name")
    name, data = string.decode(parts[_NAME]), parts.get(_DATA, b"")
    cls = EXPRESSIONS.get(name)
    if cls is None:
        return Unknown(name=name, data=data)
    try:
        fields = cls.LAYOUT.fields_of(data)
        return cls(**fields)
    except TypeError as error:
        raise DecodeError(f"expression {name}: {error}") from error
    except (DecodeError, ValueError) as error:
        raise DecodeError(f"expression {name}: {error}") from error


EXPRESSION: Kind[Expression] = Kind("expression", _encode, _decode, nested=True)


def words(data: bytes) -> str:
    """Return `data` as nft --debug prints registers: 32-bit words in host byte order."""
    padded = data + b"\0" * (-len(data) & 3)
    return " ".join(f"0x{int.from_bytes(padded[i : i + 4], 'little'):08x}" for i in range(0, len(padded), 4))
