"""Values in rows come back as they went in, and addresses sort as BLOBs as they do as numbers."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.errors import StateError
from podnet.model import DNS, Network, PodAddress, PodRoute, Range
from podnet.store.codec import (
    address_key,
    decode_addresses,
    decode_network,
    encode_addresses,
    encode_network,
    key_address,
)

v4, v6 = st.integers(0, 2**32 - 1), st.integers(0, 2**128 - 1)
addresses = st.one_of(v4.map(IPv4Address), v6.map(IPv6Address))
networks = st.one_of(
    st.builds(lambda a, n: IPv4Network((a, n), strict=False), v4, st.integers(0, 32)),
    st.builds(lambda a, n: IPv6Network((a, n), strict=False), v6, st.integers(0, 128)),
)
words = st.tuples(st.text(max_size=5))
ranges = st.builds(Range, networks, addresses, addresses, addresses, st.lists(networks, max_size=2).map(tuple))
pod_networks = st.builds(
    Network,
    name=st.text(max_size=9),
    datapath=st.sampled_from(["ptp", "bridge"]),
    mtu=st.integers(0, 65535),
    overhead=st.sampled_from([0, 50, 70]),
    masquerade=st.booleans(),
    non_masquerade=st.lists(networks, max_size=3).map(tuple),
    hairpin=st.booleans(),
    ranges=st.lists(st.lists(ranges, max_size=2).map(tuple), max_size=3).map(tuple),
    routes=st.lists(st.builds(PodRoute, networks, st.none() | addresses), max_size=3).map(tuple),
    dns=st.builds(DNS, words, st.text(max_size=5), words, words),
    quarantine=st.floats(0, 1e9),
)


@settings(deadline=None)
@given(network=pod_networks)
def test_a_network_comes_back_equal(network: Network) -> None:
    """Every field, with the types it had; equal networks have one document."""
    document = encode_network(network)
    again = decode_network(document)
    assert again == network
    assert encode_network(again) == document


@settings(deadline=None)
@given(held=st.lists(st.builds(PodAddress, addresses, st.integers(0, 128), addresses)))
def test_addresses_come_back_equal(held: list[PodAddress]) -> None:
    """Of either family, in order; the gateway is of the address's family."""
    same_family = tuple(a for a in held if a.address.version == a.gateway.version)
    assert decode_addresses(encode_addresses(same_family)) == same_family


@settings(deadline=None)
@given(blob=st.binary(max_size=80))
def test_any_bytes_are_addresses_or_a_state_error(blob: bytes) -> None:
    """Never another exception."""
    try:
        decoded = decode_addresses(blob)
    except StateError as error:
        assert "damaged at byte" in error.msg  # noqa: PT017 - both outcomes are right, and no third
    else:
        assert len(encode_addresses(decoded)) == len(blob)


@settings(deadline=None)
@given(network=pod_networks, data=st.data())
def test_any_document_is_a_network_or_a_state_error(network: Network, data: st.DataObject) -> None:
    """Cut short, a key lost, a value of another type, or anything at all: never another exception."""
    fields = msgspec.json.decode(encode_network(network))
    key = data.draw(st.sampled_from(sorted(fields)))
    other: object = data.draw(st.sampled_from([None, 1, "x", [], ["x"], [[1]], [[{}]], [{}], {}]))
    documents = [
        msgspec.json.encode({k: v for k, v in fields.items() if k != key}),
        msgspec.json.encode(fields | {key: other}),
        encode_network(network)[: data.draw(st.integers(0, 50))],
        data.draw(st.binary(max_size=20)),
    ]
    for document in documents:
        with suppress(StateError):
            assert isinstance(decode_network(document), Network)


def test_a_network_that_lost_its_end_is_told() -> None:
    """With the reason and, for the log, the document."""
    document = encode_network(Network(name="podnet"))[:30]
    with pytest.raises(StateError, match=r"a stored network is damaged: .*truncated") as error:
        decode_network(document)
    assert error.value.details == repr(document)


@settings(deadline=None)
@given(one=addresses, other=addresses)
def test_keys_sort_as_addresses_do(one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address) -> None:
    """IPv4 before IPv6, within a family by number; a key gives its number back."""
    keys = [address_key(a.version, int(a)) for a in (one, other)]
    assert (keys[0] < keys[1]) == ((one.version, int(one)) < (other.version, int(other)))
    assert key_address(keys[0]) == int(one)


def test_a_network_of_a_time_without_tunnels_is_read() -> None:
    """A document that was written before there was an overhead is that of a network without one."""
    network = Network(name="podnet")
    document = msgspec.json.decode(encode_network(network))
    del document["overhead"]
    assert decode_network(msgspec.json.encode(document)) == network
