"""What a pod's terms add to its plan: host ports as elements, bandwidth as qdiscs, a MAC; and what DEL cuts of it."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podnet.datapath import attach, cut, loopback, node_plan, pod_mac
from podnet.model import Bandwidth, Lease, PodAddress, PortMapping, Rate, Terms
from podnet.nft import Element, Set
from podnet.plan import GROUP_DOOMED, GROUP_PODS, Link, Neighbour, Plan, Redirect, Tbf, explain, inverse, key_of
from podnet.testing.values import FACTS, a_lease, a_network

BOTH = pytest.mark.parametrize("kind", ["ptp", "bridge"])
IN, OUT = Rate(1_000_000, 200_000), Rate(2_000_000, 300_000)


def with_terms(network: Any, **fields: Any) -> Lease:
    """Return a lease with these terms."""
    return replace(a_lease(network), terms=Terms(**fields))


def mapped(plan: Plan) -> dict[str, str]:
    """Return the elements of maps, as text."""
    return {
        f"{thing.set.name} {' '.join(map(str, thing.key))}": " ".join(map(str, thing.data))
        for thing in plan.objects()
        if isinstance(thing, Element) and thing.data
    }


@BOTH
@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["4", "6", "dual"])
@pytest.mark.parametrize("where", [None, "0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])  # noqa: S104
def test_a_host_port_is_an_element_per_family_that_it_serves(
    kind: str, versions: tuple[int, ...], where: str | None
) -> None:
    """At any address by `hostports`, at one by `hostips`; it leads to the pod's address of that family."""
    address = None if where is None else IPv6Address(where) if ":" in where else IPv4Address(where)
    network = a_network(kind, versions)
    plan = attach(network, FACTS, with_terms(network, ports=(PortMapping("sctp", 8080, 80, address),)))
    inside = {4: "10.244.1.2", 6: "fd00:10:244:1::2"}
    served = [v for v in versions if where is None or address is None or address.version == v]
    single = where in {"192.0.2.1", "2001:db8::1"}
    expected = {
        (f"hostips{v} {where} 132 8080" if single else f"hostports{v} 132 8080"): f"{inside[v]} 80" for v in served
    }
    assert mapped(plan) == expected


def test_a_host_port_leads_to_the_first_address_of_a_family() -> None:
    """A pod may have several; one element has room for one."""
    network = a_network("ptp", (4,))
    second = PodAddress(IPv4Address("10.9.0.7"), 24, IPv4Address("10.9.0.1"))
    lease = with_terms(network, ports=(PortMapping("udp", 53, 5353),))
    lease = replace(lease, addresses=(*lease.addresses, second))
    assert mapped(attach(network, FACTS, lease)) == {"hostports4 17 53": "10.244.1.2 5353"}


@BOTH
def test_elements_go_into_maps_that_the_node_has(kind: str) -> None:
    """The node's plan makes every set and map that pods' elements name, of the same type."""
    network = a_network(kind, (4, 6))
    made = {thing.name: thing for thing in node_plan([network], FACTS).objects() if isinstance(thing, Set)}
    lease = with_terms(network, ports=(PortMapping("tcp", 1, 2), PortMapping("tcp", 1, 2, IPv6Address("fd99::11"))))
    for thing in attach(network, FACTS, lease).objects():
        if isinstance(thing, Element):
            assert made[thing.set.name] == thing.set


@BOTH
def test_each_direction_is_held_at_the_host_s_end(kind: str) -> None:
    """What the pod receives by the link's own qdisc, what it sends by that of an ifb that it is led through."""
    network = a_network(kind)
    lease = with_terms(network, bandwidth=Bandwidth(IN, OUT))
    ifb = lease.link.replace("veth-", "ifb-")
    added = [thing for thing in attach(network, FACTS, lease).objects() if thing not in plain(network)]
    assert added == [
        Tbf(at="node", dev=lease.link, rate=1_000_000, burst=200_000, limit=225_000),
        Link(at="node", name=ifb, kind="ifb", queues=1, group=GROUP_PODS, alias="podnet:red:eth0", ipv6_autoconf=False),
        Tbf(at="node", dev=ifb, rate=2_000_000, burst=300_000, limit=350_000),
        Redirect(at="node", dev=lease.link, to=ifb),
    ]
    assert len(ifb) <= 15
    one = attach(network, FACTS, with_terms(network, bandwidth=Bandwidth(ingress=IN)))
    assert [thing for thing in one.objects() if thing not in plain(network)] == added[:1]
    other = attach(network, FACTS, with_terms(network, bandwidth=Bandwidth(egress=OUT)))
    assert [thing for thing in other.objects() if thing not in plain(network)] == added[1:]


