"""EtcdMember and EtcdNodes beside a real etcd: who claims what, what others see of it, and what trouble does to it."""

import json
import time
from base64 import b64encode
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest

from podnet.cluster.etcd import Backoff, Endpoints, EtcdMember, EtcdNodes, claimant, feed
from podnet.cluster.etcd.keys import ClusterRange, IPAddress
from podnet.cluster.named import POD_CIDRS
from podnet.cluster.remote import following, http
from podnet.errors import InvalidConfiguration
from podnet.model import Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.etcd.conftest import DUAL
from tests.cluster_sources.etcd.following import names, prefixes, wait_until
from tests.cluster_sources.etcd.relay import Relay
from tests.cluster_sources.etcd.server import PATIENCE, Etcd

Join = Callable[..., EtcdMember]
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def joined(join: Join, name: str, *servers: Etcd | Relay, **more: object) -> EtcdMember:
    """Return a node that has what it wants."""
    nodes = join(name, *servers, **more)
    assert nodes.wait(PATIENCE)
    wait_until(nodes, lambda: prefixes(nodes))
    return nodes


def test_a_node_that_joins_has_a_prefix_of_each_family(etcd: Etcd, join: Join) -> None:
    """It is claimed under its own key, told with the address and the key of WireGuard, and others see it."""
    one = join("n1", etcd, cluster=DUAL, wireguard=KEY)
    assert one.wait(PATIENCE)
    one.changed()
    own = prefixes(one)
    assert [prefix.partition("/")[2] for prefix in own] == ["24", "64"]
    assert etcd.holders() == dict.fromkeys(own, "n1")
    two = joined(join, "n2", etcd, cluster=DUAL)
    wait_until(one, lambda: len(prefixes(one, "n2")) == 2)
    wait_until(two, lambda: prefixes(two) == prefixes(one, "n2") and prefixes(two, "n1") == own)
    assert [str(a) for n in one.nodes for a in n.addresses] == ["10.99.0.1", "10.99.0.2"]
    assert [n.wireguard for n in two.nodes] == [KEY, ""]
    assert names(two) == ["n1", "n2"]
    assert one.error is None
    assert one.remarks == two.remarks == ()


def test_who_is_no_node_follows_and_claims_nothing(etcd: Etcd, join: Join) -> None:
    """As a router does, that is to know where pods are; and it sees which of the nodes reflect routes."""
    router = EtcdNodes(Endpoints(source="t", urls=(etcd.url,)), "/podnet/podnet", DUAL.cidrs, down=Backoff(lambda: 1.0))
    router.begin()
    assert router.wait(PATIENCE)
    router.moved()
    router.publish({POD_CIDRS: "10.244.0.0/28"})
    assert etcd.keys() == {}
    one, two = joined(join, "n1", etcd, reflector=True), joined(join, "n2", etcd)
    wait_until(
        router, lambda: [n.pod_cidrs for n in router.nodes] == [n.pod_cidrs for n in (*one.nodes[:1], *two.nodes[1:])]
    )
    assert [n.reflector for n in router.nodes] == [True, False]
    assert set(etcd.holders().values()) == {"n1", "n2"}
    router.close()


def test_one_family_is_one_prefix_of_that(etcd: Etcd, join: Join) -> None:
    """IPv6 alone, from the same source."""
    six = ClusterRange((ip_network("fd00:244::/56"),), 0, 64)
    addresses = (ip_address("2001:db8::1"),)
    one = joined(join, "n1", etcd, cluster=six, addresses=lambda: addresses)
    (prefix,) = prefixes(one)
    assert ip_network(prefix).subnet_of(ip_network("fd00:244::/56"))  # type: ignore[arg-type] # IPv6 both
    assert one.nodes[0].addresses == addresses


def test_what_changes_of_a_node_is_told(etcd: Etcd, join: Join) -> None:
    """Its address when it moves, its pools; a machine without an address is where it was."""
    here: list[tuple[IPAddress, ...]] = [(ip_address("10.99.0.1"),)]
    one = joined(join, "n1", etcd, addresses=lambda: here[0])
    two = joined(join, "n2", etcd)
    here[0] = (ip_address("10.99.0.77"), ip_address("fd99::77"))
    one.moved()
    pool = "10.244.0.0/28" if prefixes(one)[0] != "10.244.0.0/24" else "10.244.1.0/28"
    one.publish({POD_CIDRS: pool})
    wait_until(two, lambda: two.nodes[0].addresses == here[0] and two.nodes[0].pools)
    assert two.nodes[0].pools == (ip_network(pool),)
    here[0] = ()
    one.moved()
    one.publish({POD_CIDRS: None})
    wait_until(two, lambda: not two.nodes[0].pools)
    assert [str(a) for a in two.nodes[0].addresses] == ["10.99.0.77", "fd99::77"]


