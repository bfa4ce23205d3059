"""The text that a program which serves WireGuard is told, and what it answers."""

import contextlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.errors import DecodeError
from podnet.netlink.generic.wireguard import (
    WGPEER_F_REMOVE_ME,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    Device,
    Endpoint,
    Peer,
    allowed,
    networks,
)
from podnet.wireguard.uapi import Answer, answer, setting

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
HEX, OTHER_HEX = KEY.hex(), OTHER.hex()

KEYS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.builds(IPv4Address, st.integers(0, 2**32 - 1)) | st.builds(IPv6Address, st.integers(0, 2**128 - 1))
NETWORKS = st.builds(
    lambda address, length: ip_network((address, length % (address.max_prefixlen + 1)), strict=False),
    ADDRESSES,
    st.integers(0, 128),
)
PEERS = st.builds(
    Peer,
    public_key=KEYS,
    endpoint=st.none() | st.builds(Endpoint, ADDRESSES, st.integers(0, 65535)),
    allowed_ips=st.lists(NETWORKS, max_size=4).map(allowed),
)
DEVICES = st.builds(
    Device,
    private_key=st.none() | KEYS,
    listen_port=st.none() | st.integers(0, 65535),
    peers=st.lists(PEERS, max_size=4).map(tuple),
)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (Device(private_key=KEY, listen_port=51820), f"set=1\nprivate_key={HEX}\nlisten_port=51820\n\n"),
        (
            Device(
                peers=(
                    Peer(
                        public_key=KEY,
                        flags=WGPEER_F_REPLACE_ALLOWEDIPS,
                        endpoint=Endpoint(ip_address("192.0.2.12"), 51820),
                        allowed_ips=allowed([ip_network("10.244.2.0/24"), ip_network("fd00::/64")]),
                    ),
                )
            ),
            (
                f"set=1\npublic_key={HEX}\nreplace_allowed_ips=true\nendpoint=192.0.2.12:51820\n"
                "allowed_ip=10.244.2.0/24\nallowed_ip=fd00::/64\n\n"
            ),
        ),
        (
            Device(peers=(Peer(public_key=KEY, endpoint=Endpoint(ip_address("2001:db8::12"), 7)),)),
            f"set=1\npublic_key={HEX}\nendpoint=[2001:db8::12]:7\n\n",
        ),
        (
            Device(peers=(Peer(public_key=KEY, flags=WGPEER_F_REMOVE_ME, allowed_ips=()), Peer(public_key=OTHER))),
            f"set=1\npublic_key={HEX}\nremove=true\npublic_key={OTHER_HEX}\n\n",
        ),
    ],
    ids=["the device", "a peer", "IPv6", "one goes, one comes"],
)
def test_what_is_to_change_is_said_and_nothing_else(device: Device, text: str) -> None:
    """One operation: the device's lines, then each peer's, and an empty line."""
    assert setting(device).decode() == text


def test_an_answer_is_the_device_with_its_peers() -> None:
    """What is counted, and what podnet does not set, is passed over."""
    text = (
        f"private_key={HEX}\nlisten_port=51820\nfwmark=7\n"
        f"public_key={OTHER_HEX}\npreshared_key={'00' * 32}\nprotocol_version=1\nendpoint=[fe80::1%eth0]:9\n"
        "last_handshake_time_sec=1\nlast_handshake_time_nsec=2\ntx_bytes=3\nrx_bytes=4\n"
        "persistent_keepalive_interval=0\nallowed_ip=10.244.2.0/24\n"
        f"public_key={HEX}\nerrno=0\n\n"
    )
    there = Peer(
        public_key=OTHER,
        endpoint=Endpoint(IPv6Address("fe80::1"), 9),
        allowed_ips=allowed([ip_network("10.244.2.0/24")]),
    )
    peers = (there, Peer(public_key=KEY, allowed_ips=()))
    assert answer(text.encode()) == Answer(0, Device(private_key=KEY, listen_port=51820, peers=peers))


def test_a_refusal_is_its_errno() -> None:
    """The program writes it negative, as the kernel's functions return it."""
    assert answer(b"errno=-98\n\n") == Answer(98, Device(peers=()))


@given(DEVICES)
def test_what_is_said_reads_back(device: Device) -> None:
    """A program that answered with what it was told would be understood."""
    said = setting(device).removeprefix(b"set=1\n") + b"errno=0\n\n"
    assert answer(said) == Answer(0, device)


@given(st.binary(max_size=100))
def test_any_answer_is_taken_or_raises_decode_error(text: bytes) -> None:
    """Whatever is at the other end of the socket."""
    with contextlib.suppress(DecodeError):
        answer(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "without an errno"),
        ("errno=x", "cannot be read"),
        ("no equals sign", "a line without `=`"),
        ("public_key=00\nerrno=0", "a key of 1 bytes"),
        (f"public_key={HEX}\nendpoint=nowhere:1\nerrno=0", "nowhere"),
        (f"public_key={HEX}\nendpoint=10.0.0.1:65536\nerrno=0", "port 65536"),
        (f"public_key={HEX}\nallowed_ip=10.0.0.0/33\nerrno=0", "10.0.0.0/33"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, fault: str) -> None:
    """A DecodeError says what was wrong, and shows no key."""
    with pytest.raises(DecodeError, match=fault) as caught:
        answer(text.encode())
    assert HEX not in str(caught.value)


@given(st.lists(NETWORKS))
def test_networks_survive_the_kernels_parts(listed: list[IPv4Network | IPv6Network]) -> None:
    """Family, address and mask are the network again."""
    assert networks(allowed(listed)) == tuple(listed)
