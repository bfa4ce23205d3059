"""What is heard of pods' links: nothing while they are made, everything after."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.kernel.births import CARRIES, LONGEST, NEW, Births
from podnet.kernel.monitor import Monitor
from podnet.netlink.rtnl import AF_BRIDGE, Link
from podnet.netlink.rtnl.link import IFF_LOWER_UP, IFF_RUNNING
from podnet.plan import GROUP_PODS
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.waiting import eventually

POD = f"ip link add v0 group {GROUP_PODS} type veth peer name v1; ip link set v1 up; ip link set v0 up"
PORT = "ip link add br0 type bridge; ip link set br0 up; " + POD.replace("; ip", "; ip link set v0 master br0; ip", 1)


def told(monitor: Monitor) -> frozenset[str]:
    """Return the links that were heard of by now."""
    monitor.listen()
    return monitor.heard().links


@pytest.mark.live
@pytest.mark.parametrize("script", [POD, PORT], ids=["veth", "port"])
@pytest.mark.parametrize("change", ["mtu 1300", "down", "alias x", "group 7", "nomaster"])
def test_a_pods_link_is_heard_of_when_it_has_been_made(
    space: NodeNamespace, monitor: Monitor, script: str, change: str
) -> None:
    """Until it carries packets nobody is woken; then every change is told, and its end."""
    if change == "nomaster" and script is POD:
        change = "address 02:00:00:00:00:09"
    space.sh(script)
    heard: list[str] = []

    def carrying() -> bool:
        heard.extend(told(monitor))
        return not monitor._births._since

    assert "v0" not in told(monitor)
    eventually(carrying, "a carrier")
    assert "v0" not in heard
    space.sh(f"ip link set v0 {change}")
    assert "v0" in told(monitor)
    space.sh("ip link del v0")
    assert "v0" in told(monitor)


@pytest.mark.live
def test_links_of_others_are_heard_of_from_the_first(space: NodeNamespace, monitor: Monitor) -> None:
    """The uplink may be one of them."""
    space.sh("ip link add d0 type veth peer name d1")
    assert {"d0", "d1"} <= told(monitor)


def message(index: int = 5, *, group: int = GROUP_PODS, change: int = NEW, flags: int = 0, family: int = 0) -> bytes:
    """Return a notification of a link."""
    payload = Link(index=index, family=family, ifname="v", group=group, flags=flags, change=change).encode()
    return b"\0\0\0\0\x10\0" + bytes(10) + payload


def test_a_birth_ends_with_a_carrier_or_by_the_clock() -> None:
    """A link that never carries anything is not deaf for ever."""
    clock = [0.0]
    births = Births(lambda: clock[0])
    assert births.told(message())
    assert births.told(message(change=0, family=AF_BRIDGE, flags=CARRIES))
    assert births.told(message(change=1, flags=IFF_LOWER_UP))
    assert births.told(message(change=1, flags=IFF_RUNNING))
    assert births.told(message(change=0, flags=CARRIES))
    assert not births.told(message(change=0))
    assert births.told(message(6))
    assert not births.told(message(7, change=0))
    clock[0] = LONGEST
    assert not births.told(message(6, change=0))
    assert not births.told(message(8, group=0))


@given(st.binary(max_size=60))
def test_a_birth_that_cannot_be_read_is_for_who_decodes_it(attributes: bytes) -> None:
    """Whatever follows the header of a link's first message, nothing is raised."""
    Births(lambda: 0.0).told(message()[:32] + attributes)


@given(st.binary(max_size=80))
def test_what_is_no_notification_is_no_birth(data: bytes) -> None:
    """Whatever comes, it is kept for who decodes it."""
    births = Births(lambda: 0.0)
    if len(data) < 32 or data[4:6] != b"\x10\0":
        assert not births.told(data)
