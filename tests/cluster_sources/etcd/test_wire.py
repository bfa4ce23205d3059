"""What etcd's gateway says, decoded: answers as 3.4 gives them, errors of 3.4 to 3.6, and any bytes at all."""

import json
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.etcd.access import meaning
from podnet.cluster.etcd.keys import (
    Claim,
    ClusterRange,
    Malformed,
    Record,
    Session,
    Value,
    cluster_range,
    decode_entry,
    encode_value,
)
from podnet.cluster.etcd.wire import (
    Authenticated,
    Event,
    Failed,
    Header,
    KeyValue,
    Lease,
    Range,
    Told,
    Txn,
    after,
    decode,
    decode_line,
    range_request,
    refusal_text,
    txn_request,
)
from podnet.errors import DecodeError, InvalidConfiguration

# As etcd 3.4.23 answered: curl -d '{"key": "L3BvZG5ldC8=", "range_end": "L3BvZG5ldDA="}' .../v3/kv/range
RANGE = (
    b'{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"5","raft_term":"2"},'
    b'"kvs":[{"key":"L3BvZG5ldC9h","create_revision":"2","mod_revision":"5","version":"4","value":"Mw==",'
    b'"lease":"7587899241762054665"}],"count":"1"}'
)
WATCH = (
    b'{"result":{"header":{"revision":"5"},"events":[{"kv":{"key":"L3BvZG5ldC9h","create_revision":"2","mod_revision":"4",'
    b'"version":"3","value":"Mg=="}},{"type":"DELETE","kv":{"key":"L3BvZG5ldC9h","mod_revision":"5"}}]}}'
)
SHAPES = (Range, Txn, Lease, Told, Authenticated)


def test_answers_as_etcd_gives_them() -> None:
    """Numbers are strings, bytes are base64, and what is zero is left out."""
    assert decode(RANGE, Range) == Range(Header(5), (KeyValue(b"/podnet/a", b"3", 2, 5, 7587899241762054665),))
    assert decode(b'{"header":{"revision":"2"},"succeeded":true,"responses":[{}]}', Txn).succeeded
    assert not decode(b'{"header":{"revision":"2"}}', Txn).succeeded
    assert decode(b'{"header":{},"ID":"12","TTL":"5"}', Lease) == Lease(12, 5)
    assert decode_line(b'{"result":{"header":{},"ID":"123"}}', Lease) == Lease(123, 0)
    assert decode_line(WATCH, Told) == Told(
        Header(5),
        events=(Event(KeyValue(b"/podnet/a", b"2", 2, 4)), Event(KeyValue(b"/podnet/a", b"", 0, 5), "DELETE")),
    )
    told = decode_line(b'{"result":{"header":{},"canceled":true,"compact_revision":"4"}}', Told)
    assert isinstance(told, Told)
    assert (told.canceled, told.compact_revision) == (True, 4)


@pytest.mark.parametrize(
    ("body", "text", "status"),
    [
        (
            b'{"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7}',
            "denied",
            403,
        ),
        (b'{"code":16,"message":"etcdserver: invalid auth token","details":[]}', "invalid auth token", 401),
        (b'{"error":"etcdserver: user name is empty","code":3}', "user name is empty", 401),
        (b'{"message":"etcdserver: mvcc: required revision has been compacted","code":11}', "compacted", 410),
        (b'{"message":"etcdserver: requested lease not found","code":5}', "lease not found", 404),
        (b'{"message":"etcdserver: no leader","code":14}', "no leader", 503),
        (b'{"message":"etcdserver: something new"}', "something new", 400),
        (b"<html>", "", 400),
        (b"[]", "", 400),
    ],
)
def test_refusals_are_known_by_their_words(body: bytes, text: str, status: int) -> None:
    """The gateway has one status for many, and versions differ in the fields."""
    said = refusal_text(body)
    assert text in said
    assert meaning(400, said) == status


def test_a_stream_ends_with_an_error_of_either_kind() -> None:
    """As 3.4 writes it, and as 3.6 does."""
    old = b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Unavailable"}}'
    new = b'{"error":{"code":14,"message":"etcdserver: no leader","details":[]}}'
    assert decode_line(old, Told) == decode_line(new, Told) == Failed("etcdserver: no leader")


