"""GC and STATUS; loopback, podnet as another's IPAM and another as podnet's; what prevResult brings."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network
from typing import Any

import pytest

from podnet.cni import (
    GC,
    VERSIONS,
    Add,
    Attached,
    Check,
    Delete,
    Frame,
    Interface,
    IPConfig,
    Status,
    failure_of,
    parse,
    render_result,
    stated_part,
    with_addresses,
)
from podnet.errors import (
    DelegateFailed,
    IncompatibleVersion,
    InvalidConfiguration,
    InvalidEnvironment,
    UnsupportedField,
)
from podnet.model import DNS, Attachment, Delegation, Network, PodRoute

MakeFrame = Callable[..., Frame]
VALID = "cni.dev/valid-attachments"
MISPRINTED = "cni.dev/attachments"
ENTRIES = [{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "net1", "more": 1}]
PAIRS = {("c1", "eth0"), ("c2", "net1")}


@pytest.mark.parametrize(
    ("lists", "valid"),
    [
        ({VALID: ENTRIES}, PAIRS),
        ({MISPRINTED: ENTRIES}, PAIRS),
        ({VALID: ENTRIES, MISPRINTED: []}, PAIRS),
        ({VALID: [], MISPRINTED: ENTRIES}, set()),
        ({VALID: None}, set()),
        ({VALID: None, MISPRINTED: ENTRIES}, set()),
        ({MISPRINTED: None}, set()),
        ({VALID: []}, set()),
    ],
)
def test_gc_keeps_the_attachments_of_either_key(
    make_frame: MakeFrame, defaults: Network, lists: dict[str, Any], valid: set[tuple[str, str]]
) -> None:
    """The specification's own name goes before its misprint; null and [] are none."""
    variables = {"CNI_COMMAND": "GC", "CNI_CONTAINERID": None, "CNI_IFNAME": None, "CNI_NETNS": None}
    request = parse(make_frame({"cniVersion": "1.1.0", "mtuu": 1, **lists}, **variables), defaults)
    assert isinstance(request, GC)
    assert request.valid == valid
    assert (request.configuration.network.name, request.version) == ("net", "1.1.0")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "without it every attachment of the network would be freed"),
        ({"cni.dev/valid": []}, "GC needs cni.dev/valid-attachments"),
        ({VALID: {}}, "expected array"),
        ({VALID: [{"containerID": "c1"}]}, "the key 'ifname' is missing"),
        ({VALID: [{"ifname": "c1"}]}, "the key 'containerID' is missing"),
        ({VALID: [], "name": ""}, "no name"),
    ],
)
def test_gc_without_a_list_frees_nothing(
    make_frame: MakeFrame, defaults: Network, keys: dict[str, Any], message: str
) -> None:
    """Error 7: what is missing or half is not taken for an empty list."""
    with pytest.raises(InvalidConfiguration, match=message):
        parse(make_frame({"cniVersion": "1.1.0", **keys}, CNI_COMMAND="GC"), defaults)


@pytest.mark.parametrize("verb", ["GC", "STATUS"])
@pytest.mark.parametrize("version", [*VERSIONS, "unset"])
def test_gc_and_status_came_with_1_1_0(make_frame: MakeFrame, defaults: Network, verb: str, version: str) -> None:
    """A configuration of an older version cannot ask for them: error 1."""
    frame = make_frame({"cniVersion": version, VALID: []}, CNI_COMMAND=verb, CNI_CONTAINERID=None, CNI_NETNS=None)
    if version == "1.1.0":
        assert isinstance(parse(frame, defaults), GC | Status)
    else:
        with pytest.raises(IncompatibleVersion, match=f"has no {verb}: it came with 1.1.0"):
            parse(frame, defaults)


def test_status_tells_of_a_configuration_that_no_add_could_use(make_frame: MakeFrame, defaults: Network) -> None:
    """It is read as ADD reads it; that there are no addresses is the engine's to tell, with code 50."""
    with pytest.raises(UnsupportedField, match="did you mean 'mtu'"):
        parse(make_frame({"cniVersion": "1.1.0", "mtuu": 1}, CNI_COMMAND="STATUS"), defaults)
    request = parse(make_frame({"cniVersion": "1.1.0"}, CNI_COMMAND="STATUS"), Network(name="default"))
    assert isinstance(request, Status)
    assert request.configuration.network.ranges == ()