def test_a_node_without_an_address_says_so(etcd: Etcd, join: Join) -> None:
    """It has its prefix all the same, and is told by its address as soon as it has one."""
    here: list[tuple[IPAddress, ...]] = [()]
    one = joined(join, "n1", etcd, addresses=lambda: here[0])
    assert one.remarks == ("node n1 has no address that others reach it by; set `uplink` in podnet.yaml",)
    here[0] = (ip_address("10.99.0.1"),)
    one.moved()
    wait_until(one, lambda: not one.remarks)


def test_a_node_that_comes_back_has_its_old_prefix(etcd: Etcd, join: Join) -> None:
    """Though others came meanwhile; and its lease goes on being the one that it was."""
    one = joined(join, "n1", etcd)
    old, lease = prefixes(one), etcd.lease("nodes/n1")
    one.close()
    joined(join, "n2", etcd)
    again = joined(join, "n1", etcd)
    assert prefixes(again) == old
    assert etcd.lease("nodes/n1") == lease
    assert again.remarks == ()


def test_a_dead_nodes_record_goes_after_the_grace_and_its_prefix_to_who_needs_it(etcd: Etcd, join: Join) -> None:
    """Not before; the one who comes back then is told which pods are not reached, and has another when there is one."""
    two_prefixes = ClusterRange((ip_network("10.244.0.0/23"),), 24)
    one = joined(join, "n1", etcd, cluster=two_prefixes, grace=3)
    two = joined(join, "n2", etcd, cluster=two_prefixes, grace=3600)
    (old,) = prefixes(one)
    known = one.nodes
    one.close()
    three = join("n3", etcd, cluster=two_prefixes)
    wait_until(three, lambda: three.remarks)
    assert "no prefix /24 left for this node: all 2 are claimed" in three.remarks[0]
    assert prefixes(three) == []
    wait_until(two, lambda: names(two) == ["n2", "n3"])
    wait_until(three, lambda: prefixes(three) == [old] and not three.remarks)
    back = join("n1", etcd, cluster=two_prefixes, known=known)
    wait_until(back, lambda: len(back.remarks) == 2)
    assert prefixes(back) == []
    assert back.remarks[0].startswith(
        f"{old} was this node's and is node n3's: this node was away from etcd for longer"
    )
    assert "no prefix /24 left" in back.remarks[1]
    etcd.ctl("del", "--prefix", "/podnet/podnet/claims/" + prefixes(two)[0])
    etcd.ctl("del", "/podnet/podnet/nodes/n2")
    wait_until(back, lambda: prefixes(back) or prefixes(two))  # whoever is first


def test_a_cluster_of_another_range_is_refused(etcd: Etcd, join: Join) -> None:
    """With both ranges, before anything is written; the first one's stays."""
    one = joined(join, "n1", etcd)
    other = join("n2", etcd, cluster=DUAL)
    other.wait(PATIENCE)
    assert isinstance(other.refusal, InvalidConfiguration)
    assert "10.244.0.0/16 in /24, fd00:244::/48 in /64, and etcd has 10.244.0.0/16 in /24 at /podnet/podnet/config" in (
        other.refusal.msg
    )
    assert one.refusal is None
    assert set(etcd.keys()) == {"config", "alive/n1", "nodes/n1", f"claims/{prefixes(one)[0]}"}