def plain(network: Any) -> list[Any]:
    """Return the objects of a pod of which nothing was asked."""
    return list(attach(network, FACTS, a_lease(network)).objects())


def test_a_reason_says_the_rate_in_the_runtime_s_unit() -> None:
    """Bits per second, as the annotation had them."""
    network = a_network()
    lines = explain(attach(network, FACTS, with_terms(network, bandwidth=Bandwidth(IN, OUT))), "red")
    reasons = {line.reason for line in lines}
    assert "bandwidth: the pod receives at most 8000000 bits per second, 200000 bytes at once" in reasons
    assert "bandwidth: the pod sends at most 16000000 bits per second, 300000 bytes at once" in reasons


@BOTH
def test_a_mac_that_is_asked_for_is_the_pod_s_everywhere(kind: str) -> None:
    """On its link, in the node's neighbour entries, and in the link-local address."""
    network = a_network(kind, (4, 6))
    lease = with_terms(network, mac="02:00:00:00:00:aa")
    assert pod_mac(lease) == "02:00:00:00:00:aa"
    plan = attach(network, FACTS, lease)
    (eth0,) = [t for t in plan.objects() if isinstance(t, Link) and (t.at, t.name) == ("pod", "eth0")]
    assert eth0.mac == "02:00:00:00:00:aa"
    assert {t.mac for t in plan.objects() if isinstance(t, Neighbour) and t.at == "node"} == {"02:00:00:00:00:aa"}
    assert any(getattr(t, "address", None) == IPv6Address("fe80::ff:fe00:aa") for t in plan.objects())


@BOTH
def test_a_cut_dooms_the_ifb_and_shuts_the_host_ports(kind: str) -> None:
    """Both links go down into the doomed group; every element of ADD goes; qdiscs end with their links."""
    network = a_network(kind, (4, 6))
    lease = with_terms(network, ports=(PortMapping("tcp", 1, 2),), bandwidth=Bandwidth(IN, OUT))
    made = [thing for thing in attach(network, FACTS, lease).objects() if isinstance(thing, Element)]
    plan = cut(network, lease)
    assert [s.object for s in plan.steps if s.verb == "delete"] == made
    doomed = [s.object for s in plan.steps if s.verb == "set"]
    assert doomed == [
        Link(at="node", name=name, group=GROUP_DOOMED, up=False)
        for name in (lease.link, lease.link.replace("veth-", "ifb-"))
    ]
    assert len(plan.steps) == len(made) + 2
    unlimited = cut(network, replace(lease, terms=Terms(bandwidth=Bandwidth(ingress=IN))))
    assert [s.object.name for s in unlimited.steps if isinstance(s.object, Link)] == [lease.link]


def test_addresses_alone_have_no_plan() -> None:
    """Datapath none: another plugin attaches, also where ports were asked for; the node's part needs nothing of it."""
    network = a_network("none", (4, 6))
    lease = with_terms(network, ports=(PortMapping("tcp", 1, 2),), bandwidth=Bandwidth(IN, OUT))
    assert (attach(network, FACTS, lease), cut(network, lease)) == (Plan(), Plan())
    assert node_plan([network], FACTS) == Plan()
    assert node_plan([network, a_network()], FACTS) == node_plan([a_network()], FACTS)


def test_loopback_is_one_command() -> None:
    """The one that the runtime's own plugin stands for."""
    assert [line.command for line in explain(loopback(), "red")] == ["ip -n red link set lo up"]


RATES = st.none() | st.builds(Rate, st.integers(125, 1 << 37), st.integers(1, (1 << 32) - 1))


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["ptp", "bridge"]),
    ports=st.lists(
        st.builds(PortMapping, st.sampled_from(["tcp", "udp"]), st.integers(1, 3), st.just(7), st.none()),
        max_size=4,
        unique=True,
    ),
    bandwidth=st.builds(Bandwidth, RATES, RATES),
)
def test_no_object_stands_twice_and_each_is_taken_back(
    kind: str, ports: list[PortMapping], bandwidth: Bandwidth
) -> None:
    """Whatever is asked for; what waits behind a burst fits the kernel's 32 bits."""
    network = a_network(kind, (4, 6))
    plan = attach(network, FACTS, with_terms(network, ports=tuple(ports), bandwidth=bandwidth))
    keys = [key_of(thing) for thing in plan.objects()]
    assert len(keys) == len(set(keys))
    assert all(thing.limit < 1 << 32 for thing in plan.objects() if isinstance(thing, Tbf))
    back = {key_of(step.object) for step in inverse(plan).steps}
    assert {key for key, thing in zip(keys, plan.objects(), strict=True) if isinstance(thing, Element)} <= back
