"""The walk of a packet through the base chains of a hook: which rules, or which chain's policy, drop it.

A rule that may apply is followed both ways.  A drop is *sure* unless something before it, in the same base chain, may
have accepted the packet; that something before it may have dropped it does not matter, so one rule that cannot be told
hides no other.  What one base chain accepts the next is still asked about, so each is walked as if it were alone.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple

from podnet.diagnosis.firewall.judging import GIVEN, REFUSED, judge
from podnet.diagnosis.firewall.packet import Packet
from podnet.diagnosis.firewall.ruleset import Chain, Rule, Ruleset, Rulesets

DEPTH = 16  # NFT_JUMP_STACK_SIZE, net/netfilter/nf_tables_core.c
DROPS = frozenset({"drop", REFUSED, GIVEN})
_SEEN_BY = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "netdev": (4, 6)}


class Hit(NamedTuple):
    """A drop at `hook`: by rule `number` (from 1) of `chain`, or with `number` 0 by its policy; `word` says how."""

    hook: str
    ruleset: Ruleset
    chain: Chain
    number: int
    word: str
    sure: bool

    @property
    def rule(self) -> Rule | None:
        """The rule; None where it is the policy."""
        return self.chain.rules[self.number - 1] if self.number else None

    @property
    def place(self) -> tuple[object, ...]:
        """What tells one rule from another."""
        return self.ruleset.legacy, self.ruleset.table, self.chain.name, self.number


class _End(NamedTuple):
    """How a packet may leave a chain: falling off its end, accepted; None where it does not."""

    falls: Packet | None
    accepted: Packet | None


def walk(rulesets: Rulesets, hook: str, packet: Packet) -> tuple[list[Hit], Packet]:
    """Return what drops `packet` at `hook`, each place once, and the packet as the next hook would see it."""
    hits: list[Hit] = []
    bases = [(chain, ruleset) for ruleset in rulesets.tables for chain in _bases(ruleset, hook, packet)]
    for chain, ruleset in sorted(bases, key=lambda found: found[0].base.priority if found[0].base else 0):
        found = _Walk(ruleset, hook)
        packet = found.base(chain, packet)
        hits += found.hits.values()
    return hits, packet


def _bases(ruleset: Ruleset, hook: str, packet: Packet) -> Iterator[Chain]:
    if packet.version not in _SEEN_BY.get(ruleset.table.family, ()):
        return
    for chain in ruleset.chains.values():
        base = chain.base
        if base is None or base.hook != hook:
            continue
        link = packet.iif if hook == "ingress" else packet.oif
        if not base.device or (link is not None and link.whole and link.name in base.device.split(",")):
            yield chain


class _Walk:
    """One packet in one table."""

    def __init__(self, ruleset: Ruleset, hook: str) -> None:
        self._ruleset = ruleset
        self._hook = hook
        self._ends: dict[tuple[str, Packet, bool, int], _End] = {}
        self.hits: dict[tuple[str, int], Hit] = {}

    def base(self, chain: Chain, packet: Packet) -> Packet:
        """Walk a base chain and its policy; return the packet as it goes on, unchanged if it surely does not."""
        end = self._chain(chain, packet, sure=True, depth=0)
        falls = end.falls
        if falls is not None and chain.base is not None and chain.base.policy == "drop":
            self._hit(chain, 0, "drop", sure=end.accepted is None)
            falls = None
        return _joined((end.accepted, falls)) or packet

    def _hit(self, chain: Chain, number: int, word: str, *, sure: bool) -> None:
        known = self.hits.get((chain.name, number))
        if known is None or (sure and not known.sure):
            self.hits[chain.name, number] = Hit(self._hook, self._ruleset, chain, number, word, sure)

    def _chain(self, chain: Chain, packet: Packet, *, sure: bool, depth: int) -> _End:
        key = chain.name, packet, sure, depth
        if key not in self._ends:
            self._ends[key] = self._rules(chain, packet, sure=sure, depth=depth)
        return self._ends[key]

    def _rules(self, chain: Chain, packet: Packet, *, sure: bool, depth: int) -> _End:
        """Walk the rules; `sure` as long as every such packet that was not dropped is still here."""
        falls: Packet | None = None
        accepted: Packet | None = None
        for number, rule in enumerate(chain.rules, 1):
            outcomes, packet = judge(rule, packet, self._ruleset.sets)
            for truth, word, target in outcomes:
                here = _End(None, None)  # how the packet leaves this chain, if the outcome is this one
                back: Packet | None = None
                if word in DROPS:
                    self._hit(chain, number, word, sure=sure and bool(truth) and word != GIVEN)
                    here = _End(None, packet if word == GIVEN else None)
                elif word == "accept":
                    here = _End(None, packet)
                elif word == "return":
                    here = _End(packet, None)
                else:
                    end = self._called(target, packet, sure=sure and bool(truth), depth=depth)
                    here, back = (end, None) if word == "goto" else (_End(None, end.accepted), end.falls)
                falls, accepted = _joined((falls, here.falls)), _joined((accepted, here.accepted))
                sure = sure and here == _End(None, None)
                if truth and back is None:
                    return _End(falls, accepted)
                packet = back if truth and back is not None else _joined((packet, back)) or packet
        return _End(_joined((falls, packet)), accepted)

    def _called(self, name: str, packet: Packet, *, sure: bool, depth: int) -> _End:
        chain = self._ruleset.chains.get(name)
        if chain is None or depth >= DEPTH:
            return _End(packet, packet)  # of what cannot be read anything may come
        return self._chain(chain, packet, sure=sure, depth=depth + 1)


def _joined(packets: Iterable[Packet | None]) -> Packet | None:
    present = [packet for packet in packets if packet is not None]
    return reduce(Packet.joined, present) if present else None
