"""What runtimes ask for besides: hardware address, addresses, ranges, name servers, aliases, the pod's name."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.node import DEFAULT_CONFIGURATION, REPOSITORY, Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=77;K8S_POD_INFRA_CONTAINER_ID=red"
WHO = "from podnet.cli import main; main()"


def runtime(**capabilities: Any) -> dict[str, Any]:
    """Return the configuration with runtimeConfig."""
    return {**DEFAULT_CONFIGURATION, "runtimeConfig": capabilities}


def mac_in(node: Node, pod: str) -> str:
    """Return the hardware address of a pod's eth0."""
    (link,) = node.json("ip", "-j", "link", "show", "eth0", pod=pod)
    return str(link["address"])


def who(node: Node, *words: str) -> Any:
    """Return what `podnet who` prints on the node, as JSON."""
    command = ("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-c", WHO, "who", "--json", *words)
    return node.json(*command)


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_a_hardware_address_asked_for_is_the_pods(serving: Callable[..., Node], datapath: str) -> None:
    """By runtimeConfig.mac, args.cni.mac or CNI_ARGS MAC, in that order; result and kernel have it; it is reached."""
    node = serving(datapath, (4, 6))
    one, two, three = "0a:00:00:00:00:01", "0a:00:00:00:00:02", "0a:00:00:00:00:03"
    by_args = {**DEFAULT_CONFIGURATION, "args": {"cni": {"mac": two}}}
    for name, configuration, mac in (
        ("runtime", {**by_args, "runtimeConfig": {"mac": one.upper().replace(":", "-")}}, one),
        ("args", by_args, two),
        ("cni-args", DEFAULT_CONFIGURATION, three),
    ):
        given = node.cni("ADD", node.pod(name), configuration=configuration, CNI_ARGS=f"MAC={three}")
        assert given.status == 0, given.stdout
        assert given.json["interfaces"][-1]["mac"] == mac == mac_in(node, name)
        for address in given.addresses:
            node.exchange("", name, address)
        check = {**configuration, "prevResult": given.json}
        assert node.cni("CHECK", name, configuration=check, CNI_ARGS=f"MAC={three}") == (0, b"")


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "00:00:00:00:00:00", "0a:58", "0a:58:0a:f4:01:zz"])
def test_what_no_link_can_have_is_refused(settled: Node, mac: str) -> None:
    """A group's address, none, or half of one: error 7 from the configuration, 4 from CNI_ARGS, and nothing is made."""
    before = settled.state()
    more: dict[str, Any] = {"netns": "bystander", "ifname": "net1"}
    assert settled.cni("ADD", "red", configuration=runtime(mac=mac), **more).json["code"] == 7
    assert settled.cni("ADD", "red", CNI_ARGS=f"MAC={mac}", **more).json["code"] == 4
    assert settled.state() == before


def test_addresses_asked_for_are_given(serving: Callable[..., Node]) -> None:
    """By runtimeConfig.ips, one of each family, with or without a prefix length; one that is taken is error 110."""
    node = serving("ptp", (4, 6))
    asked = ["10.244.1.77/24", "fd00:10:244:1::77"]
    given = node.cni("ADD", node.pod("red"), configuration=runtime(ips=asked))
    assert given.addresses == ["10.244.1.77", "fd00:10:244:1::77"]
    args = {**DEFAULT_CONFIGURATION, "args": {"cni": {"ips": ["10.244.1.78"]}}}
    assert node.cni("ADD", node.pod("blue"), configuration=args).addresses[0] == "10.244.1.78"
    for taken in ("10.244.1.77", "10.244.1.78"):
        refused = node.cni("ADD", node.pod(f"late-{taken}"), configuration=runtime(ips=[taken])).json
        assert (refused["code"], taken in refused["msg"]) == (110, True)


def test_ranges_of_the_runtimes_go_before_the_nodes(serving: Callable[..., Node]) -> None:
    """With runtimeConfig.ipRanges a pod's address is of those, is reached, and is masqueraded as the others are."""
    node = serving()
    node.attach("blue")
    ranges = [[{"subnet": "10.77.0.0/24", "rangeStart": "10.77.0.50", "rangeEnd": "10.77.0.59"}]]
    configuration = runtime(ipRanges=ranges)
    (address,) = node.cni("ADD", node.pod("red"), configuration=configuration).addresses
    assert address == "10.77.0.50"
    assert node.exchange("", "red", address)
    assert node.exchange("red", "outside", "10.99.0.1") == "10.99.0.11"
    assert node.exchange("blue", "red", address) == "10.244.1.2"
    assert node.cni("DEL", "red", configuration=configuration) == (0, b"")
    node.wait_for_links(1)


