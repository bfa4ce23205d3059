"""Results and errors as JSON, in the shape of each version."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cni import HIGHEST, VERSIONS, Attached, Interface, IPConfig, render_error, render_result
from podnet.cni.result import READERS, RENDERERS, read
from podnet.errors import AddressUnavailable, InvalidConfiguration, KernelError, PodnetError
from podnet.model import DNS, PodAddress, PodRoute

V4 = PodAddress(IPv4Address("10.244.1.5"), 24, IPv4Address("10.244.1.1"))
V6 = PodAddress(IPv6Address("fd00::5"), 64, IPv6Address("fd00::1"))
DUAL = Attached(
    (
        Interface("veth-abc", "02:00:00:00:00:01", mtu=1450),
        Interface("eth0", "02:00:00:00:00:02", "/run/netns/a", 1450),
    ),
    (IPConfig.of(V4, 1), IPConfig.of(V6, 1)),
    (PodRoute(ip_network("0.0.0.0/0")), PodRoute(ip_network("::/0"), IPv6Address("fd00::1"))),
    DNS(("10.96.0.10",), "", ("svc.cluster.local",)),
)
DNS_JSON = {"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"]}
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00::1"}]
FAMILIES = {
    "ip4": {"ip": "10.244.1.5/24", "gateway": "10.244.1.1", "routes": ROUTES[:1]},
    "ip6": {"ip": "fd00::5/64", "gateway": "fd00::1", "routes": ROUTES[1:]},
    "dns": DNS_JSON,
}
INTERFACES: list[dict[str, Any]] = [
    {"name": "veth-abc", "mac": "02:00:00:00:00:01"},
    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/a"},
]
IPS: list[dict[str, Any]] = [
    {"interface": 1, "address": "10.244.1.5/24", "gateway": "10.244.1.1"},
    {"interface": 1, "address": "fd00::5/64", "gateway": "fd00::1"},
]
VERSIONED = [{"version": "4", **IPS[0]}, {"version": "6", **IPS[1]}]
LIST = {"interfaces": INTERFACES, "ips": IPS, "routes": ROUTES, "dns": DNS_JSON}
SHAPES: dict[str, dict[str, Any]] = {
    "0.1.0": FAMILIES,
    "0.2.0": FAMILIES,
    "0.3.0": LIST | {"ips": VERSIONED},
    "0.3.1": LIST | {"ips": VERSIONED},
    "0.4.0": LIST | {"ips": VERSIONED},
    "1.0.0": LIST,
    "1.1.0": LIST | {"interfaces": [interface | {"mtu": 1450} for interface in INTERFACES]},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_has_its_version_s_shape(version: str) -> None:
    """Every key of the specification's text at that version, and no other."""
    assert json.loads(render_result(version, DUAL)) == {"cniVersion": version, **SHAPES[version]}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_there_is_none_of_is_left_out(version: str) -> None:
    """No empty list is written; an empty `dns` is, until 1.0.0, as the reference plugins write it."""
    alone = Attached((), (IPConfig(IPv4Address("10.0.0.2"), 24),))
    result = json.loads(render_result(version, alone))
    assert result.pop("cniVersion") == version
    assert result.pop("dns", None) == (None if version == "1.1.0" else {})
    assert result in (
        {"ip4": {"ip": "10.0.0.2/24"}},
        {"ips": [{"address": "10.0.0.2/24", "version": "4"}]},
        {"ips": [{"address": "10.0.0.2/24"}]},
    )


def test_old_versions_tell_the_first_address_of_a_family() -> None:
    """0.2.0 has room for one each."""
    second = IPConfig(IPv4Address("10.9.0.2"), 24)
    result = json.loads(render_result("0.2.0", Attached((), (*DUAL.ips, second))))
    assert (result["ip4"]["ip"], result["ip6"]["ip"]) == ("10.244.1.5/24", "fd00::5/64")


def test_every_version_is_rendered() -> None:
    """The table of renderers and the list of versions name the same."""
    assert tuple(RENDERERS) == VERSIONS
    assert tuple(READERS) == VERSIONS


