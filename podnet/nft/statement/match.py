"""Matches: a selector compared with a value, looked up in a set, or mapped to a verdict."""

from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

import msgspec

from podnet.nft.datatype import DATATYPES, HOST
from podnet.nft.element import Element, Interval, bounds, key_text, value_text
from podnet.nft.expr import Bitwise, Cmp, Lookup, Payload, Range
from podnet.nft.expr import lookup as lookup_expression
from podnet.nft.expr import range as range_expression
from podnet.nft.expr.cmp import OPERATIONS
from podnet.nft.selector import Selector, selectors
from podnet.nft.set import ANONYMOUS_NAME, Set
from podnet.nft.statement.linearize import Linearizer

BITMASKS = frozenset({"ct_state", "ct_status"})


class Masked(NamedTuple):
    """The right side of ``selector & mask == value``."""

    mask: int
    value: int


class Match(msgspec.Struct, frozen=True, gc=False):
    """Go on if `selector` is (``==``), is not (``!=``), or is ordered (``<`` …) to `value`.

    `selector` is nft's own words, joined by `` . `` for a concatenation.  `value` is one of

    - a :class:`Set`: ``@name``;
    - a tuple of values (of tuples, for a concatenation): ``{ a, b }``, an anonymous set;
    - a prefix, an :class:`Interval`, a :class:`Masked`, or a plain value of the selector's type: an address, a MAC, a
      number or its symbol (``tcp``, ``local``), an interface name (``eth*`` matches the beginning);
    - for ``ct state`` and ``ct status``: names joined by commas, of which any one suffices.
    """

    selector: str
    value: Any
    operator: str = "=="

    @property
    def text(self) -> str:
        """The match as nft writes it."""
        operator = "" if self.operator == "==" or isinstance(self.value, Masked) else f"{self.operator} "
        return f"{self.selector} {operator}{self._right()}"

    def _right(self) -> str:
        value = self.value
        types = tuple(s.datatype for s in selectors(self.selector))
        if isinstance(value, Set):
            return f"@{value.name}"
        if isinstance(value, Masked):
            write = DATATYPES[types[0]].text
            return f"& {write(value.mask)} {self.operator} {write(value.value)}"
        if type(value) is tuple:
            return f"{{ {', '.join(key_text(types, _key(member)) for member in value)} }}"
        return value_text(types[0], value)

    def linearize(self, to: Linearizer) -> None:
        """Add the loads, then the comparison."""
        left, value = selectors(self.selector), self.value
        if isinstance(value, Set):
            self._check(left, value)
            to.load(left)
            self._lookup(to, value.name)
        elif type(value) is tuple:
            self._anonymous(to, left, value)
        else:
            if len(left) > 1:
                raise ValueError(f"match {self.selector}: a concatenation is looked up in a set, not compared")
            self._compare(to, left[0])

    def _check(self, left: tuple[Selector, ...], owner: Set) -> None:
        types = tuple(s.datatype for s in left)
        if types != owner.key:
            raise ValueError(f"match {self.selector}: {' . '.join(types)}, but {owner} has {' . '.join(owner.key)}")

    def _lookup(self, to: Linearizer, name: str) -> None:
        if self.operator not in {"==", "!="}:
            raise ValueError(f"match {self.selector} {self.operator} @{name}: a set is matched by == or !=")
        flags = lookup_expression.INVERTED if self.operator == "!=" else 0
        to.add(Lookup(set=name, sreg=1, flags=flags))

    def _anonymous(self, to: Linearizer, left: tuple[Selector, ...], members: tuple[Any, ...]) -> None:
        owner = Set(
            table=to.table,
            name=ANONYMOUS_NAME,
            key=tuple(s.datatype for s in left),
            constant=True,
            anonymous=True,
            interval=any(isinstance(v, Interval | IPv4Network | IPv6Network) for m in members for v in _key(m)),
        )
        keys = (tuple(_number(t, v) for t, v in zip(owner.key, _key(m), strict=True)) for m in members)
        to.load(left)
        self._lookup(to, owner.name)
        to.sets.append((owner, tuple(sorted((Element(owner, key) for key in keys), key=Element.text))))

    def _compare(self, to: Linearizer, left: Selector) -> None:
        value, datatype = self.value, DATATYPES[left.datatype]
        operation = OPERATIONS[self.operator]
        if isinstance(value, IPv4Network | IPv6Network):
            self._prefix(to, left, value, operation)
            return
        to.load((left,))
        if isinstance(value, Masked):
            to.add(
                _mask(datatype.encode(value.mask)), Cmp(sreg=1, operation=operation, data=datatype.encode(value.value))
            )
        elif isinstance(value, Interval):
            self._interval(to, left, value)
        elif left.datatype in BITMASKS and isinstance(value, str):
            bits = sum(int.from_bytes(datatype.encode(name), "little") for name in value.split(","))
            mask = bits.to_bytes(datatype.size, "little")
            if self.operator != "==":
                raise ValueError(f"match {self.text}: only == is meant for {left.datatype}")
            to.add(_mask(mask), Cmp(sreg=1, operation=OPERATIONS["!="], data=bytes(datatype.size)))
        elif left.datatype == "ifname" and value.endswith("*"):
            to.add(Cmp(sreg=1, operation=operation, data=value[:-1].encode()))
        else:
            if self.operator not in {"==", "!="} and datatype.byteorder == HOST:
                raise ValueError(f"match {self.text}: {left.datatype} has no order in the kernel's comparison")
            data = datatype.encode(value)
            to.add(Cmp(sreg=1, operation=operation, data=data))
            if self.operator == "==":
                to.known(left, data)

    @staticmethod
    def _prefix(to: Linearizer, left: Selector, value: IPv4Network | IPv6Network, operation: int) -> None:
        """Compare the leading bytes alone where the prefix ends on a byte, else mask."""
        to.load((left,))
        whole, bits = divmod(value.prefixlen, 8)
        first = DATATYPES[left.datatype].encode(value.network_address)
        load = to.expressions[-1]
        if not bits and whole and isinstance(load, Payload):
            to.expressions[-1] = msgspec.structs.replace(load, length=whole)
            to.add(Cmp(sreg=1, operation=operation, data=first[:whole]))
        else:
            to.add(_mask(value.netmask.packed), Cmp(sreg=1, operation=operation, data=first))

    def _interval(self, to: Linearizer, left: Selector, value: Interval) -> None:
        if DATATYPES[left.datatype].byteorder == HOST:
            raise ValueError(f"match {self.text}: {left.datatype} has no order in the kernel's comparison")
        first, last = bounds((left.datatype,), (value,))
        if self.operator == "!=":
            to.add(Range(sreg=1, operation=range_expression.NEQ, first=first, last=last))
        else:
            to.add(
                Cmp(sreg=1, operation=OPERATIONS[">="], data=first), Cmp(sreg=1, operation=OPERATIONS["<="], data=last)
            )


