"""Hardware addresses follow from what they belong to, and are nobody's but ours."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.datapath import bridge_mac, host_mac, pod_mac
from podnet.datapath.hardware import GATEWAY_MAC, link_local, mac_of, port_mac
from podnet.model import Attachment, Lease, PodAddress
from podnet.testing.values import a_lease, a_network

LIGHT = settings(max_examples=60, deadline=None)
HOSTS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
LINKS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=15)


def lease_of(*addresses: IPv4Address | IPv6Address, container: str = "red") -> Lease:
    """Return a lease of `addresses`."""
    return Lease(
        attachment=Attachment("podnet", container, "eth0"),
        addresses=tuple(PodAddress(address, 24, address) for address in addresses),
        link="veth-a",
        netns=None,
        netns_path=container,
        boot_id="b",
        created=0.0,
    )


def is_ours(mac: str) -> bool:
    """Tell whether `mac` is six octets of which the first says locally administered, unicast (IEEE 802)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return len(octets) == 6 and octets[0] & 0b11 == 0b10 and mac == octets.hex(":")


@LIGHT
@given(address=HOSTS, link=LINKS)
def test_all_are_locally_administered_unicast_addresses(address: IPv4Address | IPv6Address, link: str) -> None:
    """No MAC of ours can be one that a manufacturer gave, or a group's."""
    assert is_ours(mac_of(address))
    assert is_ours(port_mac(link))
    assert is_ours(bridge_mac(link))
    assert is_ours(GATEWAY_MAC)


@LIGHT
@given(addresses=st.lists(HOSTS, min_size=1, max_size=3), containers=st.tuples(LINKS, LINKS))
def test_who_gets_the_addresses_gets_the_mac(
    addresses: list[IPv4Address | IPv6Address], containers: tuple[str, str]
) -> None:
    """Whatever the container, the same addresses make the same MAC."""
    first, second = (pod_mac(lease_of(*addresses, container=container)) for container in containers)
    assert first == second


@LIGHT
@given(one=st.ip_addresses(v=4), other=st.ip_addresses(v=4))
def test_ipv4_addresses_have_macs_of_their_own(one: IPv4Address, other: IPv4Address) -> None:
    """Two MACs are the same exactly where the addresses are: they hold all of the four octets."""
    assert (mac_of(one) == mac_of(other)) == (one == other)
    assert bytes.fromhex(mac_of(one).replace(":", ""))[2:] == one.packed


@LIGHT
@given(six=st.ip_addresses(v=6), four=st.ip_addresses(v=4))
def test_the_ipv4_address_decides_in_either_order(six: IPv6Address, four: IPv4Address) -> None:
    """A pod of both families has the MAC of its IPv4 address."""
    assert pod_mac(lease_of(six, four)) == pod_mac(lease_of(four, six)) == mac_of(four)


def test_neighbouring_ipv6_addresses_differ() -> None:
    """A subnet's first 500 IPv6 addresses have 500 MACs."""
    first = int(ip_address("fd00:10:244:1::"))
    assert len({mac_of(IPv6Address(first + number)) for number in range(500)}) == 500


@pytest.mark.parametrize(
    ("mac", "expected"),
    [
        ("34:56:78:9a:bc:de", "fe80::3656:78ff:fe9a:bcde"),  # the example of RFC 2464, section 4
        ("02:00:00:00:00:00", "fe80::ff:fe00:0"),
        ("ff:ff:ff:ff:ff:ff", "fe80::fdff:ffff:feff:ffff"),
    ],
)
def test_a_link_local_address_is_the_modified_eui_64(mac: str, expected: str) -> None:
    """The universal/local bit is inverted and ff:fe stands in the middle (RFC 4291, appendix A)."""
    assert link_local(mac) == IPv6Address(expected)


@LIGHT
@given(octets=st.binary(min_size=6, max_size=6))
def test_a_link_local_address_tells_its_mac(octets: bytes) -> None:
    """Taken apart bit by bit, the address is fe80::/64 and the MAC's 48 bits with one of them inverted."""
    number = int(link_local(octets.hex(":")))
    assert number >> 64 == 0xFE80_0000_0000_0000
    assert (number >> 24) & 0xFFFF == 0xFFFE
    mac = ((number >> 40) & 0xFFFFFF) << 24 | (number & 0xFFFFFF)
    assert mac ^ (1 << 41) == int.from_bytes(octets)


def test_the_hosts_end_is_the_gateway_on_ptp_and_a_port_on_a_bridge() -> None:
    """All ptp host ends share one MAC; ports have one each, since a bridge learns them."""
    ptp, bridge = a_network("ptp"), a_network("bridge")
    assert {host_mac(ptp, a_lease(ptp, name)) for name in ("red", "blue")} == {GATEWAY_MAC}
    ports = {host_mac(bridge, a_lease(bridge, name)) for name in ("red", "blue")}
    assert len(ports) == 2
    assert GATEWAY_MAC not in ports
