"""Floating routes: which are laid beside BIRD's, and when one of them is needed no more."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.bird import (
    METRIC,
    METRIC_FLOATING,
    PROTOCOL_BIRD,
    PROTOCOL_FLOATING,
    Configuration,
    copies,
    is_recovering,
    parse_routes,
    served,
    without,
)
from podnet.plan import Route, explain

ROUTES = """\
Table master4:
10.244.2.0/24        unicast [podnet.n2.4 2026-11-29 21:18:27.757] * (100) [i]
	via 10.99.0.2 on eth0
10.244.3.0/24        unreachable [podnet.n3.4 2026-11-29 21:18:27.757] * (100) [i]
172.16.0.9/32        unicast [podnet.n2.4 2026-11-29 21:18:27.757] * (100) [i]
	via 10.99.0.2 on eth0

Table master6:
fd44:0:0:2::/64      unicast [podnet.n2.6 2026-11-29 21:18:27.757] * (100) [i]
	via fd99::2 on eth0
"""
RECOVERING = """\
BIRD 2.0.12
Router ID is 10.99.0.1
Hostname is vm
Current server time is 2026-11-29 21:18:26.227
Last reboot on 2026-11-29 21:18:22.200
Last reconfiguration on 2026-11-29 21:18:22.200
Graceful restart recovery in progress
  Waiting for 1 channels to recover
  Wait timer is 55.973/60
Daemon is up and running
"""
N2, N3 = ip_network("10.244.2.0/24"), ip_network("10.244.3.0/24")
STRAY = ip_network("10.250.0.9/32")
PREFIXES = (N2, N3, STRAY, ip_network("10.244.9.0/24"), ip_network("fd44:0:0:2::/64"), ip_network("172.16.0.9/32"))
CONFIGURATION = Configuration(
    router_id=IPv4Address("10.99.0.1"),
    profile="graceful",
    families=(4, 6),
    links=("eth0",),
    own=(ip_network("10.244.1.0/24"),),
    owners={
        ip_address("10.99.0.2"): (N2, ip_network("fd44:0:0:2::/64")),
        ip_address("10.99.0.3"): (N3,),
    },
    cluster=(ip_network("10.244.0.0/16"), ip_network("10.250.0.0/16"), ip_network("fd44::/48")),
    sessions=(),
)
NEEDED = frozenset({*PREFIXES[:3], PREFIXES[4]})
"""What somebody may have: a node of the list, or a pod by itself."""


def bird(dst: IPv4Network | IPv6Network, via: str = "10.99.0.2") -> Route:
    """Return a route as BIRD gives it to the kernel."""
    return Route(at="node", dst=dst, dev="eth0", via=ip_address(via), protocol=PROTOCOL_BIRD, metric=METRIC)


def floating(dst: IPv4Network | IPv6Network) -> Route:
    """Return the floating route beside it."""
    (step,) = copies([bird(dst)], []).steps
    assert isinstance(step.object, Route)
    return step.object


def test_a_copy_leads_the_same_way_and_gives_way_to_what_it_copies() -> None:
    """It is known by a protocol of its own, and its metric is the next worse."""
    plan = copies([bird(N2)], [])
    assert [line.command for line in explain(plan)] == [
        "ip route add 10.244.2.0/24 via 10.99.0.2 dev eth0 proto 113 metric 180"
    ]
    assert PROTOCOL_FLOATING == 113
    assert METRIC_FLOATING == METRIC + 1


def test_what_floats_already_is_laid_once_and_brought_up_to_date() -> None:
    """A BIRD that dies twice in a row: what is missing is added, what leads elsewhere changed, none taken away."""
    before = [floating(N2), floating(N3)]
    assert not copies([bird(N2)], before)
    (changed,) = copies([bird(N2, "10.99.0.7")], before).steps
    assert (changed.verb, getattr(changed.object, "via", None)) == ("set", ip_address("10.99.0.7"))
    assert len(copies([bird(N2), bird(STRAY)], before).steps) == 1


def test_a_route_that_leads_nowhere_is_not_copied() -> None:
    """Such as one that BIRD has made unreachable."""
    assert not copies([Route(at="node", dst=N2, type="unreachable", protocol=PROTOCOL_BIRD, metric=METRIC)], [])


@given(
    st.frozensets(st.sampled_from(PREFIXES)),
    st.frozensets(st.sampled_from(PREFIXES)),
    st.frozensets(st.sampled_from(PREFIXES)),
)
def test_one_is_needed_until_bird_has_its_own_in_the_kernel_again(
    standing: frozenset[IPv4Network | IPv6Network],
    given_: frozenset[IPv4Network | IPv6Network],
    heard: frozenset[IPv4Network | IPv6Network],
) -> None:
    """Or nobody of the cluster can be there; what the old BIRD left, and the new one has not heard, does not count."""
    routes = [floating(dst) for dst in standing]
    expected = {dst for dst in standing if dst in given_ & heard or dst not in NEEDED}
    assert {route.dst for route in served(routes, CONFIGURATION, given=given_, heard=heard)} == expected


def test_taking_away_names_each() -> None:
    """By destination and metric, so that BIRD's own stays."""
    lines = [line.command for line in explain(without([floating(N2)]))]
    assert lines == ["ip route del 10.244.2.0/24 via 10.99.0.2 dev eth0 proto 113 metric 180"]


def test_ways_are_read_as_bird_tells_them() -> None:
    """Of both families; a prefix whose next hop cannot be reached is no way."""
    lines = ROUTES.splitlines()
    assert parse_routes(lines) == {N2, ip_network("172.16.0.9/32"), ip_network("fd44:0:0:2::/64")}


@given(st.lists(st.one_of(st.text(), st.from_regex(r"[0-9a-f.:]{1,20}/\d{1,3} unicast x", fullmatch=True))))
def test_other_lines_are_passed_over(lines: list[str]) -> None:
    """Whatever BIRD says."""
    assert all(f"{dst}" for dst in parse_routes(lines))


@pytest.mark.parametrize("recovering", [True, False])
def test_that_bird_waits_for_its_neighbours_is_read_from_its_status(recovering: bool) -> None:
    """While it does, what is in the kernel may be what the one before has left."""
    lines = [line for line in RECOVERING.splitlines() if recovering or "raceful" not in line]
    assert is_recovering(lines) is recovering
