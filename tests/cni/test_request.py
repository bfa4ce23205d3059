"""Requests that are good: what a frame becomes."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from podnet.cni import Add, Attached, Check, Delete, Frame, Interface, IPConfig, Version, parse, render_version
from podnet.cni.request import parse_args
from podnet.cni.versions import HIGHEST, UNSTATED, VERSIONS, ordinal, select
from podnet.errors import IncompatibleVersion, InvalidConfiguration
from podnet.model import Attachment, Network

MakeFrame = Callable[..., Frame]

PREVIOUS = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "veth-x"}, {"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/red"}],
    "ips": [{"address": "10.244.1.5/24", "gateway": "10.244.1.1", "interface": 1}],
    "com.example/added-by-a-later-plugin": True,
}


def test_add_carries_all_that_attaching_takes(make_frame: MakeFrame, defaults: Network) -> None:
    """Attachment, namespace, arguments, configuration and network come parsed."""
    request = parse(make_frame(CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=shop;X=1"), defaults)
    assert isinstance(request, Add)
    assert request.attachment == Attachment("net", "c1", "eth0")
    assert request.netns == "/run/netns/red"
    assert request.args == {"IgnoreUnknown": "1", "K8S_POD_NAME": "web-0", "K8S_POD_NAMESPACE": "shop", "X": "1"}
    assert request.network.ranges == defaults.ranges
    assert (request.version, request.addresses) == ("1.0.0", ())


def test_containerd_s_and_podman_s_arguments_are_taken() -> None:
    """The strings those runtimes send."""
    assert parse_args("") == {}
    sent = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_INFRA_CONTAINER_ID=f00;K8S_POD_UID=1-2"
    assert parse_args(sent)["K8S_POD_UID"] == "1-2"
    assert parse_args("IgnoreUnknown=True;;A=b=c;") == {"IgnoreUnknown": "True", "A": "b=c"}


@pytest.mark.parametrize(
    ("keys", "args", "asked"),
    [
        ({}, "", ()),
        ({}, "IP=10.244.1.9", ("10.244.1.9",)),
        ({}, "IP=10.244.1.9/24", ("10.244.1.9",)),
        ({"args": {"cni": {"ips": ["10.244.1.7/24", "fd00::7"]}}}, "", ("10.244.1.7", "fd00::7")),
        ({"args": {"cni": {"ips": ["10.244.1.7"]}}}, "IP=10.244.1.9", ("10.244.1.7",)),
        ({"runtimeConfig": {"ips": ["10.244.1.8/24"]}}, "", ("10.244.1.8",)),
        (
            {"args": {"cni": {"ips": ["10.244.1.7"]}}, "runtimeConfig": {"ips": ["10.244.1.8", "10.244.1.7"]}},
            "",
            ("10.244.1.7", "10.244.1.8"),
        ),
        ({"args": {"cni": {"ips": []}}}, "IP=", ()),
    ],
)
def test_addresses_are_asked_for_in_three_places(
    make_frame: MakeFrame, defaults: Network, keys: dict[str, Any], args: str, asked: tuple[str, ...]
) -> None:
    """CONVENTIONS.md: `args` and `runtimeConfig` of the configuration; CNI_ARGS only where those ask for nothing."""
    request = parse(make_frame(keys, CNI_ARGS=args), defaults)
    assert isinstance(request, Add)
    assert tuple(map(str, request.addresses)) == asked


def test_delete_needs_no_namespace_and_no_previous_result(make_frame: MakeFrame, defaults: Network) -> None:
    """SPEC.md, DEL: best effort, also after the namespace is gone."""
    for variables, netns in (({"CNI_NETNS": None}, ""), ({"errno": 2}, "/run/netns/red")):
        request = parse(make_frame(CNI_COMMAND="DEL", **variables), defaults)
        assert isinstance(request, Delete)
        assert (request.attachment, request.netns) == (Attachment("net", "c1", "eth0"), netns)


def test_delete_reads_what_names_the_network_alone(make_frame: MakeFrame, defaults: Network) -> None:
    """Good or bad, the rest of the configuration is the lease's; the version is that of an error, if there is one."""
    request = parse(make_frame({"datapath": "bridge", "prevResult": PREVIOUS}, CNI_COMMAND="DEL"), defaults)
    assert isinstance(request, Delete)
    assert (request.network.datapath, request.version) == ("ptp", "1.0.0")
    assert (request.network.name, request.network.ranges) == ("net", defaults.ranges)
    assert request.configuration.prev_result == b""
    request = parse(make_frame({"datapath": "bridge", "oops": 1, "cniVersion": "0.4.0"}, CNI_COMMAND="DEL"), defaults)
    assert isinstance(request, Delete)
    assert (request.network.datapath, request.version, request.network.name) == ("ptp", "0.4.0", "net")
    request = parse(make_frame({"cniVersion": "9.0.0"}, CNI_COMMAND="DEL"), defaults)
    assert isinstance(request, Delete)
    assert request.version == HIGHEST


