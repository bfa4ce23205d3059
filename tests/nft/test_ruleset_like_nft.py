"""A whole ruleset: podnet's batch, nft(8) run on podnet's text, and the kernel's listing say the same."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest

from podnet.nft import ACCEPT, DROP, Base, Chain, Element, Rule, Set, Table
from podnet.nft.statement import Masquerade, Match

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

pytestmark = pytest.mark.live

INET = Table("inet", "podnet")
BRIDGE = Table("bridge", "podnet")

PODS4 = Set(table=INET, name="pods4", key=("ifname", "ipv4_addr"), comment="who may send from where")
PODS6 = Set(table=INET, name="pods6", key=("ifname", "ipv6_addr"))
HAIRPIN4 = Set(table=INET, name="hairpin4", key=("ipv4_addr", "ipv4_addr"))
HAIRPIN6 = Set(table=INET, name="hairpin6", key=("ipv6_addr", "ipv6_addr"))
MASQUERADE4 = Set(table=INET, name="masquerade4", key=("ipv4_addr",), interval=True)
MASQUERADE6 = Set(table=INET, name="masquerade6", key=("ipv6_addr",), interval=True)
CLUSTER4 = Set(table=INET, name="cluster4", key=("ipv4_addr",), interval=True)
CLUSTER6 = Set(table=INET, name="cluster6", key=("ipv6_addr",), interval=True)
PORTS4 = Set(table=BRIDGE, name="ports4", key=("ifname", "ether_addr", "ipv4_addr"))

PREROUTING = Chain(INET, "prerouting", Base("filter", "prerouting", -300))
FORWARD = Chain(INET, "forward", Base("filter", "forward", 0))
POSTROUTING = Chain(INET, "postrouting", Base("nat", "postrouting", 100))
BRIDGED = Chain(BRIDGE, "prerouting", Base("filter", "prerouting", -300))

INET_OBJECTS = (
    INET,
    PODS4,
    PODS6,
    HAIRPIN4,
    HAIRPIN6,
    MASQUERADE4,
    MASQUERADE6,
    CLUSTER4,
    CLUSTER6,
    PREROUTING,
    FORWARD,
    POSTROUTING,
    Element(PODS4, ("veth-abc", IPv4Address("10.244.0.5")), comment="pod a"),
    Element(PODS6, ("veth-abc", IPv6Address("fd00::5"))),
    Element(HAIRPIN4, (IPv4Address("10.244.0.5"), IPv4Address("10.244.0.5"))),
    Element(HAIRPIN6, (IPv6Address("fd00::5"), IPv6Address("fd00::5"))),
    Element(MASQUERADE4, (IPv4Network("10.244.0.0/16"),)),
    Element(MASQUERADE4, (IPv4Network("10.245.0.0/16"),)),
    Element(MASQUERADE4, (IPv4Network("10.243.0.0/16"),)),
    Element(MASQUERADE6, (IPv6Network("fd00:10:244::/56"),)),
    Element(CLUSTER4, (IPv4Address("192.0.2.1"),)),
    Element(CLUSTER4, (IPv4Network("255.0.0.0/8"),)),
    Element(CLUSTER4, (IPv4Network("0.0.0.0/8"),)),
    Element(CLUSTER6, (IPv6Network("fd00::/8"),)),
    Rule.new(PREROUTING, Match("iifgroup", 28782), Match("ip daddr", IPv4Address("169.254.1.1")), DROP),
    Rule.new(
        PREROUTING,
        Match("iifgroup", 28782),
        Match("ip6 saddr", (IPv6Network("fe80::/10"), IPv6Address("::"))),
        ACCEPT,
    ),
    Rule.new(
        PREROUTING,
        Match("iifgroup", 28782),
        Match("meta nfproto", "ipv4"),
        Match("iifname . ip saddr", PODS4, "!="),
        DROP,
    ),
    Rule.new(PREROUTING, Match("iifgroup", 28782), Match("iifname . ip6 saddr", PODS6, "!="), DROP),
    Rule.new(
        POSTROUTING,
        Match("ct status", "dnat"),
        Match("ip saddr . ip daddr", HAIRPIN4),
        Masquerade(fully_random=True),
        comment="a pod that meets itself behind a service",
    ),
    Rule.new(
        POSTROUTING,
        Match("ip saddr", MASQUERADE4),
        Match("ip daddr", CLUSTER4, "!="),
        Masquerade(fully_random=True),
        comment="pods leaving the cluster",
    ),
    Rule.new(
        POSTROUTING,
        Match("ip6 saddr", MASQUERADE6),
        Match("ip6 daddr", CLUSTER6, "!="),
        Masquerade(fully_random=True),
        comment="pods leaving the cluster",
    ),
)
BRIDGE_OBJECTS = (
    BRIDGE,
    PORTS4,
    BRIDGED,
    Element(PORTS4, ("veth-abc-br", "02:00:0a:f4:00:05", IPv4Address("10.244.0.5"))),
    Rule.new(BRIDGED, Match("iifname . ether saddr . ip saddr", PORTS4, "!="), DROP, comment="spoofed"),
    Rule.new(BRIDGED, Match("iifname . arp saddr ether . arp saddr ip", PORTS4, "!="), DROP),
)
OBJECTS = INET_OBJECTS + BRIDGE_OBJECTS


def test_batch_and_text_make_the_same_ruleset(namespace: "Namespace", oracle: "Namespace") -> None:
    """What podnet sends is listed by nft exactly as what nft makes of podnet's text."""
    assert namespace.apply(r for o in OBJECTS for r in o.requests()) == []
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in OBJECTS))
    assert namespace.ruleset() == oracle.ruleset()
    assert namespace.nft("list", "ruleset") == oracle.nft("list", "ruleset")


