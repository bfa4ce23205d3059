"""What else a pod asked for: host ports, bandwidth, a MAC, aliases, name servers, another plugin's addresses."""

import errno
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from msgspec.structs import replace

from podnet.errors import AddressUnavailable, KernelError, NotAsAdded, PortTaken
from podnet.model import DNS, Bandwidth, Delegation, KubernetesPod, Network, PortMapping, Rate, Terms
from podnet.nft import Element
from podnet.plan import Address, Redirect, Tbf
from podnet.testing import FakeNode
from podnet.testing.values import a_network

WEB = PortMapping("tcp", 8080, 80)
DNS_PORT = PortMapping("udp", 5353, 53)
LIMITED = Bandwidth(ingress=Rate(1_000_000, 200_000), egress=Rate(2_000_000, 300_000))
ALL = Terms(ports=(WEB, DNS_PORT), bandwidth=LIMITED, mac="02:00:00:00:00:aa", aliases=("web",))


def leads(node: FakeNode) -> dict[str, str]:
    """Return where host ports lead, as elements of the kernel's maps."""
    return {
        f"{thing.set.name} {' '.join(map(str, thing.key))}": " ".join(map(str, thing.data))
        for thing in node.state().values()
        if isinstance(thing, Element) and thing.data
    }


def test_all_of_it_is_made_checked_and_taken_back(node: FakeNode) -> None:
    """ADD makes what the terms ask for, CHECK finds it, DEL and reaping leave nothing of it."""
    before = node.state()
    result = node.add("red", terms=ALL)
    assert node.state() == node.desired()
    node.check("red", result)
    assert result.interfaces[-1].mac == "02:00:00:00:00:aa"
    (lease,) = node.store.live()
    kinds = {link.name: link.kind for link in node.kernel.node.links()}
    assert kinds[lease.link.replace("veth-", "ifb-")] == "ifb"
    node.delete("red")
    assert leads(node) == {}
    node.engine.reap()
    assert node.state() == before


def test_a_host_port_leads_to_the_pod_in_each_family(dual: FakeNode) -> None:
    """Of any address by both maps, of one address by that family's alone."""
    only = PortMapping("tcp", 8081, 81, IPv6Address("fd99::11"))
    dual.add("red", terms=Terms(ports=(WEB, only)))
    assert leads(dual) == {
        "hostports4 6 8080": "10.244.1.2 80",
        "hostports6 6 8080": "fd00:10:244:1::2 80",
        "hostips6 fd99::11 6 8081": "fd00:10:244:1::2 81",
    }


def test_a_host_port_that_is_taken_refuses_that_pod_alone(dual: FakeNode) -> None:
    """Code 113 with the holder's name; those beside it in the batch are attached; freed by DEL before any reaping."""
    holder = Terms(ports=(WEB,), pod=KubernetesPod("shop", "web-0"))
    dual.add("red", terms=holder)
    jobs = [dual.job("green", terms=Terms(ports=(WEB,))), dual.job("blue")]
    refused, attached = dual.engine.add(jobs)
    assert isinstance(refused, PortTaken)
    assert "host port 8080/tcp is held by pod shop/web-0, container red (eth0)" in refused.msg
    assert refused.cni_code == 113
    assert not isinstance(attached, Exception)
    assert not dual.pod_state("green")
    dual.delete("red")
    dual.add("green", terms=Terms(ports=(WEB,)))
    assert leads(dual)["hostports4 6 8080"] != "10.244.1.2 80"


def test_flows_of_datagrams_past_a_host_port_are_forgotten(dual: FakeNode) -> None:
    """When the element is there, not before; TCP needs none, nor does a pod without ports."""
    dual.add("red", terms=Terms(ports=(WEB, DNS_PORT)))
    assert dual.kernel.calls[-2:] == ["apply", "forget_ports"]
    dual.add("blue")
    assert dual.kernel.flushed == [5353]
    assert dual.kernel.calls.count("forget_ports") == 1