def test_check_carries_the_previous_result(make_frame: MakeFrame, defaults: Network) -> None:
    """As a value, without what later plugins of a chain put beside it."""
    request = parse(make_frame({"prevResult": PREVIOUS}, CNI_COMMAND="CHECK"), defaults)
    assert isinstance(request, Check)
    assert request.attachment == Attachment("net", "c1", "eth0")
    assert (request.network.name, request.version, request.netns, request.args) == (
        "net",
        "1.0.0",
        "/run/netns/red",
        {},
    )
    assert request.previous == Attached(
        (Interface("veth-x"), Interface("eth0", "02:00:00:00:00:01", "/run/netns/red")),
        (IPConfig(IPv4Address("10.244.1.5"), 24, IPv4Address("10.244.1.1"), 1),),
    )


@pytest.mark.parametrize("previous", [None, "unset"])
def test_check_needs_a_previous_result(make_frame: MakeFrame, defaults: Network, previous: str | None) -> None:
    """SPEC.md, CHECK: the runtime must include it."""
    with pytest.raises(InvalidConfiguration, match="needs prevResult"):
        parse(make_frame({"prevResult": previous}, CNI_COMMAND="CHECK"), defaults)


@pytest.mark.parametrize(
    "previous",
    [
        [],
        {"ips": [{"address": "10.244.1.5"}]},
        {"ips": [{"address": "10.244.1.5/33"}]},
        {"ips": [{"address": "10.244.1.5/x"}]},
        {"ips": [{"address": "10.244.1/24"}]},
        {"ips": [{"address": "10.244.1.5/24", "interface": 1}], "interfaces": [{"name": "eth0"}]},
        {"ips": [{"address": "10.244.1.5/24", "interface": -1}], "interfaces": [{"name": "eth0"}]},
        {"ips": [{}]},
        {"routes": [{"dst": "all"}]},
        {"dns": {"nameservers": "10.1.0.1"}},
    ],
)
def test_a_previous_result_that_is_none_is_refused(make_frame: MakeFrame, defaults: Network, previous: Any) -> None:
    """Error 7, naming prevResult."""
    with pytest.raises(InvalidConfiguration, match=r"prevResult is not a result of cniVersion 1.0.0"):
        parse(make_frame({"prevResult": previous}, CNI_COMMAND="CHECK"), defaults)


def test_check_came_with_0_4_0(make_frame: MakeFrame, defaults: Network) -> None:
    """An older configuration cannot ask for it."""
    with pytest.raises(IncompatibleVersion, match=r"cniVersion 0.3.1 has no CHECK"):
        parse(make_frame({"cniVersion": "0.3.1", "prevResult": PREVIOUS}, CNI_COMMAND="CHECK"), defaults)


@pytest.mark.parametrize(
    ("stdin", "version"),
    [(b'{"cniVersion": "0.4.0"}', "0.4.0"), (b"", "1.1.0"), (b'{"cniVersion": "7"}', "1.1.0"), (b"{}", "0.1.0")],
)
def test_version_is_answered_whatever_stands_on_standard_input(
    make_frame: MakeFrame, defaults: Network, stdin: bytes, version: str
) -> None:
    """SPEC.md, "VERSION Success": at the version stated, where podnet speaks it, and with all supported ones."""
    request = parse(make_frame(stdin, CNI_COMMAND="VERSION", CNI_CONTAINERID=None, CNI_NETNS=None), defaults)
    assert request == Version(version)
    assert json.loads(render_version(version)) == {"cniVersion": version, "supportedVersions": list(VERSIONS)}


def test_versions_are_ordered_in_time() -> None:
    """Every comparison podnet makes is by place in this list."""
    assert sorted(VERSIONS, key=ordinal) == list(VERSIONS)
    assert (VERSIONS[0], VERSIONS[-1]) == (UNSTATED, HIGHEST)
    assert ordinal("0.3.1") < ordinal("0.4.0") < ordinal("1.0.0")


@pytest.mark.parametrize(
    ("stated", "others", "selected"),
    [
        ("1.0.0", (), "1.0.0"),
        ("1.0.0", ("0.4.0", "1.1.0"), "1.1.0"),
        ("1.0.0", ("1.2.0",), "1.0.0"),
        ("", (), "0.1.0"),
        ("2.0.0", ("3.0.0",), None),
    ],
)
def test_a_list_s_highest_common_version_is_selected(
    stated: str, others: tuple[str, ...], selected: str | None
) -> None:
    """SPEC.md, "Version considerations"."""
    assert select(stated, others) == selected


def test_keys_of_specification_runtime_and_lists_are_taken(make_frame: MakeFrame, defaults: Network) -> None:
    """None of them is an unknown key."""
    keys = {
        "cniVersions": ["1.0.0", "1.1.0"],
        "disableCheck": False,
        "disableGC": True,
        "loadOnlyInlinedPlugins": False,
        "capabilities": {"portMappings": True, "ips": True, "mac": False},
        "runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 80}], "ips": ["fd00::8"]},
        "args": {"cni": {"labels": []}, "com.example": 1},
        "prevResult": None,
        "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
        "cni.dev/something-new": {"a": [1]},
        "dns": {"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"], "options": ["ndots:5"]},
    }
    request = parse(make_frame(keys), defaults)
    assert isinstance(request, Add)
    assert request.configuration.capabilities == {"portMappings", "ips"}
    assert request.addresses == (IPv6Address("fd00::8"),)
    assert request.network.dns.options == ("ndots:5",)
