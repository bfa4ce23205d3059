"""Sets and maps: the kernel holds of podnet's what it holds of nft's own, down to the tool's user data."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import msgspec
import pytest

from podnet.errors import DecodeError
from podnet.nft import DROP, Chain, Element, Interval, Object, Set, Table, dump, elements, jump, message_elements
from podnet.nft import message as wire

if TYPE_CHECKING:
    from tests.nft.conftest import Namespace

pytestmark = pytest.mark.live

TABLE = Table("inet", "t")
TARGET = Chain(TABLE, "target")
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
A6 = IPv6Address("2001:db8::1")
MAC = "02:00:00:00:00:01"


def _set(name: str, *key: str, interval: bool = False, timeout: bool = False, size: int = 0, comment: str = "") -> Set:
    return Set(table=TABLE, name=name, key=key, interval=interval, timeout=timeout, size=size, comment=comment)


def _map(name: str, key: tuple[str, ...], *data: str, interval: bool = False, comment: str = "") -> Set:
    return Set(table=TABLE, name=name, key=key, data=data, interval=interval, comment=comment)


CASES: dict[str, tuple[Set, tuple[Element, ...]]] = {
    owner.name: (owner, tuple(Element(owner, *shape) for shape in shapes))
    for owner, shapes in (
        (_set("ipv4", "ipv4_addr"), [((A,),), ((B,),)]),
        (_set("ipv6", "ipv6_addr"), [((A6,),)]),
        (_set("name", "ifname", comment="links of pods"), [(("veth0",),), (("x",), (), "the other")]),
        (_set("mac", "ether_addr"), [((MAC,),)]),
        (_set("proto", "inet_proto"), [((6,),), ((132,),)]),
        (_set("service", "inet_service", size=1024), [((53,),)]),
        (_set("number", "mark"), [((0x10,),)]),
        (_set("pair", "ipv4_addr", "ipv4_addr", comment="hairpin"), [((A, B), (), "to itself")]),
        (_set("pair6", "ifname", "ipv6_addr"), [(("veth0", A6),)]),
        (_set("triple", "ifname", "ether_addr", "ipv4_addr"), [(("veth0", MAC, A),)]),
        (_set("proto_service", "inet_proto", "inet_service"), [((6, 80),)]),
        (_set("short", "ipv4_addr", timeout=True), [((A,), (), "", 60_000)]),
        (_set("prefixes", "ipv4_addr", interval=True), [((IPv4Network("10.0.0.0/8"),),), ((A,),)]),
        (_set("prefixes6", "ipv6_addr", interval=True, comment="c"), [((IPv6Network("fd00::/8"),), (), "ours")]),
        (_set("services", "inet_service", interval=True), [((Interval(30000, 32767),),), ((80,),)]),
        (
            _set("nets", "ipv4_addr", "ipv4_addr", interval=True),
            [((A, B),), ((IPv4Network("10.0.0.0/8"), Interval(A, IPv4Address("192.0.2.9"))),)],
        ),
        (_set("mixed", "ifname", "ipv4_addr", "inet_service", interval=True), [(("veth0", A, Interval(1, 9)),)]),
        (_map("verdicts", ("ifname",), "verdict"), [(("veth0",), (DROP,)), (("veth1",), (jump("target"),), "go")]),
        (_map("verdicts_by_net", ("ipv4_addr",), "verdict", interval=True), [((IPv4Network("10.0.0.0/8"),), (DROP,))]),
        (_map("addresses", ("ipv4_addr",), "ipv4_addr"), [((A,), (B,))]),
        (_map("marks", ("ifname",), "mark", comment="m"), [(("veth0",), (7,))]),
        (
            _map("forwards", ("ipv4_addr", "inet_service"), "ipv4_addr", "inet_service", comment="host ports"),
            [((A, 80), (B, 8080), "web")],
        ),
        (_map("forwards6", ("inet_proto", "inet_service"), "ipv6_addr", "inet_service"), [((6, 80), (A6, 8080))]),
        (_map("one_to_pair", ("inet_service",), "ipv4_addr", "inet_service"), [((80,), (B, 8080))]),
        (_map("names", ("ipv4_addr", "ifname"), "verdict"), [((A, "veth0"), (DROP,))]),
    )
}


def _messages(namespace: "Namespace") -> list[wire.SetMessage]:
    """Return what the kernel holds of the table's sets, less its own numbering."""
    return [msgspec.structs.replace(m, handle=None, id=None, resource=0) for m in namespace.sets(TABLE)]


@pytest.mark.parametrize("name", CASES)
def test_set_is_as_nft_makes_it(namespace: "Namespace", oracle: "Namespace", name: str) -> None:
    """The set's definition, user data included, is byte for byte what the tool makes of podnet's text."""
    owner, members = CASES[name]
    objects: tuple[Object, ...] = (TABLE, TARGET, owner, *members)
    assert namespace.apply(r for o in objects for r in o.requests()) == []
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in objects))
    assert _messages(namespace) == _messages(oracle)
    if not owner.timeout:  # the tool then prints how many milliseconds are left
        assert namespace.nft("list", "ruleset") == oracle.nft("list", "ruleset")
        assert namespace.ruleset() == oracle.ruleset()


