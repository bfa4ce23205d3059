"""KubernetesNodes beside an API server: what it knows, how it says so, and what trouble does to it."""

import select
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from podnet.cluster.kubernetes import KubernetesNodes, read_kubeconfig
from podnet.cluster.kubernetes.client import Client
from podnet.cluster.remote import following as source
from podnet.cluster.remote import http
from podnet.cluster.remote.http import RefusedError
from podnet.errors import IOFailure
from podnet.model import Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.kubernetes.api import PATIENCE, Api
from tests.cluster_sources.kubernetes.following import Follow, wait_until


def names(nodes: KubernetesNodes) -> list[str]:
    """Return the names that are known."""
    return [node.name for node in nodes.nodes]


def test_nodes_come_in_pages_and_go_one_by_one(api: Api, follow: Follow) -> None:
    """The first list is taken page by page, and then what a watch tells is followed; sorted by name."""
    api.page = 2
    for i in (3, 1, 2, 5, 4):
        api.put(f"n{i}", (f"10.244.{i}.0/24", f"fd00:{i}::/64"), f"10.99.0.{i} fd99::{i}")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    assert nodes.changed()
    assert names(nodes) == ["n1", "n2", "n3", "n4", "n5"]
    assert [str(a) for a in nodes.nodes[0].addresses] == ["10.99.0.1", "fd99::1"]
    assert [str(c) for c in nodes.nodes[0].pod_cidrs] == ["10.244.1.0/24", "fd00:1::/64"]
    assert sum("limit" in asked.query for asked in api.asked) == 3
    api.delete("n3")
    wait_until(nodes, lambda: "n3" not in names(nodes))
    api.put("n9")
    wait_until(nodes, lambda: "n9" in names(nodes))
    assert nodes.nodes[-1] == Node("n9", (), ())
    assert len(api.watches()) == 1


def test_what_does_not_concern_podnet_wakes_nobody(api: Api, follow: Follow) -> None:
    """A Node's other fields, its kubelet's reports and bookmarks are no change."""
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    nodes.changed()
    api.wait_for(lambda _: api.watches())
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1", labels={"a": "b"}, annotations={"volumes.kubernetes.io/x": "y"})
    api.bookmark()
    api.put("n2", ("10.244.2.0/24",), "10.99.0.2")
    assert select.select([nodes], [], [], PATIENCE)[0]
    assert nodes.changed()
    assert names(nodes) == ["n1", "n2"]
    assert select.select([nodes], [], [], 0)[0] == []


def test_a_node_becomes_a_route_reflector_by_a_label_and_is_none_without(api: Api, follow: Follow) -> None:
    """While the cluster runs: `kubectl label node n1 podnet.dev/route-reflector=true`, and with a `-` behind it."""
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    nodes.changed()
    assert [node.reflector for node in nodes.nodes] == [False]
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1", labels={"podnet.dev/route-reflector": "true"})
    wait_until(nodes, lambda: nodes.nodes[0].reflector)
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1", labels={})
    wait_until(nodes, lambda: not nodes.nodes[0].reflector)


def test_a_watch_that_ends_goes_on_where_it_was(api: Api, follow: Follow) -> None:
    """After the server's end, and after one in the middle of a line: from the last version heard, bookmarks too."""
    api.put("n1")
    nodes = follow()
    assert nodes.wait(PATIENCE)

    def interrupt(i: int, cut: bytes) -> None:
        api.wait_for(lambda _: len(api.watches()) == i + 1)
        api.put(f"m{i}")
        api.bookmark()
        expected = str(api.version)
        wait_until(nodes, lambda: f"m{i}" in names(nodes))
        eventually(lambda: nodes._follower._reflector.ask()[0] == expected, "the bookmark")
        api.end_watches(cut)
        api.wait_for(lambda _: len(api.watches()) == i + 2)
        assert api.watches()[-1].query["resourceVersion"] == expected

    for i, cut in enumerate((b"", b'{"type":"ADDED","obj', b"{")):
        interrupt(i, cut)
    assert sum("limit" in asked.query for asked in api.asked) == 1


