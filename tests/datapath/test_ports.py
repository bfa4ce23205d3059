"""The table of bridges' ports: there with the first network on a bridge, rules once, a pod's identity as elements."""

from ipaddress import IPv6Address

import pytest
from msgspec.structs import replace

from podnet.datapath import attach, node_plan, pod_mac
from podnet.datapath.hardware import link_local
from podnet.datapath.ports import TABLE
from podnet.model import Network, PodAddress, Terms
from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan import Plan
from podnet.testing.values import FACTS, a_lease, a_network, a_range

FAMILIES = pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["4", "6", "dual"])


def of_ports(plan: Plan) -> list[object]:
    """Return the objects of the table of ports, the table first."""
    return [
        thing
        for thing in plan.objects()
        if thing == TABLE
        or (isinstance(thing, Chain | Set) and thing.table == TABLE)
        or (isinstance(thing, Rule) and thing.chain.table == TABLE)
        or (isinstance(thing, Element) and thing.set.table == TABLE)
    ]


def texts(plan: Plan) -> list[str]:
    """Return the rules of the table of ports."""
    return [thing.text for thing in of_ports(plan) if isinstance(thing, Rule)]


def test_without_a_bridge_there_is_no_such_table() -> None:
    """A node of ptp networks needs no nftables of the bridge family, and its pods have no such elements."""
    network = a_network("ptp", (4, 6))
    assert of_ports(node_plan([network], FACTS)) == []
    assert of_ports(attach(network, FACTS, a_lease(network))) == []


@FAMILIES
def test_the_families_are_those_of_networks_on_bridges(versions: tuple[int, ...]) -> None:
    """A ptp network beside it adds no family: what is not said to be a pod's is dropped on every port."""
    plan = node_plan([a_network("bridge", versions), replace(a_network("ptp", (4, 6)), name="other")], FACTS)
    assert [thing.name for thing in of_ports(plan) if isinstance(thing, Set)] == [f"ports{v}" for v in versions]
    rules = texts(plan)
    assert rules[0] == "iifgroup != 28782 accept"
    assert rules[-1] == "drop"
    assert ("arp" in " ".join(rules), "ip6" in " ".join(rules)) == (4 in versions, 6 in versions)


def test_rules_do_not_grow_with_bridges() -> None:
    """Two networks on two bridges have the rules of one."""
    one = a_network("bridge", (4, 6))
    two = Network(name="two", datapath="bridge", bridge="br1", ranges=((a_range("10.9.0.0/24"),),))
    assert texts(node_plan([one, two], FACTS)) == texts(node_plan([one], FACTS))


def test_every_frame_is_held_to_port_mac_and_address_at_once() -> None:
    """Each rule that lets something in asks for the three together; the type is asked of the frame, past no tag."""
    accepting = [text for text in texts(node_plan([a_network("bridge", (4, 6))], FACTS)) if text.endswith("accept")][1:]
    assert len(accepting) == 3
    assert all(text.startswith("ether type ") and "iifname . ether saddr . " in text for text in accepting)


@FAMILIES
def test_a_pods_elements_are_its_mac_with_each_of_its_addresses(versions: tuple[int, ...]) -> None:
    """All addresses, the link-local one and `::` with IPv6; the MAC is the one that was asked for where one was."""
    network = a_network("bridge", versions)
    plain = a_lease(network)
    second = tuple(PodAddress(a.address + 7, a.prefixlen, a.gateway) for a in plain.addresses)
    for mac in ("", "02:00:00:00:00:aa"):
        lease = replace(plain, addresses=(*plain.addresses, *second), terms=Terms(mac=mac))
        found = of_ports(attach(network, FACTS, lease))
        own = {a.address for a in lease.addresses}
        expected = own | ({link_local(pod_mac(lease)), IPv6Address("::")} if 6 in versions else set())
        assert {thing.key for thing in found if isinstance(thing, Element)} == {
            (lease.link, pod_mac(lease), address) for address in expected
        }
        assert all(isinstance(thing, Element) for thing in found)


def test_elements_of_both_tables_are_one_batch() -> None:
    """They come one after the other, before the link: one send, and the rules hold from the first frame."""
    network = a_network("bridge", (4, 6))
    kinds = [isinstance(thing, Element) for thing in attach(network, FACTS, a_lease(network)).objects()]
    assert kinds == sorted(kinds, reverse=True)
    assert Table("bridge", "podnet") == TABLE