@pytest.mark.parametrize("name", CASES)
def test_set_and_elements_come_back_as_they_were(namespace: "Namespace", oracle: "Namespace", name: str) -> None:
    """A listing decodes to the set and elements that were sent, by podnet or by nft."""
    owner, members = CASES[name]
    objects: tuple[Object, ...] = (TABLE, TARGET, owner, *members)
    assert namespace.apply(r for o in objects for r in o.requests()) == []
    oracle.nft("-f", "-", script="\n".join(o.nft() for o in objects))
    for found in (namespace.content(TABLE), oracle.content(TABLE)):
        assert found.sets == (owner,)
        assert set(found.elements) == set(members)


@pytest.mark.parametrize("name", CASES)
def test_elements_are_found_and_deleted(namespace: "Namespace", name: str) -> None:
    """Each element is found by its key while it is there, refused when made twice, and gone when deleted."""
    owner, members = CASES[name]
    objects: tuple[Object, ...] = (TABLE, TARGET, owner, *members)
    assert namespace.apply(r for o in objects for r in o.requests()) == []
    for member in members:
        if not (owner.interval and owner.data):  # the tool cannot ask for a range of a map
            namespace.nft(*member.nft("get").split())
        answers = namespace.ask(member.get(), wire.ElementsMessage)
        assert member in message_elements(owner, answers)
        assert namespace.apply(member.requests("add")) == []
        assert {errno for _, errno in namespace.apply(member.requests("create"))} == {17}
        assert namespace.apply(member.requests("delete")) == []
        with pytest.raises(FileNotFoundError):
            namespace.ask(member.get(), wire.ElementsMessage)
        assert {errno for _, errno in namespace.apply(member.requests("delete"))} == {2}
    assert namespace.content(TABLE).elements == ()


@pytest.mark.parametrize("name", CASES)
def test_nft_deletes_by_podnets_text(namespace: "Namespace", name: str) -> None:
    """The text that deletes an element, and then the set, is what the tool understands."""
    owner, members = CASES[name]
    objects: tuple[Object, ...] = (TABLE, TARGET, owner, *members)
    assert namespace.apply(r for o in objects for r in o.requests()) == []
    namespace.nft("-f", "-", script="\n".join(member.nft("delete") for member in members))
    assert namespace.content(TABLE).elements == ()
    namespace.nft("-f", "-", script=owner.nft("delete"))
    assert namespace.content(TABLE).sets == ()


def test_many_elements_go_in_as_few_messages_as_hold_them(namespace: "Namespace") -> None:
    """Thousands of elements are split below the 64 KiB that one attribute can say, and all arrive."""
    owner = CASES["pair6"][0]
    members = [Element(owner, (f"veth{i}", IPv6Address((0x20010DB8 << 96) + i))) for i in range(3000)]
    requests = elements(members)
    assert 1 < len(requests) < 10
    assert namespace.apply([*TABLE.requests(), *owner.requests(), *requests]) == []
    assert set(namespace.content(TABLE).elements) == set(members)
    assert namespace.apply(elements(members, "delete")) == []
    assert namespace.content(TABLE).elements == ()


def test_flushing_a_set_empties_it(namespace: "Namespace", oracle: "Namespace") -> None:
    """``flush set`` takes the elements and leaves the set, by message and by text."""
    owner, members = CASES["pair"]
    objects: tuple[Object, ...] = (TABLE, owner, *members)
    for place in (namespace, oracle):
        assert place.apply(r for o in objects for r in o.requests()) == []
    assert namespace.apply(owner.requests("flush")) == []
    oracle.nft("-f", "-", script=owner.nft("flush"))
    for place in (namespace, oracle):
        found = place.content(TABLE)
        assert (found.sets, found.elements) == ((owner,), ())


def test_destroy_does_not_mind_what_is_not_there(namespace: "Namespace") -> None:
    """``destroy`` of an absent element, set, chain and table is no error on kernels that have it (6.3)."""
    owner, members = CASES["ipv4"]
    assert namespace.apply([*TABLE.requests(), *owner.requests()]) == []
    answers = namespace.apply(members[0].requests("destroy"))
    if answers == [(0, 22)]:
        pytest.skip("the kernel has no NFT_MSG_DESTROYSETELEM")
    assert answers == []
    absent: tuple[Object, ...] = (owner, owner, TARGET, TABLE, TABLE)
    for thing in absent:
        assert namespace.apply(thing.requests("destroy")) == []
    assert namespace.apply(owner.requests("destroy")) == [(0, 2)]  # but it does mind a table that is not there
    assert namespace.ruleset() == []


def test_a_stranger_s_set_is_named_and_not_understood(namespace: "Namespace") -> None:
    """A set of types that podnet does not speak is reported by name and hides nothing else."""
    owner, members = CASES["ipv4"]
    objects: tuple[Object, ...] = (TABLE, owner, *members)
    assert namespace.apply(r for o in objects for r in o.requests()) == []
    namespace.nft("add", "set", "inet", "t", "odd", "{ type inet_proto . icmp_code; }")
    found = namespace.content(TABLE)
    assert found.foreign == ("odd",)
    assert found.sets == (owner,)
    assert set(found.elements) == set(members)
    with pytest.raises(DecodeError, match="data type"):
        Set.of(next(m for m in namespace.sets(TABLE) if m.name == "odd"))


def test_listing_of_a_set_that_is_not_there_is_refused(namespace: "Namespace") -> None:
    """Asking for the elements of no set answers ENOENT."""
    assert namespace.apply(TABLE.requests()) == []
    with pytest.raises(FileNotFoundError):
        namespace.ask(dump.list_elements(TABLE, "none"), wire.ElementsMessage)