def test_a_version_that_is_gone_is_a_list_anew_without_a_gap(api: Api, follow: Follow) -> None:
    """What went and came while the server forgot is seen, and it is no error."""
    for name in ("n1", "n2"):
        api.put(name)
    nodes = follow()
    assert nodes.wait(PATIENCE)
    wait_until(nodes, lambda: len(nodes.nodes) == 2)
    api.wait_for(lambda _: api.watches())
    api.mute = True
    api.delete("n2")
    api.put("n3")
    api.compact()
    api.mute = False
    api.end_watches()
    wait_until(nodes, lambda: names(nodes) == ["n1", "n3"])
    assert nodes.error is None


def test_a_lists_token_that_is_gone_begins_the_list_anew(api: Api, follow: Follow) -> None:
    """A compaction between two pages costs the list's beginning, and nothing is half."""
    api.page = 1
    for i in range(4):
        api.put(f"n{i}")
    answer = api._list
    seen: list[dict[str, str]] = []

    def compacting(to: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        seen.append(query)
        if len(seen) == 3:
            api.put("n9")
            api.compact()
        answer(to, query)

    api._list = compacting  # type: ignore[method-assign] # trouble on purpose
    nodes = follow()
    wait_until(nodes, lambda: names(nodes) == ["n0", "n1", "n2", "n3", "n9"])
    assert ["continue" in query for query in seen[:4]] == [False, True, True, False]


def test_a_server_that_is_away_changes_nothing(api: Api, follow: Follow) -> None:
    """The nodes stay, the error says since when, always the same, and goes when the server is back."""
    api.put("n1", ("10.244.1.0/24",), "10.99.0.1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    nodes.changed()
    before = nodes.nodes
    api.wait_for(lambda _: api.watches())
    api.down()
    wait_until(nodes, lambda: nodes.error is not None and "refused" in nodes.error.msg)
    assert nodes.error is not None
    assert "not current since 20" in nodes.error.msg
    assert nodes.nodes is before
    api.up()
    wait_until(nodes, lambda: nodes.error is None)
    assert nodes.nodes is before


def test_what_was_known_serves_until_there_is_a_list(api: Api, follow: Follow) -> None:
    """Without the server the nodes are those that were known; the first failure ends the wait."""
    api.put("n1")
    api.down()
    known = (Node("n1", (), ()), Node("n2", (), ()))
    nodes = follow(known)
    assert not nodes.wait(PATIENCE)
    assert nodes.changed()
    assert nodes.nodes == known
    assert nodes.error is not None
    api.up()
    wait_until(nodes, lambda: names(nodes) == ["n1"])


def test_a_server_that_hangs_is_noticed(api: Api, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that accepts and does not answer is an error in time; one whose stream falls silent is asked again."""
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(http, "SILENT_SECONDS", 0.2)
    api.put("n1")
    api.hang = True
    nodes = follow()
    wait_until(nodes, lambda: nodes.error is not None)
    assert nodes.error is not None
    assert "no answer in time" in nodes.error.msg
    api.hang = False
    wait_until(nodes, lambda: names(nodes) == ["n1"] and nodes.error is None)
    api.wait_for(lambda _: len(api.watches()) > 2)
    assert not nodes.changed()


def test_a_server_that_went_back_in_time_is_listed_anew(
    api: Api, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data are a backup's: it says nothing to who waits for a later version, and that silence is noticed."""
    monkeypatch.setattr(source, "SILENT", 0.1)
    monkeypatch.setattr(http, "SILENT_SECONDS", 0.2)
    api.put("n1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    wait_until(nodes, lambda: names(nodes) == ["n1"])
    api.wait_for(lambda _: api.watches())
    api.mute = True
    api.version = 10
    api.delete("n1")
    api.put("n2")
    wait_until(nodes, lambda: names(nodes) == ["n2"])
    assert nodes.error is None


def test_a_token_that_rotates_is_read_anew(api: Api, follow: Follow, tmp_path: Path) -> None:
    """Each request has the token that the file has then; one that is refused is an error with its remedy."""
    token = tmp_path / "token"
    token.write_text("first\n", encoding="ascii")
    api.tokens = {"first"}
    nodes = follow(user={"tokenFile": str(token)})
    assert nodes.wait(PATIENCE)
    api.wait_for(lambda _: api.watches())
    api.tokens = {"second"}
    api.end_watches()
    wait_until(nodes, lambda: nodes.error is not None)
    assert nodes.error is not None
    assert "401" in nodes.error.msg
    token.write_text("second", encoding="ascii")
    wait_until(nodes, lambda: nodes.error is None)


def test_a_busy_server_says_when_to_come_again(api: Api, follow: Follow) -> None:
    """Retry-After is kept to."""
    api.put("n1")
    api.refusal = 429, {"Retry-After": "1"}
    nodes = follow()
    assert not nodes.wait(PATIENCE)
    began = time.monotonic()
    api.refusal = None
    wait_until(nodes, lambda: bool(nodes.nodes))
    assert time.monotonic() - began > 0.5


def test_what_is_refused_for_long_begins_anew(api: Api, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that the server cannot serve for whatever reason is not asked for for ever."""
    monkeypatch.setattr(source, "LONG", 0.0)
    api.put("n1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    api.wait_for(lambda _: api.watches())
    api.refusal = 504, {}
    api.end_watches()
    wait_until(nodes, lambda: nodes.error is not None)
    api.wait_for(lambda asked: sum("limit" in one.query for one in asked) > 1)
    api.refusal = None
    wait_until(nodes, lambda: nodes.error is None)


def test_a_bug_is_told_and_the_list_taken_anew(api: Api, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread does not end unheard."""
    api.put("n1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    wait_until(nodes, lambda: names(nodes) == ["n1"])
    api.wait_for(lambda _: api.watches())
    with monkeypatch.context() as patch:
        patch.setattr(nodes._follower.feed, "watch", lambda ask: 1 // (len(ask) * 0))
        api.put("n2")
        api.end_watches()
        wait_until(nodes, lambda: nodes.error is not None and "bug" in nodes.error.msg)
    wait_until(nodes, lambda: names(nodes) == ["n1", "n2"] and nodes.error is None)


def test_a_node_that_claims_anothers_pods_is_ignored_and_told(api: Api, follow: Follow) -> None:
    """The older one keeps its CIDR; when it is deleted the other gets in."""
    api.put("n2", ("10.244.1.0/24",), "10.99.0.2")
    api.put("n1", ("10.244.0.0/16",), "10.99.0.1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    nodes.changed()
    assert names(nodes) == ["n2"]
    (remark,) = nodes.remarks
    assert "n1" in remark
    assert "10.244.1.0/24 of n2" in remark
    assert nodes.error is None
    api.delete("n2")
    wait_until(nodes, lambda: names(nodes) == ["n1"] and not nodes.remarks)


def test_a_connection_that_the_server_ended_meanwhile_is_made_anew(
    api: Api, write_kubeconfig: Callable[..., str]
) -> None:
    """One is kept between pages; that it is gone shows only when it is used."""
    client = Client(read_kubeconfig(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"})))
    assert client.get("/api/v1/nodes", {})
    for connection in list(api._connections):
        connection.shutdown(socket.SHUT_RDWR)
    assert client.get("/api/v1/nodes", {})
    client.close()
    with pytest.raises(IOFailure, match="podnet ends"):
        client.get("/api/v1/nodes", {})


def test_a_refusal_that_is_no_status(
    api: Api, write_kubeconfig: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy's page: its HTTP status tells."""
    monkeypatch.setattr("tests.cluster_sources.kubernetes.api._status", lambda *_: ["<html>"])
    api.refusal = 502, {}
    client = Client(read_kubeconfig(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"})))
    with pytest.raises(RefusedError, match="502 Bad Gateway") as caught:
        client.get("/api/v1/nodes", {})
    assert caught.value.status == 502
    client.close()


def test_closing_leaves_no_thread_and_no_descriptor(api: Api, follow: Follow) -> None:
    """Also while a watch is under way."""
    api.put("n1")
    before = len(list(Path("/proc/self/fd").iterdir()))
    nodes = follow()
    assert nodes.wait(PATIENCE)
    api.wait_for(lambda _: api.watches())
    thread = nodes._follower._thread
    nodes.close()
    assert not thread.is_alive()
    api.down()
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before, "descriptors")
