"""What is wrong with a message is said: which class, which field, how many bytes."""

from struct import Struct, pack
from typing import ClassVar

import pytest

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, Layout, attribute, u8
from podnet.netlink.message import NETLINK_ROUTE, Message, envelopes, register
from podnet.netlink.rtnl import Addr, AfSpec, Filter, Inet6, Link, LinkInfo, Qdisc, Route

LINK, TC = bytes(16), bytes(20)


def kind(name: bytes, data: bytes) -> bytes:
    """Return IFLA_LINKINFO of a kind with its data."""
    return LINK + attribute(18, attribute(1, name) + attribute(2, data))


def tc(name: bytes, options: bytes) -> bytes:
    """Return a qdisc or filter of a kind with its options."""
    return TC + attribute(1, name) + attribute(2, options)


MIRRED = attribute(1, attribute(1, b"mirred\0") + attribute(2, attribute(2, bytes(8))))
ROWS: tuple[tuple[type[Message], bytes, str], ...] = (
    (Link, bytes(15), "Link: 15 bytes, header needs 16"),
    (Addr, bytes(3), "Addr: 3 bytes, header needs 8"),
    (Qdisc, bytes(19), "Qdisc: 19 bytes, header needs 20"),
    (Link, LINK + attribute(4, b"\0"), "Link: mtu: u32 attribute of 1 bytes, not 4"),
    (Addr, bytes(8) + attribute(2, bytes(5)), "Addr: local: address attribute of 5 bytes, not 4 or 16"),
    (Addr, bytes(8) + b"\x09\0\2\0", "Addr: attribute 2 at offset 8: 9 of 4 bytes"),
    (Link, kind(b"veth", attribute(1, bytes(8))), "Link: linkinfo: peer: 8 bytes, header needs 16"),
    (Link, kind(b"vxlan", attribute(10, bytes(3))), "Link: linkinfo: port_range: port range of 3 bytes, not 4"),
    (Link, kind(b"bridge", attribute(5, b"")), "Link: linkinfo: stp_state: u32 attribute of 0 bytes, not 4"),
    (Qdisc, tc(b"tbf\0", attribute(1, bytes(20))), "Qdisc: parms: struct tc_tbf_qopt of 20 bytes, not 36"),
    (Filter, tc(b"u32\0", attribute(5, bytes(15))), "Filter: sel: struct tc_u32_sel of 15 bytes, not 16"),
    (Filter, tc(b"u32\0", attribute(5, b"\1\0\2" + bytes(30))), "Filter: sel: .* 33 bytes lacks some of its 2 keys"),
    (Filter, tc(b"u32\0", attribute(7, MIRRED)), "Filter: act: parms: struct tc_mirred of 8 bytes, not 28"),
    (
        Route,
        bytes(12) + attribute(9, pack("=HBBi", 7, 0, 0, 1)),
        "Route: multipath: next hop at offset 0: 7 of 8 bytes",
    ),
)


@pytest.mark.parametrize(("cls", "payload", "said"), ROWS, ids=[row[2] for row in ROWS])
def test_the_fault_is_named(cls: type[Message], payload: bytes, said: str) -> None:
    """A DecodeError names the message, the field and the sizes."""
    with pytest.raises(DecodeError, match=f"^{said}$"):
        cls.decode(payload)


def test_an_unknown_kind_keeps_its_bytes() -> None:
    """Options of a kind of link, qdisc or action that has no class here are kept, and go out as they came."""
    payload = kind(b"ipvlan\0", b"whatever")
    link = Link.decode(payload)
    assert link.linkinfo == LinkInfo("ipvlan", b"whatever")
    assert Link.decode(link.encode()) == link
    qdisc = Qdisc.decode(tc(b"fq_codel\0", b"options!"))
    assert (qdisc.kind, qdisc.options) == ("fq_codel", b"options!")


def test_other_attributes_are_passed_over() -> None:
    """Attributes of a later kernel, and settings of a family without any that are known, change nothing."""
    payload = LINK + attribute(3, b"e0\0") + attribute(9999, b"?") + attribute(26, attribute(2, attribute(77, b"")))
    assert Link.decode(payload) == Link(ifname="e0", af_spec=AfSpec(inet={}))


def test_a_cut_envelope_names_its_offset() -> None:
    """A datagram's walker says where the message that does not fit begins, and what is left over."""
    with pytest.raises(DecodeError, match="netlink message at offset 0: length 99 of 16"):
        list(envelopes(pack("=IHHII", 99, 0, 0, 0, 0)))
    with pytest.raises(DecodeError, match="4 bytes after the last netlink message at offset 16"):
        list(envelopes(pack("=IHHII", 16, 0, 0, 0, 0) + bytes(4)))


def test_a_type_is_registered_once() -> None:
    """Two classes for one message type would decode by import order."""
    with pytest.raises(TypeError, match="type 16 of protocol 0 is registered twice"):
        register(NETLINK_ROUTE, 16)(Addr)


def test_a_header_of_one_field_is_refused() -> None:
    """The header is read by one call that would give a single field bare."""
    with pytest.raises(TypeError, match="header of one field"):

        class Lonely(Message, frozen=True, kw_only=True):
            """A message with a header of one field."""

            HEADER_STRUCT: ClassVar[Struct] = Struct("=B")
            HEADER_FIELDS: ClassVar[tuple[str, ...]] = ("family",)
            family: int = 0


def test_short_layouts_encode_as_long_ones() -> None:
    """A layout of one field, and one of none, are no special case."""
    one: Layout[Inet6] = Layout(Inet6, Field("addr_gen_mode", 8, u8))
    assert one.encode(Inet6(1)) == attribute(8, b"\1")
    assert one.encode(Inet6()) == b""
    none: Layout[Inet6] = Layout(Inet6)
    assert none.encode(Inet6(1)) == b""
    assert none.decode(attribute(8, b"\1")) == Inet6()
