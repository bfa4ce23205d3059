"""The rules of others as values: tables with their chains, rules and sets, however they came to be known.

Rules of iptables-legacy, which netlink does not tell, are written in the same expressions, as iptables-nft would write
them: there is one way to judge a rule.
"""

import msgspec

from podnet.diagnosis.firewall.bits import Bits, Truth, both
from podnet.nft import Base, Table, Verdict
from podnet.nft.expr import Expression

IPTABLES_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})
IPTABLES_CHAINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


class Rule(msgspec.Struct, frozen=True, gc=False):
    """A rule: its `expressions`, nft's `handle` (0 for iptables-legacy) and comment, and a legacy rule's own `line`."""

    expressions: tuple[Expression, ...]
    handle: int = 0
    comment: str = ""
    line: str = ""


class Chain(msgspec.Struct, frozen=True, gc=False):
    """A chain with its rules in order."""

    name: str
    base: Base | None = None
    rules: tuple[Rule, ...] = ()


class Member(msgspec.Struct, frozen=True, gc=False):
    """One element of a set: keys `first` to `last`, both the same where it is one key; `data` in a map."""

    first: bytes
    last: bytes
    data: bytes | Verdict | None = None


class Lookups(msgspec.Struct, frozen=True, gc=False):
    """A set or map as it is looked up: `size` bytes of key, `fields` the bytes of each part where parts are intervals.

    `text` has the members as nft writes them.  A set that could not be read is not `whole`: anything may be in it.
    """

    size: int
    members: tuple[Member, ...] = ()
    fields: tuple[int, ...] = ()
    text: str = ""
    whole: bool = True

    def find(self, key: Bits) -> list[tuple[Truth, bytes | Verdict | None]]:
        """Return the members that `key` may be, with whether it is; at most one of them surely."""
        found: list[tuple[Truth, bytes | Verdict | None]] = []
        if not self.whole:
            return [(None, None)]
        for member in self.members:
            truth = self._is(key, member)
            if truth is True and not found:
                return [(True, member.data)]
            if truth is not False:
                found.append((None, member.data))  # beside others this is the catch-all
        if found and all(data is None for _, data in found) and not self.fields and self._covered(key):
            return [(True, None)]
        return found

    def _is(self, key: Bits, member: Member) -> Truth:
        if not self.fields:
            first = int.from_bytes(member.first, "big")
            return (
                key.equals(first)
                if member.first == member.last
                else key.within(first, int.from_bytes(member.last, "big"))
            )
        truth: Truth = True
        offset = 0
        for size in self.fields:
            place = slice(offset, offset + size)
            part = key.part(offset, size)
            bounds = int.from_bytes(member.first[place], "big"), int.from_bytes(member.last[place], "big")
            truth = both(truth, part.within(*bounds))
            offset += (size + 3) & ~3
        return truth

    def _covered(self, key: Bits) -> bool:
        """Tell whether members that lie side by side cover all that `key` may be."""
        reached = key.lowest
        for member in sorted(self.members, key=lambda member: member.first):
            if int.from_bytes(member.first, "big") <= reached:
                reached = max(reached, int.from_bytes(member.last, "big") + 1)
        return reached > key.highest


class Ruleset(msgspec.Struct, frozen=True, gc=False):
    """One table: its chains and sets by name; `legacy` where it is iptables-legacy's, not nf_tables'."""

    table: Table
    chains: dict[str, Chain] = {}
    sets: dict[str, Lookups] = {}
    legacy: bool = False

    @property
    def iptables(self) -> str:
        """The program by which a user sees the table's rules, ``iptables`` or its like; empty for nft."""
        if self.legacy:
            return "iptables-legacy" if self.table.family == "ip" else "ip6tables-legacy"
        if self.table.family not in {"ip", "ip6"} or self.table.name not in IPTABLES_TABLES:
            return ""
        if not any(chain.base and name in IPTABLES_CHAINS for name, chain in self.chains.items()):
            return ""
        return "iptables" if self.table.family == "ip" else "ip6tables"


class Unread(msgspec.Struct, frozen=True, gc=False):
    """A place where there are rules that could not be read, and why."""

    place: str
    why: str


class Rulesets(msgspec.Struct, frozen=True, gc=False):
    """All rules of others on this node, and what of them could not be read."""

    tables: tuple[Ruleset, ...] = ()
    unread: tuple[Unread, ...] = ()
