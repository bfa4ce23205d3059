"""Bits: a number of which some bits are known; so a whole pod CIDR is one value, and so is a header that varies.

A bit that is not known may be either.  What is asked of such a value has three answers: yes, no, and None where it
depends on the bits that are not known.
"""

from typing import NamedTuple, TypeAlias

Truth: TypeAlias = bool | None
"""Whether something holds of every packet that is meant: yes, no, or it cannot be told (or holds of some)."""


def both(one: Truth, other: Truth) -> Truth:
    """Return whether both hold."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def negated(one: Truth) -> Truth:
    """Return whether it does not hold."""
    return None if one is None else not one


class Bits(NamedTuple):
    """`size` bytes in the order in which a packet or register has them; of `value` the bits in `known` are told."""

    size: int
    value: int
    known: int

    @classmethod
    def exactly(cls, data: bytes) -> "Bits":
        """Return bytes that are all known."""
        return cls(len(data), int.from_bytes(data, "big"), _ones(len(data)))

    @classmethod
    def beginning(cls, data: bytes, size: int) -> "Bits":
        """Return `size` bytes of which the first ones are `data` and the others are not known."""
        shift = 8 * (size - len(data))
        return cls(size, int.from_bytes(data, "big") << shift, _ones(len(data)) << shift)

    @classmethod
    def unknown(cls, size: int) -> "Bits":
        """Return bytes of which nothing is known."""
        return cls(size, 0, 0)

    @property
    def lowest(self) -> int:
        """The least number this may be."""
        return self.value

    @property
    def highest(self) -> int:
        """The greatest number this may be."""
        return self.value | (_ones(self.size) ^ self.known)

    @property
    def whole(self) -> bool:
        """Whether every bit is known."""
        return self.known == _ones(self.size)

    def part(self, offset: int, length: int) -> "Bits":
        """Return `length` bytes from `offset`; what lies beyond the end is not known."""
        if not 0 <= offset < self.size:
            return Bits.unknown(length)
        beyond = offset + length - self.size
        value, known = (self.value << 8 * beyond, self.known << 8 * beyond) if beyond > 0 else (self.value, self.known)
        shift = max(0, -beyond) * 8
        ones = _ones(length)
        return Bits(length, value >> shift & ones, known >> shift & ones)

    def with_part(self, offset: int, part: "Bits") -> "Bits":
        """Return this with `part` in the place of the bytes from `offset`."""
        shift = 8 * (self.size - offset - part.size)
        keep = ~(_ones(part.size) << shift)
        return Bits(self.size, self.value & keep | part.value << shift, self.known & keep | part.known << shift)

    def masked(self, mask: int, xor: int = 0) -> "Bits":
        """Return ``(this & mask) ^ xor``: a bit that is masked out is known to be 0 before it is flipped."""
        ones = _ones(self.size)
        mask, xor = mask & ones, xor & ones
        known = self.known | (ones ^ mask)
        return Bits(self.size, (self.value & mask ^ xor) & known, known)

    def swapped(self, size: int) -> "Bits":
        """Return this with the bytes of each `size` in the opposite order."""
        return Bits(self.size, _swapped(self.value, self.size, size), _swapped(self.known, self.size, size))

    def joined(self, other: "Bits") -> "Bits":
        """Return what is known of either."""
        known = self.known & other.known & ~(self.value ^ other.value)
        return Bits(self.size, self.value & known, known)

    def equals(self, number: int) -> Truth:
        """Return whether this is `number`."""
        if (self.value ^ number) & self.known:
            return False
        return True if self.whole else None

    def within(self, first: int, last: int) -> Truth:
        """Return whether this is from `first` to `last`, inclusive."""
        if self.highest < first or self.lowest > last:
            return False
        return True if first <= self.lowest and self.highest <= last else None


def _ones(size: int) -> int:
    return (1 << 8 * size) - 1


def _swapped(number: int, total: int, size: int) -> int:
    data = number.to_bytes(total, "big")
    return int.from_bytes(b"".join(data[i : i + size][::-1] for i in range(0, total, size)), "big")
