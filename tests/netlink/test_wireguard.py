"""The generic netlink of WireGuard: pyroute2 reads what is written here, and is read; dumps in parts become whole.

This machine's kernel may lack WireGuard: then its bytes are what is checked, against pyroute2 and linux/wireguard.h.
"""

import errno
from base64 import b64encode
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

import pytest
from pyroute2.netlink.generic.wireguard import wgmsg

from podnet.errors import DecodeError
from podnet.netlink.generic.controller import GENL_ID_CTRL, Family
from podnet.netlink.generic.wireguard import (
    WGPEER_F_REMOVE_ME,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    AllowedIp,
    Device,
    Endpoint,
    Peer,
    allowed,
    networks,
    whole,
)
from podnet.netlink.message import HEADER, NETLINK_GENERIC, NLM_F_DUMP, Request, frame
from podnet.netlink.transaction import Transaction

KEY, OTHER, PRIVATE = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
FAMILY = 0x1C
FOUR, SIX = ip_network("10.244.2.0/24"), ip_network("fd00:10:244:2::/64")
PEER = Peer(
    public_key=KEY,
    flags=WGPEER_F_REPLACE_ALLOWEDIPS,
    endpoint=Endpoint(ip_address("192.0.2.12"), 51820),
    allowed_ips=allowed([FOUR, SIX]),
)
DEVICE = Device(
    ifname="podnet-wg",
    private_key=PRIVATE,
    listen_port=51820,
    peers=(
        PEER,
        Peer(public_key=OTHER, endpoint=Endpoint(ip_address("2001:db8::12"), 7), allowed_ips=()),
        Peer(public_key=PRIVATE, flags=WGPEER_F_REMOVE_ME),
    ),
)


class Netns(Protocol):
    """What these tests use of a namespace."""

    def run_transaction(self, *requests: Request, protocol: int) -> Transaction:
        """Send requests there and wait for the answers."""


def read_by_pyroute2(request: Request) -> Any:
    """Return the message that pyroute2 sees in `request`."""
    message = wgmsg(frame(request, 1))
    message.decode()
    return message


def test_pyroute2_reads_what_sets_a_device() -> None:
    """Every attribute, of the device, of its peers, of their addresses: of the value that was meant."""
    request = DEVICE.set(FAMILY)
    assert (request.type, request.flags) == (FAMILY, 0)
    message = read_by_pyroute2(request)
    assert (message["cmd"], message["version"]) == (1, 1)
    assert message.get_attr("WGDEVICE_A_IFNAME") == "podnet-wg"
    assert message.get_attr("WGDEVICE_A_PRIVATE_KEY") == b64encode(PRIVATE)
    assert message.get_attr("WGDEVICE_A_LISTEN_PORT") == 51820
    first, second, third = message.get_attr("WGDEVICE_A_PEERS")
    assert first.get_attr("WGPEER_A_PUBLIC_KEY") == b64encode(KEY)
    assert first.get_attr("WGPEER_A_FLAGS") == 2
    endpoint = first.get_attr("WGPEER_A_ENDPOINT")
    assert (endpoint["family"], endpoint["addr"], endpoint["port"]) == (2, "192.0.2.12", 51820)
    assert [prefix["addr"] for prefix in first.get_attr("WGPEER_A_ALLOWEDIPS")] == [str(FOUR), str(SIX)]
    endpoint = second.get_attr("WGPEER_A_ENDPOINT")
    assert (endpoint["family"], endpoint["addr"], endpoint["port"]) == (10, "2001:db8::12", 7)
    assert third.get_attr("WGPEER_A_FLAGS") == 1


