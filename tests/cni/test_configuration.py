"""From a configuration to a network: what is merged, defaulted and accepted; and back to a file."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from podnet.cni import VERSIONS, Configuration, load, render_conflist
from podnet.cni.configuration import parse
from podnet.cni.reference import ACCEPTED
from podnet.errors import IncompatibleVersion, InvalidConfiguration, UnsupportedField
from podnet.model import DNS, Network, PodRoute


def configured(defaults: Network, **keys: Any) -> Configuration:
    """Parse a good configuration with these keys besides."""
    document = {"cniVersion": "1.0.0", "name": "net", "type": "podnet", **keys}
    return parse(json.dumps(document).encode(), defaults)


def test_what_is_left_out_comes_from_the_node(defaults: Network) -> None:
    """A configuration of three keys is the node's own network under its own name."""
    network = configured(defaults).network
    assert network == Network(name="net", ranges=defaults.ranges)


def test_every_key_of_ours_is_taken(defaults: Network) -> None:
    """Each reaches its field of the network."""
    network = configured(
        defaults,
        datapath="bridge",
        bridge="br1",
        mtu=1400,
        masquerade=False,
        nonMasqueradeCIDRs=["192.168.0.0/16", "fd99::/64"],
        hairpin=False,
        dns={"nameservers": ["10.96.0.10"], "domain": "example"},
        ipam={
            "type": "podnet",
            "ranges": [[{"subnet": "10.1.0.0/16", "rangeStart": "10.1.2.0", "rangeEnd": "10.1.2.9"}]],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}],
            "quarantine": 5,
        },
    ).network
    assert network.name == "net"
    assert (network.datapath, network.bridge, network.mtu) == ("bridge", "br1", 1400)
    assert (network.masquerade, network.hairpin, network.quarantine) == (False, False, 5.0)
    assert network.non_masquerade == (ip_network("192.168.0.0/16"), ip_network("fd99::/64"))
    assert network.dns == DNS(("10.96.0.10",), "example")
    assert network.routes == (PodRoute(ip_network("0.0.0.0/0"), ip_address("10.1.0.9")),)
    ((only,),) = network.ranges
    assert (only.first, only.last) == (ip_address("10.1.2.0"), ip_address("10.1.2.9"))


def test_the_reference_plugins_names_are_taken(defaults: Network) -> None:
    """`ipMasq` is masquerade, `hairpinMode` hairpin; saying both alike is no contradiction."""
    network = configured(defaults, ipMasq=False, hairpinMode=False).network
    assert (network.masquerade, network.hairpin) == (False, False)
    network = configured(defaults, ipMasq=False, masquerade=False).network
    assert network.masquerade is False


@pytest.mark.parametrize("key", sorted(ACCEPTED))
def test_harmless_keys_of_the_reference_plugins_are_taken_and_others_named(defaults: Network, key: str) -> None:
    """The table's harmless values change nothing; any other is error 2 with key, value and remedy."""
    for value in ACCEPTED[key].values:
        assert configured(defaults, **{key: value}).network == configured(defaults).network
    with pytest.raises(UnsupportedField, match=rf"^network configuration: {key} 4093: \w"):
        configured(defaults, **{key: 4093})


