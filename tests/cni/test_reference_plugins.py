"""Debian's containernetworking-plugins as the oracle: the shape of results, and which ranges may be meant.

The plugins run in namespaces of the test's own, with host-local's state in the test's folder.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from podnet.cni import VERSIONS, Attached, Interface, IPConfig, render_result
from podnet.cni.configuration import parse
from podnet.cni.result import READERS, read
from podnet.errors import PodnetError
from podnet.model import DNS, Network, PodRoute

PLUGINS = Path("/usr/lib/cni")
Finished = subprocess.CompletedProcess[str]

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(
        not (PLUGINS / "ptp").exists(), reason="the reference plugins (containernetworking-plugins) are not installed"
    ),
]

RANGES = [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]
FULL = {
    "ipam": {"ranges": RANGES, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00:1::1"}]},
    "dns": {"nameservers": ["10.1.0.1"], "search": ["a.example"], "domain": "example", "options": ["ndots:2"]},
}
BARE = {"ipam": {"ranges": RANGES[:1]}}


class Host(NamedTuple):
    """A host's and a pod's namespace by name, and the folder for host-local's state."""

    host: str
    pod: str
    state: Path

    def run(self, plugin: str, command: str, configuration: dict[str, Any], container: str) -> Finished:
        """Execute a reference plugin as a runtime does."""
        return subprocess.run(
            ["ip", "netns", "exec", self.host, str(PLUGINS / plugin)],
            input=json.dumps(configuration),
            env={
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": container,
                "CNI_NETNS": f"/run/netns/{self.pod}",
                "CNI_IFNAME": "eth0",
                "CNI_PATH": str(PLUGINS),
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def configuration(self, plugin: str, version: str, keys: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration for the plugin whose addresses host-local gives."""
        ipam = {"type": "host-local", "dataDir": str(self.state), **keys["ipam"]}
        fixed = {"cniVersion": version, "name": "net", "type": plugin, "bridge": "br9", "isGateway": True}
        return {**fixed, **keys, "ipam": ipam}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Make two namespaces, and remove them."""
    unique = uuid4().hex[:8]
    names = (f"cni-host-{unique}", f"cni-pod-{unique}")
    made: list[str] = []
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            made.append(name)
        yield Host(*names, tmp_path)
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=True)


def value(result: dict[str, Any]) -> Attached:
    """Make podnet's value of a reference plugin's result, key by key and without podnet's own reader."""
    links = result.get("interfaces", [])
    interfaces = tuple(Interface(link["name"], link["mac"], link.get("sandbox", "")) for link in links)
    ips, routes = result.get("ips", []), result.get("routes", [])
    for family in ("ip4", "ip6"):
        if family in result:
            ips.append({**result[family], "address": result[family]["ip"]})
            routes += result[family].get("routes", [])
    return Attached(
        interfaces,
        tuple(
            IPConfig(
                ip_interface(ip["address"]).ip,
                ip_interface(ip["address"]).network.prefixlen,
                ip_address(ip["gateway"]),
                ip.get("interface"),
            )
            for ip in ips
        ),
        tuple(PodRoute(ip_network(r["dst"]), ip_address(r["gw"]) if "gw" in r else None) for r in routes),
        DNS(
            tuple(result["dns"].get("nameservers", ())),
            result["dns"].get("domain", ""),
            tuple(result["dns"].get("search", ())),
            tuple(result["dns"].get("options", ())),
        ),
    )


def reference_versions() -> list[str]:
    """Ask the installed plugin which versions it speaks (at collection, so that each is a test)."""
    if not (PLUGINS / "ptp").exists():
        return []
    environment = {"CNI_COMMAND": "VERSION"}
    told = subprocess.run([PLUGINS / "ptp"], env=environment, input="{}", capture_output=True, text=True, check=True)
    return [version for version in json.loads(told.stdout)["supportedVersions"] if version in VERSIONS]


@pytest.mark.parametrize("version", reference_versions())
@pytest.mark.parametrize("plugin", ["ptp", "bridge"])
@pytest.mark.parametrize("keys", [FULL, BARE], ids=["full", "bare"])
def test_results_equal_the_reference_plugins_in_every_version(
    host: Host, plugin: str, version: str, keys: dict[str, Any]
) -> None:
    """Told of the same interfaces and addresses, podnet writes the same keys and values in the same order."""
    configuration = host.configuration(plugin, version, keys)
    added = host.run(plugin, "ADD", configuration, "c1")
    assert added.returncode == 0, added.stdout
    expected = json.loads(added.stdout)
    rendered = render_result(version, value(json.loads(added.stdout)))
    assert json.loads(rendered) == expected
    assert json.dumps(json.loads(rendered)) == json.dumps(expected)
    if version in READERS:
        assert read(version, added.stdout.encode()) == value(json.loads(added.stdout))


@pytest.mark.parametrize("version", [version for version in reference_versions() if version >= "0.4.0"])
@pytest.mark.parametrize("plugin", ["ptp", "bridge"])
def test_the_reference_plugins_read_podnet_s_results(host: Host, plugin: str, version: str) -> None:
    """Given podnet's rendering as prevResult, their CHECK finds all as it was added; and a lie in it is found."""
    configuration = host.configuration(plugin, version, FULL)
    added = value(json.loads(host.run(plugin, "ADD", configuration, "c1").stdout))
    previous = json.loads(render_result(version, added))
    checked = host.run(plugin, "CHECK", {**configuration, "prevResult": previous}, "c1")
    assert (checked.returncode, checked.stdout) == (0, "")
    previous["ips"][0]["address"] = "10.1.0.77/24"
    assert host.run(plugin, "CHECK", {**configuration, "prevResult": previous}, "c1").returncode == 1


BOTH_TAKE = [
    {"subnet": "10.1.0.0/24"},
    {"subnet": "10.1.0.0/30"},
    {"subnet": "fd00::/126"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"},
    {"subnet": "10.1.0.0/24", "gateway": "10.1.0.254"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.1", "rangeEnd": "10.1.0.2"},
    {"subnet": "fd00::/64", "rangeStart": "fd00::9"},
]
BOTH_REFUSE = [
    {"subnet": "10.1.0.0/31"},
    {"subnet": "10.1.0.0/32"},
    {"subnet": "fd00::/127"},
    {"subnet": "10.1.0.1/24"},
    {"subnet": "10.1.0.0"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"},
    {"subnet": "10.1.0.0/24", "rangeEnd": "10.2.0.1"},
    {"subnet": "10.1.0.0/24", "rangeStart": "fd00::1"},
    {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.8"},
    {"subnet": "10.1.0.0/24", "rangeStart": "x"},
]


def host_local(host: Host, ranges: list[list[dict[str, str]]], container: str = "c1") -> Finished:
    """Ask host-local for an address of each set."""
    keys = {"ipam": {"ranges": ranges}}
    return host.run("host-local", "ADD", host.configuration("ptp", "1.0.0", keys), container)


def podnet_ranges(ranges: list[list[dict[str, str]]]) -> Network:
    """Parse the same ranges with podnet."""
    document = {"cniVersion": "1.0.0", "name": "net", "type": "podnet", "ipam": {"ranges": ranges}}
    return parse(json.dumps(document).encode(), Network(name="default")).network


@pytest.mark.parametrize("entry", BOTH_TAKE, ids=json.dumps)
def test_host_local_gives_out_the_ends_of_podnet_s_range(host: Host, entry: dict[str, str]) -> None:
    """Its gateway is podnet's, and its first address podnet's first that is not the gateway."""
    told = host_local(host, [[entry]])
    assert told.returncode == 0, told.stdout
    ((made,),) = podnet_ranges([[entry]]).ranges
    (ip,) = json.loads(told.stdout)["ips"]
    assert ip_address(ip["gateway"]) == made.gateway
    first = made.first + 1 if made.first == made.gateway else made.first
    assert ip_interface(ip["address"]).ip == first


@pytest.mark.parametrize("entry", [BOTH_TAKE[1], BOTH_TAKE[2], BOTH_TAKE[3], BOTH_TAKE[5]], ids=json.dumps)
def test_host_local_has_as_many_addresses_as_podnet_s_range(host: Host, entry: dict[str, str]) -> None:
    """It gives every address of podnet's range to some container, and then is exhausted."""
    ((made,),) = podnet_ranges([[entry]]).ranges
    given: set[str] = set()
    for number in count():
        told = host_local(host, [[entry]], f"c{number}")
        if told.returncode:
            break
        given.add(str(ip_interface(json.loads(told.stdout)["ips"][0]["address"]).ip))
    every = {ip_address(n) for n in range(int(made.first), int(made.last) + 1)}
    assert given == {str(address) for address in every - {made.gateway}}


@pytest.mark.parametrize("entry", BOTH_REFUSE, ids=json.dumps)
def test_what_host_local_refuses_podnet_refuses(host: Host, entry: dict[str, str]) -> None:
    """Nothing that cannot work there is taken here."""
    assert host_local(host, [[entry]]).returncode == 1
    with pytest.raises(PodnetError):
        podnet_ranges([[entry]])


@pytest.mark.parametrize(
    "sets",
    [
        [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]],
        [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.1.0.0/25"}]],
        [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]],
        [[]],
    ],
    ids=json.dumps,
)
def test_what_sets_host_local_refuses_podnet_refuses(host: Host, sets: list[list[dict[str, str]]]) -> None:
    """Mixed families, overlaps and emptiness."""
    assert host_local(host, sets).returncode != 0
    with pytest.raises(PodnetError):
        podnet_ranges(sets)