def test_what_pyroute2_writes_reads_as_meant() -> None:
    """A device as pyroute2 would set it is the value of the same words here."""
    message = wgmsg()
    message["cmd"] = 1
    message["version"] = 1
    message["attrs"] = [
        ("WGDEVICE_A_IFNAME", "podnet-wg"),
        ("WGDEVICE_A_PRIVATE_KEY", {"value": b64encode(PRIVATE)}),
        ("WGDEVICE_A_LISTEN_PORT", 51820),
        (
            "WGDEVICE_A_PEERS",
            [
                {
                    "attrs": [
                        ("WGPEER_A_PUBLIC_KEY", {"value": b64encode(KEY)}),
                        ("WGPEER_A_FLAGS", 2),
                        ("WGPEER_A_ENDPOINT", {"addr": "192.0.2.12", "port": 51820}),
                        (
                            "WGPEER_A_ALLOWEDIPS",
                            [
                                {
                                    "attrs": [
                                        ("WGALLOWEDIP_A_FAMILY", (network.version == 4 and 2) or 10),
                                        ("WGALLOWEDIP_A_IPADDR", network.network_address.packed),
                                        ("WGALLOWEDIP_A_CIDR_MASK", network.prefixlen),
                                    ]
                                }
                                for network in (FOUR, SIX)
                            ],
                        ),
                    ]
                }
            ],
        ),
    ]
    message.encode()
    expected = Device(
        command=1, version=1, ifname="podnet-wg", private_key=PRIVATE, listen_port=51820, peers=(PEER,)
    )  # fmt: skip
    assert Device.decode(bytes(message.data[HEADER.size :])) == expected


def test_a_device_is_asked_for_by_a_dump() -> None:
    """linux/wireguard.h: WG_CMD_GET_DEVICE "may only be called via NLM_F_REQUEST | NLM_F_DUMP"."""
    request = Device(ifname="podnet-wg").get(FAMILY)
    assert (request.type, request.flags) == (FAMILY, NLM_F_DUMP)
    message = read_by_pyroute2(request)
    assert (message["cmd"], message["version"], message.get_attr("WGDEVICE_A_IFNAME")) == (0, 1, "podnet-wg")


@pytest.mark.parametrize("cut", range(1, 6))
def test_parts_of_a_dump_become_whole(cut: int) -> None:
    """A peer's addresses go on in the next message, which has its key and the rest; further peers follow."""
    prefixes = allowed([ip_network(f"10.{n}.0.0/16") for n in range(6)])
    one = Peer(public_key=KEY, endpoint=PEER.endpoint, allowed_ips=prefixes)
    two = Peer(public_key=OTHER, allowed_ips=prefixes[:1])
    parts = [
        Device(ifname="podnet-wg", listen_port=7, peers=(Peer(public_key=PRIVATE), one_with(one, prefixes[:cut]))),
        Device(peers=(Peer(public_key=KEY, allowed_ips=prefixes[cut:]), two)),
        Device(),
    ]
    wanted = Device(ifname="podnet-wg", listen_port=7, peers=(Peer(public_key=PRIVATE), one, two))
    assert whole(Device.decode(part.encode()) for part in parts) == wanted


def one_with(peer: Peer, prefixes: tuple[AllowedIp, ...]) -> Peer:
    """Return `peer` with other allowed addresses."""
    return Peer(public_key=peer.public_key, endpoint=peer.endpoint, allowed_ips=prefixes)


def test_a_prefix_that_is_none_raises_decode_error() -> None:
    """A mask longer than the address, or a part that is missing."""
    for prefix in (AllowedIp(2, ip_address("10.0.0.0"), 33), AllowedIp(2, None, 8), AllowedIp(2, ip_address("::"))):
        with pytest.raises(DecodeError, match="is no prefix"):
            networks([prefix])


@pytest.mark.live
def test_the_controller_tells_a_familys_number(netns: Netns) -> None:
    """It knows itself by name; a family that is not there is refused with ENOENT."""
    asked = netns.run_transaction(Family.called("nlctrl").get(), protocol=NETLINK_GENERIC)
    (found,) = [Family.decode(envelope.payload) for envelope in asked.replies]
    assert (found.name, found.id) == ("nlctrl", GENL_ID_CTRL)
    asked = netns.run_transaction(Family.called("podnet-none").get(), protocol=NETLINK_GENERIC)
    assert [refusal.errno for refusal in asked.failures] == [errno.ENOENT]