# Roles


@pytest.mark.parametrize(
    ("kind", "ipam", "part"),
    [
        ("podnet", None, ("interface", "")),
        ("podnet", "podnet", ("interface", "")),
        (None, "podnet", ("interface", "")),
        ("", "podnet", ("interface", "")),
        ("podnet", "", ("interface", "")),
        ("podnet", "host-local", ("interface", "host-local")),
        ("bridge", "podnet", ("ipam", "")),
        ("loopback", None, ("loopback", "")),
        ("loopback", "podnet", ("loopback", "")),
    ],
)
def test_type_and_ipam_type_tell_podnet_s_part(kind: str | None, ipam: str | None, part: tuple[str, str]) -> None:
    """SPEC.md, "Delegated Plugin Execution": the same configuration goes to whoever is asked for addresses."""
    document: dict[str, Any] = {"name": "n", "ipam": {"type": ipam}, "bad key": []}
    if kind is not None:
        document["type"] = kind
    assert tuple(stated_part(json.dumps(document).encode())) == part


def test_the_part_in_what_cannot_be_read_is_the_usual_one() -> None:
    """What is wrong with it is said by whoever parses it."""
    for stdin in (b"", b"{", b"[]", b'{"type": 1}', b'{"type": "bridge", "ipam": "podnet"}'):
        assert tuple(stated_part(stdin)) == ("interface", "")


@pytest.mark.parametrize("keys", [{}, {"anything": {"at": "all"}, "mtu": "x"}, {"capabilities": 1}])
def test_loopback_is_answered_whatever_else_its_configuration_has(make_frame: MakeFrame, keys: dict[str, Any]) -> None:
    """The runtime's own list names it; it takes no addresses, so none need be there."""
    request = parse(make_frame({"type": "loopback", **keys}, CNI_IFNAME="lo"), Network(name="default"))
    assert isinstance(request, Add)
    assert (request.configuration.role, request.network) == ("loopback", Network(name="net"))


MACVLAN = {"type": "macvlan", "master": "eth0", "mode": "bridge", "linkInContainer": False, "mtu": 1400}
BRIDGE = {"type": "bridge", "bridge": "mynet0", "isGateway": True, "vlan": 7, "promiscMode": True, "ipMasq": True}


@pytest.mark.parametrize("other", [MACVLAN, BRIDGE], ids=lambda keys: keys["type"])
def test_another_plugin_s_own_keys_are_its_own(make_frame: MakeFrame, defaults: Network, other: dict[str, Any]) -> None:
    """As an IPAM plugin podnet reads `ipam` alone; the network attaches nobody."""
    ipam = {"type": "podnet", "subnet": "10.5.0.0/24", "routes": [{"dst": "0.0.0.0/0"}], "quarantine": 3}
    request = parse(make_frame({**other, "ipam": ipam, "dns": {"nameservers": ["10.0.0.1"]}}), defaults)
    assert isinstance(request, Add)
    network = request.network
    assert (request.configuration.role, network.datapath, network.mtu) == ("ipam", "none", 0)
    assert [str(subnet) for subnet in network.subnets] == ["10.5.0.0/24"]
    assert (network.routes, network.quarantine) == ((PodRoute(ip_network("0.0.0.0/0")),), 3.0)
    again = parse(make_frame({**other, "ipam": {"type": "podnet"}}), defaults)
    assert isinstance(again, Add)
    assert again.network.ranges == defaults.ranges
    with pytest.raises(UnsupportedField, match="'subnett' in ipam"):
        parse(make_frame({**other, "ipam": ipam | {"subnett": 1}}), defaults)


HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": "10.5.0.0/24"}]], "dataDir": "/run/x", "resolvConf": "/y"}
STATIC = {"type": "static", "addresses": [{"address": "10.5.0.9/24", "gateway": "10.5.0.1"}], "routes": "theirs"}


