"""Bytes to events: a Node as Kubernetes 1.34 writes it, and bytes that are none."""

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.kubernetes.decoding import Decoder, Failed
from podnet.cluster.kubernetes.listing import candidate
from podnet.cluster.kubernetes.objects import NodeObject, PodObject, WireNode, WirePod, keep_node, keep_pod
from podnet.cluster.remote.lines import Lines
from podnet.cluster.remote.reflector import Bookmark, Deleted, Stored
from podnet.errors import DecodeError

NODE = (Path(__file__).parent / "node.json").read_text(encoding="utf-8")
KEPT = NodeObject(
    name="n1",
    uid="9eee7c21-c1a6-4d19-a2e2-2a37cb3c1b89",
    created="2026-11-25T02:34:28Z",
    annotations=(("podnet.dev/x", "y"),),
    addresses=(ip_address("10.99.0.11"), ip_address("fd99::11")),
    pod_cidrs=(ip_network("10.244.0.0/24"), ip_network("fd44::/64")),
    network_unavailable=True,
)


def decoder() -> Decoder[WireNode, NodeObject]:
    """Return a decoder of Nodes."""
    return Decoder(WireNode, keep_node)


def event(kind: str, node: object) -> bytes:
    """Return a line of a watch."""
    return json.dumps({"type": kind, "object": node}).encode()


def test_what_is_kept_of_a_node() -> None:
    """Name, uid, age, podnet's annotations, both families' addresses and CIDRs, NetworkUnavailable; nothing else."""
    node = json.loads(NODE)
    assert decoder().event(event("ADDED", node)) == Stored("n1", "277", KEPT)
    assert decoder().event(event("MODIFIED", node)) == Stored("n1", "277", KEPT)
    assert decoder().event(event("DELETED", node)) == Deleted("n1", "277")
    metadata = {"resourceVersion": "300", "continue": "abc", "remainingItemCount": 7}
    page = decoder().page(json.dumps({"kind": "NodeList", "metadata": metadata, "items": [node]}).encode())
    assert page == ((Stored("n1", "277", KEPT),), "300", "abc")


def test_a_kubelets_report_makes_no_difference() -> None:
    """What changes every few minutes compares equal."""
    node = json.loads(NODE)
    node["metadata"]["resourceVersion"] = "999"
    node["status"]["conditions"][1]["lastHeartbeatTime"] = "2027-01-01T00:00:00Z"
    found = decoder().event(event("MODIFIED", node))
    assert isinstance(found, Stored)
    assert (found.version, found.object) == ("999", KEPT)


def test_bookmarks_and_errors() -> None:
    """As the server sends them: an object with nothing but its version, and a Status."""
    bare = {"kind": "Node", "apiVersion": "v1", "metadata": {"resourceVersion": "12746", "creationTimestamp": None}}
    assert decoder().event(event("BOOKMARK", {**bare, "spec": {}, "status": {}})) == Bookmark("12746")
    status = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}
    assert decoder().event(event("ERROR", status)) == Failed(410, "too old")


@pytest.mark.parametrize(
    ("cidrs", "cidr", "wanted"),
    [(None, None, ()), (None, "10.1.0.0/24", ("10.1.0.0/24",)), ([], "", ()), (["10.2.0.0/24"], "x", ("10.2.0.0/24",))],
)
def test_one_pod_cidr_or_several(cidrs: list[str] | None, cidr: str | None, wanted: tuple[str, ...]) -> None:
    """The list goes before podCIDR; a Node without either, or with null, has none."""
    node = {"metadata": {"name": "n", "resourceVersion": "1"}, "spec": {"podCIDR": cidr, "podCIDRs": cidrs}}
    found = decoder().event(event("ADDED", node))
    assert isinstance(found, Stored)
    assert found.object.pod_cidrs == tuple(map(ip_network, wanted))