@pytest.mark.parametrize("by_tool", [False, True], ids=["sent by podnet", "made by nft"])
@pytest.mark.parametrize("objects", [INET_OBJECTS, BRIDGE_OBJECTS], ids=["inet", "bridge"])
def test_listing_equals_what_was_asked_for(
    namespace: "Namespace", objects: tuple[Table | Chain | Set | Element | Rule, ...], by_tool: bool
) -> None:
    """The kernel's listing decodes to the values that were sent, whoever sent them."""
    if by_tool:
        namespace.nft("-f", "-", script="\n".join(o.nft() for o in objects))
    else:
        assert namespace.apply(r for o in objects for r in o.requests()) == []
    table = objects[0]
    assert isinstance(table, Table)
    found = namespace.content(table)
    assert found.chains == tuple(o for o in objects if isinstance(o, Chain))
    assert found.sets == tuple(o for o in objects if isinstance(o, Set))
    assert set(found.elements) == {o for o in objects if isinstance(o, Element)}
    assert found.rules == tuple(o for o in objects if isinstance(o, Rule))
    assert found.foreign == ()


def test_applying_the_same_twice_changes_no_object(namespace: "Namespace") -> None:
    """Tables, chains, sets and elements may be added again: adding is idempotent, rules apart."""
    objects = [o for o in OBJECTS if not isinstance(o, Rule)]
    requests = [r for o in objects for r in o.requests()]
    assert namespace.apply(requests) == []
    before = namespace.ruleset()
    assert namespace.apply(requests) == []
    assert namespace.ruleset() == before


def test_deleting_a_table_leaves_nothing(namespace: "Namespace") -> None:
    """One delete takes chains, sets, elements and rules along."""
    assert namespace.apply(r for o in OBJECTS for r in o.requests()) == []
    assert namespace.apply([*INET.requests("delete"), *BRIDGE.requests("delete")]) == []
    assert namespace.ruleset() == []


def test_replacing_a_table_in_one_batch(namespace: "Namespace") -> None:
    """Add, delete and make anew in one batch replaces a table that may or may not be there."""
    requests = [*INET.requests(), *INET.requests("delete"), *(r for o in INET_OBJECTS for r in o.requests())]
    assert namespace.apply(requests) == []
    once = namespace.ruleset()
    assert namespace.apply(requests) == []
    assert namespace.ruleset() == once