@pytest.mark.parametrize("ipam", [HOST_LOCAL, STATIC], ids=lambda keys: keys["type"])
def test_the_ipam_of_another_plugin_is_its_own(make_frame: MakeFrame, ipam: dict[str, Any]) -> None:
    """Keys that podnet does not know, or knows otherwise, are handed on unread; podnet's own beside it are checked."""
    nowhere = Network(name="default")
    request = parse(make_frame({"ipam": ipam, "mtu": 1400, "isDefaultGateway": True}), nowhere)
    assert isinstance(request, Add)
    assert (request.configuration.delegate, request.configuration.role) == (ipam["type"], "interface")
    assert (request.network.ranges, request.network.mtu, request.network.datapath) == ((), 1400, "ptp")
    with pytest.raises(UnsupportedField, match="did you mean 'mtu'"):
        parse(make_frame({"ipam": ipam, "mtuu": 1}), nowhere)


def delegated(make_frame: MakeFrame, answer: dict[str, Any], version: str = "1.0.0", **keys: Any) -> Add:
    """Return the ADD that a plugin's answer makes."""
    frame = make_frame({"cniVersion": version, "ipam": HOST_LOCAL, **keys}, CNI_ARGS="IgnoreUnknown=1", CNI_PATH="/p")
    request = parse(frame, Network(name="default", dns=DNS(("10.0.0.1",))))
    assert isinstance(request, Add)
    return with_addresses(request, frame, json.dumps(answer).encode())


def test_a_plugin_s_addresses_are_asked_for_of_ranges_made_of_them(make_frame: MakeFrame) -> None:
    """Each address's subnet is a range, routes and name servers are the plugin's; the lease knows whose they are."""
    answer = {
        "cniVersion": "1.0.0",
        "ips": [{"address": "10.5.0.9/24", "gateway": "10.5.0.1"}, {"address": "fd05::9/64"}],
        "routes": [{"dst": "10.0.0.0/8", "gw": "10.5.0.1"}],
        "dns": {"nameservers": ["10.5.0.53"]},
    }
    request = delegated(make_frame, answer)
    (four,), (six,) = request.network.ranges
    assert (str(four.subnet), str(four.gateway), str(six.subnet), str(six.gateway)) == (
        "10.5.0.0/24",
        "10.5.0.1",
        "fd05::/64",
        "fe80::1",
    )
    assert [str(address) for address in request.addresses] == ["10.5.0.9", "fd05::9"]
    assert request.network.routes == (PodRoute(ip_network("10.0.0.0/8"), IPv4Address("10.5.0.1")),)
    assert (request.network.dns, request.network.quarantine) == (DNS(("10.5.0.53",)), 0.0)
    delegation = request.terms.delegation
    assert isinstance(delegation, Delegation)
    assert (delegation.plugin, delegation.args, delegation.path) == ("host-local", "IgnoreUnknown=1", "/p")
    assert json.loads(delegation.configuration)["ipam"] == HOST_LOCAL


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_of_any_version_is_read(make_frame: MakeFrame, version: str) -> None:
    """By the version it states, or else the request's."""
    told = Attached((), (IPConfig(IPv4Address("10.5.0.9"), 24, IPv4Address("10.5.0.1")),))
    answer = json.loads(render_result(version, told))
    assert [str(a) for a in delegated(make_frame, answer).addresses] == ["10.5.0.9"]
    del answer["cniVersion"]
    assert [str(a) for a in delegated(make_frame, answer, version).addresses] == ["10.5.0.9"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "ipam plugin host-local: prevResult is not a result"),
        (b"{", "ipam plugin host-local"),
        (b"[]", "ipam plugin host-local"),
        (b'{"cniVersion": "7.0.0"}', "cniVersion 7.0.0 cannot be read"),
        (b'{"cniVersion": "1.0.0"}', "gave no address: look into its configuration, the key ipam"),
        (b'{"cniVersion": "1.0.0", "ips": []}', "gave no address"),
        (b'{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9"}]}', "is not an address with its prefix length"),
        (b"\xff", "ipam plugin host-local"),
    ],
)
def test_an_answer_that_is_none_is_the_plugin_s_failure(make_frame: MakeFrame, answer: bytes, message: str) -> None:
    """It is called by its name, with what it said."""
    frame = make_frame({"ipam": HOST_LOCAL})
    request = parse(frame, Network(name="default"))
    assert isinstance(request, Add)
    with pytest.raises(DelegateFailed, match=message):
        with_addresses(request, frame, answer)