def test_flows_that_cannot_be_forgotten_undo_the_attachment(node: FakeNode) -> None:
    """The port would lead elsewhere for some: the error is told, and nothing is left half done."""
    before = node.state()
    node.kernel.fail_at("forget_ports", errno.EPERM)
    with pytest.raises(KernelError, match="EPERM"):
        node.add("red", terms=ALL)
    assert node.state() == before
    assert not node.pod_state("red")
    assert (node.store.live(), node.store.pending()) == ([], [])
    assert node.engine.named == 0
    node.check("red", node.add("red", terms=ALL))


def test_check_tells_of_a_host_port_that_leads_elsewhere(dual: FakeNode) -> None:
    """As expected and found; so it does of a rate that was lifted."""
    result = dual.add("red", terms=ALL)
    element = next(thing for thing in dual.state().values() if isinstance(thing, Element) and thing.data)
    dual.kernel.node.put(replace(element, data=(IPv4Address("10.244.1.77"), 80)))
    with pytest.raises(NotAsAdded, match=r"10\.244\.1\.2 \. 80.*found.*10\.244\.1\.77"):
        dual.check("red", result)
    dual.kernel.node.put(element)
    tbf = next(thing for thing in dual.state().values() if isinstance(thing, Tbf))
    dual.kernel.node.put(replace(tbf, rate=9))
    with pytest.raises(NotAsAdded, match=f"rate expected {tbf.rate} bytes/s, found 9"):
        dual.check("red", result)
    dual.kernel.node.put(tbf)
    redirect = next(thing for thing in dual.state().values() if isinstance(thing, Redirect))
    dual.kernel.node.remove(redirect)
    with pytest.raises(NotAsAdded, match="missing: tc qdisc add"):
        dual.check("red", result)


@pytest.mark.parametrize("dies", [False, True], ids=["same-namespace", "new-namespace"])
def test_what_a_failed_undo_left_does_not_block_the_attachment(node: FakeNode, *, dies: bool) -> None:
    """The kernel refuses a step and then its undoing: the next ADD clears link, ifb and elements away itself."""
    node.kernel.fail_at(lambda step: isinstance(step.object, Address) and step.object.at == "pod", errno.ENOMEM)
    node.kernel.fail_at("dismantle", errno.ENOMEM)
    with pytest.raises(KernelError, match="ENOMEM"):
        node.add("red", terms=ALL)
    assert node.store.live() == []
    left = leads(node)
    assert left
    if dies:
        node.new_namespace("red")
    result = node.add("red", terms=ALL)
    node.check("red", result)
    assert set(leads(node)) == set(left)
    node.reconcile()
    assert node.state() == node.desired()


def test_a_host_port_that_a_failed_undo_left_is_let_go_for_another_pod(node: FakeNode) -> None:
    """Its holder's lease is closed, so whoever asks next has it; the map leads to the new pod."""
    node.kernel.fail_at(lambda step: isinstance(step.object, Address) and step.object.at == "pod", errno.ENOMEM)
    node.kernel.fail_at("dismantle", errno.ENOMEM)
    with pytest.raises(KernelError, match="ENOMEM"):
        node.add("red", terms=Terms(ports=(WEB,)))
    before = leads(node)
    result = node.add("blue", terms=Terms(ports=(WEB,)))
    node.check("blue", result)
    after = leads(node)
    assert set(after) == set(before)
    assert all(after[key] != before[key] for key in before)


def test_aliases_that_come_and_go_are_counted(dual: FakeNode) -> None:
    """Whoever publishes them compares the count; pods without aliases do not stir it."""
    counts = [dual.engine.named]

    def count() -> bool:
        counts.append(dual.engine.named)
        return counts[-1] != counts[-2]

    dual.add("red")
    assert not count()
    dual.add("blue", terms=Terms(aliases=("b",)))
    assert count()
    dual.delete("red")
    assert not count()
    dual.delete("blue")
    assert count()
    dual.add("blue", terms=Terms(aliases=("b",)))
    assert count()
    dual.gc()
    assert count()


