"""What is heard of others' changes, and that podnet's own, and what takes nothing away, wake nobody."""

from ipaddress import ip_address, ip_network

import pytest

from podnet.kernel.monitor import MOST, Monitor
from podnet.plan import PROTOCOL, TABLE, Address, Fdb, Heard, Link, Neighbour, Plan, Route, Step, inverse
from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live

WIRED = (
    "ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up; ip addr add 10.9.0.1/24 dev d0; "
    f"ip route add 10.8.0.0/24 via 10.9.0.2 proto {PROTOCOL}; "
    "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:05 dev d0"
)


def heard(monitor: Monitor) -> Heard:
    """Return what has come by now; the kernel tells before it answers who asks."""
    monitor.listen()
    return monitor.heard()


def test_what_is_taken_away_is_heard_as_the_object_it_was(space: NodeNamespace, monitor: Monitor) -> None:
    """A route, a neighbour, an address, each with the link's name."""
    space.sh(WIRED)
    heard(monitor)
    space.sh("ip route del 10.8.0.0/24")
    gone = Route(at="node", dst=ip_network("10.8.0.0/24"), dev="d0", via=ip_address("10.9.0.2"), protocol=PROTOCOL)
    assert heard(monitor).objects == (gone,)
    space.sh("ip neigh del 10.9.0.2 dev d0")
    assert heard(monitor).objects == (Neighbour(at="node", dev="d0", address=ip_address("10.9.0.2"), mac=""),)
    space.sh("ip addr del 10.9.0.1/24 dev d0")
    found = heard(monitor).objects
    assert Address(at="node", dev="d0", address=ip_address("10.9.0.1"), prefixlen=24) in found


def test_a_route_in_the_place_of_another_is_heard(space: NodeNamespace, monitor: Monitor) -> None:
    """As it is now: what it was is not told."""
    space.sh(WIRED)
    heard(monitor)
    space.sh("ip route replace 10.8.0.0/24 via 10.9.0.3")
    (found,) = heard(monitor).objects
    assert isinstance(found, Route)
    assert (str(found.dst), str(found.via)) == ("10.8.0.0/24", "10.9.0.3")


def test_a_forwarding_entry_is_heard(space: NodeNamespace, monitor: Monitor) -> None:
    """Of a VXLAN device, which is no neighbour."""
    space.sh("ip link add vx type vxlan id 5 local 10.99.0.11 dstport 4789; ip link set vx up")
    space.sh("bridge fdb add 02:00:00:00:00:07 dev vx dst 10.99.0.12 self permanent")
    heard(monitor)
    space.sh("bridge fdb del 02:00:00:00:00:07 dev vx dst 10.99.0.12 self")
    entry = Fdb(at="node", dev="vx", mac="02:00:00:00:00:07", dst=ip_address("10.99.0.12"))
    assert heard(monitor).objects == (entry,)


@pytest.mark.parametrize("change", ["ip link set d0 mtu 1400", "ip link set d0 down", "ip link del d0"])
def test_links_are_heard_by_name(space: NodeNamespace, monitor: Monitor, change: str) -> None:
    """That they changed, or went; what they are now is for whoever looks."""
    space.sh(WIRED)
    heard(monitor)
    space.sh(change)
    assert "d0" in heard(monitor).links


def test_who_changed_the_ruleset_is_heard_by_name(space: NodeNamespace, monitor: Monitor) -> None:
    """The process that did, whatever table it changed."""
    space.sh("nft add table inet theirs")
    (writer,) = heard(monitor).writers
    assert writer.startswith("nft (pid ")


def test_what_takes_nothing_away_is_not_heard(space: NodeNamespace, monitor: Monitor) -> None:
    """Routes and neighbours that come: nobody is woken for them."""
    space.sh(WIRED)
    heard(monitor)
    space.sh("ip route add 10.7.0.0/24 via 10.9.0.2; ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:05 dev d0 nud stale")
    told = heard(monitor)
    assert (told.objects, told.writers) == ((), ())


def test_podnets_own_changes_are_not_heard(space: NodeNamespace, monitor: Monitor) -> None:
    """Routes, neighbours and rules that its own sockets make and take away; of a neighbour's end the kernel tells."""
    own = Plan(
        (
            Step(TABLE, "r"),
            Step(Route(at="node", dst=ip_network("10.8.0.0/24"), dev="up0", protocol=PROTOCOL), "r"),
            Step(Neighbour(at="node", dev="up0", address=ip_address("10.99.0.77"), mac="02:00:00:00:00:07"), "r"),
        )
    )
    heard(monitor)
    with space.inside():
        space.kernel.apply(own)
        assert heard(monitor) == Heard()
        space.kernel.dismantle(inverse(own))
    assert [type(thing) for thing in heard(monitor).objects] == [Neighbour]


def test_what_was_too_much_is_told_as_lost(space: NodeNamespace, monitor: Monitor) -> None:
    """More than is kept: anything may have changed; after that it hears as before."""
    routes = "".join(f"route add 10.{n // 250}.{n % 250}.0/24 dev up0\n" for n in range(MOST + 9))
    space.sh(f"ip -batch - <<'X'\n{routes}X")
    heard(monitor)
    space.sh(f"ip -batch - <<'X'\n{routes.replace('add', 'del')}X")
    assert heard(monitor).lost
    space.sh("ip link set up0 mtu 1400")
    told = heard(monitor)
    assert not told.lost
    assert told.links == {"up0"}


def test_links_made_by_podnet_have_names_in_what_is_heard(space: NodeNamespace, monitor: Monitor) -> None:
    """Also where the kernel did not tell of their birth, since podnet asked for it."""
    with space.inside():
        space.kernel.apply(Plan((Step(Link(at="node", name="br9", kind="bridge", alias="podnet:x"), "r"),)))
    space.sh("ip addr add 10.9.0.1/24 dev br9")
    heard(monitor)
    space.sh("ip addr del 10.9.0.1/24 dev br9")
    assert {thing.dev for thing in heard(monitor).objects if isinstance(thing, Address)} == {"br9"}