def test_a_plugin_s_error_keeps_its_code_and_words() -> None:
    """Where it is an error of the specification; other output is repeated, shortened."""
    error = failure_of("static", 1, b'{"cniVersion": "1.0.0", "code": 114, "msg": "none left", "details": "d"}')
    assert (error.cni_code, error.msg, error.details) == (114, "ipam plugin static: none left", "d")
    error = failure_of("static", 127, b"Traceback" + b"x" * 500)
    assert error.cni_code == 999
    assert error.msg.startswith("ipam plugin static ended with status 127 and said 'Traceback")
    assert len(error.msg) < 300
    assert "said 'nothing'" in failure_of("static", 1, b"\n").msg


# prevResult

BEFORE = Attached(
    (Interface("dummy0", "02:00:00:00:00:09", "/run/netns/red"),),
    (IPConfig(IPv4Address("192.0.2.9"), 24, None, 0),),
    (PodRoute(ip_network("192.0.2.0/24")), PodRoute(ip_network("0.0.0.0/0"))),
    DNS(("192.0.2.53",)),
)


@pytest.mark.parametrize("version", VERSIONS)
def test_add_repeats_what_the_plugins_before_it_made(make_frame: MakeFrame, defaults: Network, version: str) -> None:
    """SPEC.md, "ADD": prevResult in every version's shape, with podnet's own behind it."""
    previous = json.loads(render_result(version, BEFORE))
    request = parse(make_frame({"cniVersion": version, "prevResult": previous}), defaults)
    assert isinstance(request, Add)
    old = version in {"0.1.0", "0.2.0"}
    (address,) = BEFORE.ips
    expected = Attached((), (IPConfig(address.address, 24),), BEFORE.routes, BEFORE.dns) if old else BEFORE
    assert request.previous == expected
    own = Attached(
        (Interface("veth-a"), Interface("eth0", sandbox="/run/netns/red")),
        (IPConfig(IPv4Address("10.244.1.5"), 32, None, 1), IPConfig(IPv4Address("10.244.1.6"), 32)),
        (PodRoute(ip_network("0.0.0.0/0")), PodRoute(ip_network("10.0.0.0/8"))),
    )
    after = own.after(request.previous)
    assert after.interfaces == expected.interfaces + own.interfaces
    assert [ip.address for ip in after.ips] == [ip.address for ip in (*expected.ips, *own.ips)]
    named = [ip.interface for ip in after.ips]
    assert named == ([None, 1, None] if old else [0, 2, None])
    assert [str(route.dst) for route in after.routes] == ["192.0.2.0/24", "0.0.0.0/0", "10.0.0.0/8"]
    assert after.dns == BEFORE.dns
    assert json.loads(render_result(version, after))["cniVersion"] == version


def test_podnet_s_own_name_servers_replace_those_before_it(make_frame: MakeFrame, defaults: Network) -> None:
    """And without a prevResult the result is podnet's alone."""
    own = Attached((), (), (), DNS(("10.96.0.10",)))
    assert own.after(BEFORE).dns == own.dns
    assert own.after(None) is own
    request = parse(make_frame(), defaults)
    assert isinstance(request, Add)
    assert request.previous is None


def test_a_previous_result_that_is_none_is_refused_at_add(make_frame: MakeFrame, defaults: Network) -> None:
    """It could not be repeated; DEL does not look at it."""
    with pytest.raises(InvalidConfiguration, match="prevResult is not a result"):
        parse(make_frame({"prevResult": {"ips": [{}]}}), defaults)
    assert isinstance(parse(make_frame({"prevResult": []}, CNI_COMMAND="DEL"), defaults), Delete)


def test_delete_and_check_know_podnet_s_part(make_frame: MakeFrame, defaults: Network) -> None:
    """DEL of a broken configuration too: another plugin has to be told."""
    request = parse(make_frame({"ipam": HOST_LOCAL, "mtuu": 1}, CNI_COMMAND="DEL"), defaults)
    assert isinstance(request, Delete)
    assert (request.configuration.delegate, request.attachment) == ("host-local", Attachment("net", "c1", "eth0"))
    checked = parse(
        make_frame({**MACVLAN, "ipam": {"type": "podnet"}, "prevResult": {}}, CNI_COMMAND="CHECK"), defaults
    )
    assert isinstance(checked, Check)
    assert checked.configuration.role == "ipam"
    with pytest.raises(InvalidEnvironment, match="DEL needs CNI_CONTAINERID"):
        parse(make_frame({"type": "loopback"}, CNI_COMMAND="DEL", CNI_CONTAINERID=None), defaults)