def test_is_default_gateway_adds_the_default_routes_that_are_missing(defaults: Network) -> None:
    """Per family in use, and only beside routes of the configuration's own."""
    dual = [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00::/64"}]]
    routes = [{"dst": "10.0.0.0/8"}, {"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]
    assert configured(defaults, isDefaultGateway=True).network.routes == ()
    network = configured(defaults, isDefaultGateway=True, ipam={"ranges": dual, "routes": routes}).network
    assert [str(route.dst) for route in network.routes] == ["10.0.0.0/8", "0.0.0.0/0", "::/0"]
    network = configured(defaults, isDefaultGateway=False, ipam={"ranges": dual, "routes": routes}).network
    assert [str(route.dst) for route in network.routes] == ["10.0.0.0/8", "0.0.0.0/0"]


def test_ranges_of_the_runtime_come_first_then_the_single_one_then_the_list(defaults: Network) -> None:
    """As host-local has it."""
    network = configured(
        defaults,
        runtimeConfig={"ipRanges": [[{"subnet": "10.3.0.0/24"}]]},
        ipam={"subnet": "10.1.0.0/24", "exclude": ["10.1.0.8/29"], "ranges": [[{"subnet": "10.2.0.0/24"}]]},
    ).network
    assert [str(subnet) for subnet in network.subnets] == ["10.3.0.0/24", "10.1.0.0/24", "10.2.0.0/24"]
    assert network.ranges[1][0].exclude == (ip_network("10.1.0.8/29"),)


def test_the_runtime_s_dns_stands_beside_the_configuration_s(defaults: Network) -> None:
    """CONVENTIONS.md, capability `dns`, whose keys are called otherwise: a pod's own, which changes no network."""
    configuration = configured(
        defaults,
        dns={"nameservers": ["10.0.0.1"]},
        runtimeConfig={"dns": {"servers": ["10.0.0.2"], "searches": ["a.b"], "options": ["ndots:2"]}},
    )
    assert configuration.network.dns == DNS(("10.0.0.1",))
    assert configuration.terms.dns == DNS(("10.0.0.2",), "", ("a.b",), ("ndots:2",))


def test_null_is_left_out(defaults: Network) -> None:
    """Runtimes in Go write null for what they have none of."""
    nothing = dict.fromkeys(["dns", "ipam", "args", "runtimeConfig", "mtu", "masquerade", "capabilities", "prevResult"])
    assert configured(defaults, **nothing).network == configured(defaults).network
    empty = {"type": None, "ranges": None, "routes": None, "gateway": None}
    assert configured(defaults, ipam=empty).network == configured(defaults).network


def test_a_configuration_seen_before_is_the_same_value_until_the_node_s_defaults_change(defaults: Network) -> None:
    """Runtimes send the same bytes for each pod."""
    first = configured(defaults)
    assert configured(defaults) is first
    other = Network(name="other", ranges=defaults.ranges, mtu=1400)
    assert configured(other).network.mtu == 1400
    assert configured(defaults).network.mtu == 0


def test_the_memory_of_configurations_is_bounded_and_right(defaults: Network) -> None:
    """However many different ones come, each is parsed as itself."""
    for _ in range(2):
        for mtu in range(1400, 1600):
            assert configured(defaults, mtu=mtu).network.mtu == mtu


def test_the_file_podnet_installs_is_the_node_s_network(defaults: Network) -> None:
    """It says 1.0.0, offers up to 1.1.0, declares the capabilities, and loads as what a runtime would make of it."""
    served = ("portMappings", "bandwidth", "ips", "mac", "dns", "aliases")
    document = render_conflist("podnet")
    assert json.loads(document) == {
        "cniVersion": "1.0.0",
        "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        "name": "podnet",
        "plugins": [{"type": "podnet", "capabilities": dict.fromkeys(served, True)}],
    }
    assert document.endswith(b"}\n")
    assert load(document, defaults) == Network(name="podnet", ranges=defaults.ranges)
    bridge = load(render_conflist("b", {"datapath": "bridge", "bridge": "br7"}), defaults)
    assert (bridge.name, bridge.datapath, bridge.bridge) == ("b", "bridge", "br7")
    with pytest.raises(InvalidConfiguration, match="name: 'a b'"):
        render_conflist("a b")


def test_a_single_plugin_s_file_is_loaded(defaults: Network) -> None:
    """The older ``.conf``."""
    document = b'{"cniVersion": "0.4.0", "name": "net", "type": "podnet", "mtu": 1400}'
    assert load(document, defaults).mtu == 1400


def test_podnet_is_found_in_a_chain(defaults: Network) -> None:
    """Other plugins' keys are none of podnet's business."""
    plugins = [{"type": "podnet", "mtu": 1400}, {"type": "tuning", "sysctl": {"a": "b"}}]
    document = {"cniVersion": "2.0.0", "cniVersions": list(VERSIONS), "name": "net", "plugins": plugins}
    assert load(json.dumps(document).encode(), defaults).mtu == 1400


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"name": "n", "plugins": [{"type": "bridge"}, {"type": "portmap"}]}, "types are bridge, portmap"),
        ({"name": "n", "plugins": []}, "types are none"),
        ({"name": "n", "type": "bridge"}, "types are bridge"),
        ({"name": "n"}, "the key 'type' is missing"),
        ({"plugins": [{"type": "podnet"}]}, "no name"),
        ({"name": "n", "plugins": {}}, "expected array"),
    ],
)
def test_a_file_that_is_not_podnet_s_is_told(defaults: Network, document: dict[str, Any], told: str) -> None:
    """With what it names instead."""
    with pytest.raises(InvalidConfiguration, match=told):
        load(json.dumps(document).encode(), defaults)


def test_a_list_of_another_time_is_told(defaults: Network) -> None:
    """No version in common is error 1."""
    document = {"cniVersion": "2.0.0", "cniVersions": ["2.1.0"], "name": "n", "plugins": [{"type": "podnet"}]}
    with pytest.raises(IncompatibleVersion, match=r"'2.0.0'"):
        load(json.dumps(document).encode(), defaults)