def test_name_servers_are_the_results(node: Node) -> None:
    """runtimeConfig.dns takes the place of the network's dns in the result; without it that stands."""
    dns = {"nameservers": ["10.96.0.10"], "domain": "cluster.local", "search": ["svc.cluster.local"]}
    plain = {**DEFAULT_CONFIGURATION, "dns": dns}
    assert node.cni("ADD", node.pod("blue"), configuration=plain).json["dns"] == dns
    own = {"servers": ["10.96.0.53", "fd96::53"], "searches": ["shop.svc"], "options": ["ndots:5"]}
    given = node.cni("ADD", node.pod("red"), configuration={**plain, "runtimeConfig": {"dns": own}})
    assert given.json["dns"] == {
        "nameservers": ["10.96.0.53", "fd96::53"],
        "search": ["shop.svc"],
        "options": ["ndots:5"],
    }
    wrong = {**plain, "runtimeConfig": {"dns": {"servers": ["dns.example"]}}}
    assert node.cni("ADD", node.pod("green"), configuration=wrong).json["code"] == 7


def test_aliases_are_published(serving: Callable[..., Node]) -> None:
    """A hosts(5) file per network has each address and its names; it follows ADD and DEL, a restart, and goes."""
    node = serving("ptp", (4, 6))
    hosts = node.root / "run/podnet/aliases/podnet.hosts"

    def published() -> dict[str, list[str]]:
        if not hosts.exists():
            return {}
        lines = [line.split() for line in hosts.read_text().splitlines()]
        return {address: names for address, *names in lines}

    red = node.cni("ADD", node.pod("red"), configuration=runtime(aliases=["web", "web.shop"])).addresses
    node.attach("unnamed")
    wanted = {address: ["web", "web.shop"] for address in red}
    eventually(lambda: published() == wanted, "the names of red")
    blue = node.cni("ADD", node.pod("blue"), configuration=runtime(aliases=["db"])).addresses
    both = {**wanted, **{address: ["db"] for address in blue}}
    eventually(lambda: published() == both, "the names of both")
    node.stop()
    hosts.unlink()
    node.start()
    eventually(lambda: published() == both, "the names, after a restart")
    node.cni("DEL", "red")
    eventually(lambda: set(published()) == set(blue), "the names of blue alone")
    node.cni("DEL", "blue")
    eventually(lambda: not hosts.exists(), "no name, no file")
    assert list(hosts.parent.iterdir()) == []
    refused = node.cni("ADD", node.pod("green"), configuration=runtime(aliases=["no name\n10.0.0.1 bank"])).json
    assert refused["code"] == 7


def test_the_pods_name_is_told(node: Node) -> None:
    """What CNI_ARGS say of the pod is in errors, in the log, and in `podnet who`, with its host ports."""
    ports = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
    (address,) = node.cni("ADD", node.pod("red"), configuration=runtime(**ports), CNI_ARGS=POD).addresses
    refused = node.cni("ADD", node.pod("late"), configuration=runtime(ips=[address])).json
    assert "pod shop/web-0, container red" in refused["msg"]
    (holding,) = who(node, address)
    assert holding["pod"] == {"namespace": "shop", "name": "web-0", "uid": "77"}
    assert holding["hostPorts"] == ["8080/tcp"]
    (other,) = who(node, "8080/tcp")
    assert other == holding
    assert who(node, "8080/udp") == []
    assert node.cni("DEL", "red").status == 0
    assert who(node, "8080/tcp") == [], "nobody holds it now"
    assert [one["hostPorts"] for one in who(node, address)] == [["8080/tcp"]], "history has it still"


def test_unknown_arguments_are_refused_unless_ignored(node: Node) -> None:
    """CNI_ARGS with a key that podnet does not know: error 4, unless IgnoreUnknown stands beside it."""
    node.pod("red")
    assert node.cni("ADD", "red", CNI_ARGS="COLOUR=red").json["code"] == 4
    assert node.cni("ADD", "red", CNI_ARGS="COLOUR=red;IgnoreUnknown=1").status == 0


def test_the_installed_list_declares_what_is_understood(node: Node) -> None:
    """Runtimes hand in only what the list names; ipRanges are left out, which are the node's own business."""
    listed = json.loads((node.root / "etc/cni/net.d/10-podnet.conflist").read_text())
    (plugin,) = listed["plugins"]
    assert plugin["capabilities"] == dict.fromkeys(("portMappings", "bandwidth", "ips", "mac", "dns", "aliases"), True)
