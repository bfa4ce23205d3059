"""A node to run scripts on: a network and a mount namespace of its own, with pods and something outside."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import podnet

REPOSITORY = str(Path(podnet.__file__).parents[1])
SET_UP = """
mount -t tmpfs tmpfs /run && mkdir /run/netns
mount -t tmpfs tmpfs /var/lib
ip link set lo up
ip netns add outside
ip link add up0 address 02:00:00:00:00:01 type veth \
    peer name up1 address 02:00:00:00:00:02 netns outside
ip link set up0 addrgenmode none
ip -n outside link set up1 addrgenmode none
ip -n outside link set up1 up
ip link set up0 up
ip addr add 10.99.0.11/24 dev up0
ip addr add fd99::11/64 dev up0 nodad
ip -n outside addr add 10.99.0.1/24 dev up1
ip -n outside addr add fd99::1/64 dev up1 nodad
echo ready
exec sleep infinity
"""
NODES = """nodes:
  - name: n1
    addresses: [%(addresses)s]
    pod-cidrs: [%(cidrs)s]
  - name: n2
    addresses: [10.99.0.12, "fd99::12"]
    pod-cidrs: [10.244.2.0/24, "fd00:10:244:2::/64"]
"""


class Sandbox:
    """A node in namespaces of its own."""

    def __init__(self, folder: Path) -> None:
        """Begin to make the namespaces."""
        self.folder = folder
        command = ("unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", SET_UP)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait(self) -> None:
        """Wait until they are made."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def _inside(self, pod: str) -> tuple[str, ...]:
        enter = ("nsenter", f"--target={self._process.pid}", "--net", "--mount", f"--wd={self.folder}", "--")
        return (*enter, "ip", "netns", "exec", pod) if pod else enter

    def run(self, *command: str, pod: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command on the node, or in a pod of it."""
        return subprocess.run(
            (*self._inside(pod), *command),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": REPOSITORY, **environment},
        )

    def add(self, script: str, *pods: str, shell: str = "sh") -> dict[str, list[str]]:
        """Add `pods` by `script`, their containers called as their namespaces; return their addresses."""
        given = {}
        for pod in pods:
            result = self.run(shell, script, "add", f"c-{pod}", pod)
            assert result.returncode == 0, result.stderr
            given[pod] = result.stdout.split()[1:]
        return given

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Begin a command on the node."""
        return subprocess.Popen(
            (*self._inside(""), *command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def settings(self, datapath: str, families: str, cidr4: str = "10.244.1.0/24") -> str:
        """Write podnet.yaml and nodes.yaml; return the former's path."""
        cidrs = {"4": cidr4, "6": '"fd00:10:244:1::/64"'}
        addresses = {"4": "10.99.0.11", "6": '"fd99::11"'}
        listed = {
            "cidrs": ", ".join(cidrs[family] for family in families),
            "addresses": ", ".join(addresses[family] for family in families),
        }
        (self.folder / "nodes.yaml").write_text(NODES % listed)
        config = self.folder / "podnet.yaml"
        config.write_text(
            f"node: n1\nuplink: up0\ndatapath: {datapath}\nnodes: nodes.yaml\n"
            'cluster-cidrs: [10.244.0.0/16, "fd00:10:244::/56"]\n'
        )
        return str(config)

    def script(self, *options: str, config: str) -> str:
        """Print net-script.sh by the command line on the node; return its path."""
        result = self.run(sys.executable, "-m", "podnet.cli", "script", "--config", config, *options)
        assert result.returncode == 0, result.stderr
        path = self.folder / "net-script.sh"
        path.write_text(result.stdout)
        return str(path)

    def json(self, *command: str, pod: str = "") -> Any:
        """Return the JSON that a command prints."""
        result = self.run(*command, pod=pod)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout or "[]")

    def state(self, pod: str = "") -> dict[str, Any]:
        """Return what ip and bridge tell of the node or a pod, without what the kernel draws or counts."""
        entries = self.json("bridge", "-j", "fdb", "show", pod=pod)
        found = {
            "links": self.json("ip", "-j", "-d", "addr", "show", pod=pod),
            "routes4": self.json("ip", "-j", "route", "show", "table", "all", pod=pod),
            "routes6": self.json("ip", "-6", "-j", "route", "show", "table", "all", pod=pod),
            "neighbours": self.json("ip", "-j", "neigh", "show", "nud", "permanent", pod=pod),
            "fdb": [entry for entry in entries if entry.get("state") in {"static", "permanent"}],
        }
        sysctls = ["net/ipv4/ip_forward", "net/ipv4/conf/all/send_redirects", "net/ipv6/conf/all/forwarding"]
        if pod:
            sysctls = ["net/ipv6/conf/eth0/accept_ra", "net/ipv6/conf/eth0/disable_ipv6"]
        values = [self.run("sysctl", "-n", name, pod=pod).stdout for name in sysctls]
        return {**{name: _sorted(_plain(value)) for name, value in found.items()}, "sysctls": values}

    def ruleset(self) -> list[str]:
        """Return what nft lists, without handles and counters."""
        listed = self.json("nft", "-j", "list", "ruleset")["nftables"]
        return [json.dumps(_plain(entry), sort_keys=True) for entry in listed if "metainfo" not in entry]

    def close(self) -> None:
        """End the namespaces."""
        self._process.kill()
        self._process.communicate()


DRAWN = frozenset({"counter", "ifindex", "link_index", "link_netnsid", "link", "handle", "iif", "no", "id"})


def _plain(value: Any) -> Any:
    """Return `value` without ifindexes, handles, counters, timers and elements' order."""
    if isinstance(value, dict):
        kept = {k: _plain(v) for k, v in value.items() if k not in DRAWN and not k.endswith("timer")}
        if "elem" in kept and isinstance(kept["elem"], list):
            kept["elem"] = _sorted(kept["elem"])
        return kept
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))


@pytest.fixture
def new_node(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Return a maker of nodes, each with the pods that it names."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made: list[Sandbox] = []

    def make(*pods: str) -> Sandbox:
        folder = tmp_path / f"node{len(made)}"
        folder.mkdir()
        sandbox = Sandbox(folder)
        made.append(sandbox)
        sandbox.wait()
        for pod in pods:
            assert not sandbox.run("ip", "netns", "add", pod).returncode
        return sandbox

    yield make
    for sandbox in made:
        sandbox.close()