ADDRESSES = st.ip_addresses()
MACS = st.sampled_from(["", "02:00:00:00:00:01"])
INTERFACE_VALUES = st.builds(Interface, st.text(min_size=1), MACS, st.text(), st.integers(0, 65535))
DNS_VALUES = st.builds(DNS, st.tuples(st.text()) | st.just(()), st.text(), st.just(()), st.just(()))


@st.composite
def attached(draw: st.DrawFn) -> Attached:
    """Draw any result."""
    interfaces = draw(st.lists(INTERFACE_VALUES, max_size=3))
    index = st.integers(0, len(interfaces) - 1) if interfaces else st.none()
    ips = st.builds(IPConfig, ADDRESSES, st.integers(0, 32), st.none() | ADDRESSES, st.none() | index)
    networks = ADDRESSES.map(ip_network)
    routes = st.builds(PodRoute, networks, st.none() | ADDRESSES)
    return Attached(tuple(interfaces), tuple(draw(st.lists(ips))), tuple(draw(st.lists(routes))), draw(DNS_VALUES))


@given(st.sampled_from(VERSIONS[2:]), attached())
def test_a_result_is_read_back_as_it_was(version: str, value: Attached) -> None:
    """Less the mtu in versions that have none."""
    interfaces = value.interfaces
    if version != "1.1.0":
        interfaces = tuple(Interface(i.name, i.mac, i.sandbox) for i in interfaces)
    expected = Attached(interfaces, value.ips, value.routes, value.dns)
    assert read(version, render_result(version, value)) == expected


@given(st.sampled_from(VERSIONS[:2]), attached())
def test_an_old_result_is_read_back_as_far_as_its_shape_goes(version: str, value: Attached) -> None:
    """0.1.0 and 0.2.0 have the first address of each family, that family's routes, and no interfaces."""
    first = {ip.address.version: ip for ip in reversed(value.ips)}
    expected = Attached(
        (),
        tuple(IPConfig(first[v].address, first[v].prefixlen, first[v].gateway) for v in sorted(first)),
        tuple(route for v in sorted(first) for route in value.routes if route.dst.version == v),
        value.dns,
    )
    assert read(version, render_result(version, value)) == expected


def test_versions_without_a_reader_are_told() -> None:
    """A version from after podnet's time names those that can be read."""
    with pytest.raises(InvalidConfiguration, match=r"cniVersion 1.2.0 cannot be read: use one of 0.1.0, 0.2.0"):
        read("1.2.0", b"{}")


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_result_or_an_error(document: bytes) -> None:
    """The reader raises nothing else."""
    try:
        result = read("1.0.0", document)
    except InvalidConfiguration:
        return
    assert isinstance(result, Attached)


def leaves(kind: type[PodnetError]) -> list[type[PodnetError]]:
    """List the error types that are raised."""
    children = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return children or [kind]


@pytest.mark.parametrize("kind", leaves(PodnetError), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("version", ["0.2.0", "1.0.0"])
def test_every_error_is_told_with_its_code(kind: type[PodnetError], version: str) -> None:
    """The object has version, code, msg and, where there are any, details."""
    error = KernelError("ip link add", 17, "told") if kind is KernelError else kind("said", "told")
    expected = {"cniVersion": version, "code": kind.cni_code, "msg": error.msg, "details": "told"}
    assert json.loads(render_error(error, version)) == expected


def test_an_error_without_details_or_version_is_told_all_the_same() -> None:
    """`details` is left out, the version the highest."""
    assert json.loads(render_error(AddressUnavailable("none free"))) == {
        "cniVersion": HIGHEST,
        "code": 110,
        "msg": "none free",
    }
    assert json.loads(render_error(AddressUnavailable("none free"), "9.9.9"))["cniVersion"] == HIGHEST


def test_a_fault_of_podnet_s_own_is_told_as_such() -> None:
    """Code 999 and the exception's name, so that a report can be made of it."""
    answer = json.loads(render_error(ZeroDivisionError("division by zero"), "0.4.0"))
    assert answer == {"cniVersion": "0.4.0", "code": 999, "msg": "internal error: ZeroDivisionError: division by zero"}


def test_an_error_about_bytes_that_are_no_text_can_be_written() -> None:
    """Surrogate escapes are spelled out; other text stays as it is."""
    assert json.loads(render_error(InvalidConfiguration("ä \udcff")))["msg"] == "ä \\udcff"
