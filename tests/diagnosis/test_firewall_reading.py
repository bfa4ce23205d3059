"""Whatever netlink or a program lists: something is read of it, and nothing is raised but what is meant to be."""

from contextlib import suppress
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.diagnosis.firewall import Facts, Link, Reading, findings
from podnet.diagnosis.firewall.bits import Bits
from podnet.diagnosis.firewall.iptables import tables
from podnet.errors import DecodeError
from podnet.nft import DROP, Base, Chain, Rule, Set, Table
from podnet.nft.expr import Unknown
from podnet.nft.statement import Match

TABLE = Table("inet", "theirs")
CHAIN = Chain(TABLE, "c", Base("filter", "forward", 0))
SET = Set(table=TABLE, name="bad", key=("ipv4_addr",))
FACTS = Facts(cidrs=(ip_network("10.244.1.0/24"),), uplink=Link("eth0"), others=(ip_network("10.244.2.0/24"),))

CHAINS = [CHAIN.requests()[0].payload]
SETS = [SET.requests()[0].payload]
RULES = [
    Rule.new(CHAIN, Match("ip saddr", SET), DROP).requests()[0].payload,
    Rule.new(CHAIN, Match("ip daddr", ip_network("10.244.0.0/16")), DROP).requests()[0].payload,
]


@st.composite
def spoiled(draw: st.DrawFn, payload: bytes) -> bytes:
    """Draw a payload with some bytes changed, or cut short."""
    content = bytearray(payload)
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))]) if draw(st.booleans()) else bytes(content)


@settings(deadline=None)
@given(spoiled(CHAINS[0]), spoiled(SETS[0]), spoiled(RULES[0]), st.binary(max_size=40))
def test_what_is_spoiled_hides_nothing_else(chain: bytes, owner: bytes, rule: bytes, member: bytes) -> None:
    """Beside it the second rule is read, and found to drop."""
    reading = Reading([chain, *CHAINS], [owner, *SETS], [rule, RULES[1]])
    for _ in range(4):
        for key in reading.wanted():
            reading.tell(key, [member])
    found = findings(reading.rulesets(), FACTS)
    assert any("ip daddr 10.244.0.0/16 drop" in finding.evidence for finding in found)


@settings(deadline=None)
@given(st.text(max_size=200), st.text("-ACDFORWD !sdioptjgm.:/0123456789[]\n*", max_size=300))
def test_a_listing_of_any_text(head: str, more: str) -> None:
    """Is one, with whatever is in it, or is none."""
    with suppress(DecodeError):
        tables(head, "ip")
    with suppress(DecodeError):
        (one, *_) = tables(f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {' '.join(more.split())}\n", "ip")
        assert len(one.chains["FORWARD"].rules) == 1


def test_a_rule_with_an_expression_that_podnet_does_not_speak_is_kept() -> None:
    """By the expression's name, the others beside it."""
    odd = Rule(chain=CHAIN, expressions=(Unknown(name="exotic", data=b"\1\2\3\4"),)).requests()[0].payload
    (ruleset,) = Reading(CHAINS, [], [odd, RULES[1]]).rulesets().tables
    first, second = ruleset.chains["c"].rules
    assert first.expressions == (Unknown(name="exotic", data=b"\1\2\3\4"),)
    assert len(second.expressions) > 2


@settings(deadline=None)
@given(
    st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.data()
)
def test_bits_stand_for_each_number_that_they_may_be(
    value: bytes, known: bytes, unknown: bytes, data: st.DataObject
) -> None:
    """Every operation on the bits holds of the operation on each such number."""
    number, mask, other = (int.from_bytes(part, "big") for part in (value, known, unknown))
    bits = Bits(4, number & mask, mask)
    one = (number & mask) | (other & ~mask)
    assert bits.equals(one) is not False
    assert bits.lowest <= one <= bits.highest
    offset = data.draw(st.integers(0, 3))
    length = data.draw(st.integers(1, 6))
    raw = one.to_bytes(4, "big")
    part = raw[offset : offset + length]
    assert bits.part(offset, len(part)).equals(int.from_bytes(part, "big")) is not False
    beyond = bits.part(offset, length)
    assert beyond.size == length
    masked = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(0, 2**32 - 1))
    assert bits.masked(*masked).equals(one & masked[0] ^ masked[1]) is not False
    assert bits.swapped(2).equals(int.from_bytes(raw[1::-1] + raw[:1:-1], "big")) is not False
    first, last = sorted((other, data.draw(st.integers(0, 2**32 - 1))))
    assert bits.within(first, last) in {None, first <= one <= last}
    assert bits.joined(Bits.exactly(unknown)).equals(one) is not False
