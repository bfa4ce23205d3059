"""Actions: statements that do something to the packet instead of asking about it."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

import msgspec

from podnet.nft import expr
from podnet.nft.datatype import DATATYPES
from podnet.nft.expr import ct as ct_expression
from podnet.nft.expr import limit as limit_expression
from podnet.nft.expr import log as log_expression
from podnet.nft.expr import meta as meta_expression
from podnet.nft.expr import nat as nat_expression
from podnet.nft.expr import reject as reject_expression
from podnet.nft.selector import selectors
from podnet.nft.set import Set
from podnet.nft.statement.linearize import Linearizer, register

IPAddress = IPv4Address | IPv6Address

_NFPROTO = {"ip": 2, "ip6": 10}
_PORT = DATATYPES["inet_service"]


class Counter(msgspec.Struct, frozen=True, gc=False):
    """Count packets and bytes."""

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return "counter"

    def linearize(self, to: Linearizer) -> None:
        """Add the expression."""
        to.add(expr.Counter())


class Notrack(msgspec.Struct, frozen=True, gc=False):
    """Do not track the connection; only in raw priority."""

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return "notrack"

    def linearize(self, to: Linearizer) -> None:
        """Add the expression."""
        to.add(expr.Notrack())


class Log(msgspec.Struct, frozen=True, gc=False):
    """Write a line that begins with `prefix` to the kernel's log at `level`, or to netlink `group`."""

    prefix: str = ""
    level: str = ""
    group: int | None = None

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        prefix = f' prefix "{self.prefix}"' if self.prefix else ""
        group = f" group {self.group}" if self.group is not None else ""
        return f"log{prefix}{group}" + (f" level {self.level}" if self.level else "")

    def linearize(self, to: Linearizer) -> None:
        """Add the expression, with the level that the kernel would list."""
        level = None if self.group is not None else log_expression.LEVELS.index(self.level or "warn")
        to.add(expr.Log(prefix=self.prefix or None, level=level, group=self.group))


class Limit(msgspec.Struct, frozen=True, gc=False):
    """Go on while no more than `rate` packets come per `unit`, with `burst` to spare; `over`: while more do."""

    rate: int
    unit: str = "second"
    burst: int = 5
    over: bool = False

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return f"limit rate {'over ' if self.over else ''}{self.rate}/{self.unit} burst {self.burst} packets"

    def linearize(self, to: Linearizer) -> None:
        """Add the expression."""
        unit = limit_expression.UNITS[self.unit]
        flags = limit_expression.INVERTED if self.over else 0
        to.add(expr.Limit(rate=self.rate, unit=unit, burst=self.burst, flags=flags))


class Assign(msgspec.Struct, frozen=True, gc=False):
    """Set ``meta mark`` or ``ct mark`` to a number or to what another selector holds, or set bits of it.

    `operator` ``=`` sets; ``|`` sets the bits of `value` and leaves the others.
    """

    target: Literal["meta mark", "ct mark"]
    value: int | str
    operator: Literal["=", "|"] = "="

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        value = DATATYPES["mark"].text(self.value)
        return f"{self.target} set {f'{self.target} | ' if self.operator == '|' else ''}{value}"

    def linearize(self, to: Linearizer) -> None:
        """Add the load of the new value and the store."""
        mark = DATATYPES["mark"]
        if isinstance(self.value, str):
            to.load(selectors(self.value))
        elif self.operator == "|":
            to.load(selectors(self.target))
            bits = mark.encode(self.value)
            mask = mark.encode(~self.value & 0xFFFFFFFF)
            to.add(expr.Bitwise(sreg=1, dreg=1, length=mark.size, mask=mask, xor=bits))
        else:
            to.add(expr.Immediate(dreg=1, data=mark.encode(self.value)))
        if self.target == "ct mark":
            to.add(expr.Ct(key=ct_expression.KEYS["mark"], sreg=1))
        else:
            to.add(expr.Meta(key=meta_expression.KEYS["mark"], sreg=1))


class Masquerade(msgspec.Struct, frozen=True, gc=False):
    """Source NAT to the outgoing link's address; `fully_random`: a random source port for every connection."""

    fully_random: bool = False
    random: bool = False
    persistent: bool = False

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        words = _nat_words(self.fully_random, self.random, self.persistent)
        return f"masquerade {words}" if words else "masquerade"

    def linearize(self, to: Linearizer) -> None:
        """Add the expression."""
        to.add(expr.Masq(flags=_nat_flags(self.fully_random, self.random, self.persistent) or None))


class Redirect(msgspec.Struct, frozen=True, gc=False):
    """Destination NAT to this machine, to `port` where given (the rule must have matched a transport protocol)."""

    port: int | None = None

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return "redirect" if self.port is None else f"redirect to :{self.port}"

    def linearize(self, to: Linearizer) -> None:
        """Add the load of the port and the expression."""
        if self.port is None:
            to.add(expr.Redir())
            return
        to.add(expr.Immediate(dreg=1, data=_PORT.encode(self.port)))
        to.add(expr.Redir(proto_min=1, proto_max=1, flags=nat_expression.PROTO_SPECIFIED))