def test_values_that_are_no_addresses_are_noted() -> None:
    """They are no error of the stream: one Node is not to keep the others from being followed."""
    node = {
        "metadata": {"name": "n", "resourceVersion": "1"},
        "spec": {"podCIDRs": ["10.1.0.1/24", "10.2.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "nowhere"}]},
    }
    found = decoder().event(event("ADDED", node))
    assert isinstance(found, Stored)
    assert found.object.malformed == "InternalIP 'nowhere', podCIDR '10.1.0.1/24'"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"n"}}}',
        b'{"type":"GUESSED","object":{"metadata":{"name":"n","resourceVersion":"1"}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff","resourceVersion":"1"}}}',
        b'{"type":"ADDED","object":' + b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event(line: bytes) -> None:
    """It is refused, and nothing else is raised."""
    with pytest.raises(DecodeError):
        decoder().event(line)


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 3))
def test_damaged_events_and_pages(noise: bytes, at: int, how: int) -> None:
    """Events and lists, cut, overwritten, or with something put in, decode or are refused."""
    whole = event(("ADDED", "DELETED", "BOOKMARK", "ERROR")[how], json.loads(NODE))
    for damaged in (whole[:at] + noise, whole[:at] + noise + whole[at:], whole[:at] + noise + whole[at + len(noise) :]):
        for decode in (decoder().event, decoder().page):
            try:
                decode(damaged)
            except DecodeError:
                continue


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), max_size=9), st.data())
def test_lines_are_the_same_however_they_come(lines: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, a stream gives the same lines; a last one without an end is not one yet."""
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    cutter, found, at = Lines(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream)))
        found += list(cutter.feed(stream[at : at + size]))
        at += size
    assert found == [line for line in lines if line.strip()]


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before it fills the memory."""
    monkeypatch.setattr("podnet.cluster.remote.lines.LONGEST_LINE", 100)
    cutter = Lines()
    assert list(cutter.feed(b"x" * 100)) == []
    with pytest.raises(DecodeError, match="no end"):
        list(cutter.feed(b"x"))


def test_what_is_kept_of_a_pod() -> None:
    """Its uid, podnet's annotations, and whose mirror it is; its name is its key.  A status is no change."""
    metadata = {
        "name": "web-0",
        "namespace": "shop",
        "uid": "7d3e0b1c",
        "resourceVersion": "9",
        "annotations": {"podnet.dev/ip": "10.1.2.3", "kubernetes.io/config.source": "api"},
    }
    pods = Decoder(WirePod, keep_pod)
    kept = PodObject("7d3e0b1c", "", (("podnet.dev/ip", "10.1.2.3"),))
    for status in ({}, {"phase": "Running", "podIP": "10.1.2.3"}):
        line = event("MODIFIED", {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status})
        assert pods.event(line) == Stored("shop/web-0", "9", kept)
    metadata["annotations"] = {"kubernetes.io/config.mirror": "5f2b", "kubernetes.io/config.hash": "5f2b"}
    found = pods.event(event("ADDED", {"metadata": metadata}))
    assert isinstance(found, Stored)
    assert found.object == PodObject("7d3e0b1c", "5f2b")


def test_pools_that_a_node_has_made_known() -> None:
    """Comma separated, spaces do not matter; what is no CIDR is noted, and the rest taken."""
    node = {
        "metadata": {
            "name": "n",
            "resourceVersion": "1",
            "annotations": {"podnet.dev/pod-cidrs": "10.2.0.0/24, fd00::/64,x,"},
        }
    }
    found = decoder().event(event("ADDED", node))
    assert isinstance(found, Stored)
    assert found.object.pools == (ip_network("10.2.0.0/24"), ip_network("fd00::/64"))
    assert (found.object.misspelt, found.object.malformed) == ("podCIDR 'x'", "")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, False),
        ({}, False),
        ({"podnet.dev/route-reflector": "true"}, True),
        ({"podnet.dev/route-reflector": ""}, True),
        ({"podnet.dev/route-reflector": "false"}, False),
        ({"route-reflector": "true", "podnet.dev/route-reflectors": "true"}, False),
    ],
)
def test_a_node_is_a_route_reflector_by_its_label(labels: dict[str, str] | None, expected: bool) -> None:
    """With any value but `false`, also the empty one that kubectl gives for `key=`; no other label counts."""
    node = {"metadata": {"name": "n", "resourceVersion": "1", "labels": labels}}
    found = decoder().event(event("ADDED", node))
    assert isinstance(found, Stored)
    assert found.object.reflector == expected
    assert candidate(found.object).node.reflector == expected
