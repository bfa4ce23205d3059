"""What the daemon looks after by itself: logged once when found, and again only when it has been right meanwhile."""

import errno
import json
import logging
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podnet import mesh
from podnet.cluster import GC
from podnet.cni import Frame, parse
from podnet.daemon.aliases import publish
from podnet.daemon.drifts import Drifts
from podnet.daemon.lookout import AUDITED, WAYS_EVERY, Lookout
from podnet.engine import Drift
from podnet.errors import RequestError
from podnet.model import Attachment, KubernetesPod, Lease, Node, Terms, Tunnel
from podnet.nft import Rule
from podnet.plan import Route
from podnet.store import Store
from podnet.testing import FakeNode
from podnet.testing.values import a_lease, a_network

GRACE = 60.0
Logged = Callable[[], list[str]]


@pytest.fixture
def node() -> FakeNode:
    """Return a node that serves one network."""
    return FakeNode(a_network("ptp", (4, 6)))


@pytest.fixture
def lookout(node: FakeNode) -> Lookout:
    """Return a lookout over the node."""
    return Lookout(node.engine, cast("Store", node.store), GC(10.0, GRACE), Drifts())


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Return what was logged since the last call."""
    caplog.set_level(logging.INFO, "podnet")

    def take() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    return take


def break_route(node: FakeNode) -> None:
    """Take the IPv4 route to the pod away."""
    route = next(t for t in node.state().values() if isinstance(t, Route) and str(t.dst) == "10.244.1.2/32")
    node.kernel.node.remove(route)


def test_a_node_where_all_is_well_is_not_spoken_of(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """However often it is looked at."""
    node.add("red")
    assert [lookout.look() for _ in range(2 * WAYS_EVERY)] == [False] * 2 * WAYS_EVERY
    assert logged() == []


def test_a_pod_that_has_gone_is_collected_and_told_once(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """The look that collects says that there is something to reap."""
    node.add("red", terms=Terms(pod=KubernetesPod("shop", "web-0")))
    node.new_namespace("red")
    assert not lookout.look()
    assert logged() == []
    node.clock.advance(GRACE)
    assert lookout.look()
    assert logged() == [
        "pod shop/web-0, container red (eth0) is collected: its network namespace has been gone for 60 s"
    ]
    assert not lookout.look()
    assert logged() == []


def test_a_pod_whose_link_was_deleted_is_attached_anew(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """Told when it is found, and when it is over; the pod has all that it had."""
    node.add("red")
    (lease,) = node.store.live()
    before, inside = node.state(), node.pod_state("red")
    for _ in range(2):
        node.kernel.node.remove_link(lease.link)
        lookout.look()
        (line,) = logged()
        assert line.startswith(f"drift: container red (eth0): link {lease.link} is gone")
        assert (node.state(), node.pod_state("red")) == (before, inside)
        lookout.look()
        (line,) = logged()
        assert line.startswith(f"over: container red (eth0): link {lease.link} is gone")


def test_what_is_mended_is_told_each_time_it_was_broken(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """One line with what was expected; the look after finds it right, and says so."""
    node.add("red")
    before = node.state()
    for _ in range(2):
        break_route(node)
        lookout.look()
        (line,) = logged()
        assert line.startswith("drift: container red (eth0): missing: ip route add 10.244.1.2")
        assert node.state() == before
        lookout.look()
        (line,) = logged()
        assert line.startswith("over: container red (eth0): missing: ip route add 10.244.1.2")
        lookout.look()
        assert logged() == []


def test_what_stays_wrong_in_a_pod_is_told_once(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """At every look it is found; a change of it is news."""
    node.add("red")
    space = node.kernel.inside(node.namespace("red"))
    eth0 = space.link("eth0")
    assert eth0 is not None
    space.put(replace(eth0, mtu=1280))
    lookout.look()
    assert len(logged()) == 1
    lookout.look()
    assert logged() == []
    space.put(replace(eth0, mtu=1300))
    lookout.look()
    assert len(logged()) == 1


def test_attachments_are_audited_in_turn(node: FakeNode, lookout: Lookout) -> None:
    """So many at a look; after enough looks each was, and it begins anew."""
    for number in range(AUDITED + 5):
        node.add(f"pod{number}")
    seen: list[list[str]] = []
    audit = node.engine.audit

    def spy(leases: list[Lease]) -> list[Drift]:
        seen.append([lease.link for lease in leases])
        return audit(leases)

    node.engine.audit = spy  # type: ignore[method-assign,assignment]
    for _ in range(3):
        lookout.look()
    links = sorted(lease.link for lease in node.store.live())
    assert seen == [links[:AUDITED], links[AUDITED:], links[:AUDITED]]


def test_the_node_s_part_is_audited_at_each_look(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """A rule that is gone is told and made again."""
    lookout.look()
    before = node.state()
    node.kernel.node.remove(next(thing for thing in before.values() if isinstance(thing, Rule)))
    lookout.look()
    (line,) = logged()
    assert line.startswith("drift: the node's part was not as it should be: the rules of chain")
    assert node.state() == before


def test_the_ways_to_other_nodes_are_audited_seldom(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """At the first look and at every so-manieth: there may be thousands of them."""
    other = Node("n2", (ip_address("10.99.0.12"),), (ip_network("10.244.2.0/24"),))
    node.mesh = mesh.between((other,), node.facts, "direct", Tunnel())
    node.reconcile()
    lookout.look()
    before = node.state()
    node.kernel.node.remove(next(t for t in before.values() if isinstance(t, Route) and t.dst == other.pod_cidrs[0]))
    for _ in range(WAYS_EVERY - 1):
        lookout.look()
        assert logged() == []
    lookout.look()
    (line,) = logged()
    assert "missing: ip route add 10.244.2.0/24" in line
    assert node.state() == before


def test_a_look_that_fails_is_told_once_and_made_again(node: FakeNode, lookout: Lookout, logged: Logged) -> None:
    """The daemon goes on; when looking succeeds and fails anew, that is news."""
    for _ in range(2):
        node.kernel.fail_at("own_links", errno.EPERM, times=2)
        assert not lookout.look()
        (line,) = logged()
        assert line.startswith("drift: the node cannot be looked after: own_links: EPERM")
        assert not lookout.look()
        assert logged() == []
        lookout.look()
        (line,) = logged()
        assert line.startswith("over: the node cannot be looked after")


def test_looks_come_in_their_interval_or_never(node: FakeNode) -> None:
    """An interval of 0 is none."""
    store = cast("Store", node.store)
    assert Lookout(node.engine, store, GC(0.0, GRACE), Drifts()).wait(1.0) is None
    wait = Lookout(node.engine, store, GC(1000.0, GRACE), Drifts()).wait(1.0)
    assert wait is not None
    assert 0 < wait <= 1000
    tiny = Lookout(node.engine, store, GC(1e-9, GRACE), Drifts())
    assert tiny.wait(1.0) == 0.0


def test_a_look_waits_for_a_quiet_moment_but_not_without_end(node: FakeNode) -> None:
    """While requests come it would make them wait: it is put off, for some intervals at most."""
    store = cast("Store", node.store)
    lookout = Lookout(node.engine, store, GC(0.2, GRACE), Drifts())
    busy = lookout.wait(0.0)
    assert busy is not None
    assert 0.2 < busy <= 0.25
    overdue = Lookout(node.engine, store, GC(1e-9, GRACE), Drifts())
    assert overdue.wait(0.0) == 0.0


# Aliases


def named(network: str, container: str, *aliases: str, number: int = 2) -> Lease:
    """Return a lease with these aliases."""
    lease = a_lease(a_network("ptp", (4, 6)), container, number)
    attachment = Attachment(network, container, "eth0")
    return replace(lease, attachment=attachment, terms=Terms(aliases=aliases))


def test_aliases_are_published_as_hosts_files(tmp_path: Path) -> None:
    """One per network, a line per address; the folder is made; leases without aliases are not in it."""
    folder = tmp_path / "run" / "aliases"
    leases = [named("one", "red", "web", "web.shop"), named("one", "blue", "db", number=3), named("two", "x")]
    publish(str(folder), leases)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "one.hosts": (
            "10.244.1.2\tweb web.shop\nfd00:10:244:1::2\tweb web.shop\n10.244.1.3\tdb\nfd00:10:244:1::3\tdb\n"
        )
    }


def test_a_network_without_aliases_loses_its_file(tmp_path: Path) -> None:
    """Others' files in the folder stay; without any there is no folder to make."""
    publish(str(tmp_path / "none"), [])
    assert not (tmp_path / "none").exists()
    (tmp_path / "theirs").write_text("")
    publish(str(tmp_path), [named("one", "red", "web"), named("two", "blue", "db")])
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "one.hosts", "two.hosts"}
    publish(str(tmp_path), [named("two", "blue", "db")])
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "two.hosts"}