def test_requests_are_what_curl_would_send() -> None:
    """Keys and values in base64, numbers as strings."""
    assert json.loads(range_request(b"/podnet/", after(b"/podnet/"), limit=5, revision=7)) == {
        "key": "L3BvZG5ldC8=", "range_end": "L3BvZG5ldDA=", "limit": "5", "revision": "7",
    }  # fmt: skip
    assert json.loads(txn_request({b"a": 0}, [(b"b", b"\x00", 3)])) == {
        "compare": [{"key": "YQ==", "target": "MOD", "result": "EQUAL", "mod_revision": "0"}],
        "success": [{"request_put": {"key": "Yg==", "value": "AA==", "lease": "3"}}],
    }


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from([RANGE, WATCH]))
def test_any_bytes_are_an_answer_or_refused(noise: bytes, at: int, whole: bytes) -> None:
    """Alone, and put into what etcd says: a value or the error that names etcd, never anything else."""
    for data in (
        noise,
        whole[:at] + noise,
        whole[:at] + noise + whole[at:],
        whole[:at] + noise + whole[at + len(noise) :],
    ):
        for shape in SHAPES:
            for read in (decode, decode_line):
                try:
                    read(data, shape)
                except DecodeError as error:
                    assert "etcd" in error.msg  # noqa: PT017 - either outcome is right
        assert isinstance(refusal_text(data), str)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", ClusterRange((ip_network("10.0.0.0/8"), ip_network("fd00::/48")), 24, 64)),
        ("config", ClusterRange((ip_network("10.0.0.0/8"),), 24)),
        ("claims/10.0.1.0/24", Claim("n1")),
        ("claims/fd00:0:0:1::/64", Claim("n1")),
        (
            "nodes/n1",
            Record((ip_address("192.0.2.1"), ip_address("2001:db8::1")), "key", (ip_network("10.9.0.0/16"),), True),
        ),
        ("nodes/n1", Record()),
        ("alive/n1", Session("boot", "session")),
    ],
)
def test_values_are_what_was_written(key: str, value: Value) -> None:
    """Each kind, back from the bytes that it is in etcd."""
    entry = decode_entry(key, KeyValue(b"", encode_value(value), 2, 5, 7))
    assert (entry.value, entry.created, entry.mod, entry.lease) == (value, 2, 5, 7)


@given(
    st.sampled_from(
        ["config", "claims/10.0.1.0/24", "claims/x", "claims/010.0.1.0/24", "nodes/n1", "nodes/", "alive/n1", "x"]
    ),
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["cluster-cidrs", "node", "addresses", "pools", "wireguard"]), inner, max_size=3
            )
        ),
    ).map(lambda document: json.dumps(document).encode()),
)
def test_what_others_write_is_read_or_malformed(key: str, data: bytes) -> None:
    """Any value below podnet's prefix is a value or says why it is none."""
    value = decode_entry(key, KeyValue(b"", data)).value
    assert isinstance(value, Malformed | ClusterRange | Claim | Record | Session)
    if key in {"claims/x", "claims/010.0.1.0/24", "nodes/", "x"}:
        assert isinstance(value, Malformed)


def test_the_range_is_the_same_in_whatever_order_it_is_written() -> None:
    """And has lengths of the families that it has; without any, and without room for a node, it is none."""
    four, six = ip_network("10.0.0.0/8"), ip_network("fd00::/48")
    assert cluster_range((six, four), 24, 64, source="f") == cluster_range((four, six), 24, 64, source="f")
    assert cluster_range((four,), 24, 64, source="f") == ClusterRange((four,), 24, 0)
    assert str(cluster_range((six, four), 24, 64, source="f")) == "10.0.0.0/8 in /24, fd00::/48 in /64"
    with pytest.raises(InvalidConfiguration, match="f: etcd tells the nodes and cluster-cidrs is not there"):
        cluster_range((), 24, 64, source="f")
    with pytest.raises(InvalidConfiguration, match=r"10\.0\.0\.0/28 has no room for a node's /24"):
        cluster_range((ip_network("10.0.0.0/28"),), 24, 64, source="f")
