"""`podnet check`: the node and its pods compared with what ADD made, by hand."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from podnet.testing.node import Node

pytestmark = pytest.mark.live


def check(node: Node, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `podnet check` on the node."""
    argv = node.enter(sys.executable, "-m", "podnet.cli", "check", *words)
    return subprocess.run(argv, text=True, capture_output=True, check=False)


def lines(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """Return the verdict by what it is about, the last word of the first column's text."""
    rows = [line.split("  ") for line in done.stdout.splitlines()[1:]]
    return {row[0]: row[-1].strip() for row in rows}


@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_what_is_as_it_was_made_is_said_so(serving: Callable[..., Node], datapath: str) -> None:
    """The node's part first, then each pod, named as Kubernetes does where that is known; status 0."""
    node = serving(datapath, (4, 6))
    node.attach("red")
    node.attach("blue", CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=web")
    done = check(node)
    assert done.returncode == 0, done.stderr
    verdicts = lines(done)
    assert list(verdicts) == ["the node", "pod default/web, container blue (eth0)", "container red (eth0)"]
    assert set(verdicts.values()) == {"as it was made"}


def test_what_was_changed_is_told_as_expected_and_found(serving: Callable[..., Node]) -> None:
    """On the node, on the node for one pod, and inside a pod; nothing is changed by asking; status 1."""
    node = serving("ptp", (4,), more="repair: false")
    address = node.attach("red")
    node.attach("blue")
    node.sh(f"sysctl -qw net.ipv4.ip_forward=0; ip route del {address}; ip -n red link set eth0 mtu 1300")
    before = node.state(), node.state("red")
    done = check(node)
    assert done.returncode == 1
    verdicts = lines(done)
    assert "net/ipv4/ip_forward=1" in verdicts["the node"]
    assert f"missing: ip route add {address}/32" in verdicts["container red (eth0)"]
    assert "pod link eth0: mtu expected 1500, found 1300" in verdicts["container red (eth0)"]
    assert verdicts["container blue (eth0)"] == "as it was made"
    assert (node.state(), node.state("red")) == before
    assert check(node, "bl").returncode == 0


def test_a_pod_that_is_gone_is_told(serving: Callable[..., Node]) -> None:
    """Its lease is there until it is collected."""
    node = serving("ptp", (4,), more="gc: {interval: 0}")
    node.attach("red")
    node.forget_place("red")
    assert "/run/netns/red is gone" in lines(check(node))["container red (eth0)"]


def test_an_unknown_container_is_an_error(settled: Node) -> None:
    """With the way to see those there are."""
    done = check(settled, "nope")
    assert done.returncode == 1
    assert "container nope has no live lease here" in done.stderr