def test_a_pod_s_own_name_servers_are_told_in_place_of_the_network_s(dual: FakeNode) -> None:
    """In the result alone: podnet writes no resolv.conf."""
    network = replace(dual.networks[0], dns=DNS(("10.0.0.1",)))
    assert dual.add("red", network).dns == DNS(("10.0.0.1",))
    assert dual.add("blue", network, terms=Terms(dns=DNS(("10.0.0.2",)))).dns == DNS(("10.0.0.2",))


def test_addresses_alone_touch_no_link() -> None:
    """Datapath none: a lease and a result without interfaces, with the prefix length and gateway of the subnet."""
    node = FakeNode(a_network("none", (4, 6)))
    before = node.state()
    result = node.add("red")
    assert result.interfaces == ()
    assert [(f"{ip.address}/{ip.prefixlen}", str(ip.gateway), ip.interface) for ip in result.ips] == [
        ("10.244.1.2/24", "10.244.1.1", None),
        ("fd00:10:244:1::2/64", "fd00:10:244:1::1", None),
    ]
    assert node.state() == before
    node.check("red", result)
    node.reconcile()
    assert len(node.store.live()) == 1, "it has no link to miss"
    node.delete("red")
    assert node.engine.unreaped
    node.engine.reap()
    assert not node.store.pending()
    with pytest.raises(NotAsAdded, match="no live lease"):
        node.check("red", result)


def delegated(network: Network) -> Terms:
    """Return the terms of a lease of which another plugin gave the addresses."""
    return Terms(delegation=Delegation("host-local", f'{{"name": "{network.name}"}}', "", "/opt/cni/bin"))


def test_addresses_of_another_plugin_stay_taken_until_it_has_them_back(dual: FakeNode) -> None:
    """The link is reaped at once, the lease closed only after `returned`."""
    network = dual.networks[0]
    result = dual.add("red", terms=delegated(network))
    dual.delete("red")
    (owed,) = dual.engine.owed
    assert not dual.engine.unreaped
    assert len(dual.engine.reap().links) == 1
    assert [lease.link for lease in dual.store.pending()] == [owed.link]
    with pytest.raises(AddressUnavailable):
        dual.add("blue", network, [ip_address(str(ip.address)) for ip in result.ips])
    dual.restart()
    assert [lease.link for lease in dual.engine.owed] == [owed.link]
    dual.engine.returned(owed)
    assert (dual.engine.owed, dual.engine.unreaped) == ([], True)
    dual.engine.reap()
    assert not dual.store.pending()
    again = dual.add("blue", network, [ip_address(str(ip.address)) for ip in result.ips])
    assert again.ips == result.ips


def test_the_same_attachment_comes_again_while_addresses_are_owed(dual: FakeNode) -> None:
    """The plugin gives others meanwhile; both leases are kept apart by their links."""
    network = dual.networks[0]
    dual.add("red", terms=delegated(network))
    dual.delete("red")
    result = dual.add("red", terms=delegated(network))
    (owed,) = dual.engine.owed
    (live,) = dual.store.live()
    assert owed.link != live.link
    dual.engine.returned(owed)
    dual.engine.reap()
    assert (dual.store.live(), dual.store.pending()) == ([live], [])
    dual.check("red", result)


def test_the_hosts_end_leads_from_loopback_only_for_host_ports_of_ipv4(dual: FakeNode) -> None:
    """The sysctl route_localnet is set on the link of a pod that has such a port, and on no other ptp link."""
    six = PortMapping("tcp", 8080, 80, IPv6Address("::"))
    dual.add("red", terms=Terms(ports=(six,)))
    dual.add("blue", terms=Terms(ports=(PortMapping("tcp", 8080, 80, IPv4Address("0.0.0.0")),)))  # noqa: S104
    found = {link.alias: link.route_localnet for link in dual.kernel.node.links()}
    assert (found["podnet:red:eth0"], found["podnet:blue:eth0"]) == (False, True)