@settings(deadline=None)
@given(alias=st.text(min_size=1, max_size=4) | st.from_regex(r"\A[a-z_.-]{1,6}\Z", fullmatch=True))
def test_what_is_taken_as_an_alias_can_be_published(tmp_path_factory: pytest.TempPathFactory, alias: str) -> None:
    """No name that passed ends the daemon, or begins another line or word of the file."""
    environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0", "CNI_NETNS": "/n"}
    document = {"cniVersion": "1.1.0", "name": "n", "type": "podnet", "runtimeConfig": {"aliases": [alias]}}
    try:
        parse(Frame(environment, json.dumps(document).encode(), 0), a_network())
    except RequestError:
        return
    folder = tmp_path_factory.mktemp("aliases")
    publish(str(folder), [named("n", "red", alias)])
    assert [line.split() for line in (folder / "n.hosts").read_text().splitlines()] == [
        ["10.244.1.2", alias],
        ["fd00:10:244:1::2", alias],
    ]


def test_what_is_found_is_an_event_once(node: FakeNode) -> None:
    """For who is told of events: when it is found, not at every look, nor when it is over."""
    events: list[str] = []
    lookout = Lookout(node.engine, cast("Store", node.store), GC(10.0, GRACE), Drifts(events.append))
    node.add("red")
    break_route(node)
    for _ in range(3):
        lookout.look()
    (event,) = events
    assert event.startswith("container red (eth0): missing: ip route add 10.244.1.2")
