"""ADD, CHECK, DEL and VERSION through the installed shim, as a runtime does; what they answer is what `ip` shows."""

from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.node import ADDRESSES, DEFAULT_CONFIGURATION, Node

pytestmark = pytest.mark.live

FAMILIES = [(4,), (6,), (4, 6)]


def interfaces_of(node: Node, pod: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the interfaces of a result as the kernel has them."""
    found = []
    for told in result["interfaces"]:
        inside = pod if told.get("sandbox") else ""
        (link,) = node.json("ip", "-j", "link", "show", told["name"], pod=inside)
        found.append({**told, "mac": link["address"], "mtu": link["mtu"]})
    return found


def global_addresses(node: Node, pod: str) -> list[str]:
    """Return ADDRESS/PREFIX of the global addresses of a pod's eth0."""
    (link,) = node.json("ip", "-j", "addr", "show", "eth0", pod=pod)
    return [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"]


@pytest.mark.parametrize("families", FAMILIES, ids=str)
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_an_attached_pod_is_as_its_result_says(
    serving: Callable[..., Node], datapath: str, families: tuple[int, ...]
) -> None:
    """The result is what the kernel has; pods, node and outside are reached; DEL ends all of it."""
    node = serving(datapath, families)
    before = node.state()
    node.pod("red")
    answer = node.cni("ADD", "red", configuration={**DEFAULT_CONFIGURATION, "cniVersion": "1.1.0"})
    assert answer.status == 0, answer.stdout
    result = answer.json
    assert result["cniVersion"] == "1.1.0"
    assert interfaces_of(node, "red", result) == result["interfaces"]
    assert [ip["address"] for ip in result["ips"]] == global_addresses(node, "red")
    assert {result["interfaces"][ip["interface"]]["name"] for ip in result["ips"]} == {"eth0"}
    for route in result["routes"]:
        flag = "-6" if ":" in route["dst"] else "-4"
        shown = node.json("ip", "-j", flag, "route", "show", "default", pod="red")
        assert [r["gateway"] for r in shown] == [route["gw"]]
    assert len(result["routes"]) == len(families)

    blue = node.cni("ADD", node.pod("blue")).addresses
    for ours, theirs, family in zip(answer.addresses, blue, families, strict=True):
        assert node.exchange("red", "blue", theirs) == ours
        assert node.exchange("blue", "red", ours) == theirs
        assert node.exchange("red", "", ADDRESSES[family]) == ours
        assert node.exchange("", "red", ours) == ADDRESSES[family]
        outside = {4: "10.99.0.1", 6: "fd99::1"}[family]
        assert node.exchange("red", "outside", outside) == ADDRESSES[family]

    check = {**DEFAULT_CONFIGURATION, "cniVersion": "1.1.0", "prevResult": result}
    assert node.cni("CHECK", "red", configuration=check) == (0, b"")
    for pod in ("red", "blue"):
        assert node.cni("DEL", pod) == (0, b"")
        assert node.cni("DEL", pod) == (0, b""), "a second DEL is no error"
        assert node.cni("CHECK", pod, configuration=check).json["code"] == 112
    node.wait_for_links(0)
    assert node.state() == before


def test_version_names_what_is_spoken(node: Node) -> None:
    """VERSION answers with all versions up to 1.1.0, and needs nothing but CNI_COMMAND."""
    answer = node.cni("VERSION", CNI_CONTAINERID=None, CNI_NETNS=None, CNI_IFNAME=None, CNI_PATH=None)
    assert answer.status == 0
    assert answer.json["supportedVersions"][0] == "0.1.0"
    assert answer.json["supportedVersions"][-1] == "1.1.0"


def test_what_is_installed_is_what_a_runtime_needs(node: Node) -> None:
    """The list names plugin and versions, and the plugin is an executable of root's."""
    listed = node.json("cat", "/etc/cni/net.d/10-podnet.conflist")
    assert listed["cniVersion"] == "1.0.0"
    assert listed["cniVersions"][-1] == "1.1.0"
    assert [plugin["type"] for plugin in listed["plugins"]] == ["podnet"]
    assert (node.root / "opt/cni/bin/podnet").stat().st_mode & 0o777 == 0o755
    assert (node.root / "run/podnet").stat().st_mode & 0o777 == 0o711
    assert (node.root / "run/podnet/podnet.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("ip -n red route del default", "missing: ip -n red route add default"),
        ("ip -n red link set eth0 mtu 1300", "mtu expected 1500, found 1300"),
        ("ip -n red link set lo down", "up expected True, found False"),
        ("ip -n red neigh del 169.254.1.1 dev eth0", "169.254.1.1"),
        ("nft delete element inet podnet hairpin4 '{ 10.244.1.2 . 10.244.1.2 }'", "hairpin4"),
        ("ip link set $(ip -o link show group 28782 | grep -o 'veth-[a-z2-7]*') alias strange", "alias expected"),
    ],
)
def test_check_names_the_first_fact_that_differs(serving: Callable[..., Node], harm: str, told: str) -> None:
    """Whatever was taken from a pod since ADD is named by CHECK, with what was expected."""
    node = serving(more="repair: false")
    result = node.cni("ADD", node.pod("red")).json
    check = {**DEFAULT_CONFIGURATION, "prevResult": result}
    assert node.cni("CHECK", "red", configuration=check).status == 0
    node.sh(harm)
    answer = node.cni("CHECK", "red", configuration=check)
    assert (answer.status, answer.json["code"]) == (1, 112)
    assert told in answer.json["msg"].replace("/run/netns/", "").replace("--net=", "-n "), answer.json["msg"]


def test_an_ipv6_pod_waits_for_nothing(serving: Callable[..., Node]) -> None:
    """ADD switches IPv6 on where it is off; no address is tentative; no advertisement is taken."""
    node = serving("ptp", (6,))
    node.pod("red")
    node.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1", pod="red")
    node.run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=1", pod="red")
    (address,) = node.cni("ADD", "red").addresses
    (link,) = node.json("ip", "-j", "addr", "show", "eth0", pod="red")
    assert {a["scope"] for a in link["addr_info"]} == {"global", "link"}
    assert not [a for a in link["addr_info"] if a.get("tentative") or a.get("dadfailed")]
    read = ("sysctl", "-n", "net.ipv6.conf.eth0.disable_ipv6", "net.ipv6.conf.eth0.accept_ra")
    assert node.run(*read, pod="red").split() == ["0", "0"]
    assert node.exchange("", "red", address) == "fd99::11"


def test_two_interfaces_of_one_pod_are_two_attachments(node: Node) -> None:
    """A second CNI_IFNAME of a container gets its own address and link, and goes without the first."""
    first = node.attach("red")
    routeless = {
        **DEFAULT_CONFIGURATION,
        "ipam": {"type": "podnet", "ranges": [[{"subnet": "10.244.1.0/24"}]], "routes": [{"dst": "10.7.0.0/16"}]},
    }
    second = node.cni("ADD", "red", ifname="eth1", configuration=routeless)
    assert second.addresses != [first]
    assert len(node.pod_links()) == 2
    assert node.cni("DEL", "red", ifname="eth1", configuration=routeless).status == 0
    node.wait_for_links(1)
    assert node.exchange("", "red", first) == "10.99.0.11"