def test_a_second_machine_of_a_name_gets_nothing(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what the first one has; when the first is dead it is that node, with its prefix."""
    monkeypatch.setattr(claimant, "ALIVE_SECONDS", 2)
    one = joined(join, "n1", etcd)
    old = prefixes(one)
    clone = join("n1", etcd, boot="another")
    wait_until(clone, lambda: clone.remarks)
    assert clone.remarks[0].startswith("the name n1 is another machine's, which is alive (its boot is boot of n1)")
    assert prefixes(clone) == []
    one.close()
    wait_until(clone, lambda: prefixes(clone) == old and not clone.remarks)


def test_a_copy_of_a_machine_stops_giving_addresses(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it knows of before serves for as long as the other may be itself before a reboot, no longer."""
    monkeypatch.setattr(claimant, "ALIVE_SECONDS", 2)
    one = joined(join, "n1", etcd)
    copy = join("n1", etcd, boot="another", known=one.nodes)
    wait_until(copy, lambda: copy.remarks)
    assert prefixes(copy) == prefixes(one)
    wait_until(copy, lambda: prefixes(copy) == [])
    one.changed()
    assert prefixes(one)


def test_what_others_delete_is_put_back(etcd: Etcd, join: Join) -> None:
    """Record, name and claim, with the same prefix; what is malformed is told, and others are followed."""
    one, two = joined(join, "n1", etcd), joined(join, "n2", etcd)
    old = prefixes(one)
    for key in ("nodes/n1", "alive/n1", f"claims/{old[0]}"):
        etcd.ctl("del", f"/podnet/podnet/{key}")
        eventually(lambda: key in set(etcd.keys()), f"{key} again")  # noqa: B023 - called here
    wait_until(two, lambda: prefixes(two, "n1") == old)
    etcd.ctl("put", "/podnet/podnet/nodes/n9", '{"addresses": ["x"]}')
    wait_until(two, lambda: two.remarks)
    assert "etcd's key nodes/n9 is ignored: 'x' does not appear to be an IPv4 or IPv6 address" in two.remarks[0]
    assert names(two) == ["n1", "n2"]


def test_etcd_that_lost_everything_is_told_the_same_again(etcd: Etcd, join: Join) -> None:
    """Deleted keys of all nodes: each claims what it had."""
    members = [joined(join, f"n{i}", etcd) for i in (1, 2, 3)]
    before = etcd.holders()
    etcd.ctl("del", "--prefix", "/podnet/")
    eventually(lambda: etcd.holders() == before, "the same claims")
    wait_until(
        members[0], lambda: names(members[0]) == ["n1", "n2", "n3"] and all(n.pod_cidrs for n in members[0].nodes)
    )


def test_an_etcd_that_is_another_is_told_the_same(etcd: Etcd, join: Join) -> None:
    """One in the place of an old one, without its data: it is at an older revision, and knows no lease."""
    members = [joined(join, f"n{i}", etcd) for i in (1, 2, 3)]
    before = etcd.holders()
    etcd.end()
    etcd.forget()
    etcd.start()
    eventually(lambda: etcd.holders() == before, "the same claims")
    for one in members:
        wait_until(one, lambda one=one: one.error is None and [bool(n.pod_cidrs) for n in one.nodes] == [True] * 3)  # type: ignore[misc] # bound here


def test_etcd_that_is_away_changes_nothing(etcd: Etcd, join: Join) -> None:
    """The nodes stay, the error says since when, and a node that starts meanwhile has those that it knew."""
    one, two = joined(join, "n1", etcd), joined(join, "n2", etcd)
    wait_until(one, lambda: names(one) == ["n1", "n2"] and prefixes(one, "n2"))
    before = one.nodes
    etcd.end()
    wait_until(one, lambda: one.error is not None)
    assert one.error is not None
    assert "not current since 20" in one.error.msg
    assert one.nodes is before
    two.close()
    again = join("n2", etcd, known=before)
    again.wait(PATIENCE)
    again.changed()
    assert again.nodes == before
    etcd.start()
    wait_until(one, lambda: one.error is None)
    wait_until(again, lambda: again.error is None)
    three = joined(join, "n3", etcd)
    wait_until(one, lambda: prefixes(one, "n3") == prefixes(three))
    assert prefixes(again) == [str(c) for c in before[1].pod_cidrs]
    assert prefixes(one) == [str(c) for c in before[0].pod_cidrs]


def test_a_compacted_revision_is_a_list_anew_without_a_gap(etcd: Etcd, relay: Relay, join: Join) -> None:
    """What went and came while the node was cut off and etcd forgot is seen, and it is no error."""
    one = joined(join, "n1", relay)
    joined(join, "n2", etcd).close()
    wait_until(one, lambda: prefixes(one, "n2"))
    relay.cut()
    wait_until(one, lambda: one.error is not None)
    etcd.ctl("del", "/podnet/podnet/nodes/n2")
    three = joined(join, "n3", etcd)
    etcd.ctl("compact", str(etcd.revision()))
    assert names(one) == ["n1", "n2"]
    relay.mend()
    wait_until(one, lambda: names(one) == ["n1", "n3"] and one.error is None)
    assert prefixes(one, "n3") == prefixes(three)


def test_a_node_that_was_cut_off_for_longer_than_the_grace_gives_its_prefix_up(
    etcd: Etcd, relay: Relay, join: Join
) -> None:
    """While it is cut off nothing changes; when it hears whose the prefix is, it has none until it has another."""
    two_prefixes = ClusterRange((ip_network("10.244.0.0/23"),), 24)
    one = joined(join, "n1", relay, cluster=two_prefixes, grace=3)
    joined(join, "n2", etcd, cluster=two_prefixes)
    (old,) = prefixes(one)
    relay.cut()
    three = join("n3", etcd, cluster=two_prefixes)
    wait_until(three, lambda: prefixes(three) == [old])
    one.changed()
    assert prefixes(one) == [old]
    relay.mend()
    wait_until(one, lambda: prefixes(one) == [] and len(one.remarks) == 2)
    assert f"{old} was this node's and is node n3's" in one.remarks[0]
    three.close()
    etcd.ctl("del", "--prefix", "/podnet/podnet/nodes/n3")
    etcd.ctl("del", "--prefix", f"/podnet/podnet/claims/{old}")
    wait_until(one, lambda: prefixes(one) == [old] and not one.remarks)


def test_a_watch_that_falls_silent_is_given_up(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs is noticed, and followed again when it goes on."""
    monkeypatch.setattr(http, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(http, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(following, "SILENT", 0.9)
    one = join("n1", etcd)
    wait_until(one, lambda: prefixes(one))
    etcd.suspend()
    wait_until(one, lambda: one.error is not None)
    assert one.error is not None
    assert "no answer in time" in one.error.msg
    etcd.resume()
    wait_until(one, lambda: one.error is None)
    two = joined(join, "n2", etcd)
    wait_until(one, lambda: prefixes(one, "n2") == prefixes(two))


def test_one_dead_endpoint_of_three_is_passed_over(serve: Callable[..., list[Etcd]], join: Join) -> None:
    """At the start, and when the one that is asked dies."""
    servers = serve(3)
    servers[0].end()
    one = joined(join, "n1", *servers)
    servers[0].start()
    servers[1].end()
    two = joined(join, "n2", *servers)
    wait_until(one, lambda: prefixes(one, "n2") == prefixes(two) and one.error is None)


def test_a_server_without_a_leader_is_not_believed(serve: Callable[..., list[Etcd]], join: Join) -> None:
    """One that is cut off from the others ends the watch, and the next one is asked; with none it is an error."""
    servers = serve(3)
    one = joined(join, "n1", *servers)
    for server in servers[1:]:
        server.end()
    wait_until(one, lambda: one.error is not None)
    before = one.nodes
    for server in servers[1:]:
        server.launch()
    wait_until(one, lambda: one.error is None)
    assert one.nodes == before


def test_known_nodes_serve_until_there_is_a_list(etcd: Etcd, join: Join) -> None:
    """And what they say of this node it claims again, where etcd does not know of it."""
    known = (Node("n1", (ip_address("10.99.0.1"),), (ip_network("10.244.77.0/24"),)),)
    one = joined(join, "n1", etcd, known=known)
    wait_until(one, lambda: etcd.holders() == {"10.244.77.0/24": "n1"})
    assert prefixes(one) == ["10.244.77.0/24"]


def test_a_bug_is_told_and_tried_again(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that claims does not end unheard."""
    with monkeypatch.context() as patch:
        patch.setattr(claimant, "decide", lambda *_: 1 // 0)
        one = join("n1", etcd)
        wait_until(one, lambda: one.remarks)
        assert "ZeroDivisionError" in one.remarks[0]
        assert "please report it" in one.remarks[0]
    wait_until(one, lambda: prefixes(one) and not one.remarks)


def test_many_keys_come_in_pages_of_one_revision(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a page ends at a key that others wrote and that is no text."""
    monkeypatch.setattr(feed, "LIMIT", 2)
    for number in range(2, 7):
        etcd.ctl("put", f"/podnet/podnet/nodes/n{number}", json.dumps({"addresses": [f"10.99.0.{number}"]}))
    for key in (b"/podnet/podnet/nodes/\xff", b"/podnet/podnet/nodes/\xfe"):
        etcd.curl("/v3/kv/put", json.dumps({"key": b64encode(key).decode(), "value": "e30="}), "Accept: */*")
    one = joined(join, "n1", etcd)
    wait_until(one, lambda: names(one) == [f"n{number}" for number in range(1, 7)])
    assert sum("is ignored: its key is none of podnet's" in remark for remark in one.remarks) == 2


def test_keeping_leases_alive_wakes_nobody(etcd: Etcd, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names outlive their lease's time several times over, and etcd's revision stays."""
    monkeypatch.setattr(claimant, "ALIVE_SECONDS", 2)
    joined(join, "n1", etcd, grace=3)
    revision, until = etcd.revision(), time.monotonic() + 5
    eventually(lambda: time.monotonic() > until, "five seconds")
    assert etcd.revision() == revision
    assert {"alive/n1", "nodes/n1"} <= set(etcd.keys())