class Vmap(msgspec.Struct, frozen=True, gc=False):
    """Look `selector` up in a verdict map and do what it says."""

    selector: str
    map: Set

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return f"{self.selector} vmap @{self.map.name}"

    def linearize(self, to: Linearizer) -> None:
        """Add the loads and the lookup into the verdict register."""
        left = selectors(self.selector)
        Match(self.selector, self.map)._check(left, self.map)  # noqa: SLF001 - the same rule, in the same file
        if not self.map.verdicts:
            raise ValueError(f"vmap {self.selector}: {self.map} is no verdict map")
        to.load(left)
        to.add(Lookup(set=self.map.name, sreg=1, dreg=0))


def _mask(mask: bytes) -> Bitwise:
    return Bitwise(sreg=1, dreg=1, length=len(mask), mask=mask, xor=bytes(len(mask)))


def _key(member: Any) -> tuple[Any, ...]:
    """Return a member of an anonymous set as a key: an Interval is one value, not a pair."""
    return member if type(member) is tuple else (member,)


def _number(name: str, value: Any) -> Any:
    """Return `value` as the kernel's answer will be decoded: symbols become numbers."""
    datatype = DATATYPES[name]
    if isinstance(value, str) and datatype.name not in {"ifname", "ether_addr"}:
        return datatype.decode(datatype.encode(value))
    return value
