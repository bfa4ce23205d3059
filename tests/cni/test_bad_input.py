"""What a caller can do wrong: the specification's code for it, and words that name the thing and the remedy."""

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from podnet.cni import Frame, parse, render_error, version_of
from podnet.errors import IOFailure, RequestError
from podnet.model import Network

MakeFrame = Callable[..., Frame]

ENVIRONMENT: list[tuple[dict[str, Any], str]] = [
    ({"CNI_COMMAND": None}, "CNI_COMMAND is not set"),
    ({"CNI_COMMAND": ""}, "one of ADD, CHECK, DEL, GC, STATUS, VERSION"),
    ({"CNI_COMMAND": "add"}, "'add' is not supported"),
    ({"CNI_COMMAND": "REPAIR"}, "podnet answers ADD, CHECK, DEL, GC, STATUS, VERSION"),
    (
        {"CNI_CONTAINERID": None, "CNI_IFNAME": None, "CNI_NETNS": ""},
        "ADD needs CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS",
    ),
    ({"CNI_COMMAND": "CHECK", "CNI_NETNS": None}, "CHECK needs CNI_NETNS:"),
    ({"CNI_COMMAND": "DEL", "CNI_CONTAINERID": None}, "DEL needs CNI_CONTAINERID:"),
    ({"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "a/b"}, "CNI_CONTAINERID 'a/b'"),
    ({"CNI_CONTAINERID": "../etc"}, "CNI_CONTAINERID '../etc'"),
    ({"CNI_CONTAINERID": "-a"}, "begins with a letter or digit"),
    ({"CNI_CONTAINERID": "a\n"}, "CNI_CONTAINERID"),
    ({"CNI_CONTAINERID": "ä"}, "CNI_CONTAINERID"),
    ({"CNI_CONTAINERID": "a" * 201}, "at most 200"),
    ({"CNI_IFNAME": "a" * 16}, "longer than 15 bytes"),
    ({"CNI_IFNAME": "ä" * 8}, "longer than 15 bytes"),
    ({"CNI_IFNAME": "."}, "CNI_IFNAME '.'"),
    ({"CNI_IFNAME": ".."}, "CNI_IFNAME '..'"),
    ({"CNI_IFNAME": "a/b"}, "holds '/'"),
    ({"CNI_IFNAME": "a:1"}, "holds ':'"),
    ({"CNI_IFNAME": "a b"}, "holds ' '"),
    ({"CNI_IFNAME": "eth%d"}, "holds '%'"),
    ({"CNI_IFNAME": "a\x07"}, "CNI_IFNAME"),
    ({"CNI_IFNAME": "a\udcff"}, "CNI_IFNAME"),
    ({"CNI_NETNS": "/run/netns/\udcff"}, "CNI_NETNS"),
    ({"errno": errno.ENOENT}, "CNI_NETNS '/run/netns/red' could not be opened: ENOENT"),
    ({"CNI_COMMAND": "CHECK", "errno": errno.EACCES}, "EACCES"),
    ({"CNI_ARGS": "IP"}, "CNI_ARGS holds 'IP'"),
    ({"CNI_ARGS": "=x"}, "not KEY=VALUE"),
    ({"CNI_ARGS": "COLOUR=red"}, "COLOUR is unknown to podnet: leave it out, or add IgnoreUnknown=1"),
    ({"CNI_ARGS": "IgnoreUnknown=0;COLOUR=red"}, "COLOUR"),
    ({"CNI_ARGS": "IgnoreUnknown=maybe"}, "IgnoreUnknown"),
    ({"CNI_ARGS": "IP=10.1.2"}, "CNI_ARGS: '10.1.2' is no IP address"),
]

STDIN: list[tuple[bytes, int, str]] = [
    (b"", 6, "the network configuration is empty"),
    (b" \n", 6, "the network configuration is empty"),
    (b"{", 6, "line 1, column 2 (offset 1)"),
    (b'{\n  "name": "net",\n  "mtu": 15OO\n}', 6, "line 3, column 12 (offset 30)"),
    (b'{"hairpin": tru}', 6, "line 1, column 13 (offset 12)"),
    (b'{"mtu": NaN}', 6, "the network configuration is not JSON"),
    ('{"name": "ää", x}'.encode(), 6, "line 1, column 16 (offset 17)"),
    (b'{"name": "\xff"}', 6, "not UTF-8, at line 1, column 11 (offset 10)"),
    (b'{"name": "net"} {}', 6, "line 1, column 17"),
    (b'{"mtu": "x", "nonsense": 1, oops}', 6, "the network configuration is not JSON"),
    (b"[" * 100_000, 6, "nested too deeply"),
    (b"[]", 7, "expected object, got array"),
    (b"null", 7, "expected object, got null"),
    (b'{"name": "net", "mtu": 1e999}', 7, "number out of range"),
]

TWO_SETS = [[{"subnet": "10.1.0.0/16"}], [{"subnet": "10.2.0.0/16"}]]

CONFIGURATION: list[tuple[dict[str, Any], int, str]] = [
    ({"cniVersion": "1.2.0"}, 1, "'1.2.0' is none that podnet speaks"),
    ({"cniVersion": "9", "novelty": 1}, 1, "'9' is none that podnet speaks"),
    ({"cniVersion": 1}, 7, "$.cniVersion: expected string, got integer"),
    ({"name": "unset"}, 7, "no name"),
    ({"name": ""}, 7, "no name"),
    ({"name": "a/b"}, 7, "name: 'a/b'"),
    ({"mtuu": 1400}, 2, "unknown key 'mtuu', value 1400: did you mean 'mtu'?"),
    ({"MTU": 1400}, 2, "did you mean 'mtu'?"),
    ({"nonMasqueradeCidrs": []}, 2, "did you mean 'nonMasqueradeCIDRs'?"),
    ({"zzz": {"a": 1}}, 2, "unknown key 'zzz', value {\"a\":1}: known are"),
    ({"rangeStart": "10.1.0.1"}, 2, "it belongs in ipam"),
    ({"plugins": []}, 2, "a runtime sends one plugin's configuration at a time"),
    (
        {"ipam": {"subnett": "10.1.0.0/16"}},
        2,
        "unknown key 'subnett' in ipam, value \"10.1.0.0/16\": did you mean 'subnet'?",
    ),
    ({"ipam": {"dataDir": "/x"}}, 2, "podnet keeps leases in its own database"),
    ({"ipam": {"ranges": [[{"subnet": "10.1.0.0/16", "start": 1}]]}}, 2, "'start' in ipam.ranges[0][0]"),
    ({"ipam": {"routes": [{"dst": "::/0", "metric": 5}]}}, 2, "'metric' in ipam.routes[0], value 5: known are dst, gw"),
    ({"dns": {"servers": []}}, 2, "did you mean 'nameservers'?"),
    ({"k" * 300: "v" * 300}, 2, "…"),
    ({"datapath": "ovs"}, 2, "datapath 'ovs' is unknown: say 'ptp' or 'bridge'"),
    ({"isGateway": False}, 2, "isGateway false: podnet's bridge always carries"),
    ({"isDefaultGateway": False}, 2, "name the routes wanted in ipam.routes"),
    ({"vlan": 7}, 2, "vlan 7: podnet's bridge has no VLANs"),
    ({"promiscMode": True}, 2, "say hairpin instead"),
    ({"ipMasqBackend": "iptables"}, 2, "podnet masquerades with nftables"),
    ({"masquerade": True, "ipMasq": False}, 7, "masquerade and ipMasq mean the same"),
    ({"hairpin": True, "hairpinMode": False}, 7, "hairpin and hairpinMode mean the same"),
    ({"mtu": "1500"}, 7, "$.mtu: expected integer, got string"),
    ({"mtu": 1500.5}, 7, "$.mtu: expected integer, got number"),
    ({"mtu": -1}, 7, "mtu: -1 is out of range: give 68 to 65535"),
    ({"mtu": 10**30}, 7, "is out of range"),
    ({"mtu": 1279, "ipam": {"subnet": "fd00::/64"}}, 7, "give 1280 to 65535"),
    ({"bridge": "a" * 16}, 7, "it is longer than 15 bytes"),
    ({"bridge": ""}, 7, "bridge: '' is no link's name: it is empty"),
    ({"masquerade": "yes"}, 7, "$.masquerade: expected boolean, got string"),
    ({"nonMasqueradeCIDRs": ["10.1.0.1/16"]}, 7, "nonMasqueradeCIDRs[0]: 10.1.0.1/16 has host bits set"),
    ({"dns": {"nameservers": ["10.1.0.1", "ns.example"]}}, 7, "dns.nameservers[1]: 'ns.example' is no IP address"),
    ({"ipam": {"quarantine": -1}}, 7, "ipam.quarantine"),
    ({"ipam": {"gateway": "10.1.0.1"}}, 7, "no subnet"),
    ({"ipam": {"subnet": "10.1.0.1/16"}}, 7, "ipam.subnet: 10.1.0.1/16 has host bits set"),
    (
        {"ipam": {"subnet": "10.1.0.0/16", "ranges": TWO_SETS}},
        7,
        "ipam (10.1.0.1 to 10.1.255.254) and ipam.ranges[0][0]",
    ),
    ({"ipam": {"ranges": [*TWO_SETS, [{"subnet": "x"}]]}}, 7, "ipam.ranges[2][0].subnet: 'x' is no IP network"),
    ({"runtimeConfig": {"ipRanges": [[{"subnet": "x"}]]}}, 7, "runtimeConfig.ipRanges[0][0].subnet: 'x'"),
    ({"ipam": {"routes": [{"gw": "10.1.0.1"}]}}, 7, "$.ipam.routes[0]: the key 'dst' is missing"),
    ({"ipam": {"routes": [{"dst": "10.0.0.0/8", "gw": "fd00::1"}]}}, 7, "different families"),
    ({"ipam": {"routes": [{"dst": "::/0"}]}}, 7, "pods have no IPv6 address"),
    ({"args": {"cni": {"ips": ["x"]}}}, 7, "'x' is no IP address"),
    ({"args": {"cni": {"ips": [1]}}}, 7, "$.args.cni.ips[0]: expected string"),
    ({"runtimeConfig": {"ips": ["10.244.1.300/24"]}}, 7, "'10.244.1.300' is no IP address"),
    ({"runtimeConfig": {"ips": ["fe80::1%eth0"]}}, 7, "names a link after '%'"),
    (
        {"cniVersion": "0.2.0", "ipam": {"ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "10.2.0.0/16"}]]}},
        7,
        "one address",
    ),
]


def told(frame: Frame, defaults: Network) -> dict[str, Any]:
    """Return the error object that a caller is sent for the frame."""
    with pytest.raises((RequestError, IOFailure)) as raised:
        parse(frame, defaults)
    answer: dict[str, Any] = json.loads(render_error(raised.value, version_of(frame)))
    return answer


@pytest.mark.parametrize(("variables", "message"), ENVIRONMENT)
def test_a_bad_environment_is_error_4_and_names_the_variable(
    make_frame: MakeFrame, defaults: Network, variables: dict[str, Any], message: str
) -> None:
    """SPEC.md, "Error" 4: the message must contain the names of invalid variables."""
    answer = told(make_frame(**variables), defaults)
    assert (answer["code"], message in answer["msg"]) == (4, True), answer


@pytest.mark.parametrize(("stdin", "code", "message"), STDIN)
def test_bad_standard_input_is_told_with_its_place(
    make_frame: MakeFrame, defaults: Network, stdin: bytes, code: int, message: str
) -> None:
    """What is no JSON is error 6 with line, column and offset; JSON of the wrong type is 7."""
    answer = told(make_frame(stdin), defaults)
    assert (answer["code"], message in answer["msg"]) == (code, True), answer


@pytest.mark.parametrize(("keys", "code", "message"), CONFIGURATION)
def test_a_bad_configuration_is_told_with_its_key(
    make_frame: MakeFrame, defaults: Network, keys: dict[str, Any], code: int, message: str
) -> None:
    """Unknown keys are error 2, values that cannot be meant 7, versions 1; each names key, value and remedy."""
    answer = told(make_frame(keys), defaults)
    assert (answer["code"], message in answer["msg"]) == (code, True), answer
    assert len(answer["msg"]) < 500


@pytest.mark.parametrize(("keys", "code", "message"), CONFIGURATION)
def test_no_configuration_error_keeps_a_pod_from_being_removed(
    make_frame: MakeFrame, defaults: Network, keys: dict[str, Any], code: int, message: str
) -> None:
    """DEL goes on with whatever configuration still has its name: the rest is the lease's."""
    del code, message
    frame = make_frame(keys, CNI_COMMAND="DEL", CNI_NETNS=None, CNI_ARGS="x")
    if keys.get("name") is None:
        assert parse(frame, defaults).network.name == "net"  # type: ignore[union-attr] # not a Version
    else:
        assert told(frame, defaults)["code"] == 7


def test_a_wrong_version_lists_the_right_ones(make_frame: MakeFrame, defaults: Network) -> None:
    """Error 1 has the supported versions in its details."""
    answer = told(make_frame({"cniVersion": "2.0.0"}), defaults)
    assert answer["details"] == "supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"


def test_an_error_is_told_at_the_request_s_version(make_frame: MakeFrame, defaults: Network) -> None:
    """And at the highest one where the request states none that podnet speaks."""
    assert told(make_frame({"cniVersion": "0.4.0", "x": 1}), defaults)["cniVersion"] == "0.4.0"
    assert told(make_frame({"cniVersion": "unset", "x": 1}), defaults)["cniVersion"] == "0.1.0"
    assert told(make_frame({"cniVersion": "7.0.0"}), defaults)["cniVersion"] == "1.1.0"
    assert told(make_frame(b"{"), defaults)["cniVersion"] == "1.1.0"


def test_a_machine_out_of_descriptors_is_not_the_caller_s_fault(make_frame: MakeFrame, defaults: Network) -> None:
    """EMFILE on CNI_NETNS is error 5, not 4."""
    assert told(make_frame(errno=errno.EMFILE), defaults)["code"] == 5


def test_a_network_without_ranges_is_refused(make_frame: MakeFrame) -> None:
    """Neither configuration nor node names an address to give, whatever else the configuration says."""
    for keys in ({}, {"mtu": 1400}):
        answer = told(make_frame(keys), Network(name="default"))
        assert (answer["code"], "no address ranges" in answer["msg"]) == (7, True)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"x" * 1_000_000: 1}, 2),
        ({"x": "y" * 1_000_000}, 2),
        ({"ipam": {"ranges": [[{"subnet": f"10.{i}.{j}.0/24"}] for i in range(100) for j in range(250)]}}, 7),
        ({"ipam": {"subnet": "10.0.0.0/8", "exclude": [f"10.{i}.{j}.0" for i in range(200) for j in range(250)]}}, 7),
        ({"ipam": {"routes": [{"dst": "10.0.0.0/8"}] * 40_000}}, 7),
        ({"nonMasqueradeCIDRs": ["10.0.0.0/8"] * 60_000}, 7),
        ({"args": {"cni": {"ips": ["10.0.0.1"] * 60_000}}}, 7),
        ({"mtu": "9" * 1_000_000}, 7),
    ],
    ids=["key", "value", "ranges", "exclude", "routes", "cidrs", "ips", "mtu"],
)
def test_a_megabyte_is_refused_in_a_few_words(
    make_frame: MakeFrame, defaults: Network, keys: dict[str, Any], code: int
) -> None:
    """The answer does not repeat what it refuses, and lists have a limit."""
    frame = make_frame(keys)
    assert len(frame.stdin) > 500_000
    answer = told(frame, defaults)
    assert answer["code"] == code
    assert len(answer["msg"]) < 500


def test_a_megabyte_that_is_meant_is_taken(make_frame: MakeFrame, defaults: Network) -> None:
    """Size alone is no error: `args` may carry anyone's data."""
    frame = make_frame({"args": {"com.example/labels": ["x" * 1000] * 900}})
    assert parse(frame, defaults).version == "1.0.0"