class _Nat(msgspec.Struct, frozen=True, gc=False):
    """Destination or source NAT to an address, an address and a port, or what a map holds for a selector."""

    address: IPAddress | None = None
    port: int | None = None
    selector: str = ""
    map: Set | None = None
    fully_random: bool = False
    random: bool = False
    persistent: bool = False

    @property
    def family(self) -> str:
        """``ip`` or ``ip6``: of the address, or of the map's data."""
        if self.map is not None:
            return "ip6" if self.map.data[:1] == ("ipv6_addr",) else "ip"
        return "ip6" if isinstance(self.address, IPv6Address) else "ip"

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        words = _nat_words(self.fully_random, self.random, self.persistent)
        return f"{type(self).__name__.lower()} {self.family} to {self._target()}" + (f" {words}" if words else "")

    def _target(self) -> str:
        if self.map is not None:
            return f"{self.selector} map @{self.map.name}"
        if self.port is None:
            return str(self.address)
        return f"[{self.address}]:{self.port}" if self.family == "ip6" else f"{self.address}:{self.port}"

    def linearize(self, to: Linearizer) -> None:
        """Add the loads of address and port and the expression."""
        flags = _nat_flags(self.fully_random, self.random, self.persistent) | nat_expression.MAP_IPS
        port: int | None = None
        if self.map is not None:
            port = self._look_up(to, self.map)
        elif self.address is None:
            raise ValueError(f"{type(self).__name__.lower()}: an address or a map is needed")
        else:
            to.add(expr.Immediate(dreg=1, data=self.address.packed))
            if self.port is not None:
                port = 2
                to.add(expr.Immediate(dreg=port, data=_PORT.encode(self.port)))
        if port is not None:
            flags |= nat_expression.PROTO_SPECIFIED
        kind = nat_expression.DNAT if isinstance(self, Dnat) else nat_expression.SNAT
        family = _NFPROTO[self.family]
        to.add(expr.Nat(type=kind, family=family, addr_min=1, addr_max=1, proto_min=port, proto_max=port, flags=flags))

    def _look_up(self, to: Linearizer, owner: Set) -> int | None:
        """Add the lookup into register 1; return the register that then holds the port, if the map has ports."""
        left = selectors(self.selector)
        if tuple(s.datatype for s in left) != owner.key:
            raise ValueError(f"{self.text}: {owner} has keys {' . '.join(owner.key)}")
        to.load(left)
        to.add(expr.Lookup(set=owner.name, sreg=1, dreg=1))
        return register(DATATYPES[owner.data[0]].padded // 4) if len(owner.data) > 1 else None


class Dnat(_Nat, frozen=True, gc=False):
    """Destination NAT: ``dnat ip to 10.0.0.1:80`` or ``dnat ip to ip daddr . tcp dport map @m``."""


class Snat(_Nat, frozen=True, gc=False):
    """Source NAT: ``snat ip to 10.0.0.1``."""


REJECT_CODES: dict[str, dict[str, int]] = {
    "icmp": {"net-unreachable": 0, "host-unreachable": 1, "port-unreachable": 3, "admin-prohibited": 13},
    "icmpv6": {"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4},
    "icmpx": {"no-route": 0, "port-unreachable": 1, "host-unreachable": 2, "admin-prohibited": 3},
}


class Reject(msgspec.Struct, frozen=True, gc=False):
    """Drop and tell the sender: ``icmp``, ``icmpv6``, ``icmpx`` (as the packet's family) `code`, or ``tcp`` reset."""

    kind: Literal["icmp", "icmpv6", "icmpx", "tcp"] = "icmpx"
    code: str = "port-unreachable"

    @property
    def text(self) -> str:
        """The statement as nft writes it."""
        return f"reject with {self.kind} {'reset' if self.kind == 'tcp' else self.code}"

    def linearize(self, to: Linearizer) -> None:
        """Add the expression, after the protocol match that the answer needs."""
        if self.kind == "tcp":
            to.require("tcp")
            to.add(expr.Reject(type=reject_expression.TCP_RST))
            return
        kind = reject_expression.ICMP
        if self.kind == "icmpx":
            kind = reject_expression.ICMPX
        else:
            to.require("ip" if self.kind == "icmp" else "ip6")
        to.add(expr.Reject(type=kind, code=REJECT_CODES[self.kind][self.code]))


def _nat_flags(fully_random: bool, random: bool, persistent: bool) -> int:
    return (
        (nat_expression.PROTO_RANDOM_FULLY if fully_random else 0)
        | (nat_expression.PROTO_RANDOM if random else 0)
        | (nat_expression.PERSISTENT if persistent else 0)
    )


def _nat_words(fully_random: bool, random: bool, persistent: bool) -> str:
    words: list[Any] = []
    if random:
        words.append("random")
    if fully_random:
        words.append("fully-random")
    if persistent:
        words.append("persistent")
    return ",".join(words)
