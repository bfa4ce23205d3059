"""What the lab's tests share: a lab as a value, and machines to make real labs on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from podnet.lab.topology import Endpoint, IPAddress, Topology, endpoints

PODNET = [sys.executable, "-P", "-m", "podnet.cli"]

# A machine of its own: network, mounts, /run, and the folders in which labs make mount points.
# The real machine's named namespaces go first: their mounts would vanish from under /run whenever another test ends.
MACHINE = """
for at in $(grep -o ' /run/netns[^ ]*' /proc/self/mounts | sort -r); do umount -l $at || :; done
mount -t tmpfs machine /run
mkdir /run/upper /run/scratch
for at in etc opt var/lib; do
    mkdir -p /run/upper/$at /run/scratch/$at
    mount -t overlay machine -o lowerdir=/$at,upperdir=/run/upper/$at,workdir=/run/scratch/$at /$at
done
rm -rf /etc/cni /etc/podnet /opt/cni /var/lib/podnet
ip link set lo up
echo made
exec sleep infinity >/dev/null 2>&1
"""


class Machine:
    """A fresh network and mount namespace that stands for a machine; `pid` is of the process that holds it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.enter = ["nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt", "--"]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on it."""
        done = subprocess.run([*self.enter, *argv], text=True, capture_output=True, check=False, timeout=90)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start podnet on it and do not wait; interrupts end it, also where those of the tests are ignored."""
        words = [*self.enter, "env", "--default-signal=INT", *PODNET, *argv]
        return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def podnet(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podnet on it."""
        return self.run(*PODNET, *argv, check=check)

    def json(self, *argv: str) -> Any:
        """Run podnet on it with --json and return what it printed; its exit status is not looked at."""
        return json.loads(self.podnet(*argv, "--json", check=False).stdout)

    def on(self, where: str, script: str) -> str:
        """Run a shell script at a place of the lab and return what it prints."""
        return self.podnet("lab", "exec", where, "--", "sh", "-ec", script).stdout

    def wrong(self) -> list[object]:
        """Return the probes of the lab's check that did not come out as expected; there must be some that did."""
        probes = self.json("lab", "check")["probes"]
        assert probes
        return [probe for probe in probes if not probe["ok"]]

    def snapshot(self) -> dict[str, str]:
        """Return what a lab might leave: links, named namespaces, mounts, files where a lab makes any."""
        return {
            "links": self.run("ip", "-o", "link").stdout,
            "namespaces": self.run("ip", "netns", "list").stdout,
            "mounts": self.run("cat", "/proc/self/mounts").stdout,
            "files": self.run("find", "/run", "/etc/cni", "/etc/podnet", "/opt", "/var/lib/podnet", check=False).stdout,
        }


@pytest.fixture
def make_machine() -> Iterator[Callable[[], Machine]]:
    """Give a function that makes machines; their labs are taken down after the test, whatever happened."""
    machines: list[tuple[Machine, subprocess.Popen[str]]] = []

    def make() -> Machine:
        holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", MACHINE],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        if not holder.stdout.readline():
            told = holder.communicate()[1]
            if "overlay" in told:
                pytest.skip(f"the kernel has no overlayfs, or allows none here: {told.strip()}")
            pytest.fail(told)
        machines.append((Machine(holder.pid), holder))
        return machines[-1][0]

    yield make
    for machine, holder in machines:
        for name in machine.run("ls", "/run/podnet-lab", check=False).stdout.split():
            if "." not in name and name != "lock":
                machine.podnet("lab", "down", "--name", name, check=False)
        holder.kill()
        holder.communicate()


@pytest.fixture
def machine(make_machine: Callable[[], Machine]) -> Machine:
    """Give a machine without any lab."""
    return make_machine()


def given_addresses(lab: Topology) -> dict[str, tuple[IPAddress, ...]]:
    """Return addresses as ADD would answer them: the second and following of each node's ranges."""
    return {
        f"{node.name}-{pod}": tuple(ip_address(int(cidr.network_address) + 2 + index) for cidr in node.pod_cidrs)
        for node in lab.nodes
        for index, pod in enumerate(node.pods)
    }


@pytest.fixture
def ends_of() -> Callable[[Topology], tuple[Endpoint, ...]]:
    """Give a function from a lab to its endpoints, all pods attached."""
    return lambda lab: endpoints(lab, given_addresses(lab))
