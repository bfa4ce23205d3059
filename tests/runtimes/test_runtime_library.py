"""podnet driven as the specification's own library drives it: lists, versions, kept results, GC, STATUS."""

from pathlib import Path
from typing import Any

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually
from tests.runtimes.libcni import Attachment, PluginError, Runtime
from tests.runtimes.traffic import connect

pytestmark = pytest.mark.live

VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def installed(node: Node) -> Any:
    """Return the list as podnet installed it."""
    return node.json("cat", "/etc/cni/net.d/10-podnet.conflist")


def of_version(node: Node, version: str, cache: Path, **keys: Any) -> Runtime:
    """Return a runtime with the installed list at one version."""
    conflist = {key: value for key, value in installed(node).items() if key != "cniVersions"}
    return Runtime(node, {**conflist, "cniVersion": version, **keys}, cache)


def attached(node: Node, runtime: Runtime, name: str, **more: Any) -> tuple[Attachment, str]:
    """Make a namespace and attach it; return what the runtime knows of it, and its address."""
    attachment = Attachment(node.pod(name), f"/run/netns/{name}", **more)
    (ip,) = runtime.add(attachment)["ips"]
    return attachment, ip["address"].partition("/")[0]


def test_the_library_speaks_the_highest_version(node: Node, tmp_path: Path) -> None:
    """Of the installed list's versions it takes 1.1.0, which the plugin says it supports."""
    runtime = Runtime(node, installed(node), tmp_path)
    assert runtime.version == "1.1.0"
    assert runtime.validate() >= {"portMappings", "bandwidth", "ips", "mac", "dns", "aliases"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life_in_every_version(node: Node, tmp_path: Path, version: str) -> None:
    """ADD, CHECK where there is one, and DEL, twice: the kept result is taken back, and nothing is left."""
    before = node.state()
    runtime = of_version(node, version, tmp_path)
    runtime.validate()
    red, address = attached(node, runtime, "red")
    kept = runtime.kept(red)
    assert kept is not None
    assert kept["cniVersion"] == version
    assert node.exchange("outside", "red", address) == "10.99.0.1"
    assert runtime.check(red) is (version != "0.3.1")
    runtime.delete(red)
    runtime.delete(red)
    assert runtime.attachments() == []
    node.wait_for_links(0)
    assert node.state() == before


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_check_finds_what_changed(node: Node, tmp_path: Path, version: str) -> None:
    """A route less is an error of podnet's, code 112; with `disableCheck` nobody asks; DEL goes through."""
    runtime = of_version(node, version, tmp_path)
    red, _ = attached(node, runtime, "red")
    node.run("ip", "route", "del", "default", pod="red")
    with pytest.raises(PluginError) as error:
        runtime.check(red)
    assert error.value.code == 112
    assert not of_version(node, version, tmp_path, disableCheck=True).check(red)
    runtime.delete(red)
    node.wait_for_links(0)


def test_only_what_is_declared_is_asked_for(node: Node, tmp_path: Path) -> None:
    """A capability's argument reaches the plugin where the list declares it, and nowhere else."""
    arguments = {"ips": ["10.244.1.77"], "unheard-of": {"of": 1}}
    declared = of_version(node, "1.0.0", tmp_path, plugins=[{"type": "podnet", "capabilities": {"ips": True}}])
    assert attached(node, declared, "red", arguments=arguments)[1] == "10.244.1.77"
    silent = of_version(node, "1.0.0", tmp_path, plugins=[{"type": "podnet", "capabilities": {"ips": False}}])
    assert attached(node, silent, "blue", arguments=arguments)[1] != "10.244.1.77"


SENT = {
    "containerd": {
        "portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
        "bandwidth": {"IngressRate": 20_000_000, "IngressBurst": 4294967295, "EgressRate": 0, "EgressBurst": 0},
        "dns": {"Servers": ["10.99.0.1"], "Searches": None, "Options": None},
    },
    "podman": {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
        "aliases": {"podnet": ["213ecb699ed3", "rouge"]},
    },
}
"""What containerd 1.6.20 and podman 4.3.1 put into runtimeConfig: Go's names of fields, which Go's decoder takes for
those of the conventions, and aliases by network."""


@pytest.mark.parametrize("sender", SENT)
def test_what_runtimes_send_is_understood(node: Node, tmp_path: Path, sender: str) -> None:
    """Their own spelling of the capabilities' arguments is as good as the conventions'."""
    runtime = Runtime(node, installed(node), tmp_path)
    red, _ = attached(node, runtime, "red", arguments=SENT[sender])
    assert connect(node, "outside", "red", "10.99.0.11", 8080) == "10.99.0.1"
    assert runtime.check(red)
    runtime.delete(red)
    node.wait_for_links(0)


def test_what_a_failed_chain_had_is_gone_after_its_del(node: Node, tmp_path: Path) -> None:
    """Where a plugin after podnet fails nothing is kept; the DEL that runtimes then send takes podnet's part back."""
    before = node.state()
    failing = {"type": "tuning", "sysctl": {"net.ipv4.no_such_thing": "1"}}
    runtime = of_version(node, "1.0.0", tmp_path, plugins=[{"type": "podnet"}, failing])
    red = Attachment(node.pod("red"), "/run/netns/red")
    with pytest.raises(PluginError, match="tuning"):
        runtime.add(red)
    assert len(node.pod_links()) == 1
    runtime.delete(red)
    node.wait_for_links(0)
    eventually(lambda: node.leases() == [], "the lease is closed")
    assert node.state() == before


# 1.1.0


def test_status_while_podnet_serves(node: Node, tmp_path: Path) -> None:
    """STATUS of 1.1.0 says yes; earlier versions have none."""
    assert of_version(node, "1.1.0", tmp_path).status()
    assert not of_version(node, "1.0.0", tmp_path).status()


def test_gc_ends_what_is_not_valid(node: Node, tmp_path: Path) -> None:
    """What the runtime kept gets DEL, what it forgot is found by podnet; what is valid goes on, other networks too."""
    runtime = of_version(node, "1.1.0", tmp_path)
    valid, address = attached(node, runtime, "valid")
    attached(node, runtime, "stale")
    attached(node, of_version(node, "1.1.0", tmp_path / "lost"), "forgotten")
    other = of_version(node, "1.1.0", tmp_path, name="other")
    _, elsewhere = attached(node, other, "elsewhere")
    runtime.gc([valid])
    assert runtime.attachments() == [valid]
    node.wait_for_links(2)
    assert node.exchange("outside", "valid", address) == "10.99.0.1"
    assert node.exchange("", "elsewhere", elsewhere) == "10.99.0.11"
    runtime.check(valid)
    runtime.gc([])
    node.wait_for_links(1)
    assert other.attachments()


@pytest.mark.parametrize("version", VERSIONS[1:3])
def test_gc_before_1_1_0_is_del_of_what_was_kept(node: Node, tmp_path: Path, version: str) -> None:
    """Without the verb only what the runtime kept and does not call valid is ended; with `disableGC` nothing."""
    runtime = of_version(node, version, tmp_path)
    valid, _ = attached(node, runtime, "valid")
    attached(node, runtime, "stale")
    attached(node, of_version(node, version, tmp_path / "lost"), "forgotten")
    of_version(node, version, tmp_path, disableGC=True).gc([])
    assert len(node.pod_links()) == 3
    runtime.gc([valid])
    node.wait_for_links(2)
    assert runtime.attachments() == [valid]
